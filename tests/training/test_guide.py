"""Guided steps: what viewers share in band power is found, maps learn to be alike as it is, and it ends in time."""

import json
import pickle
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from mdjpt_hf import MDJPTConfig, MDJPTForPreTraining, pretrain
from mdjpt_hf.data.batches import PretrainingSteps
from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.pairs import PairSampler
from mdjpt_hf.errors import ConfigurationError
from mdjpt_hf.modeling.guide_mdjpt import guide_loss
from mdjpt_hf.modeling.layers_mdjpt import group_membership
from mdjpt_hf.training.clustering.correlated import Components
from mdjpt_hf.training.config import RunConfig
from mdjpt_hf.training.departures import departures
from mdjpt_hf.training.figures import draw_losses
from mdjpt_hf.training.guide import COMPONENTS, GuidedSteps, find_guide
from mdjpt_hf.training.ways import WAYS, use_way

VIEWERS, CLIPS, RATE = 4, 6, 125.0
SIZES = {"hidden_size": 8, "feature_size": 4, "spatial_channels": 6, "intermediate_size": 12}


def felt_batches(count, seed=0):
    """Viewers of moments whose alpha over one channel, and only that, is as strong as the moment says."""
    rng, time = np.random.default_rng(seed), np.arange(625) / RATE
    for _ in range(count):
        strength = rng.normal(0, 0.7, CLIPS)
        values = rng.normal(0, 1, (VIEWERS, CLIPS, 60, 625))
        phases = rng.uniform(0, 2 * np.pi, (VIEWERS, CLIPS, 1))
        values[:, :, 7] += np.exp(strength)[:, None] * 2 * np.sin(2 * np.pi * 10 * time + phases)
        ids = torch.arange(VIEWERS * CLIPS)
        yield (
            strength,
            {
                "input_values": torch.from_numpy(values.reshape(-1, 60, 625).astype(np.float32)),
                "group_ids": ids // CLIPS,
                "dataset_ids": torch.zeros_like(ids),
                "stimulus_ids": ids % CLIPS,
            },
        )


def test_what_viewers_share_is_found_without_a_label():
    batches = [batch for _, batch in felt_batches(20)]
    guide = find_guide(batches, len(batches), RATE, Accelerator(cpu=True))
    strength, batch = next(felt_batches(1, seed=9))
    told = guide(batch)
    assert told.shape == (VIEWERS * CLIPS, COMPONENTS)
    assert abs(np.corrcoef(told[:CLIPS, 0], strength)[0, 1]) > 0.9
    # everybody who sees a moment is told the same, and the first component counts most
    assert torch.allclose(told.view(VIEWERS, CLIPS, -1), told[:CLIPS].expand(VIEWERS, -1, -1), atol=1e-6)
    assert told.square().mean(dim=0).argmax() == 0


def test_noise_guides_to_nothing_that_lasts():
    """Components of noise are not those of other noise: nothing of the first is left in the second."""
    generator = torch.Generator().manual_seed(0)
    batches = [
        {**batch, "input_values": torch.randn(batch["input_values"].shape, generator=generator)}
        for _, batch in felt_batches(20)
    ]
    guide = find_guide(batches[:10], 10, RATE, Accelerator(cpu=True))
    told = torch.cat([guide(batch)[:CLIPS] for batch in batches])
    assert told[CLIPS * 10 :].square().sum() < 0.7 * told[: CLIPS * 10].square().sum()


