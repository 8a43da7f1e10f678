"""The page, as a person uses it: in a browser, with good files and bad ones; and the Space it becomes."""

import base64
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import mne
import numpy as np
import pytest
import scipy.io
import torch

from mdjpt_hf import MDJPTConfig, MDJPTFeatureExtractor, MDJPTForSequenceClassification

gradio = pytest.importorskip("gradio", reason="the page needs the extra [demo]")

sys.path.insert(0, str(Path(__file__).parent))
from fabricated_edf import paused, write_edf  # noqa: E402

from mdjpt_hf.demo.app import SMOOTHING, summary, training_note  # noqa: E402
from mdjpt_hf.demo.evidence import chance_level, channel_evidence  # noqa: E402
from mdjpt_hf.demo.examples import write_example  # noqa: E402
from mdjpt_hf.demo.figures import draw_head  # noqa: E402
from mdjpt_hf.demo.recognition import gather, recognise, recognise_uploads  # noqa: E402
from mdjpt_hf.demo.space import write_space  # noqa: E402
from mdjpt_hf.errors import ConfigurationError  # noqa: E402
from mdjpt_hf.modeling.montage_mdjpt import STANDARD_CHANNELS  # noqa: E402
from mdjpt_hf.modeling.pipeline_mdjpt import SMOOTHING as KNOWN_SMOOTHING  # noqa: E402
from mdjpt_hf.modeling.pipeline_mdjpt import EEGEmotionPipeline  # noqa: E402

CHROMIUM = shutil.which("chromium")
NAMES = ["Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2", "CB1"]
LABELS = ["negative", "neutral", "positive"]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    labels = {"id2label": dict(enumerate(LABELS)), "label2id": {name: i for i, name in enumerate(LABELS)}}
    model = MDJPTForSequenceClassification(MDJPTConfig.preset("tiny", **labels)).eval()
    with torch.no_grad():  # a head with opinions
        model.classifier[-1].weight.mul_(300)
    return model


@pytest.fixture(scope="module")
def recogniser(model):
    return EEGEmotionPipeline(model=model, feature_extractor=MDJPTFeatureExtractor())


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    model.save_pretrained(folder / "model")
    MDJPTFeatureExtractor().save_pretrained(folder / "model")
    (folder / "model" / "README.md").write_text("---\ndatasets:\n- sim-62\ntags:\n- simulated-data\n---\n")
    write_example(folder / "files")
    (folder / "files" / "broken.edf").write_bytes(b"0       " + bytes(40))
    return folder


@pytest.fixture(scope="module")
def example(folder):
    return str(folder / "files" / "simulated_raw.fif")


# ---- without a browser


def test_recognition_is_that_of_the_pipeline(recogniser, example):
    steps = []
    found = recognise(recogniser, Path(example), progress=lambda share, what: steps.append(share))
    wanted = recogniser(example)
    assert found.result == wanted and found.labels == LABELS
    assert steps == sorted(steps) and steps[-1] == pytest.approx(1) and len(steps) > 30
    assert list(found.evidence) == found.report.ch_names
    raw = mne.io.read_raw(example, verbose="ERROR")
    start = round(found.shown[0] * raw.info["sfreq"])
    signal = raw.get_data(found.ch_names[3], start, start + found.signal.shape[1])[0] * 1e6
    np.testing.assert_allclose(found.signal[3], signal - signal.mean(), atol=1e-6)


