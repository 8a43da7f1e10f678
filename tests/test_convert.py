"""The authors' checkpoints: the same numbers out, and nothing but a clear error for anything else."""

import importlib.util
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mdjpt_hf import MDJPTConfig, MDJPTForPreTraining, cli
from mdjpt_hf.errors import CheckpointError, ConfigurationError
from mdjpt_hf.modeling.montage_mdjpt import STANDARD_CHANNELS, channel_projection
from mdjpt_hf.modeling.objectives_mdjpt import cross_dataset_alignment
from mdjpt_hf.modeling.released_neighbours_mdjpt import RELEASED_NEIGHBOURS
from mdjpt_hf.sharing.convert import (
    convert_checkpoint,
    load_released_checkpoint,
    read_released_checkpoint,
    released_config,
)

TESTS = Path(__file__).resolve().parent
FIXTURES = TESTS / "fixtures"

_EPOC = "AF3 F7 F3 FC5 T7 P7 O1 O2 P8 T8 FC6 F4 F8 AF4"
_FACED = """
    FP1 FP2 FZ F3 F4 F7 F8 FC1 FC2 FC5 FC6 CZ C3 C4 T7 T8 CP1 CP2 CP5 CP6 PZ P3 P4 P7 P8 PO3 PO4 OZ O1 O2
"""
EPOC, FACED = _EPOC.split(), _FACED.split()
SEED = [name.upper() for name in STANDARD_CHANNELS[:-3]] + ["CB1", "O1", "OZ", "O2", "CB2"]

#: Sizes that all differ from one another and from the paper's.
SMALL = {
    **{"depth": 2, "hidden": 24, "patch": 20, "wide": 40, "features": 6, "virtual": 10, "filters": 3},
    **{"taps": 5, "kernel": 7, "kernels": 2},
}
SMALL_CONFIG = {"dilations": [1, 4], "patch_stride": 9, "map_attention_pool": 4, "projector_pool": 4}


