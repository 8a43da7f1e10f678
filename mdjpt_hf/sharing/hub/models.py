"""A model on its way to the Hub: which files of a run folder go, what is made for the occasion, and the card."""

import json
import re
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from mdjpt_hf.errors import HubError
from mdjpt_hf.modeling.pipeline_mdjpt import CUSTOM_PIPELINES
from mdjpt_hf.sharing.cards import gather_facts, is_classifier, model_card
from mdjpt_hf.sharing.hub.files import SharedFile, with_checksums
from mdjpt_hf.sharing.hub.upload import Destination, Pushed, push
from mdjpt_hf.training.config import RUN_FILE
from mdjpt_hf.version import __version__

#: Classes that must open from the repository.
AUTO_CLASSES = (
    "AutoConfig",
    "AutoModel",
    "AutoModelForPreTraining",
    "AutoModelForSequenceClassification",
    "AutoFeatureExtractor",
)
#: Taken from the run folder, else from beside the model's code in the package.
EXTRAS = ("handler.py", "requirements.txt")

_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "model-*-of-*.safetensors")
_SETTINGS = ("config.json", "preprocessor_config.json")
#: Named one by one, so that nothing a user keeps beside them is sent; result folders and pictures are taken whole.
_RECORDS = (
    *(
        "run_record.json",
        "finetune.json",
        "history.json",
        "conversion.json",
        "comparison.json",
        "comparison.md",
        "report.md",
        "*.png",
    ),
    *(f"{folder}/*.{kind}" for folder in ("results", "evaluation", "figures") for kind in ("json", "md", "png")),
)
_RELATIVE_IMPORT = re.compile(r"^\s*from\s+\.(\w+)\s+import", re.MULTILINE)


def push_model(
    run_folder: str | Path,
    repo_id: str,
    *,
    private: bool = False,
    revision: str = "",
    create_pr: bool = False,
    dry_run: bool = False,
    to_folder: str | Path | None = None,
    licence: str = "",
    base_model: str = "",
    facts: Mapping[str, Any] | None = None,
) -> Pushed:
    """Share a trained model as one commit: weights, code, settings, extractor, card, figures and records.

    Args:
        run_folder: Made by `mdjpt pretrain`, or any folder with a model of ours and its extractor.
        repo_id: `user/name`; made if need be.
        private: Make it private, and refuse a repository that is public.
        revision: Branch to commit to, made if need be; empty for the main one.
        create_pr: Propose the commit as a pull request.
        dry_run: Only say what would be sent; the Hub is not spoken to.
        to_folder: Write the files there, as they would stand on the Hub, and send nothing.
        licence: Of the weights, as the Hub spells it; Apache-2.0 where all training data are simulated.
        base_model: The Hub's name of the checkpoint this one was trained from.
        facts: What the folder does not tell, by the names in `run_record.json`.

    Returns:
        `Pushed`: The files with their sizes, and where they are.

    Raises:
        CardError: If the card lacks facts; the message lists them with the way to give each.
        HubError: If the folder is not fit to be shared, or the Hub refuses; no repository is left half new.
        ChecksumError: If the files on the Hub are not those sent.
    """
    folder, to = Path(run_folder), Destination(repo_id, "model", private, revision, create_pr)
    to.check()
    files = model_files(folder)
    known = gather_facts(folder, licence, base_model, facts)
    if not any(file.path == "requirements.txt" for file in files):
        files.append(SharedFile("requirements.txt", _requirements(known)))
    card = model_card(known, repo_id, {file.path for file in files})
    files = [file for file in files if file.path != "README.md"] + [SharedFile("README.md", card.encode())]
    message = f"{known['family']} {known.get('name', '')}".strip() + f", by mdjpt-hf {__version__}"
    return push(with_checksums(files), to, message, dry_run, to_folder)


def model_files(folder: Path) -> list[SharedFile]:
    """Everything of a model folder that is shared, but for the card.

    Checkpoints, logs and data stay here, and so do the places of this machine named in the settings of the run.

    Raises:
        HubError: If weights, settings, extractor or code are missing, or an auto class could not be opened.
    """
    shared = (*_WEIGHTS, *_SETTINGS, *_RECORDS, *EXTRAS)
    found = {path.relative_to(folder).as_posix(): path for path in _matching(folder, shared)}
    contents: dict[str, Path | bytes] = dict(found)
    _require(folder, found)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for name in EXTRAS if is_classifier(config) else ():
        template = _template(name)
        if name not in contents and template is not None:
            contents[name] = template
    contents["config.json"] = _config(folder)
    _add_imports(folder, contents)
    if (folder / RUN_FILE).is_file():
        contents[RUN_FILE] = _settings(folder / RUN_FILE)
    return [SharedFile(path, source) for path, source in contents.items()]


