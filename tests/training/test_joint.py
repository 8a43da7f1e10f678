"""Both objectives at once: batches, what the network may see, and the run."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mdjpt_hf.data.batches import PretrainingSteps
from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.joint import JointSteps
from mdjpt_hf.data.pairs import PairSampler
from mdjpt_hf.data.tokens import TokenIndex
from mdjpt_hf.errors import ConfigurationError
from mdjpt_hf.modeling.configuration_mdjpt import MDJPTConfig
from mdjpt_hf.modeling.layers_mdjpt import average_patches
from mdjpt_hf.modeling.modeling_mdjpt import MDJPTForPreTraining
from mdjpt_hf.training.alignment import AlignmentObjective
from mdjpt_hf.training.config import load_run_config
from mdjpt_hf.training.joint import JointObjective
from mdjpt_hf.training.retrieval import hold_out_subjects

TINY = {"hidden_size": 8, "num_attention_heads": 2, "feature_size": 4, "max_clusters": [4, 6]}


@pytest.fixture
def trial_sets(prepared):
    shown = {(f"s{number}", 1): [f"clip{clip}" for clip in range(4)] for number in range(6)}
    return open_corpora([prepared("one", shown=shown), prepared("two", shown=shown, seconds=9.0, seed=3)])


def joint_steps(trial_sets, **changes) -> JointSteps:
    index = TokenIndex(trial_sets, 25, 625)
    labels = np.stack([np.arange(index.num_tokens), np.arange(index.num_tokens) % 7], axis=1)
    parts = [hold_out_subjects(trials, 2, seed=0)[0] for trials in trial_sets]
    plan = {"samplers": [PairSampler(part, 625, grid=25) for part in parts], "num_steps": 6, "steps_per_epoch": 4}
    return JointSteps(index, labels, 0.5, 5, **{**plan, "seed": 1, **changes})


def test_labels_belong_to_the_tokens_of_every_window_although_subjects_are_held_out(trial_sets):
    steps = joint_steps(trial_sets)
    for step in (0, 3, 5):
        batch = steps[step]
        assert batch["labels"].shape == (len(batch["input_values"]), 25, 2)
        for window, labels in zip(batch["input_values"], batch["labels"], strict=True):
            first = int(labels[0, 0])
            assert labels[:, 0].tolist() == list(range(first, first + 25))
            dataset, trial = next(
                (d, t)
                for d, starts in enumerate(steps.index.first_token)
                for t, start in enumerate(starts)
                if start <= first < start + trial_sets[d].n_samples[t] // 25
            )
            start = first - int(steps.index.first_token[dataset][trial])
            np.testing.assert_array_equal(window, steps.index.signal(dataset, trial, start, 25))


def test_pairs_are_those_of_plain_pretraining_and_what_is_hidden_differs_between_windows(trial_sets):
    steps = joint_steps(trial_sets)
    plain = PretrainingSteps(steps.samplers, 6, 4, seed=1)
    batch = steps[4]
    for name, wanted in plain[4].items():
        assert torch.equal(batch[name], wanted)
    hidden = batch["token_mask"].sum(dim=1)
    assert ((hidden > 0) & (hidden < 25)).all() and len(batch["token_mask"].unique(dim=0)) > len(hidden) / 2
    assert torch.equal(steps[4]["token_mask"], batch["token_mask"])
    assert not torch.equal(steps[3]["token_mask"], batch["token_mask"])


def test_two_processes_share_out_what_one_sees(trial_sets):
    whole = joint_steps(trial_sets, pairs_per_dataset=2)[2]
    parts = [joint_steps(trial_sets, pairs_per_dataset=2, rank=rank, world_size=2)[2] for rank in (0, 1)]
    for name in ("labels", "token_mask"):
        both = torch.cat([part[name] for part in parts]).flatten(1)
        assert sorted(both.tolist()) == sorted(whole[name].flatten(1).tolist())


@pytest.mark.parametrize(("length", "stride"), [(32, 6), (32, 20), (50, 50), (40, 90)])
def test_tokens_are_means_of_the_patches_in_their_middle(length, stride):
    config = MDJPTConfig(patch_length=length, patch_stride=stride)
    states = torch.randn(2, config.num_tokens(640), 3)
    wanted = []
    for token in range(25):
        middles = [number * stride + (length - 1) / 2 for number in range(states.shape[1])]
        own = [number for number, middle in enumerate(middles) if abs(middle - (25 * token + 12.5)) <= 12.5]
        near = min(range(len(middles)), key=lambda number: abs(middles[number] - (25 * token + 12.5)))
        wanted.append(states[:, own or [near]].mean(dim=1))
    torch.testing.assert_close(average_patches(states, 640, config), torch.stack(wanted, dim=1))


def build() -> MDJPTForPreTraining:
    torch.manual_seed(0)
    return MDJPTForPreTraining(MDJPTConfig.preset("tiny", **TINY, masked_weight=0.5, isa_weight=2.0, cda_weight=3.0))


def batch_of(trial_sets) -> dict[str, torch.Tensor]:
    batch = joint_steps(trial_sets)[0]
    return {**batch, "labels": batch["labels"] % torch.tensor([4, 6])}


@torch.no_grad()
def test_the_loss_is_made_of_its_parts_and_what_is_hidden_cannot_be_seen(trial_sets):
    model, batch = build(), batch_of(trial_sets)
    found = model(**batch)
    parts = 2.0 * found.isa_loss + 3.0 * found.cda_loss + 0.5 * found.masked_losses.mean()
    torch.testing.assert_close(found.loss, parts)
    alone = model(batch["input_values"], batch["group_ids"], labels=batch["labels"], token_mask=batch["token_mask"])
    torch.testing.assert_close(alone.loss, 0.5 * found.masked_losses.mean())
    assert alone.isa_loss is None and torch.equal(alone.embeddings, found.embeddings)
    for token, changes in ((True, False), (False, True)):
        where = (batch["token_mask"] == token).repeat_interleave(25, dim=1)[:, None]
        other = torch.where(where, batch["input_values"] + 3, batch["input_values"])
        again = model(**{**batch, "input_values": other})
        assert torch.equal(again.masked_losses, found.masked_losses) is not changes
        assert not torch.equal(again.isa_loss, found.isa_loss)


def test_gradients_of_the_masked_loss_reach_the_encoder_and_the_heads(trial_sets):
    model, batch = build(), batch_of(trial_sets)
    names = ("input_values", "group_ids", "labels", "token_mask")
    model(**{name: batch[name] for name in names}).loss.backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None and parameter.grad.any()) is not name.startswith("projector.")


def objective(trial_sets, folder, **model) -> JointObjective:
    masked = {"candidates": [[4], [6]], "batches": 3, "batch_size": 64, "sample": 100, "eval_windows": 4}
    config = load_run_config("joint-demo", model={**TINY, **model}, masked=masked, steps=10)
    return JointObjective(config, trial_sets, SimpleNamespace(process_index=0, num_processes=1), folder)


def test_rounds_cluster_the_encoders_own_states_from_the_second_on(trial_sets, tmp_path):
    task = objective(trial_sets, tmp_path / "labels")
    torch.manual_seed(0)
    model = task.build_model()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    alone = SimpleNamespace(is_main_process=True, print=lambda *_: None, wait_for_everyone=lambda: None)
    task.start_round(0, model, optimizer, alone, resumed=False)
    first = np.array(task.pseudo_labels.labels)
    entry, words = task.evaluate(model)
    assert {"retrieval", "accuracy/1", "nearest/2"} <= set(entry) and "masked accuracy on held-out subjects" in words
    assert task.held_out == ["one", "two"]
    people = {(d, s) for d, s in task.pseudo_labels.held_out}
    trained = {(p.trials.name, s) for p in task.steps.samplers for s in p.trials.subject}
    assert len(people) == 4 and not people & trained
    (entry,) = task.start_round(1, model, optimizer, alone, resumed=False)
    assert entry["round"] == 1 and not np.array_equal(first, task.pseudo_labels.labels)
    assert "teacher.channel_encoder" in " ".join(task.state().tensors)
    with torch.no_grad():
        output = model(**task.steps[9])
    meter = task.meter()
    for _ in range(2):
        meter.add(output, task.steps[9])
    logged = meter.close(SimpleNamespace(reduce=lambda tensor, reduction: tensor, num_processes=1))
    assert logged["masked/2"] == pytest.approx(float(output.masked_losses[1]), rel=1e-5)
    assert logged["loss"] == pytest.approx(float(output.loss), rel=1e-5) and "isa/one" in logged


def test_alignment_alone_has_no_heads_that_would_get_no_gradient(trial_sets):
    config = load_run_config("joint-demo", model=TINY, objective="mdjpt")
    model = AlignmentObjective(config, trial_sets, SimpleNamespace(process_index=0, num_processes=1)).build_model()
    assert not hasattr(model, "heads") and model.config.max_clusters == []


def test_a_network_without_heads_is_refused(trial_sets, tmp_path):
    with pytest.raises(ConfigurationError, match="model.max_clusters names none"):
        objective(trial_sets, tmp_path, max_clusters=[])