def _reference():
    spec = importlib.util.spec_from_file_location("released_reference", TESTS / "released_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


reference = _reference()


def _save(path, state, **more):
    torch.save({"state_dict": state, "epoch": 19, "global_step": 20480, "optimizer_states": [{}], **more}, path)
    return path


def _apart(found, wanted):
    found, wanted = np.asarray(found), np.asarray(wanted)
    return np.linalg.norm(found - wanted) / np.linalg.norm(wanted)


def _ranking():
    return [line.split(",") for line in (FIXTURES / "standard_neighbours.csv").read_text().split()]


def _groups(windows, first=0):
    return torch.arange(windows) // (windows // 2) + first


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """The arrays are small: several threads mostly wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def released():
    with np.load(FIXTURES / "released_deap.npz") as stored:
        return {**stored, "meta": json.loads(str(stored["meta"]))}


@pytest.fixture(scope="module")
def released_state(released):
    return reference.seeded_state(released["meta"]["tag"], released["meta"]["state_dict"])


@pytest.fixture(scope="module")
def checkpoint(released_state, tmp_path_factory):
    more = {"pytorch-lightning_version": "2.1.0", "hyper_parameters": {"lr": 5e-4}}
    return _save(tmp_path_factory.mktemp("released") / "mdjpt.ckpt", released_state, **more)


@pytest.fixture
def small_state():
    return reference.seeded_state("small", reference.released_shapes(**SMALL))


@pytest.fixture
def small(small_state, tmp_path):
    return _save(tmp_path / "small.ckpt", small_state)


# --- the same numbers ----------------------------------------------------------------------------------------------


def test_every_stored_output_of_the_released_program_comes_out_again(released, checkpoint):
    meta, model = released["meta"], load_released_checkpoint(checkpoint)
    assert not model.training
    n = meta["n_windows"]
    recorded = reference.seeded_input(meta["tag"], "x", (n, 1, 32, 625))[:, 0]
    projected = channel_projection(meta["channels"], "released") @ recorded
    assert _apart(projected[0, :, :125], released["projected_channels_first_window"]) <= 1e-6
    x, groups = torch.from_numpy(projected), _groups(n)
    with torch.no_grad():
        out, encoded = model.mdjpt(x, groups), _encoded(model, x, groups)
        assert _apart(encoded[0, :, 0].T, released["encoder_out_window0_channel0"]) <= 1e-5
        assert _apart(out.channel_features[0, 0], released["channel_features_window0_dim0"]) <= 1e-5
        spread = [float(out.channel_features.mean()), float(out.channel_features.std())]
        np.testing.assert_allclose(spread, released["channel_features_mean_std"], rtol=1e-4)
        assert _apart(out.pooler_output, released["features_me"]) <= 1e-5
        assert _apart(model(x, groups).embeddings, released["embedding"]) <= 5e-5


def test_every_stored_loss_of_the_released_program_comes_out_again(released, checkpoint):
    meta, model = released["meta"], load_released_checkpoint(checkpoint)
    n = meta["n_windows"]
    recorded = reference.seeded_input(meta["tag"], "x", (n, 1, 32, 625))[:, 0]
    other = reference.seeded_input(meta["tag"], "x2", (n + 2, 1, 60, 625))[:, 0]
    x = torch.from_numpy(np.concatenate([channel_projection(meta["channels"], "released") @ recorded, other]))
    groups = torch.cat([_groups(n), _groups(n + 2, first=2)])
    stimuli = torch.cat([torch.arange(n // 2).repeat(2), torch.arange(n // 2 + 1).repeat(2)])
    with torch.no_grad():
        out = model(x, groups, groups // 2, stimuli)
        true = cross_dataset_alignment(model.mdjpt(x, groups).channel_features, groups, "true")
    found = [out.isa_terms[:n].mean(), out.isa_terms[n:].mean(), out.cda_loss, true]
    np.testing.assert_allclose([float(loss) for loss in found], released["losses"], rtol=1e-5)
    assert float(out.isa_loss) == pytest.approx(released["losses"][:2].sum(), rel=1e-5)


@pytest.mark.parametrize(
    ("depth", "montage", "windows"), [(1, EPOC, 4), (3, SEED, 2), (2, FACED, 2)], ids=["1-14", "3-62", "2-30"]
)
def test_other_depths_montages_and_batches_equal_the_slow_version(depth, montage, windows, tmp_path):
    state = reference.seeded_state("other", reference.released_shapes(depth=depth))
    model = load_released_checkpoint(_save(tmp_path / "other.ckpt", state))
    recorded = reference.seeded_input("other", "x", (windows, len(montage), 625)).astype(np.float64)
    slow = torch.from_numpy(reference.project_channels(_ranking(), montage, recorded))
    fast = torch.from_numpy(channel_projection(montage, "released").astype(np.float64) @ recorded)
    assert _apart(fast, slow) <= 1e-6
    _check_against_slow_version(model, state, slow, {})


@pytest.mark.parametrize("windows", [2, 6, 14])
def test_other_sizes_are_read_off_the_shapes(windows, small, small_state):
    model = load_released_checkpoint(small, released_config(**SMALL_CONFIG))
    config = model.config
    assert (config.num_hidden_layers, config.hidden_size, config.patch_length, config.feature_size) == (
        2,
        24,
        20,
        6,
    )
    assert (config.spatial_channels, config.filters_per_feature, config.filter_taps) == (10, 3, 5)
    assert (config.map_attention_kernel, config.intermediate_size) == (7, 40)
    x = torch.from_numpy(reference.seeded_input("small", "x", (windows, 60, 700))).double()
    _check_against_slow_version(model, small_state, x, {"stride": 9, "dilations": (1, 4), "pool": 4})


def _encoded(model, x, groups):
    kept = []
    hook = model.mdjpt.spatial_projection.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
    model.mdjpt(x, groups)
    hook.remove()
    return kept[0]  # (B, features, channels, tokens)


@torch.no_grad()
def _check_against_slow_version(model, state, x, settings):
    """In float64, where nothing but a different formula could make a difference, and in float32."""
    groups = _groups(len(x))
    stimuli, dataset = torch.arange(len(x) // 2).repeat(2), torch.zeros(len(x), dtype=torch.long)
    wanted = reference.released_program(state, x, groups, **settings)
    alignment = {
        name: reference.alignment_loss(wanted["channel_features"], groups, name == "released")
        for name in ("released", "true")
    }
    contrastive = reference.contrastive_loss(wanted["embedding"])
    for dtype, tolerance, embedding_tolerance in ((torch.float32, 1e-5, 5e-5), (torch.float64, 1e-9, 1e-9)):
        model = model.to(dtype)
        encoded, losses = model.mdjpt(x.to(dtype), groups), model(x.to(dtype), groups, dataset, stimuli)
        assert _apart(encoded.channel_features, wanted["channel_features"]) <= tolerance
        assert _apart(encoded.pooler_output, wanted["features"]) <= tolerance
        assert _apart(losses.embeddings, wanted["embedding"]) <= embedding_tolerance
        assert float(losses.isa_loss) == pytest.approx(contrastive, rel=1e-5)
        for name, value in alignment.items():
            found = cross_dataset_alignment(encoded.channel_features, groups, name)
            assert float(found) == pytest.approx(value, rel=tolerance)
        assert float(losses.cda_loss) == pytest.approx(alignment["released"], rel=tolerance)


@pytest.mark.parametrize("names", [EPOC, FACED, SEED], ids=["14", "30", "62"])
def test_released_montage_follows_the_ranking(names):
    signal = np.random.default_rng(0).standard_normal((len(names), 20))
    wanted = reference.project_channels(_ranking(), names, signal)
    np.testing.assert_allclose(channel_projection(names, "released") @ signal, wanted, atol=1e-6)


def test_released_ranking_is_the_stored_one():
    names = [name.upper() for name in STANDARD_CHANNELS]
    for own, row, released in zip(names, _ranking(), RELEASED_NEIGHBOURS, strict=True):
        assert row == [own, *(names[index] for index in released), own]


# --- which parameters ----------------------------------------------------------------------------------------------


def test_every_parameter_is_copied_or_dropped_for_a_reason(checkpoint, released_state):
    model, report = read_released_checkpoint(checkpoint)
    copied = [name for names in report.copied.values() for name in names]
    assert sorted([*copied, *report.dropped]) == sorted(released_state)
    assert set(report.copied) == set(model.state_dict())
    assert (report.numbers_copied, report.numbers_dropped) == (421_568, 332_546)
    assert sum(parameter.numel() for parameter in model.parameters()) == 421_568
    assert report.origin == {"epoch": 19, "global_step": 20480, "pytorch-lightning_version": "2.1.0"}
    assert report.assumed["patch_stride"] == 6 and report.assumed_from == "the paper"
    for part in (
        "patch_stride 6",
        "dilations [1, 3, 6, 12]",
        "epoch 19",
        "self_attn.W_Q",
        "norm2: declared, never used",
    ):
        assert part in str(report)


def test_what_is_dropped_never_learns(released_state):
    state = {name: tensor.clone().requires_grad_() for name, tensor in released_state.items()}
    x = torch.from_numpy(reference.seeded_input("gradient", "x", (2, 60, 625)))
    out = reference.released_program(state, x, _groups(2))
    (out["embedding"].square() @ torch.arange(1024.0)).sum().backward()
    untouched = [tensor for tensor in state.values() if tensor.grad is None]
    assert sum(tensor.numel() for tensor in state.values()) == 754_114
    assert sum(tensor.numel() for tensor in untouched) == 332_514
    cancelled, learning = (state[f"MLLA.encoder.read_out.{kind}"].grad for kind in ("bias", "weight"))
    assert cancelled.abs().max() <= 1e-4 * learning.abs().max()


def test_half_and_double_precision_files_open_in_single(small_state, tmp_path):
    config = released_config(**SMALL_CONFIG)
    for dtype in (torch.float16, torch.float64):
        path = _save(tmp_path / f"{dtype}.ckpt", {name: tensor.to(dtype) for name, tensor in small_state.items()})
        model = load_released_checkpoint(path, config)
        wanted = small_state["uni_mlp.fc.weight"].to(dtype).float()
        assert torch.equal(model.mdjpt.spatial_projection.weight.data, wanted)


# --- what shapes cannot tell ---------------------------------------------------------------------------------------


def test_a_given_config_fills_in_and_is_left_alone(small):
    config = MDJPTConfig(num_labels=5, cda_weight=0.5, **SMALL_CONFIG)
    before = config.to_dict()
    model, report = read_released_checkpoint(small, config)
    assert config.to_dict() == before
    assert (model.config.block, model.config.covariance, model.config.num_labels) == ("released", "true", 5)
    assert report.assumed_from == "the given config" and report.assumed["cda_weight"] == 0.5


def test_a_config_that_contradicts_the_shapes_is_refused(small):
    with pytest.raises(CheckpointError, match="hidden_size is 24 in the file, 32 in the config"):
        load_released_checkpoint(small, released_config(hidden_size=32, **SMALL_CONFIG))


def test_dilations_must_be_as_many_as_the_convolutions(small):
    with pytest.raises(CheckpointError, match="2 dilated convolutions, the config names 4"):
        load_released_checkpoint(small)


def test_heads_need_not_divide_a_size_they_do_not_serve(tmp_path):
    state = reference.seeded_state("heads", reference.released_shapes(**{**SMALL, "hidden": 22}))
    model = load_released_checkpoint(_save(tmp_path / "heads.ckpt", state), released_config(**SMALL_CONFIG))
    assert model.config.hidden_size == 22


def test_unknown_and_impossible_settings_are_refused():
    with pytest.raises(ConfigurationError, match="patch_strid"):
        released_config(patch_strid=8)
    with pytest.raises(ConfigurationError, match="patch_stride must be at least 1"):
        released_config(patch_stride=0)


def test_opening_does_not_move_the_random_numbers_of_the_caller(small):
    torch.manual_seed(1)
    wanted = torch.rand(3)
    torch.manual_seed(1)
    load_released_checkpoint(small, released_config(**SMALL_CONFIG))
    assert torch.equal(torch.rand(3), wanted)


# --- files that are not such a checkpoint --------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(reference.released_shapes(**SMALL)))
def test_a_missing_or_misshapen_parameter_is_named(name, small_state, tmp_path):
    tensor = small_state.pop(name)
    with pytest.raises(CheckpointError) as caught:
        load_released_checkpoint(_save(tmp_path / "missing.ckpt", small_state))
    assert caught.value.value["missing"] == [repr(name)] and f"missing {name!r}" in str(caught.value)
    small_state[name] = torch.zeros(1) if tensor.dim() == 0 else torch.cat([tensor, tensor[:1]])
    with pytest.raises(CheckpointError) as caught:
        load_released_checkpoint(_save(tmp_path / "misshapen.ckpt", small_state))
    assert len(caught.value.value["misshapen"]) == 1
    assert f"misshapen {name!r} (wanted {tuple(tensor.shape)}, found" in str(caught.value)


def test_unexpected_parameters_are_named(small_state, tmp_path):
    extra = {
        "cnn_encoder.msConv9.weight": torch.zeros(1),
        "MLLA.encoder.blocks.7.norm1.weight": torch.zeros(1),
    }
    with pytest.raises(CheckpointError) as caught:
        load_released_checkpoint(_save(tmp_path / "extra.ckpt", {**small_state, "head.bias": torch.zeros(2), **extra}))
    assert {repr(name) for name in ("head.bias", *extra)} == set(caught.value.value["unexpected"])
    assert "unexpected 'head.bias'" in str(caught.value)


class _Command:
    """Code that a pickle runs when it is opened carelessly."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.system, (f"touch '{self.trace}'",)


def test_code_in_a_file_is_not_run(small_state, tmp_path):
    path, trace = tmp_path / "evil.ckpt", tmp_path / "trace"
    _save(path, small_state, callbacks=_Command(trace))
    with pytest.raises(CheckpointError, match=r"contains \w+\.system, which could run code.*nothing was run"):
        load_released_checkpoint(path)
    assert not trace.exists()
    torch.load(path, weights_only=False)  # the trap is a real one
    assert trace.exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_code_in_a_plain_pickle_is_not_run(protocol, small_state, tmp_path):
    path, trace = tmp_path / "evil.ckpt", tmp_path / "trace"
    path.write_bytes(pickle.dumps({"state_dict": small_state, "callbacks": _Command(trace)}, protocol))
    with pytest.raises(CheckpointError, match="could run code|not a checkpoint"):
        load_released_checkpoint(path)
    assert not trace.exists()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_truncated_files_are_refused(share, small):
    whole = small.read_bytes()
    small.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(CheckpointError, match="truncated, damaged or not a checkpoint"):
        load_released_checkpoint(small)


@pytest.mark.parametrize(
    "content", [b"hello", b"\x89PNG\r\n\x1a\n" + bytes(99), b"PK\x03\x04" + bytes(99), b"\x80\x02."]
)
def test_other_files_are_refused(content, tmp_path):
    path = tmp_path / "other.ckpt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        load_released_checkpoint(path)


def test_missing_files_and_folders_are_refused(tmp_path):
    for path in (tmp_path / "absent.ckpt", tmp_path):
        with pytest.raises(CheckpointError, match="no such file"):
            load_released_checkpoint(path)


@pytest.mark.parametrize("content", [{"weights": torch.zeros(2)}, [1, 2], torch.zeros(3), {"state_dict": [1]}])
def test_files_without_a_state_dict_are_refused(content, tmp_path):
    torch.save(content, tmp_path / "other.ckpt")
    with pytest.raises(CheckpointError, match="holds no 'state_dict'"):
        load_released_checkpoint(tmp_path / "other.ckpt")


@pytest.mark.parametrize("entry", [1.5, torch.arange(3), torch.zeros(2).to_sparse(), torch.zeros(2, device="meta")])
def test_entries_that_are_no_plain_tensors_are_refused(entry, small_state, tmp_path):
    with pytest.raises(CheckpointError, match="'uni_mlp.fc.bias'"):
        load_released_checkpoint(_save(tmp_path / "odd.ckpt", {**small_state, "uni_mlp.fc.bias": entry}))


def test_another_models_weights_are_refused(tmp_path):
    other = torch.nn.TransformerEncoderLayer(8, 2).state_dict()
    with pytest.raises(CheckpointError, match="missing 'uni_mlp.fc.weight'.*unexpected 'self_attn.in_proj_weight'"):
        load_released_checkpoint(_save(tmp_path / "other.ckpt", other))


def test_our_own_weights_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="unexpected 'mdjpt.channel_encoder"):
        state = MDJPTForPreTraining(MDJPTConfig.preset("tiny")).state_dict()
        load_released_checkpoint(_save(tmp_path / "ours.ckpt", state))


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["uni_mlp.fc.weight", "MLLA.encoder.blocks.1.self_attn.lnr_attn.scale"])
def test_numbers_that_are_not_finite_are_refused(number, name, small_state, tmp_path):
    small_state[name].view(-1)[0] = number
    with pytest.raises(CheckpointError, match=f"NaN or infinite numbers in {name}"):
        load_released_checkpoint(_save(tmp_path / "broken.ckpt", small_state))