@pytest.mark.parametrize(
    ("pauses", "marks", "second", "shown"),
    [
        ({9: 31.5}, [], 9, (40.5, 45.5)),
        ({9: 31.5, 10: 7.0}, [(41.0, 0.0, "discontinuity")], 10, (48.5, 53.5)),
        ({9: -9.0}, [], 9, (0.0, 5.0)),
    ],
    ids=["a pause", "half seconds between breaks, too short to be filtered", "a clock that was set back"],
)
def test_the_signal_shown_is_that_of_its_window(recogniser, tmp_path, monkeypatch, pauses, marks, second, shown):
    values = np.random.default_rng(0).normal(0, 20, (len(NAMES) - 1, 16 * 250))
    path = write_edf(tmp_path / "paused.edf", values, NAMES[:-1], starts=paused(16, pauses), marks=marks)

    def sure_of_the_first_after_the_break(logits):
        scores = torch.full_like(logits, 1 / 3)
        scores[3:] = torch.tensor([0.0, 0.0, 1.0])  # the others begin at 0, 2 and 4 s
        return scores

    monkeypatch.setattr(recogniser, "scores", sure_of_the_first_after_the_break)
    found = recognise(recogniser, path)
    assert found.shown == pytest.approx(shown)
    wanted = values[:, second * 250 : (second + 5) * 250]
    np.testing.assert_allclose(found.signal, wanted - wanted.mean(axis=1, keepdims=True), atol=0.05)


def test_evidence_is_the_score_lost_without_an_electrode(recogniser):
    projection = torch.tensor(recogniser.feature_extractor.projection(NAMES), dtype=torch.float32)
    recorded = torch.randn(3, len(NAMES), 625, generator=torch.Generator().manual_seed(0))

    def windows(recorded):
        return torch.einsum("sc,wct->wst", projection, recorded)

    def score(recorded):
        return recogniser.scores(recogniser.logits(windows(recorded), 64))[:, 2].mean()

    found = channel_evidence(recogniser, windows(recorded).numpy(), NAMES, 2)
    assert list(found) == NAMES[:-1]  # CB1 is no standard channel, though it may serve to make others
    for number in (0, 5, 9):
        silenced = recorded.clone()
        silenced[:, number] = 0
        assert found[NAMES[number]] == pytest.approx(float(score(recorded) - score(silenced)), abs=1e-4)


def test_a_map_of_noise_stays_below_its_chance_level():
    rng = np.random.default_rng(0)
    below = [abs(noise.mean(axis=1)).max() <= chance_level(noise) for noise in rng.normal(size=(400, 20, 8))]
    assert 0.9 < np.mean(below) < 0.99
    lost = rng.normal(size=(20, 8))
    lost[3] += 3  # an electrode that carries every window's decision
    assert abs(lost.mean(axis=1)).max() > chance_level(lost)
    assert chance_level(np.ones((20, 1))) == np.inf


def test_a_map_of_noise_is_drawn_blank(recogniser, example):
    found = recognise(recogniser, Path(example))
    blank, coloured = (draw_head(replace(found, chance=chance)) for chance in (1.0, 0.0))
    titles = [figure.axes[0].get_title() for figure in (blank, coloured)]
    assert titles == ["no electrode stands out from chance", ""]
    shown = [np.nanmax(np.abs(figure.axes[0].images[0].get_array().filled(0))) for figure in (blank, coloured)]
    assert shown[0] < 1e-9 < shown[1]


def test_names_of_electrodes_do_not_lie_under_dots(recogniser, example):
    found = recognise(recogniser, Path(example))
    for names, wanted in ((STANDARD_CHANNELS[:20], list(STANDARD_CHANNELS[:20])), (STANDARD_CHANNELS, [])):
        axes = draw_head(replace(found, evidence=dict.fromkeys(names, 0.1))).axes[0]
        dots = [*axes.collections, *(line for line in axes.lines if line.get_marker() not in (",", "None"))]
        assert [text.get_text() for text in axes.texts] == wanted and bool(dots) == (not wanted)


def test_files_of_one_recording_are_brought_together(tmp_path):
    sources = []
    for name in ("a.eeg", "a.vmrk", "a.vhdr"):  # a browser uploads each into a folder of its own
        (tmp_path / name[2:]).mkdir()
        sources.append(str(tmp_path / name[2:] / name))
        Path(sources[-1]).write_text(name)
    target = tmp_path / "together"
    target.mkdir()
    assert gather(sources, target).name == "a.vhdr" and len(list(target.iterdir())) == 3
    for files, message in (([], "No file"), (sources[:2], "are not one recording")):
        with pytest.raises(ValueError, match=message):
            gather(files, target)


