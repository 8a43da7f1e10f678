"""A step fits into memory: what is free, what each way needs, which is taken, and the same gradient from all."""

import resource
import shutil
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch.multiprocessing.reductions import StorageWeakRef

from mdjpt_hf import MaskedEEGConfig, MaskedEEGForPreTraining, MDJPTConfig, MDJPTForPreTraining, pretrain
from mdjpt_hf.errors import ConfigurationError
from mdjpt_hf.modeling import control_groups_mdjpt
from mdjpt_hf.modeling.control_groups_mdjpt import MemoryLimit, memory_limits
from mdjpt_hf.training import fitting, memory
from mdjpt_hf.training.config import WAYS, RunConfig
from mdjpt_hf.training.fitting import choose_way, remember_way, remembered_way
from mdjpt_hf.training.loop import Pretrainer
from mdjpt_hf.training.ways import next_way, release, use_way, ways_for

CPU = torch.device("cpu")


@pytest.fixture
def model():
    torch.manual_seed(0)
    return MDJPTForPreTraining(MDJPTConfig.preset("tiny")).double().train()


@pytest.fixture
def batch():
    order = torch.randperm(16, generator=torch.Generator().manual_seed(3))  # groups need not lie side by side
    groups, stimuli = torch.arange(4).repeat_interleave(4)[order], torch.arange(4).repeat(4)[order]
    values = torch.randn(16, 60, 625, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    return {"input_values": values, "group_ids": groups, "dataset_ids": groups // 2, "stimulus_ids": stimuli}


@pytest.fixture
def objective(batch):
    def rehearse(model, part):
        return model(part["input_values"], part["group_ids"]).embeddings.square().mean()

    return SimpleNamespace(steps=[batch], rehearse=rehearse, rounds=lambda: [range(1)])


@pytest.fixture(autouse=True)
def allocator_of_before(monkeypatch):
    """The allocator belongs to the whole process, so to all tests."""
    monkeypatch.setattr("mdjpt_hf.training.ways.keep_freed_memory", lambda: None)
    for user in ("fitting", "ways"):
        monkeypatch.setattr(f"mdjpt_hf.training.{user}.give_back_large_blocks", lambda *size: None)


@pytest.mark.parametrize("way", WAYS)
def test_every_way_has_the_same_losses_and_gradient(model, batch, way):
    wanted = model(**batch)
    wanted.loss.backward()
    expected = [parameter.grad.clone() for parameter in model.parameters()]
    use_way(model, way)
    model.zero_grad()
    found = model(**batch)
    found.loss.backward()
    for name in ("loss", "isa_loss", "cda_loss", "embeddings", "isa_terms"):
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-10, atol=1e-12)
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-8, atol=1e-12)


def test_groups_apart_are_encoded_one_after_the_other(model, batch, monkeypatch):
    sizes, encoded = [], []
    forward, encode = model.mdjpt.forward, model.mdjpt.channel_encoder.forward

    def count(windows, *others, **more):
        sizes.append(len(windows))
        return forward(windows, *others, **more)

    monkeypatch.setattr(model.mdjpt, "forward", count)
    monkeypatch.setattr(
        model.mdjpt.channel_encoder, "forward", lambda windows: encoded.append(len(windows)) or encode(windows)
    )
    use_way(model, "groups")
    model(**batch).loss.backward()
    assert sizes == [4] * 8  # every group once, and again for the gradient
    assert encoded == [4] * 4  # most of the work is done again chunk by chunk, and not before that
    model.eval()
    model(**batch)
    assert sizes[8:] == encoded[4:] == [16]


