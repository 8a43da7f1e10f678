"""A run on its way to the Hub: what goes, what stays, and that it opens elsewhere with the same numbers."""

import json
import subprocess
import sys
import textwrap

import pytest
import torch
import yaml
from hub_server import TOKEN
from run_folder import make_run
from transformers import AutoFeatureExtractor, AutoModel, AutoModelForPreTraining
from typer.testing import CliRunner

from mdjpt_hf import MDJPTFeatureExtractor, MDJPTForPreTraining, MDJPTForSequenceClassification, MDJPTModel
from mdjpt_hf.cli import app
from mdjpt_hf.errors import CardError, HubError
from mdjpt_hf.modeling.pipeline_mdjpt import EEGEmotionPipeline
from mdjpt_hf.sharing.hub import push_model, verify
from mdjpt_hf.sharing.hub.files import SharedFile, write_folder
from mdjpt_hf.sharing.hub.models import model_files

NAME = "user/toy"
CODE = {"modeling_mdjpt.py", "configuration_mdjpt.py", "feature_extraction_mdjpt.py", "layers_mdjpt.py"}
ALWAYS = {"model.safetensors", "config.json", "preprocessor_config.json", "requirements.txt", "README.md", *CODE}
ALWAYS |= {"run.yaml", "run_record.json", "history.json", "comparison.json", "comparison.md", "loss.png"}
ALWAYS |= {"checksums.json", "pipeline_mdjpt.py"}


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "run")


def test_what_goes_and_what_stays(hub, run):
    push_model(run, NAME)
    pushed = hub.repo(NAME).files()
    assert set(pushed) >= ALWAYS
    assert not [path for path in pushed if path.startswith(("checkpoints", "logs", "data")) or "notes" in path]
    assert "private.py" not in pushed
    assert hub.repo(NAME).titles() == ["mdjpt toy, by mdjpt-hf 0.1.0"]
    assert pushed["model.safetensors"] == (run / "model.safetensors").read_bytes()
    assert b"4,321 parameters" in pushed["README.md"]
    assert pushed["requirements.txt"].decode().splitlines()[0] == "torch>=2.13.0"


@pytest.mark.parametrize("model_class", [MDJPTForPreTraining, MDJPTForSequenceClassification])
def test_only_a_classifier_offers_to_recognise_emotion(hub, tmp_path, model_class):
    push_model(make_run(tmp_path / "run", model_class), NAME)
    pushed = hub.repo(NAME).files()
    offers = model_class is MDJPTForSequenceClassification
    assert ("handler.py" in pushed) == offers == ("custom_pipelines" in json.loads(pushed["config.json"]))


def test_no_place_of_this_machine_is_told(hub, run):
    push_model(run, NAME)
    pushed = hub.repo(NAME).files()
    assert not [path for path, content in pushed.items() if b"secret-place" in content or str(run).encode() in content]
    assert yaml.safe_load(pushed["run.yaml"])["data"] == ["sim-a"]


def test_what_others_put_beside_goes_along(hub, tmp_path):
    run = make_run(tmp_path / "run", MDJPTForSequenceClassification)
    extras = {"handler.py": "class EndpointHandler: ...\n", "requirements.txt": "torch\n"}
    extras["pipeline_mdjpt.py"] = "from .extra_mdjpt import THING\n\nclass EEGEmotionPipeline: ...\n"
    extras |= {"extra_mdjpt.py": "THING = 1\n", "figures/map.png": "\x89PNG", "results/one.json": "{}"}
    for name, text in extras.items():
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_text(text)
    push_model(run, NAME)
    pushed = hub.repo(NAME).files()
    for name in extras:
        assert pushed[name] == (run / name).read_bytes(), name
    pipelines = json.loads(pushed["config.json"])["custom_pipelines"]
    assert pipelines["eeg-emotion-recognition"]["impl"] == "pipeline_mdjpt.EEGEmotionPipeline"


def test_code_that_is_missing_comes_from_the_package_or_is_named(run):
    (run / "layers_mdjpt.py").unlink()
    assert {file.path for file in model_files(run)} >= CODE
    (run / "modeling_mdjpt.py").write_text("from .no_such_file import nothing\n")
    with pytest.raises(HubError, match="lacks no_such_file.py"):
        model_files(run)


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "model.safetensors"])
def test_a_folder_without_a_model_is_refused(hub, run, name):
    (run / name).unlink()
    with pytest.raises(HubError, match=f"lacks {name}"):
        push_model(run, NAME)
    assert not hub.calls


