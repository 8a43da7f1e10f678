"""Networks of braindecode itself: pre-trained where weights can be had, else random, and the record knows which.

Needs the extra `[braindecode]`, which `.ci/run` installs for this file alone.
"""

import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from noise_corpora import NoiseCorpus
from safetensors.torch import save_file

import mdjpt_hf.runtime.registration  # noqa: F401  # mends a torchaudio that was built for CUDA
from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.prepare import prepare
from mdjpt_hf.errors import CheckpointError, ConfigurationError
from mdjpt_hf.evaluation.encoders import EncoderSource, braindecode_models, open_encoders, usable
from mdjpt_hf.evaluation.protocols import honest, pool_for
from mdjpt_hf.evaluation.run import Evaluation, evaluate
from mdjpt_hf.evaluation.scores import Effort

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its own use of MNE and torch
    models = pytest.importorskip("braindecode.models", reason="needs the extra [braindecode]")

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning:braindecode.*"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

COMMIT = "0123456789abcdef0123456789abcdef01234567"
Labram = models.Labram
#: Size of what reaches its last layer.
LABRAM_SIZE = 200


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Few windows: these networks are large."""
    return prepare(NoiseCorpus("few", 3, clips=4), tmp_path_factory.mktemp("few") / "few", progress=False).folder


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    corpus = NoiseCorpus("fewer", 2, clips=2)
    folder = prepare(corpus, tmp_path_factory.mktemp("fewer") / "fewer", progress=False).folder
    whole = pool_for(open_corpora([folder]), "fewer", honest("zero-shot"), "label", 5.0)[0]
    assert len(whole) == 12
    return whole


@pytest.fixture(scope="module")
def states():
    """Weights of the real network, for windows of 5 s at the 200 Hz it was made for, and for others."""

    def weights_for(samples):
        with torch.random.fork_rng():
            torch.manual_seed(5)
            return braindecode_models._build(Labram, 5, samples, 200.0).state_dict()

    whole = weights_for(1000)
    first = next(name for name in whole if "final_layer" not in name)
    return {
        "fitting": whole,
        "other shape": weights_for(4000),
        "part missing": {name: value for name, value in whole.items() if name != first},
    }


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """What stands in `config.json` beside such weights."""
    folder = tmp_path_factory.mktemp("saved")
    braindecode_models._build(Labram, 5, 1000, 200.0).save_pretrained(folder)
    return (folder / "config.json").read_text()


@pytest.fixture
def reachable(monkeypatch, tmp_path, config):
    """Puts weights where the Hub would; returns what was asked for."""
    asked = []

    def put(state):
        folder = tmp_path / "snapshots" / COMMIT
        folder.mkdir(parents=True)
        save_file({name: value.contiguous() for name, value in state.items()}, folder / "model.safetensors")
        (folder / "config.json").write_text(config)

        def fetch(source):
            asked.append(source)
            return folder, COMMIT

        monkeypatch.setattr(braindecode_models, "fetch_checkpoint", fetch)
        return asked

    return put


def opened(name="braindecode:Labram"):
    (encoder,) = open_encoders([name], EncoderSource())
    return encoder


def test_weights_that_can_be_reached_are_used_and_named(reachable, states, pool):
    asked = reachable(states["fitting"])  # 5 s at the 200 Hz it was made for
    encoder = opened()
    values = encoder.features(pool, "recording")
    assert asked == ["braindecode/labram-pretrained"] and values.shape == (len(pool), LABRAM_SIZE)
    facts = encoder.facts
    assert (facts["weights"], facts["source"], facts["revision"]) == ("pre-trained", asked[0], COMMIT)
    assert facts["pretrained_on"] is None and "why_random" not in facts
    reachable_again = braindecode_models._Weights(None, {"weights": "random"})
    random = braindecode_models._Frozen(Labram, 0, reachable_again, {})(pool, "recording")
    assert abs(values - random).max() > 1e-3


def test_offline_the_weights_are_random_and_the_record_says_why(pool):
    """The Hub itself is asked; no test may reach it."""
    encoder = opened()
    assert encoder.facts["weights"] == "random" and "source" not in encoder.facts
    assert "braindecode/labram-pretrained cannot be reached" in encoder.facts["why_random"]
    assert encoder.features(pool, "recording").shape == (len(pool), LABRAM_SIZE)


@pytest.mark.parametrize("kind", ["other shape", "part missing"])
def test_weights_that_do_not_fit_are_not_called_pre_trained(reachable, states, pool, kind):
    reachable(states[kind])
    encoder = opened()
    values = encoder.features(pool, "recording")
    facts = encoder.facts
    assert facts["weights"] == "random" and "source" not in facts and "revision" not in facts
    assert "does not fit these windows" in facts["why_random"]
    fresh = braindecode_models._Frozen(Labram, 0, braindecode_models._Weights(None, {}), {})(pool, "recording")
    assert (values == fresh).all()  # nothing of the misfit is left in the network


def test_a_folder_of_weights_is_used_or_refused_never_replaced(tmp_path, states, config, pool):
    (tmp_path / "config.json").write_text(config)
    save_file(states["fitting"], tmp_path / "model.safetensors")
    encoder = opened(f"braindecode:Labram@{tmp_path}")
    assert encoder.facts["weights"] == "pre-trained" and encoder.facts["revision"].startswith("sha256:")
    assert encoder.facts["source"] == tmp_path.name and encoder.name == "braindecode:Labram"
    save_file(states["other shape"], tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="does not fit Labram"):
        opened(f"braindecode:Labram@{tmp_path}").features(pool, "recording")
    with pytest.raises(CheckpointError, match="cannot be reached"):
        opened(f"braindecode:Labram@{tmp_path / 'missing'}")


# ---- networks that do not take such windows


def refusing(error, late=False):
    """A real network in which something fails: when it is built, or when it is asked."""

    class Refusing(models.Deep4Net):
        def __init__(self, **signal):
            if not late:
                raise error
            super().__init__(**signal)

        def forward(self, windows):
            raise error

    return Refusing


class Mute(torch.nn.Module):
    """Has no last layer, and answers nothing."""

    def __init__(self, **signal):
        super().__init__()

    def forward(self, windows):
        return None


REFUSALS = {
    "too many channels": refusing(ValueError("n_chans (60) must not exceed n_channel_embeddings (19)")),
    "a file that cannot be fetched": refusing(OSError("no position bank")),
    "an assertion": refusing(AssertionError()),
    "when asked": refusing(IndexError("late"), late=True),
    "nothing to read": Mute,
}


@pytest.mark.parametrize("network", REFUSALS.values(), ids=REFUSALS)
@pytest.mark.parametrize("name", ["EEGDINO", "EEGNet"], ids=["frozen", "from scratch"])
def test_what_a_network_refuses_is_told_before_anything_is_computed(pool, monkeypatch, name, network):
    monkeypatch.setattr(models, name, network, raising=False)
    encoder = opened(f"braindecode:{name}")
    with pytest.raises(ConfigurationError, match="60 channels and .* samples at .* Hz.*another network"):
        encoder.rehearse(pool)
    told = []
    others = usable([opened(), encoder], pool, told.append)
    assert [other.name for other in others] == ["braindecode:Labram"]
    assert len(told) == 1 and told[0].startswith(f"braindecode:{name} is passed over: braindecode's {network.__name__}")
    with pytest.raises(ConfigurationError, match="cannot take 60 channels"):  # nobody is left
        usable([encoder], pool, told.append)


def test_the_error_of_a_network_is_ours_wherever_it_comes(pool, monkeypatch):
    for name, network in (("EEGDINO", REFUSALS["too many channels"]), ("EEGNet", REFUSALS["an assertion"])):
        monkeypatch.setattr(models, name, network, raising=False)
    with pytest.raises(ConfigurationError, match=r"ValueError: n_chans \(60\)"):
        opened("braindecode:EEGDINO").features(pool, "recording")
    with pytest.raises(ConfigurationError, match="AssertionError: without a reason"):
        opened("braindecode:EEGNet").fit(pool)(np.arange(8), pool.label[:8], np.arange(8), 0)


def test_weights_do_not_hide_that_a_network_refuses(reachable, states, pool, monkeypatch):
    reachable(states["fitting"])
    monkeypatch.setattr(models, "Labram", REFUSALS["an assertion"])
    with pytest.raises(ConfigurationError, match="AssertionError"):
        opened().rehearse(pool)


def test_an_evaluation_goes_on_without_it(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(models, "EEGDINO", REFUSALS["too many channels"], raising=False)
    told = []
    task = Evaluation(
        models=("braindecode:EEGDINO", "de"),
        data=(str(folder),),
        protocols=("zero-shot",),
        out=tmp_path / "out",
        effort=Effort(permutations=2, zero_shot_permutations=2),
    )
    (record,) = evaluate(task, told.append)
    assert "EEGDINO is passed over" in told[0] and list(record["encoders"]) == ["DE"]
    with pytest.raises(ConfigurationError, match="n_chans"):
        evaluate(replace(task, models=("braindecode:EEGDINO",), out=tmp_path / "none"), told.append)
    assert not (tmp_path / "none").exists()


# ---- every network that is documented, as it is


@pytest.mark.parametrize("name", sorted({*braindecode_models.CHECKPOINTS, *braindecode_models.FROM_SCRATCH}))
def test_a_documented_network_answers_or_is_refused_before_anything_is_computed(name, pool):
    encoder = opened(f"braindecode:{name}")
    told = []
    found = usable([encoder, opened()] if name == "BENDR" else [encoder], pool, told.append)
    if name == "BENDR":  # wants its own 20 channels
        assert len(found) == 1 and told and "BENDR is passed over" in told[0] and "InterpolatedBENDR" in told[0]
        return
    assert not told and found[0] is encoder
    if name in braindecode_models.FROM_SCRATCH:
        scores = encoder.fit(pool)(np.arange(8), pool.label[:8], np.arange(8, 12), 0)
        assert len(scores) > 0
        return
    values = encoder.features(pool, "recording")
    assert values.shape[0] == len(pool) and np.isfinite(values).all() and values.std() > 0
    assert encoder.facts["weights"] == "random" and "cannot be reached" in encoder.facts["why_random"]


@pytest.mark.parametrize("name", ["EEGDINO", "ZUNA", "TCN"])
def test_a_network_that_cannot_take_such_windows_is_passed_over(name, pool):
    told = []
    others = usable([opened(f"braindecode:{name}"), opened()], pool, told.append)
    assert [other.name for other in others] == ["braindecode:Labram"]
    assert len(told) == 1 and "cannot take 60 channels and 1000 samples at 200 Hz" in told[0]


def test_networks_stand_beside_ours(folder, tmp_path):
    names = ("de", "braindecode:EEGNet", "braindecode:LUNA")
    settings = {"data": tuple(map(str, [folder])), "effort": Effort(2, 2, 1), "out": tmp_path / "out"}
    wanted = Evaluation(models=names, protocols=("few-shot", "zero-shot"), **settings)
    few, zero = evaluate(wanted, lambda text: None)
    assert list(few["results"]["few-shot, new stimuli"]) == ["DE", *names[1:]]
    assert "braindecode:EEGNet" not in next(iter(zero["results"].values()))  # trained anew, it has no features
    facts = few["encoders"]["braindecode:LUNA"]
    assert facts["weights"] == "random" and "documents no pre-trained weights" in facts["why_random"]
    assert few["permutations"] == {"DE": 2, "braindecode:EEGNet": 1, "braindecode:LUNA": 2}
    alone = replace(wanted, models=names[1:2], protocols=("zero-shot",), out=tmp_path / "alone")
    with pytest.raises(ConfigurationError, match="no features for zero-shot"):
        evaluate(alone, lambda text: None)
    with pytest.raises(ConfigurationError, match="no network 'Tiny'"):
        open_encoders(["braindecode:Tiny"], EncoderSource())


def test_channels_are_told_with_their_places():
    signal = braindecode_models._signal(625, 125.0)
    places = np.array([channel["loc"][:3] for channel in signal["chs_info"]])  # where MNE keeps an electrode's place
    assert places.shape == (signal["n_chans"], 3) == (60, 3) and 0.05 < abs(places).max() < 0.2  # metres
    assert signal["n_times"] == signal["input_window_seconds"] * signal["sfreq"]


def test_nothing_breaks_beside_whatever_torchaudio_it_brought():
    """torchaudio's builds on the index are for CUDA; transformers imports it wherever it is installed."""
    code = "import mdjpt_hf, torchaudio.functional, braindecode.models; from transformers import Trainer, pipeline"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