@pytest.mark.parametrize("key", ["DataFile", "MarkerFile"])
@pytest.mark.parametrize("name", ["{folder}/secret.bin", "../secret.bin"])
def test_a_header_cannot_ask_for_files_of_the_machine(recogniser, tmp_path, key, name):
    (tmp_path / "secret.bin").write_bytes(np.zeros((5000, 1), dtype="<i2").tobytes())
    files = {"DataFile": "a.eeg", "MarkerFile": "a.vmrk", key: name.format(folder=tmp_path)}
    lines = ["Brain Vision Data Exchange Header File Version 1.0", "[Common Infos]", "DataFormat=BINARY"]
    lines += [f"{name}={value}" for name, value in files.items()]
    lines += ["DataOrientation=MULTIPLEXED", "NumberOfChannels=1", "SamplingInterval=4000"]
    lines += ["[Binary Infos]", "BinaryFormat=INT_16", "[Channel Infos]", "Ch1=Cz,,0.1,uV"]
    (tmp_path / "up").mkdir()
    header = tmp_path / "up" / "a.vhdr"
    header.write_text("\n".join(lines))
    with pytest.raises(ValueError, match="points to a file that was not uploaded"):
        recognise_uploads(recogniser, [str(header)])


def test_a_set_file_cannot_ask_for_files_of_the_machine(recogniser, tmp_path):
    folder = tmp_path / "up"
    folder.mkdir()
    scipy.io.savemat(folder / "a.set", {"EEG": eeglab_struct(str(tmp_path / "secret.fdt"))})
    (tmp_path / "secret.fdt").write_bytes(np.zeros((2, 5000), dtype="<f4").tobytes())
    with pytest.raises(ValueError, match="points to a file that was not uploaded"):
        recognise_uploads(recogniser, [str(folder / "a.set")])


def eeglab_struct(data):
    places = [{"labels": name, "X": 1.0, "Y": 0.0, "Z": 0.0} for name in ("Cz", "Pz")]
    return {"trials": 1, "nbchan": 2, "pnts": 5000, "srate": 250.0, "data": data, "chanlocs": places, "event": []}


def test_the_summary_says_how_little_is_known(recogniser, example):
    found = recognise(recogniser, Path(example))
    text = summary(found)
    assert found.result["label"] in text and "33%" in text and "not calibrated" in text
    found.name = "<script>alert(1)</script>_x_"
    assert "<script>" not in summary(found)
    assert set(SMOOTHING.values()) == set(KNOWN_SMOOTHING)


def test_the_page_says_what_the_model_was_trained_on(folder, tmp_path):
    assert "sim-62" in training_note(str(folder / "model")).replace("\\", "")
    assert "never seen a person" in training_note(str(folder / "model"))
    assert "not known" in training_note(str(tmp_path))
    datasets = [{"name": "seed", "simulated": False}, {"name": "sim-62", "simulated": True}]
    (tmp_path / "run_record.json").write_text(json.dumps({"datasets": datasets}))
    assert "seed, sim-62" in training_note(str(tmp_path)) and "never seen" not in training_note(str(tmp_path))


@pytest.mark.parametrize(
    ("simulated", "wanted"),
    [
        ([True, True], "trained on one, two.* All of it is simulated: it has never seen a person"),
        ([False, True], "trained on one, two.* Trained on simulated data in part: two is simulated"),
        ([True, True, False], "one, two are simulated"),
        ([None, True], "two is simulated"),
        ([False, False], "None of it is simulated: all was recorded from people"),
        ([False, None], r"trained on one, two\.$"),
    ],
    ids=["all", "some", "more than one", "beside what is not known", "none", "not known of all"],
)
def test_training_on_simulated_data_is_told_as_long_as_there_is_any(tmp_path, simulated, wanted):
    stated = zip(("one", "two", "three"), simulated, strict=False)
    datasets = [{"name": name} | ({} if kind is None else {"simulated": kind}) for name, kind in stated]
    (tmp_path / "run_record.json").write_text(json.dumps({"datasets": datasets}))
    assert re.search(wanted, training_note(str(tmp_path)).replace("*", ""))


