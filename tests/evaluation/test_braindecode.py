"""Networks of braindecode: pre-trained where weights can be had, else random, and the record knows which."""

import sys
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from mdjpt_hf.errors import CheckpointError, ConfigurationError
from mdjpt_hf.evaluation import braindecode_models
from mdjpt_hf.evaluation.choices import honest
from mdjpt_hf.evaluation.encoders import EncoderSource, open_encoders, usable
from mdjpt_hf.evaluation.run import Evaluation, evaluate
from mdjpt_hf.evaluation.runner import Effort, pool_for

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Labram(torch.nn.Module):
    """Stands for braindecode's: builds, and opens folders, as its networks do."""

    def __init__(self, chs_info, n_times, sfreq, n_chans, input_window_seconds, n_outputs=5):
        super().__init__()
        self.tokens = torch.nn.Linear(n_times, 7)
        self.final_layer = torch.nn.Linear(7, n_outputs)

    @classmethod
    def from_pretrained(cls, folder, **signal):
        """Like theirs, it leaves out what the file lacks and refuses other shapes."""
        model = cls(**signal)
        model.load_state_dict(load_file(f"{folder}/model.safetensors"), strict=False)
        return model

    def forward(self, windows):
        return self.final_layer(self.tokens(windows)).mean(dim=1)


@pytest.fixture(autouse=True)
def library(monkeypatch):
    package, models = ModuleType("braindecode"), ModuleType("braindecode.models")
    package.__version__, models.Labram = "0", Labram
    monkeypatch.setitem(sys.modules, "braindecode", package)
    monkeypatch.setitem(sys.modules, "braindecode.models", models)


@pytest.fixture(scope="module")
def pool(noise_sets):
    return pool_for(noise_sets, "one", honest("zero-shot"), "label", 5.0)[0]


def weights_for(samples, seed=5, leave_out=()):
    """Weights whose head is for five classes, as a checkpoint's may be."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = Labram(None, samples, 200, 60, samples / 200)
    return {name: value for name, value in network.state_dict().items() if name not in leave_out}


@pytest.fixture
def reachable(monkeypatch, tmp_path):
    """Puts weights where the Hub would; returns what was asked for."""
    asked = []

    def put(state):
        folder = tmp_path / "snapshots" / COMMIT
        folder.mkdir(parents=True)
        save_file(state, folder / "model.safetensors")

        def fetch(source):
            asked.append(source)
            return folder, COMMIT

        monkeypatch.setattr(braindecode_models, "fetch_checkpoint", fetch)
        return asked

    return put


def opened(name="braindecode:Labram"):
    (encoder,) = open_encoders([name], EncoderSource())
    return encoder


def test_weights_that_can_be_reached_are_used_and_named(reachable, pool):
    asked = reachable(weights_for(1000))  # 5 s at the 200 Hz it was made for
    encoder = opened()
    values = encoder.features(pool, "recording")
    assert asked == ["braindecode/labram-pretrained"] and values.shape == (len(pool), 7)
    facts = encoder.facts
    assert (facts["weights"], facts["source"], facts["revision"]) == ("pre-trained", asked[0], COMMIT)
    assert facts["pretrained_on"] is None and "why_random" not in facts
    reachable_again = braindecode_models._Weights(None, {"weights": "random"})
    random = braindecode_models._Frozen(Labram, 0, reachable_again, {})(pool, "recording")
    assert abs(values - random).max() > 0.01


def test_offline_the_weights_are_random_and_the_record_says_why(pool):
    """The Hub itself is asked; no test may reach it."""
    encoder = opened()
    assert encoder.facts["weights"] == "random" and "source" not in encoder.facts
    assert "braindecode/labram-pretrained cannot be reached" in encoder.facts["why_random"]
    assert encoder.features(pool, "recording").shape == (len(pool), 7)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (weights_for(600), "size mismatch"),
        (weights_for(1000, leave_out=("tokens.weight",)), "tokens.weight"),
    ],
    ids=["other shape", "part missing"],
)
def test_weights_that_do_not_fit_are_not_called_pre_trained(reachable, pool, state, reason):
    reachable(state)
    encoder = opened()
    values = encoder.features(pool, "recording")
    facts = encoder.facts
    assert facts["weights"] == "random" and "source" not in facts and "revision" not in facts
    assert "does not fit these windows" in facts["why_random"] and reason in facts["why_random"]
    fresh = braindecode_models._Frozen(Labram, 0, braindecode_models._Weights(None, {}), {})(pool, "recording")
    assert (values == fresh).all()  # nothing of the misfit is left in the network


def test_a_folder_of_weights_is_used_or_refused_never_replaced(tmp_path, pool):
    save_file(weights_for(1000), tmp_path / "model.safetensors")
    encoder = opened(f"braindecode:Labram@{tmp_path}")
    assert encoder.facts["weights"] == "pre-trained" and encoder.facts["revision"].startswith("sha256:")
    assert encoder.facts["source"] == tmp_path.name and encoder.name == "braindecode:Labram"
    save_file(weights_for(600), tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="does not fit Labram"):
        opened(f"braindecode:Labram@{tmp_path}").features(pool, "recording")
    with pytest.raises(CheckpointError, match="cannot be reached"):
        opened(f"braindecode:Labram@{tmp_path / 'missing'}")


# ---- networks that do not take such windows


def refusing(error, late=False):
    """A network that raises when it is built, or when it is asked."""

    class Refusing(Labram):
        def __init__(self, **signal):
            super().__init__(**signal)
            if not late:
                raise error

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
    monkeypatch.setattr(sys.modules["braindecode.models"], name, network, raising=False)
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
        monkeypatch.setattr(sys.modules["braindecode.models"], name, network, raising=False)
    with pytest.raises(ConfigurationError, match=r"ValueError: n_chans \(60\)"):
        opened("braindecode:EEGDINO").features(pool, "recording")
    with pytest.raises(ConfigurationError, match="AssertionError: without a reason"):
        opened("braindecode:EEGNet").fit(pool)(np.arange(8), pool.label[:8], np.arange(8), 0)


def test_weights_do_not_hide_that_a_network_refuses(reachable, pool, monkeypatch):
    reachable(weights_for(1000))
    monkeypatch.setattr(sys.modules["braindecode.models"], "Labram", REFUSALS["an assertion"])
    with pytest.raises(ConfigurationError, match="AssertionError"):
        opened().rehearse(pool)


def test_an_evaluation_goes_on_without_it(noise_folders, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["braindecode.models"], "EEGDINO", REFUSALS["too many channels"], raising=False)
    told = []
    task = Evaluation(
        models=("braindecode:EEGDINO", "de"),
        data=(str(noise_folders[0]),),
        protocols=("zero-shot",),
        out=tmp_path / "out",
        effort=Effort(permutations=2, zero_shot_permutations=2),
    )
    (record,) = evaluate(task, told.append)
    assert "EEGDINO is passed over" in told[0] and list(record["encoders"]) == ["DE"]
    with pytest.raises(ConfigurationError, match="n_chans"):
        evaluate(replace(task, models=("braindecode:EEGDINO",), out=tmp_path / "none"), told.append)
    assert not (tmp_path / "none").exists()