@pytest.mark.parametrize("side_by_side", [True, False])
def test_the_largest_group_comes_when_least_of_others_is_kept(model, monkeypatch, side_by_side):
    """First, so that its gradient is taken last; its windows are copied only if others lie between them."""
    sizes, places = [], []
    forward = model.mdjpt.forward

    def note(windows, *others, **more):
        sizes.append(len(windows))
        places.append(windows.untyped_storage().data_ptr())
        return forward(windows, *others, **more)

    monkeypatch.setattr(model.mdjpt, "forward", note)
    groups = torch.tensor([0] * 2 + [1] * 2 + [2] * 5 + [3] * 5)
    stimuli = torch.tensor([0, 1] * 2 + [0, 1, 2, 3, 4] * 2)
    order = torch.arange(14) if side_by_side else torch.randperm(14, generator=torch.Generator().manual_seed(0))
    values = torch.randn(14, 60, 625, dtype=torch.float64)
    use_way(model, "groups")
    ids = {"group_ids": groups[order], "dataset_ids": groups[order] // 2, "stimulus_ids": stimuli[order]}
    model(values, **ids).loss.backward()
    assert sizes == [5, 5, 2, 2, 2, 2, 5, 5]  # and those of the gradient
    assert (set(places) == {values.untyped_storage().data_ptr()}) == side_by_side


@pytest.mark.parametrize("free, way", [(2**40, "no"), ("some", "some"), ("yes", "yes"), (0, None)])
def test_the_fastest_way_that_fits_is_taken(model, objective, monkeypatch, free, way):
    needs = {name: fitting._needed(model, objective, objective.steps[0], name, CPU) for name in WAYS}
    assert needs["groups"] <= needs["yes"] < needs["some"] < needs["no"]
    free = needs.get(free, free)
    monkeypatch.setattr(fitting, "free_memory", lambda device: free)
    if way is None:
        with pytest.raises(ConfigurationError, match="16 windows needs about .* 0.0 GiB are free"):
            choose_way(model, objective, Accelerator(cpu=True))
        return
    chosen = choose_way(model, objective, Accelerator(cpu=True))
    assert chosen.name == way
    assert f"recompute {way}: {WAYS[way]}; " in str(chosen)
    assert model.training and not model.mdjpt.channel_encoder.gradient_checkpointing


def test_what_does_not_even_fit_with_a_few_windows_is_passed_over(model, objective, monkeypatch):
    rehearse = objective.rehearse

    def short(model, part):
        if not model.groups_apart and not model.mdjpt.channel_encoder.gradient_checkpointing:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 67108864 bytes")
        return rehearse(model, part)

    objective.rehearse = short
    monkeypatch.setattr(fitting, "free_memory", lambda device: 2**40)
    assert choose_way(model, objective, Accelerator(cpu=True)).name == "yes"
    objective.rehearse = lambda model, part: model(part["input_values"][:, :3])
    with pytest.raises(Exception, match="input_values must have shape"):
        choose_way(model, objective, Accelerator(cpu=True))


def test_what_a_step_needs_grows_with_its_windows(model, objective, batch):
    twice = {name: torch.cat([values, values]) for name, values in batch.items()}
    for name in WAYS:
        once, double = (fitting._needed(model, objective, part, name, CPU) for part in (batch, twice))
        assert double - fitting.SPARE_BYTES == pytest.approx(2 * (once - fitting.SPARE_BYTES), rel=1e-6)


def test_measuring_keeps_nothing(model):
    """A graph whose saved outputs are handed out as they are holds on to itself for good."""
    values, kept = torch.zeros(1000, requires_grad=True), []

    def rehearse(model, part):
        result = values.exp()  # which keeps its result
        kept.append(StorageWeakRef(result.untyped_storage()))
        return result.sum()

    assert fitting._kept(model, SimpleNamespace(rehearse=rehearse), {}, "no") >= values.nbytes
    assert kept[0].expired()


def test_networks_without_groups_apart_have_two_ways():
    tiny = MaskedEEGForPreTraining(MaskedEEGConfig.preset("tiny"))
    assert ways_for(tiny) == ["no", "yes"]
    assert next_way(tiny, "no") == "yes"
    assert next_way(tiny, "yes") is None
    released = MDJPTForPreTraining(MDJPTConfig.preset("tiny", block="released"))
    assert ways_for(released) == ["no", "yes", "groups"]


def test_a_run_remembers_its_way(tmp_path):
    assert remembered_way(tmp_path) is None
    remember_way(tmp_path / "checkpoints", "groups")
    assert remembered_way(tmp_path / "checkpoints") == "groups"
    (tmp_path / "checkpoints" / "way.json").write_text('{"recompute": "so', encoding="utf-8")
    assert remembered_way(tmp_path / "checkpoints") is None


@pytest.fixture
def settings(prepared, tmp_path):
    """A run of ten steps, with checkpoints after 4, 8 and 10."""
    shown = {(f"s{number}", 1): [f"clip{clip}" for clip in range(3)] for number in range(4)}
    sizes = {"hidden_size": 8, "feature_size": 4, "spatial_channels": 6, "intermediate_size": 12}
    return RunConfig(
        data=(str(prepared("one", shown=shown)),),
        output_dir=str(tmp_path / "run"),
        model={"preset": "tiny", **sizes},
        **{"steps": 10, "steps_per_epoch": 5, "checkpoint_steps": 4, "eval_steps": 5, "keep_checkpoints": 9},
        **{"held_out_subjects": 0, "pairs_per_dataset": 1, "trackers": ()},
    )


def short_of_memory(monkeypatch, ways, step=7):
    """Steps from the seventh on run out of memory in these ways."""
    whole = Pretrainer._step

    def take(self, number, batch):
        if number >= step and self.way.name in ways:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 67108864 bytes")
        return whole(self, number, batch)

    monkeypatch.setattr(Pretrainer, "_step", take)


def test_a_step_that_does_not_fit_is_made_again_in_the_next_way(settings, monkeypatch, caplog):
    """And a run that goes on from any checkpoint changes its way at the same step: the same weights to the bit."""
    caplog.set_level("INFO")
    short_of_memory(monkeypatch, {"no", "some"})
    folder = pretrain(settings)
    assert "step 7 did not fit into memory; recompute yes" in caplog.text
    assert sorted(path.name for path in folder.glob("checkpoints/step-*"))[:2] == ["step-00000004", "step-00000006"]
    assert remembered_way(folder / "checkpoints") == "yes"
    weights = (folder / "model.safetensors").read_bytes()
    monkeypatch.undo()
    for step in ("08", "10"):
        shutil.rmtree(folder / "checkpoints" / f"step-000000{step}")
    (folder / "model.safetensors").unlink()
    assert (pretrain(settings, resume=True) / "model.safetensors").read_bytes() == weights


@pytest.mark.parametrize(
    ("asked", "ways", "remedy"),
    [("auto", set(WAYS), "Use fewer pairs_per_dataset"), ("no", {"no"}, "Set recompute to some")],
)
def test_a_step_that_fits_in_no_allowed_way_ends_the_run_with_what_helps(settings, monkeypatch, asked, ways, remedy):
    short_of_memory(monkeypatch, ways)
    with pytest.raises(ConfigurationError, match=f"a step did not fit into memory with recompute .*{remedy}"):
        pretrain(replace(settings, recompute=asked))
    newest = max(path.name for path in Path(settings.output_dir).glob("checkpoints/step-*"))
    assert newest == ("step-00000006" if asked == "auto" else "step-00000004")


def test_an_update_that_ends_in_the_middle_is_neither_saved_nor_made_again(settings, monkeypatch):
    """Some weights are those of the next step then: saved as they are, a run would go on from what never was."""
    update, steps = torch.optim.Adam.step, iter(range(1, 99))

    def halfway(self, *arguments, **more):
        if next(steps) == 6:
            self.param_groups[0]["params"][0].data.add_(1)
            raise MemoryError
        return update(self, *arguments, **more)

    monkeypatch.setattr(torch.optim.Adam, "step", halfway)
    with pytest.raises(ConfigurationError, match="a step did not fit into memory"):
        pretrain(settings)
    newest = max(path.name for path in Path(settings.output_dir).glob("checkpoints/step-*"))
    assert newest == "step-00000004"


def test_yaml_has_two_words_for_yes_and_no():
    assert [RunConfig(recompute=value).recompute for value in (True, False, "groups")] == ["yes", "no", "groups"]
    assert RunConfig().recompute == "auto"
    with pytest.raises(ConfigurationError, match="recompute must be one of"):
        RunConfig(recompute="most")


@pytest.mark.parametrize(
    "error, told",
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory: ..."), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
    ],
)
def test_lack_of_memory_is_told_from_other_errors(error, told):
    assert fitting.is_out_of_memory(error) is told