@pytest.mark.parametrize(("viewers", "clips"), [(2, 2), (2, 3), (3, 2), (VIEWERS, CLIPS)])
def test_components_that_rounding_alone_makes_guide_nobody(viewers, clips):
    """A step or two have far fewer windows than there are features: most correlations are 0, rounded to a little."""
    ids = torch.arange(viewers * clips)
    batch = {"group_ids": ids // clips, "dataset_ids": torch.zeros_like(ids), "stimulus_ids": ids % clips}
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        batch["input_values"] = torch.randn(len(ids), 60, 625, generator=generator)
        told = find_guide([batch], 1, RATE, Accelerator(cpu=True))(batch)
        assert torch.isfinite(told).all()
        assert told.square().mean(dim=0).sum() == pytest.approx(1, abs=1e-4)  # shares of all correlation


def test_where_viewers_agree_in_nothing_there_is_no_guide():
    window = torch.randn(60, 625, generator=torch.Generator().manual_seed(0))
    one, louder = window, 2 * window
    ids = torch.arange(4)
    batch = {"group_ids": ids // 2, "dataset_ids": torch.zeros_like(ids), "stimulus_ids": ids % 2}
    for shown in ((one, one, one, one), (one, louder, louder, one)):  # nothing changes; the second felt the opposite
        assert not find_guide([{**batch, "input_values": torch.stack(shown)}], 1, RATE, Accelerator(cpu=True))
    assert find_guide(
        [{**batch, "input_values": torch.stack((one, louder, one, louder))}], 1, RATE, Accelerator(cpu=True)
    )


def test_processes_find_together_what_one_finds(folder):
    (trials,) = open_corpora([folder])
    plan = {"samplers": [PairSampler(trials, 250, viewers=3)], "num_steps": 6, "steps_per_epoch": 6, "seed": 0}
    plan |= {"pairs_per_dataset": 2}
    told = []
    first = SimpleNamespace(device="cpu", reduce=lambda part: told.append(part) or part)
    find_guide(PretrainingSteps(**plan, rank=0, world_size=2), 6, RATE, first)
    second = SimpleNamespace(device="cpu", reduce=lambda part: part + told.pop(0))
    together = find_guide(PretrainingSteps(**plan, rank=1, world_size=2), 6, RATE, second)
    alone = find_guide(PretrainingSteps(**plan), 6, RATE, Accelerator(cpu=True))
    assert not told
    np.testing.assert_allclose(together.matrix, alone.matrix, atol=1e-6 * np.abs(alone.matrix).max())


def test_alike_in_both_is_no_loss_and_unlike_is_one():
    generator = torch.Generator().manual_seed(1)
    groups = torch.arange(4).repeat_interleave(8)
    membership, sets = group_membership(groups, torch.zeros(1, dtype=torch.float64)), groups // 2
    pooled = torch.randn(32, 5, generator=generator, dtype=torch.float64)
    scores = torch.cat([(part - part.mean(0)) / part.std(0) for part in pooled.split(8)])
    turned = 3 * scores @ torch.linalg.qr(torch.randn(5, 5, generator=generator, dtype=torch.float64))[0]
    assert guide_loss(pooled, turned, sets, membership) < 1e-5
    unlike = torch.randn(32, 1, generator=generator, dtype=torch.float64)
    assert 0.5 < guide_loss(pooled, unlike, sets, membership) <= 1
    assert torch.isfinite(guide_loss(torch.zeros_like(pooled), torch.zeros(32, 1).double(), sets, membership))


def test_every_way_to_make_a_step_has_the_same_gradient():
    torch.manual_seed(0)
    model = MDJPTForPreTraining(MDJPTConfig.preset("tiny", isa_pairs="all")).double().train()
    _, batch = next(felt_batches(1))
    batch = {**batch, "guide": torch.randn(len(batch["group_ids"]), 3), "guide_weight": torch.tensor(0.8)}
    batch["input_values"] = batch["input_values"].double()
    found = []
    for way in WAYS:
        use_way(model, way)
        model.zero_grad()
        model(**batch).loss.backward()
        found.append(torch.cat([weight.grad.flatten() for weight in model.parameters()]))
    use_way(model, "no")
    assert all((gradient - found[0]).norm() < 1e-8 * found[0].norm() for gradient in found[1:])
    alone = model(**{name: part for name, part in batch.items() if "guide" not in name})
    guided = model(**batch)
    assert guided.loss.item() == pytest.approx(0.2 * alone.loss.item() + 0.8 * guided.guide_loss.item())


@pytest.fixture
def folder(prepared):
    shown = {(f"s{number}", 1): [f"clip{clip}" for clip in range(4)] for number in range(6)}
    return prepared("one", shown=shown)


def test_the_picture_leaves_out_what_shifting_weights_make_rise(tmp_path):
    def drawn(name, minimised, **guide):
        history = [{"step": 10, "loss": minimised, "isa/one": 2.6, **guide}, {"step": 20, "loss": 2.5, "isa/one": 2.4}]
        draw_losses(history, tmp_path / f"{name}.png", "a run", 2.7, None)
        return (tmp_path / f"{name}.png").read_bytes()

    assert drawn("first", 0.8, guide=0.8) == drawn("second", 1.2, guide=0.8)
    assert drawn("third", 2.6) != drawn("fourth", 2.7), "a run without a guide shows its loss"


def test_guided_batches_are_the_same_batches_and_the_weight_falls(folder):
    (trials,) = open_corpora([folder])
    plan = {"samplers": [PairSampler(trials, 250, viewers=3)], "num_steps": 6, "steps_per_epoch": 6, "seed": 0}
    plan |= {"pairs_per_dataset": 2}
    plain = PretrainingSteps(**plan)
    guided = GuidedSteps(find_guide(plain, 4, RATE, Accelerator(cpu=True)), 4, **plan)
    for step in range(6):
        batch = guided[step]
        assert all(torch.equal(batch[name], values) for name, values in plain[step].items())
        assert ("guide" in batch) == (step < 4)
        sent = pickle.loads(pickle.dumps(guided))[step]  # as to a data worker
        assert batch.keys() == sent.keys() and all(torch.equal(batch[name], sent[name]) for name in batch)
    assert [guided[step]["guide_weight"].item() for step in range(4)] == [1, 0.75, 0.5, 0.25]
    groups, sets = guided[0]["group_ids"], guided[0]["guide_sets"]
    assert torch.equal(sets, groups // 3)


def test_a_guided_run_goes_on_as_it_began(folder, tmp_path):
    settings = RunConfig(
        data=(str(folder),),
        output_dir=str(tmp_path / "run"),
        model={"preset": "tiny", **SIZES},
        **{"steps": 8, "steps_per_epoch": 4, "checkpoint_steps": 3, "keep_checkpoints": 9, "guided_share": 0.75},
        **{"held_out_subjects": 0, "viewers": 3, "trackers": ()},
    )
    run = pretrain(settings)
    weights = (run / "model.safetensors").read_bytes()
    for step in ("06", "08"):
        shutil.rmtree(run / "checkpoints" / f"step-000000{step}")
    (run / "model.safetensors").unlink()
    assert (pretrain(settings, resume=True) / "model.safetensors").read_bytes() == weights
    assert not any("guide" in name for name in load_file(run / "model.safetensors"))
    assert any("over the first 75% of the steps" in line for line in departures(settings))
    logged = [entry for entry in json.loads((run / "history.json").read_text()) if "loss" in entry]
    assert all(0 < entry["guide"] <= 1 for entry in logged[:1])


def test_a_run_of_one_step_is_guided_and_one_where_nobody_agrees_is_not(folder, tmp_path, monkeypatch, caplog):
    settings = RunConfig(
        data=(str(folder),),
        output_dir=str(tmp_path / "run"),
        model={"preset": "tiny", **SIZES},
        **{"steps": 3, "log_steps": 1, "guided_share": 0.1, "held_out_subjects": 0, "trackers": ()},
    )
    assert settings.guided_steps == 1 and RunConfig(steps=1).guided_steps == 0
    logged = [entry for entry in json.loads((pretrain(settings) / "history.json").read_text()) if "loss" in entry]
    assert ["guide" in entry for entry in logged] == [True, False, False]
    assert logged[0]["loss"] == pytest.approx(logged[0]["guide"])
    nothing = Components(np.zeros((0, 300)), np.zeros(0))
    monkeypatch.setattr("mdjpt_hf.training.guide.correlated_components", lambda *_: nothing)
    plain, unguided = (
        replace(settings, output_dir=str(tmp_path / name), **more)
        for name, more in (("plain", {"guided_share": 0.0}), ("unguided", {}))
    )
    weights = [(pretrain(one) / "model.safetensors").read_bytes() for one in (plain, unguided)]
    assert weights[0] == weights[1] and "agree in no band power" in caplog.text


def test_only_alignment_alone_is_guided():
    with pytest.raises(ConfigurationError, match="guided_share must be 0: only the objective mdjpt"):
        RunConfig(objective="masked", guided_share=0.3)
    with pytest.raises(ConfigurationError, match="guided_share must lie between 0 and 1"):
        RunConfig(guided_share=1.5)
    assert RunConfig().deciding() == RunConfig(guided_share=0.0).deciding()
    assert "guided_share" not in RunConfig().deciding()