def test_the_space_runs_without_the_package(folder, tmp_path):
    with pytest.raises(ConfigurationError, match="name on the Hub"):
        write_space(str(folder / "model"), tmp_path / "space")
    space = write_space("somebody/model", tmp_path / "space")
    text = (space / "README.md").read_text()
    assert "sdk: gradio" in text and "app_file: app.py" in text and gradio.__version__ in text
    app = (space / "app.py").read_text()
    assert "serve('somebody/model'" in app and (space / "examples" / "simulated_raw.fif").exists()
    (space / "app.py").write_text(app.replace("somebody/model", str(folder / "model")).replace("serve(", "build_app("))
    text = (space / "app.py").read_text().replace("import serve", "import build_app")
    (space / "app.py").write_text(text + '    print("built")\n')
    hidden = tmp_path / "hidden" / "mdjpt_hf"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("raise ImportError('not installed here')\n")
    environment = {**os.environ, "PYTHONPATH": str(hidden.parent), "HF_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "app.py"], cwd=space, env=environment, capture_output=True, text=True, timeout=300
    )
    assert "built" in done.stdout, done.stderr


# ---- in a browser


def _free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture(scope="module")
def page(folder):
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    sync_api = pytest.importorskip("playwright.sync_api", reason="the browser is driven by playwright")
    command = [sys.executable, "-m", "mdjpt_hf", "demo", str(folder / "model"), "--port", str(port := _free_port())]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        with sync_api.sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 390, "height": 844})
            page.address, page.asked = f"http://127.0.0.1:{port}", []
            page.on("request", lambda request: page.asked.append(request.url))
            _open(page, page.address, server)
            yield page
            browser.close()
    finally:
        server.terminate()
        server.wait(timeout=30)


def _open(page, address, server):
    for _ in range(240):
        assert server.poll() is None, "the server ended"
        try:
            page.goto(address)
            return page.wait_for_selector("#read")
        except Exception:
            time.sleep(0.5)
    raise AssertionError("the page never came up")


def _read(page, *files):
    if page.query_selector("#recording [aria-label='Clear']"):
        page.click("#recording [aria-label='Clear']")
    page.set_input_files("#recording input[type=file]", [str(file) for file in files])
    page.wait_for_selector(f"#recording >> text={Path(files[0]).stem}")
    page.click("#read")


def test_a_recording_dropped_on_a_telephone_is_read(page, example, tmp_path):
    _read(page, example)
    page.wait_for_selector("#signal img", timeout=120_000)
    answer = page.inner_text("#answer")
    assert re.search(r"(negative|neutral|positive): \d+%", answer) and "33 windows" in answer
    pictures = page.evaluate(
        "['timeline', 'head', 'signal'].map(id => document.querySelector(`#${id} img`)).map(i => i.src)"
    )
    assert all(source.startswith("data:image/") for source in pictures)
    assert min(len(base64.b64decode(source.split(",")[1])) for source in pictures) > 5000
    assert page.evaluate("document.documentElement.scrollWidth") <= 390  # nothing sticks out
    assert "never seen a person" in page.inner_text("body") and "Not a medical device" in page.inner_text("body")
    page.screenshot(path=tmp_path / "page.png", full_page=True)


def test_a_bad_file_shows_the_extractors_message(page, folder):
    _read(page, folder / "files" / "broken.edf")
    page.wait_for_selector("#answer >> text=This recording cannot be read", timeout=60_000)
    answer = page.inner_text("#answer")
    assert "MNE cannot read this file" in answer and "Traceback" not in answer


def test_the_page_asks_nobody_else(page):
    assert page.asked and all(address.startswith((page.address, "data:", "blob:")) for address in page.asked)