@pytest.mark.parametrize(
    "auto_map", [{}, {"AutoModel": "modeling_mdjpt.MDJPTModel"}, {"AutoConfig": "user/other--configuration_mdjpt.X"}]
)
def test_a_configuration_that_would_not_open_is_refused(hub, run, auto_map):
    config = json.loads((run / "config.json").read_text())
    full = config["auto_map"] if "AutoConfig" in auto_map else {}
    (run / "config.json").write_text(json.dumps({**config, "auto_map": {**full, **auto_map}}))
    with pytest.raises(HubError, match="auto_map"):
        push_model(run, NAME)
    assert not hub.calls


def test_a_card_that_lacks_facts_stops_everything(hub, run):
    (run / "run_record.json").unlink()
    with pytest.raises(CardError, match="Nothing was sent") as error:
        push_model(run, NAME)
    assert {"licence", "datasets", "energy"} <= set(error.value.value) and not hub.calls


def test_the_command_pushes_proposes_and_only_prints(hub, run, tmp_path):
    def call(*options):
        result = CliRunner().invoke(app, ["push", str(run), NAME, *options], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    printed = call("--dry-run")
    assert not hub.calls and "nothing was sent" in printed
    for path in ALWAYS:
        assert path in printed
    assert f"{(run / 'model.safetensors').stat().st_size:,}" in printed
    assert f"{hub.url}/{NAME} holds it" in call("--private", "--licence", "mit")
    assert hub.repo(NAME).private and b"license: mit" in hub.repo(NAME).files()["README.md"]
    call("--revision", "trial")
    assert "trial" in hub.repo(NAME).refs
    (tmp_path / "facts.yaml").write_text("seed: 77\n")
    assert "/discussions/1" in call("--create-pr", "--facts", str(tmp_path / "facts.yaml"), "--base-model", "user/a")
    proposed = hub.repo(NAME).files("refs/pr/1")["README.md"]
    assert b"seed 77" in proposed and b"base_model: user/a" in proposed


def test_a_folder_instead_of_the_hub_holds_what_would_be_sent(hub, run, tmp_path):
    out = tmp_path / "shared" / "starter"
    result = CliRunner().invoke(app, ["push", str(run), NAME, "--to", str(out)], catch_exceptions=False)
    assert result.exit_code == 0 and f"written to {out}" in result.output and not hub.calls
    there = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert there == set(push_model(run, NAME, dry_run=True).files) and verify(str(out))
    assert AutoModel.from_pretrained(out).config.model_type == "mdjpt"
    assert [path.name for path in out.parent.iterdir()] == ["starter"]

    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(HubError, match="exists already; nothing was written"):
        push_model(run, NAME, to_folder=out)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_a_folder_that_cannot_be_written_whole_is_not_there(run, tmp_path):
    files = [SharedFile("a.json", b"{}"), SharedFile("b.json", tmp_path / "gone.json")]
    with pytest.raises(FileNotFoundError):
        write_folder(files, tmp_path / "out")
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]


# --- a stranger opens it

STRANGER = """
    import sys

    class Absent:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] in {"mdjpt_hf", "modeling", "mne"}:
                raise ModuleNotFoundError(name)

    sys.meta_path.insert(0, Absent())
    import torch
    import transformers

    given = torch.load("given.pt")
    trusted = {"trust_remote_code": True}
    outputs = {"config": transformers.AutoConfig.from_pretrained("user/toy", **trusted).to_dict()["hidden_size"]}
    for name in ("AutoModel", "AutoModelForPreTraining", "AutoModelForSequenceClassification"):
        for repo in ("user/toy", "user/classifier"):
            model = getattr(transformers, name).from_pretrained(repo, **trusted).eval()
            assert type(model).__module__.startswith("transformers_modules.")
            with torch.no_grad():
                ids = given["ids"] if name == "AutoModelForPreTraining" else {"group_ids": given["ids"]["group_ids"]}
                outputs[f"{repo} {name}"] = dict(model(given["windows"], **ids))
    extractor = transformers.AutoFeatureExtractor.from_pretrained("user/toy", **trusted)
    outputs["extracted"] = dict(extractor(given["signal"].numpy(), given["names"], 250, return_tensors="pt"))
    recognise = transformers.pipeline("eeg-emotion-recognition", model="user/classifier", **trusted)
    outputs["recognised"] = recognise(given["signal"].numpy(), ch_names=given["names"], sampling_rate=250)
    torch.save(outputs, sys.argv[1])
"""
IDS = {"group_ids": [0, 0, 1, 1], "dataset_ids": [0, 0, 0, 0], "stimulus_ids": [0, 1, 0, 1]}


