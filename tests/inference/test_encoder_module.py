"""An encoder as the module that benchmarks of others build."""

import numpy as np
import pytest
import torch

from mdjpt_hf import MaskedEEGConfig, MaskedEEGModel, MDJPTConfig, MDJPTFeatureExtractor, MDJPTModel
from mdjpt_hf.errors import ConfigurationError, MontageError
from mdjpt_hf.inference.encoder_module import EncoderModule, save_encoder_weights

NAMES = ["Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2"]
CHANNELS = [{"ch_name": name} for name in NAMES]


FAMILIES = {"mdjpt": (MDJPTModel, MDJPTConfig), "masked": (MaskedEEGModel, MaskedEEGConfig)}


@pytest.fixture(scope="module", params=FAMILIES)
def checkpoint(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    kind, config = FAMILIES[request.param]
    kind(config.preset("tiny")).save_pretrained(folder)
    MDJPTFeatureExtractor().save_pretrained(folder)
    return str(folder)


def module(checkpoint, **changed):
    settings = {"n_chans": 10, "n_times": 1000, "n_outputs": 3, "sfreq": 200.0, "chs_info": CHANNELS}
    return EncoderModule(**{**settings, "checkpoint": checkpoint, **changed}).eval()


def test_windows_become_scores_and_a_window_is_alone(checkpoint):
    windows = torch.from_numpy(np.random.default_rng(0).normal(0, 2e-5, (4, 10, 1000)))
    network = module(checkpoint)
    with torch.no_grad():
        scores = network(windows)
        assert scores.shape == (4, 3)
        torch.testing.assert_close(network(windows[1:2]), scores[1:2], rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(network(windows * 1e6), scores, rtol=1e-3, atol=1e-5)  # any unit
    network.final_layer = torch.nn.Flatten(1)  # a head of the benchmark's own
    assert network(windows).shape == (4, network.encoder.config.pooled_size)


@pytest.mark.parametrize("sfreq", [100.0, 200.0, 512.0])
def test_what_is_in_the_band_comes_through_at_its_time(checkpoint, sfreq):
    seconds, wave = 5, lambda time: np.sin(2 * np.pi * 8 * time)
    given = np.arange(round(seconds * sfreq)) / sfreq
    slow = 5 * np.sin(2 * np.pi * 0.2 * given)  # one period in the window, below the band
    windows = torch.from_numpy(np.tile(wave(given) + slow, (1, 10, 1)))
    network = module(checkpoint, n_times=len(given), sfreq=sfreq)
    made = network.prepare(windows)[0].numpy()
    wanted = wave(np.arange(625) / 125) * np.sqrt(2)
    assert made.shape == (60, 625) and np.abs(made[made.std(1) > 0.5] - wanted).max() < 0.02


def test_names_and_checkpoint_are_needed(checkpoint):
    for wrong in ({"chs_info": None}, {"chs_info": CHANNELS[:3]}):
        with pytest.raises(ConfigurationError, match="windows of 10 channels"):
            module(checkpoint, **wrong)
    with pytest.raises(ConfigurationError, match="the checkpoint is ''"):
        module("")
    with pytest.raises(MontageError):
        module(checkpoint, chs_info=[{"ch_name": f"nowhere {number}"} for number in range(10)])


def test_channels_that_are_no_electrodes_change_nothing(checkpoint):
    windows = torch.randn(2, 12, 1000)
    windows[:, 10:] *= 1e4
    more = module(checkpoint, n_chans=12, chs_info=[*CHANNELS, {"ch_name": "EOG"}, {"ch_name": "nowhere"}])
    torch.testing.assert_close(more.prepare(windows), module(checkpoint).prepare(windows[:, :10]))


def test_weights_have_the_names_of_the_module(checkpoint, tmp_path):
    saved = torch.load(save_encoder_weights(checkpoint, str(tmp_path / "weights.pth")), weights_only=True)
    network = module(checkpoint)
    state = network.state_dict()
    assert set(state) - set(saved) == {"final_layer.weight", "final_layer.bias"}
    assert all(torch.equal(state[name], values) for name, values in saved.items())


def test_open_eeg_bench_builds_it(checkpoint, tmp_path):
    bench = pytest.importorskip("open_eeg_bench.backbone", reason="open-eeg-bench is not installed")
    backbone = bench.PretrainedBackbone(
        model_cls="mdjpt_hf.inference.encoder_module.EncoderModule",
        model_kwargs={"checkpoint": checkpoint},
        checkpoint_path=save_encoder_weights(checkpoint, str(tmp_path / "weights.pth")),
    )
    network = backbone.build(n_chans=10, n_times=1000, n_outputs=2, sfreq=200.0, chs_info=CHANNELS)
    assert network(torch.randn(2, 10, 1000)).shape == (2, 2)