def _matching(folder: Path, patterns: Iterable[str]) -> list[Path]:
    found = {path for pattern in patterns for path in folder.glob(pattern)}
    return sorted(path for path in found if path.is_file() and not path.name.startswith("."))


def _require(folder: Path, found: Mapping[str, Path]) -> None:
    missing = [name for name in _SETTINGS if name not in found]
    if not any(name.endswith(".safetensors") for name in found):
        missing.append("model.safetensors")
    if missing:
        raise HubError(
            f"lacks {', '.join(missing)}",
            path=folder,
            value=missing,
            remedy="Give the folder of a finished run, or one made by `save_pretrained` of model and extractor",
        )


def _template(name: str) -> bytes | None:
    path = resources.files("mdjpt_hf.modeling") / name
    return path.read_bytes() if path.is_file() else None


def _config(folder: Path) -> bytes:
    """`config.json`, with the pipeline of a classifier, after every auto class was found in it."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    auto_map = config.get("auto_map") or {}
    missing = [name for name in AUTO_CLASSES if name not in auto_map]
    elsewhere = [f"{name}: {value}" for name, value in auto_map.items() if "--" in str(value)]
    if missing or elsewhere:
        raise HubError(
            f"auto_map lacks {missing}" if missing else f"auto_map points to other repositories: {elsewhere}",
            path=folder / "config.json",
            value=missing or elsewhere,
            remedy="Open the model with `import mdjpt_hf` and save it again with save_pretrained",
        )
    if is_classifier(config):
        config["custom_pipelines"] = {**CUSTOM_PIPELINES, **config.get("custom_pipelines", {})}
    return json.dumps(config, indent=2, sort_keys=True).encode() + b"\n"


def _add_imports(folder: Path, contents: dict[str, Path | bytes]) -> None:
    """Every module that the auto classes and pipelines name, with all it imports, from the folder or the package."""
    config = json.loads(_bytes(contents["config.json"]))
    named = [*config["auto_map"].values(), *(entry["impl"] for entry in config.get("custom_pipelines", {}).values())]
    waiting = {str(name).partition(".")[0] for name in named}
    waiting |= {path.removesuffix(".py") for path in contents if path.endswith(".py")}
    checked: set[str] = set()
    while waiting - checked:
        module = min(waiting - checked)
        checked.add(module)
        name = f"{module}.py"
        if name not in contents:
            template = folder / name if (folder / name).is_file() else _template(name)
            if template is None:
                raise HubError(
                    f"lacks {name}, which the model's code needs",
                    path=folder,
                    value=name,
                    remedy="Open the model with `import mdjpt_hf` and save it again with save_pretrained",
                )
            contents[name] = template
        waiting |= set(_RELATIVE_IMPORT.findall(_bytes(contents[name]).decode()))


def _settings(path: Path) -> bytes:
    """`run.yaml` without the places of this machine."""
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
        settings = {name: value for name, value in settings.items() if name != "output_dir"}
    except (OSError, yaml.YAMLError, AttributeError) as error:
        raise HubError(f"cannot be read: {error}", path=path, remedy="Repair it or move it away") from error
    settings["data"] = [Path(place).name for place in settings.get("data", [])]
    return yaml.safe_dump(settings, sort_keys=False).encode()


def _requirements(facts: Mapping[str, Any]) -> bytes:
    """What the code in the repository imports, at the versions the model was made with or later."""
    versions = facts.get("software") or {}
    lines = []
    for name in ("torch", "transformers", "numpy", "scipy"):
        version = str(versions.get(name, "")).partition("+")[0]  # a build's own suffix means nothing elsewhere
        lines.append(f"{name}>={version}" if version else name)
    return ("\n".join([*lines, "joblib", "mne"]) + "\n").encode()


def _bytes(source: Path | bytes) -> bytes:
    return source if isinstance(source, bytes) else source.read_bytes()