def rounded(nested):
    """The same, with every float at five decimals."""
    return json.loads(json.dumps(nested), parse_float=lambda text: round(float(text), 5))


def test_a_stranger_gets_the_same_numbers_online_and_offline(hub, online, tmp_path):
    runs = {
        "user/toy": make_run(tmp_path / "toy"),
        "user/classifier": make_run(tmp_path / "classifier", MDJPTForSequenceClassification),
    }
    for name, folder in runs.items():
        push_model(folder, name)
    generator = torch.Generator().manual_seed(0)
    given = {
        "windows": torch.randn(4, 60, 625, generator=generator),
        "ids": {name: torch.tensor(values) for name, values in IDS.items()},
        "signal": torch.randn(10, 2250, generator=generator) * 10,
        "names": ["Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2"],
    }
    torch.save(given, tmp_path / "given.pt")

    def stranger(output, **changes):
        command = [sys.executable, "-I", "-c", textwrap.dedent(STRANGER), output]
        done = subprocess.run(
            command, cwd=tmp_path, env={**online, **changes}, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        return torch.load(tmp_path / output)

    hub.calls.clear()
    hub.fault("storage", "truncate", method="GET")  # downloads are gone on with after they break off
    hub.fault("resolve", "slow", method="GET")
    found = stranger("online.pt")
    assert hub.count("resolve") and hub.faults[0].seen > 1
    hub.calls.clear()
    offline = stranger("offline.pt", HF_HUB_OFFLINE="1")
    assert not hub.calls
    pretraining = MDJPTForPreTraining.from_pretrained(runs["user/toy"]).eval()
    classifier = MDJPTForSequenceClassification.from_pretrained(runs["user/classifier"]).eval()
    with torch.no_grad():
        whole = dict(pretraining(given["windows"], **given["ids"]))
        base = dict(pretraining.mdjpt(given["windows"], given["ids"]["group_ids"]))
        logits = classifier(given["windows"], given["ids"]["group_ids"]).logits
    recognise = EEGEmotionPipeline(model=classifier, feature_extractor=MDJPTFeatureExtractor())
    recognised = recognise(given["signal"].numpy(), ch_names=given["names"], sampling_rate=250)
    extracted = dict(MDJPTFeatureExtractor()(given["signal"].numpy(), given["names"], 250, return_tensors="pt"))
    for outputs in (found, offline):
        assert outputs["config"] == 12
        for name, wanted in whole.items():
            torch.testing.assert_close(outputs["user/toy AutoModelForPreTraining"][name], wanted, rtol=0, atol=1e-7)
        for name, wanted in base.items():
            torch.testing.assert_close(outputs["user/toy AutoModel"][name], wanted, rtol=0, atol=1e-7)
        got = outputs["user/classifier AutoModelForSequenceClassification"]["logits"]
        torch.testing.assert_close(got, logits, rtol=0, atol=1e-7)
        assert rounded(outputs["recognised"]) == rounded(recognised)
        assert outputs["extracted"].keys() == extracted.keys()
        for name, wanted in extracted.items():
            torch.testing.assert_close(outputs["extracted"][name], wanted, rtol=0, atol=1e-6)


def test_with_the_package_no_trust_is_needed(hub, run, tmp_path):
    push_model(run, NAME)
    for auto_class, ours in (
        (AutoModel, MDJPTModel),
        (AutoModelForPreTraining, MDJPTForPreTraining),
        (AutoFeatureExtractor, MDJPTFeatureExtractor),
    ):
        assert type(auto_class.from_pretrained(NAME, cache_dir=tmp_path / "cache")) is ours
    assert hub.count("resolve")


def test_the_token_is_never_written(hub, run):
    push_model(run, NAME)
    assert not [path for path, content in hub.repo(NAME).files().items() if TOKEN.encode() in content]
