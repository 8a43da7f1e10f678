"""Model, extractor and pipeline of one checkpoint, each with its own copy of the files that they share."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import mne
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import mdjpt_hf.modeling
from mdjpt_hf import MDJPTConfig, MDJPTFeatureExtractor, MDJPTForSequenceClassification

NAMES = ["Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2"]

#: Everything that is asked in the interpreter that knows nothing of this package.
SCRIPT = """
    import base64, importlib.util, json, sys
    from pathlib import Path

    class Block:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] == "mdjpt_hf":
                raise ImportError(name)
    sys.meta_path.insert(0, Block())
    sys.path.insert(0, "model")
    from transformers import AutoFeatureExtractor, AutoModelForSequenceClassification, pipeline
    from handler import EndpointHandler

    found = {}
    recognise = pipeline("eeg-emotion-recognition", model="model", trust_remote_code=True)
    extractor = AutoFeatureExtractor.from_pretrained("model", trust_remote_code=True)
    model = AutoModelForSequenceClassification.from_pretrained("model", trust_remote_code=True)

    found["modules"] = [type(part).__module__ for part in (recognise, extractor, model)]
    for path in sorted(Path("files").iterdir()):
        try:
            found[path.name] = recognise(str(path))["label"]
        except Exception as error:
            found[path.name] = [type(error).__name__, str(error)]
    # whatever transformers shares today, the extractor's errors may be those of another copy
    spec = importlib.util.spec_from_file_location("another_copy", "model/errors_mdjpt.py")
    another = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(another)
    def fails(*a, **k): raise another.MontageError("nothing fits", value=1, remedy="Rename them")
    extract, recognise.feature_extractor = recognise.feature_extractor, fails
    fails.window_seconds = fails.stride_seconds = 5.0
    try:
        recognise("files/good.edf")
    except Exception as error:
        found["foreign"] = [type(error).__name__, str(error), error.remedy]
    recognise.feature_extractor = extract
    handler = EndpointHandler("model")
    found["served"] = {
        path.name: handler({"inputs": {"edf": base64.b64encode(path.read_bytes()).decode()}})
        for path in sorted(Path("files").iterdir())
    }
    found["nan"] = EndpointHandler("nan")(
        {"inputs": {"edf": base64.b64encode(Path("files/good.edf").read_bytes()).decode()}}
    )
    print(json.dumps(found, allow_nan=False))
"""


def write(path, seconds, names=NAMES, rate=250, factor=1.0):
    signal = factor * np.random.default_rng(0).normal(0, 2e-5, (len(names), seconds * rate))
    raw = mne.io.RawArray(signal, mne.create_info(names, rate, "eeg"), verbose="ERROR")
    raw.export(path, verbose="ERROR")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("copies")
    torch.manual_seed(0)
    MDJPTForSequenceClassification(MDJPTConfig.preset("tiny", num_labels=3)).save_pretrained(folder / "model")
    MDJPTFeatureExtractor().save_pretrained(folder / "model")
    shutil.copy(Path(mdjpt_hf.modeling.__file__).with_name("handler.py"), folder / "model")
    shutil.copytree(folder / "model", folder / "nan")
    weights = load_file(folder / "nan" / "model.safetensors")
    name = "classifier.0.weight"
    weights[name] = weights[name] * float("nan")
    save_file(weights, folder / "nan" / "model.safetensors", metadata={"format": "pt"})
    files = folder / "files"
    files.mkdir()
    write(files / "good.edf", 20)
    write(files / "short.edf", 3)
    write(files / "slow.edf", 20, rate=64)
    write(files / "names.edf", 20, names=[f"E{k}x" for k in range(10)])
    write(files / "loud.edf", 20, factor=150)
    content = (files / "good.edf").read_bytes()
    (files / "half.edf").write_bytes(content[: len(content) // 2])
    environment = {"PATH": os.environ["PATH"], "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "home")}
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


#: File -> class of the error and words of it.
WRONG = {
    "short.edf": ("SignalError", "lasts 3 s"),
    "slow.edf": ("SamplingRateError", "64 Hz is below 94"),
    "names.edf": ("MontageError", "no channel is a scalp electrode"),
    "loud.edf": ("UnitError", "typical amplitude"),
    "half.edf": ("SignalError", "truncated or damaged"),
}


def test_the_parts_are_loaded_as_strangers_would(found):
    assert len(found["modules"]) == 3 and all("transformers_modules" in name for name in found["modules"])
    assert found["good.edf"] in ("LABEL_0", "LABEL_1", "LABEL_2")


@pytest.mark.parametrize("name", WRONG)
def test_the_pipeline_says_what_is_wrong_with_a_file(found, name):
    kind, words = WRONG[name]
    assert found[name][0] == kind and words in found[name][1] and name in found[name][1]
    assert name == "half.edf" or "Check that it is complete" not in found[name][1]


def test_errors_of_another_copy_are_ours_as_well(found):
    kind, text, remedy = found["foreign"]
    assert kind == "MontageError" and text == "files/good.edf: nothing fits. Rename them" and remedy == "Rename them"


@pytest.mark.parametrize("name", WRONG)
def test_the_endpoint_says_the_same(found, name):
    error = found["served"][name]["error"]
    assert WRONG[name][1] in error["message"] and error["remedy"] and "/" not in error["message"].replace(" / ", "")


def test_weights_that_are_no_numbers_answer_with_an_error(found):
    assert found["served"]["good.edf"]["label"] == found["good.edf"]
    assert "weights hold NaN" in found["nan"]["error"]["message"]
