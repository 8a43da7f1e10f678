"""A prepared corpus on its way to the Hub: what its terms allow, Parquet shards, and a card from its own metadata."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from huggingface_hub.utils import yaml_dump

from mdjpt_hf.data.index import INDEX_FILE
from mdjpt_hf.data.parquet import write_parquet
from mdjpt_hf.data.storage import CORPUS_FILE, as_prepared, prepared_records, public_metadata
from mdjpt_hf.errors import CardError, CorpusError, LicenceError
from mdjpt_hf.schema import TRIAL_FEATURES
from mdjpt_hf.sharing.hub.files import SharedFile, with_checksums
from mdjpt_hf.sharing.hub.upload import Destination, Pushed, push
from mdjpt_hf.version import __version__

#: Column -> what it holds; the types are the schema's own.
_MEANINGS = {
    "dataset": "name of the corpus",
    "subject": "unique within the dataset",
    "session": "number of the session",
    "trial": "order within the session, from 0; -1 where unknown",
    "stimulus": "the same for everybody who saw the same clip, however often",
    "signal": "µV, flat, channel after channel: `len(ch_names)` × `n_samples`",
    "n_samples": "samples of each channel",
    "sampling_rate": "Hz",
    "ch_names": "electrodes, in the order of the signal",
    "label": "the corpus's own class; -1 where it has none",
    "label_name": "its name",
    "emotion": "the class in the common vocabulary; -1 where unknown",
    "valence_class": "negative, neutral or positive; -1 where unknown",
    "valence": "the subject's own rating, rescaled to [0, 1]; NaN where not collected",
    "arousal": "likewise",
    "dominance": "likewise",
    "liking": "likewise",
    "preprocessing": "id of the exact preprocessing",
}
_LABEL_SOURCES = {
    "stimulus": "what the stimulus was meant to evoke, not what the subject felt",
    "self-report": "what the subject reported",
    "none": "absent: this corpus has ratings only, or nothing",
}


def push_corpus(
    prepared: str | Path,
    repo_id: str,
    *,
    private: bool = False,
    holds_licence: bool = False,
    licence: str = "",
    revision: str = "",
    create_pr: bool = False,
    dry_run: bool = False,
    to_folder: str | Path | None = None,
) -> Pushed:
    """Share a prepared corpus as Parquet, one commit, which `load_dataset(repo_id)` opens and streams.

    Args:
        prepared: A folder made by `mdjpt data prepare`.
        repo_id, private, revision, create_pr, dry_run, to_folder: See [`mdjpt_hf.sharing.hub.push_model`].
        holds_licence: The user says that their licence covers a private copy of restricted data.
        licence: Of the user's own recordings, as the Hub spells it. It changes nothing for published corpora.

    Raises:
        CorpusError: If the folder is no prepared corpus.
        LicenceError: If the terms of a corpus in it forbid this; the message names the terms.
        HubError, ChecksumError: See [`mdjpt_hf.sharing.hub.push_model`].
    """
    prepared, to = Path(prepared), Destination(repo_id, "dataset", private, revision, create_pr)
    to.check()
    corpus, report = _metadata(prepared)
    check_terms(corpus["facts"], private=private, holds_licence=holds_licence, licence=licence)
    # Beside the corpus, where there is room for another of its size; folders with a dot are never taken for corpora.
    with tempfile.TemporaryDirectory(prefix=".push-", dir=prepared.resolve().parent) as place:
        parquet = write_parquet(prepared, Path(place) / "parquet")
        files = [SharedFile(f"data/{path.name}", path) for path in sorted((parquet / "data").iterdir())]
        card = corpus_card(corpus, report, repo_id, licence)
        files += [
            SharedFile("README.md", card.encode()),
            SharedFile(CORPUS_FILE, _json(public_metadata(corpus, report))),
            SharedFile(INDEX_FILE, parquet / INDEX_FILE),
        ]
        return push(
            with_checksums(files), to, f"{_names(corpus['facts'])}, by mdjpt-hf {__version__}", dry_run, to_folder
        )


def check_terms(
    facts: Sequence[Mapping[str, Any]], *, private: bool = False, holds_licence: bool = False, licence: str = ""
) -> None:
    """Refuse to share what may not be shared.

    Args:
        facts: Of every dataset in a prepared folder, from its `corpus.json`.
        private, holds_licence, licence: See [`push_corpus`].

    Raises:
        LicenceError: Naming the terms, and where they stand.
    """
    for entry in facts:
        if entry.get("own"):
            if not licence:
                raise LicenceError(
                    f"{entry['name']} are recordings of your own, and no licence is named for them",
                    value=entry["name"],
                    remedy="Give --licence, for example cc-by-4.0; make sure that those recorded agreed, and that "
                    "subjects have codes, not names",
                )
        elif not entry["redistributable"] and not (private and holds_licence):
            terms = f"{entry['licence']}. {entry.get('redistribution', '')}".strip()
            raise LicenceError(
                f"{entry['name']} may not be passed on. Its terms: {terms}",
                value=entry["name"],
                remedy="If your licence covers a copy that only you can see: --private --i-hold-the-licence",
            )


def corpus_card(corpus: Mapping[str, Any], report: Mapping[str, Any], repo_id: str, licence: str = "") -> str:
    """The card of a prepared corpus, as `README.md` holds it.

    Args:
        corpus, report: The content of `corpus.json` and `report.json`.
        repo_id: `user/name`.
        licence: Of the user's own recordings.

    Raises:
        CardError: If a column of the schema has no description.
    """
    facts = corpus["facts"]
    undescribed = [name for name in TRIAL_FEATURES if name not in _MEANINGS]
    if undescribed:
        raise CardError(f"the columns {undescribed} have no description", value=undescribed, remedy="Describe them")
    body = Template((resources.files("mdjpt_hf.model_cards") / "corpus.md").read_text(encoding="utf-8")).substitute(
        title=repo_id.rpartition("/")[2],
        repo_id=repo_id,
        version=corpus["package_version"],
        counts=_counts(report, {entry["name"]: entry["title"] for entry in facts}),
        schema="\n".join(f"| `{name}` | {_kind(kind)} | {_MEANINGS[name]} |" for name, kind in TRIAL_FEATURES.items()),
        labels="\n".join(_labels(facts)),
        preprocessing=_settings(corpus.get("options", {}).get("preprocessing", {})),
        terms="\n".join(_terms(facts, licence)),
        citation=_citation(facts),
    )
    metadata = {
        **_licence(facts, licence),
        "tags": ["eeg", "emotion-recognition", "mdjpt", *(entry["name"] for entry in facts)],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*"}]}],
    }
    return f"---\n{yaml_dump(metadata).strip()}\n---\n\n{body}"


def _metadata(prepared: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    with as_prepared(prepared):
        corpus, report = prepared_records(prepared)
        names = {entry["name"] for entry in corpus["facts"]}
        unknown = sorted(set(report["datasets"]) - names)
    if unknown or not names:
        raise CorpusError(
            f"does not say under which terms {unknown or 'its rows'} may be used",
            path=prepared / CORPUS_FILE,
            value=unknown,
            remedy="Prepare it again with `mdjpt data prepare`",
        )
    return corpus, report


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n"


def _names(facts: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(entry["name"] for entry in facts)


def _counts(report: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    lines = ["| dataset | what it is | subjects | trials | minutes |", "|---|---|---|---|---|"]
    for name, counts in report["datasets"].items():
        numbers = f"{counts['subjects']} | {counts['trials']} | {counts['minutes']:.1f}"
        lines.append(f"| {name} | {titles[name]} | {numbers} |")
    if left_out := sum(len(unit["rejected"]) for unit in report.get("units", [])):
        lines.append(f"\n{left_out} trials were left out because they could not be used.")
    return "\n".join(lines)


def _kind(feature: Any) -> str:
    inner = getattr(feature, "feature", None)
    if inner is not None:
        return f"list of {_kind(inner)}"
    return "class label" if hasattr(feature, "names") else str(feature.dtype)


def _labels(facts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for entry in facts:
        classes = ", ".join(f"{number} {name}" for number, name in enumerate(entry["label_names"]))
        line = f"- `{entry['name']}`: `label` is {_LABEL_SOURCES[entry['label_source']]}"
        line += f"; {classes}" if classes else ""
        yield line + (f". Ratings: {entry['rating_scale']}." if entry.get("rating_scale") else ".")


def _settings(settings: Mapping[str, Any]) -> str:
    lines = [f"- {name.replace('_', ' ')}: {value}" for name, value in settings.items()]
    return "\n".join(lines) or "The column `preprocessing` holds its id; its settings are not on record."


def _terms(facts: Sequence[Mapping[str, Any]], licence: str) -> Iterator[str]:
    for entry in facts:
        terms = f"`{licence}`, named by the owner" if entry.get("own") else entry["licence"]
        source = f" {entry['redistribution']}." if entry.get("redistribution") else ""
        yield f"- `{entry['name']}`: {terms}.{source} {entry.get('access', '')}".rstrip()


def _licence(facts: Sequence[Mapping[str, Any]], licence: str) -> dict[str, str]:
    """As the Hub wants it: one id, or `other` with a name."""
    ids = {licence if entry.get("own") else entry.get("licence_id", "") for entry in facts}
    if len(ids) == 1 and "" not in ids:
        return {"license": ids.pop()}
    return {"license": "other", "license_name": "terms-of-each-corpus"}


def _citation(facts: Sequence[Mapping[str, Any]]) -> str:
    entries = list(dict.fromkeys(entry["citation"].strip() for entry in facts if entry.get("citation")))
    return "```bibtex\n" + "\n\n".join(entries) + "\n```" if entries else "Nothing is asked for."