# --- the folder ----------------------------------------------------------------------------------------------------

FRESH = """
import sys
sys.modules["mdjpt_hf"] = None  # as if the package were not installed
import torch
from transformers import (AutoConfig, AutoFeatureExtractor, AutoModel, AutoModelForPreTraining,
                          AutoModelForSequenceClassification)
folder, x, out = sys.argv[1:]
x = torch.load(x)
models = [auto.from_pretrained(folder, trust_remote_code=True)
          for auto in (AutoModel, AutoModelForPreTraining, AutoModelForSequenceClassification)]
assert AutoConfig.from_pretrained(folder, trust_remote_code=True).block == "released"
assert AutoFeatureExtractor.from_pretrained(folder, trust_remote_code=True).montage == "released"
with torch.no_grad():
    encoders = [models[0], models[1].mdjpt, models[2].mdjpt]
    torch.save([encoder(x).pooler_output for encoder in encoders] + [models[1](x).embeddings], out)
"""


def test_every_auto_class_opens_the_folder_in_a_fresh_process(small, tmp_path):
    folder = tmp_path / "made" / "model"
    config = released_config(**SMALL_CONFIG)
    report = convert_checkpoint(small, folder, config)
    files = {path.name for path in folder.iterdir()}
    assert {"model.safetensors", "config.json", "preprocessor_config.json", "modeling_mdjpt.py"} <= files
    assert json.loads((folder / "conversion.json").read_text())["dropped"] == report.dropped
    assert set(load_file(folder / "model.safetensors")) == set(report.copied)
    x = torch.from_numpy(reference.seeded_input("small", "x", (2, 60, 625)))
    torch.save(x, tmp_path / "x.pt")
    arguments = [sys.executable, "-c", FRESH, str(folder), str(tmp_path / "x.pt"), str(tmp_path / "out.pt")]
    environment = {**os.environ, "HF_HOME": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(arguments, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    model = load_released_checkpoint(small, config)
    with torch.no_grad():
        wanted, embedding = model.mdjpt(x).pooler_output, model(x).embeddings
    *features, found = torch.load(tmp_path / "out.pt")
    for values in features:
        torch.testing.assert_close(values, wanted, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(found, embedding, rtol=1e-6, atol=1e-7)


def test_a_folder_appears_whole_or_not_at_all(small, tmp_path, monkeypatch):
    def fail(_):
        raise OSError("disk full")

    monkeypatch.setattr("mdjpt_hf.sharing.convert.asdict", fail)
    with pytest.raises(OSError, match="disk full"):
        convert_checkpoint(small, tmp_path / "out", released_config(**SMALL_CONFIG))
    assert [path.name for path in tmp_path.iterdir()] == ["small.ckpt"]


def test_nothing_is_overwritten(small, tmp_path):
    for taken in (tmp_path, small):
        with pytest.raises(ConfigurationError, match="not an empty folder"):
            convert_checkpoint(small, taken, released_config(**SMALL_CONFIG))
    (tmp_path / "empty").mkdir()
    convert_checkpoint(small, tmp_path / "empty", released_config(**SMALL_CONFIG))
    assert (tmp_path / "empty" / "model.safetensors").exists()


def test_the_command_reports_and_writes(small, tmp_path, monkeypatch, capsys):
    settings = [f"--set={name}={value}" for name, value in SMALL_CONFIG.items()]
    monkeypatch.setattr(sys, "argv", ["mdjpt", "convert", str(small), str(tmp_path / "out"), *settings])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    for part in (
        "hidden_size 24",
        "patch_stride 9",
        "the given config",
        "never received a gradient",
        "is ready",
    ):
        assert part in printed
    assert MDJPTForPreTraining.from_pretrained(tmp_path / "out").config.dilations == [1, 4]


def test_the_command_ends_with_the_error_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["mdjpt", "convert", str(tmp_path / "absent.ckpt"), str(tmp_path / "out")])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith("CheckpointError: ")
    assert not (tmp_path / "out").exists()