# --- what is free --------------------------------------------------------------------------------------------------


def control_group(folder: Path, limit: str, used: int, cached: int, version: int, hot: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = control_groups_mdjpt.VERSION_2 if version == 2 else control_groups_mdjpt.VERSION_1
    (folder / names[0]).write_text(f"{limit}\n", encoding="utf-8")
    (folder / names[1]).write_text(f"{used}\n", encoding="utf-8")
    files = f"{names[2]}inactive_file {cached}\n{names[2]}active_file {hot}\n"
    (folder / "memory.stat").write_text(f"anon 5\n{files}", encoding="utf-8")


def left(*places: Path) -> list[int]:
    return [limit.left for limit in memory_limits(*places)]


def test_every_control_group_above_a_process_is_a_limit(tmp_path):
    control_group(tmp_path / "job", "1000", 400, 100, version=2)
    control_group(tmp_path / "job" / "step", "max", 300, 0, version=2)
    (tmp_path / "cgroup").write_text("0::/job/step\n", encoding="utf-8")
    assert left(tmp_path, tmp_path / "cgroup") == [700]


def test_control_groups_of_the_first_version_are_limits_as_well(tmp_path):
    control_group(tmp_path / "memory" / "docker" / "a", "5000", 1000, 200, version=1)
    (tmp_path / "cgroup").write_text("9:cpu:/docker/a\n4:memory:/docker/a\n", encoding="utf-8")
    assert left(tmp_path, tmp_path / "cgroup") == [4200]


@pytest.mark.parametrize("version, line", [(2, "0::/job\n"), (1, "4:memory:/job\n")])
def test_pages_of_corpora_that_are_read_again_and_again_are_free(tmp_path, version, line):
    control_group(tmp_path / ("memory" if version == 1 else "") / "job", "2000", 1800, 100, version, hot=900)
    (tmp_path / "cgroup").write_text(line, encoding="utf-8")
    assert left(tmp_path, tmp_path / "cgroup") == [1200]


def test_a_system_without_control_groups_has_no_such_limit(tmp_path):
    assert left(tmp_path, tmp_path / "none") == []


def test_processes_started_together_share_what_is_free(monkeypatch):
    monkeypatch.setattr(memory, "memory_limits", lambda: [MemoryLimit(9000, 8000)])
    monkeypatch.setattr(memory, "_left_by_ulimit", lambda: sys.maxsize)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert memory.free_memory(CPU) == 2000


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_AS"), reason="no limit of the address space here")
def test_a_limit_of_the_address_space_is_seen():
    """In a process of its own, which the limit is for."""
    code = textwrap.dedent("""
        import resource, psutil, torch
        from mdjpt_hf.training.memory import free_memory
        held = psutil.Process().memory_info().vms
        resource.setrlimit(resource.RLIMIT_AS, (held + 2**28, resource.RLIM_INFINITY))
        print(free_memory(torch.device("cpu")))
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 2**27 < int(done.stdout) <= 2**28


@pytest.fixture
def half():
    """An accelerator of bf16; its state belongs to the process."""
    AcceleratorState._reset_state()
    yield Accelerator(cpu=True, mixed_precision="bf16")
    AcceleratorState._reset_state()


def test_in_mixed_precision_nothing_is_gained_by_keeping_little(model, objective, monkeypatch, half):
    """The gradient that keeps little knows plain precision alone: what is measured must be what the steps will do."""
    monkeypatch.setattr(fitting, "free_memory", lambda device: 2**40)
    chosen = choose_way(model, objective, half)
    assert chosen.name == "no"
    monkeypatch.setattr(fitting, "free_memory", lambda device: chosen.needed["no"] - 1)
    assert choose_way(model, objective, half).name == "yes"


def test_a_whole_model_that_is_compiled_is_not_asked_to_keep_little(model, objective, monkeypatch):
    most = fitting._needed(model, objective, objective.steps[0], "no", CPU)
    monkeypatch.setattr(fitting, "free_memory", lambda device: most - 1)
    accelerator = Accelerator(cpu=True)
    assert choose_way(model, objective, accelerator).name == "some"
    assert choose_way(model, objective, accelerator, compiled=True).name == "yes"


def test_a_network_that_is_trained_holds_no_room_for_a_next_step(model):
    use_way(model, "some")
    assert model.mdjpt.channel_encoder.free_blocks is not None
    release(model)
    assert model.mdjpt.channel_encoder.free_blocks is None
