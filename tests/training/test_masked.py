"""Masked prediction: which tokens are hidden, which windows are drawn, settings, rounds and scores."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.masking import MaskedSteps, span_mask
from mdjpt_hf.data.tokens import TokenIndex
from mdjpt_hf.errors import CheckpointError, ConfigurationError
from mdjpt_hf.training.clustering.codebook import ClusteringSettings
from mdjpt_hf.training.config import default_preset, load_run_config
from mdjpt_hf.training.departures import departures
from mdjpt_hf.training.masked import MaskedObjective
from mdjpt_hf.training.masked_settings import MaskedSettings
from mdjpt_hf.training.objective import ObjectiveState
from mdjpt_hf.training.pseudo_labels import masked_scores

# Masks


@pytest.mark.parametrize(("tokens", "ratio", "span"), [(25, 0.5, 5), (10, 0.5, 3), (2, 0.99, 7), (150, 0.01, 1)])
def test_masks_hide_the_wanted_number_and_never_nothing_or_all(tokens, ratio, span):
    for seed in range(200):
        hidden = span_mask(tokens, ratio, span, np.random.default_rng(seed))
        assert hidden.sum() == min(max(round(ratio * tokens), 1), tokens - 1)
        assert 0 < hidden.sum() < tokens


def test_masks_come_in_spans_and_everywhere_equally_often():
    masks = np.stack([span_mask(25, 0.48, 4, np.random.default_rng(seed)) for seed in range(4000)])
    starts = masks & ~np.pad(masks, ((0, 0), (1, 0)))[:, :-1]
    assert 3 < masks.sum() / starts.sum() < 8  # tokens per run: spans of 4, some of which touch
    assert np.abs(masks.mean(axis=0) - 0.48).max() < 0.06
    alone = np.stack([span_mask(25, 0.48, 1, np.random.default_rng(seed)) for seed in range(500)])
    assert (alone & ~np.pad(alone, ((0, 0), (1, 0)))[:, :-1]).sum() > 2 * starts[:500].sum()


# Batches


@pytest.fixture
def index(prepared):
    return TokenIndex(open_corpora([prepared("one"), prepared("two", seconds=6.0, seed=3)]), 25, 250)


def steps(index, **changes) -> MaskedSteps:
    labels = np.stack([np.arange(index.num_tokens), np.arange(index.num_tokens) % 7], axis=1)
    arguments = {"num_steps": 6, "steps_per_epoch": 4, "seed": 1, "windows_per_step": 8, "mask_ratio": 0.5}
    held_out = changes.pop("held_out", set())
    return MaskedSteps(index, held_out, labels, **{**arguments, "mask_span": 3, **changes})


def test_labels_belong_to_the_tokens_of_the_window(index):
    for step in range(3):
        batch = steps(index)[step]
        assert batch["input_values"].shape == (8, 60, 250) and batch["labels"].shape == (8, 10, 2)
        for window, labels in zip(batch["input_values"], batch["labels"], strict=True):
            first = int(labels[0, 0])
            assert labels[:, 0].tolist() == list(range(first, first + 10))
            assert np.array_equal(window.numpy(), signal_at(index, first, 10))


def signal_at(index, first, count):
    for dataset, starts in enumerate(index.first_token):
        for trial, start in enumerate(starts):
            if 0 <= first - start < index.trial_sets[dataset].n_samples[trial] // 25 and start >= 0:
                return index.signal(dataset, trial, int(first - start), count)
    raise AssertionError("no such token")


def test_two_processes_share_out_what_one_sees_and_held_out_subjects_are_never_drawn(index):
    whole = steps(index)[5]
    parts = [steps(index, rank=rank, world_size=2)[5] for rank in (0, 1)]
    for name, wanted in whole.items():
        for rank in (0, 1):
            assert torch.equal(parts[rank][name], wanted[rank::2])
    assert not torch.equal(steps(index)[4]["labels"], whole["labels"])
    held_out = {("one", "s0"), ("two", "s1")}
    forbidden = {t for r in index.recordings if (r.name, r.subject) in held_out for t in range(r.first, r.tokens.stop)}
    drawn = {int(t) for step in range(6) for t in steps(index, held_out=held_out)[step]["labels"][..., 0].ravel()}
    assert drawn and not drawn & forbidden


# Settings and rounds


def test_presets_and_the_objectives_default():
    assert default_preset(None) == "demo" and default_preset("masked") == "masked-demo"
    with pytest.raises(ConfigurationError, match="objective must be one of"):
        default_preset("hubert")
    for name in ("masked-demo", "masked"):
        config = load_run_config(name)
        model = config.model_config()
        assert config.objective == "masked" and model.model_type == "masked_eeg"
        assert MaskedSettings.read(config.masked, model.max_clusters, config.steps).rounds > 1
        assert any("every value is ours" in line for line in departures(config))


@pytest.mark.parametrize(
    ("group", "message"),
    [
        ({"ratio": 0.5}, r"masked has no settings \['ratio'\]"),
        ({"mask_ratio": 1.0}, "mask_ratio must lie between 0 and 1, found 1.0"),
        ({"rounds": 11}, "rounds must be from 1 to the number of steps, 10"),
        ({"candidates": [[4], [9]]}, "candidates must be one list per entry"),
        ({"candidates": [[40], [9], [9]]}, "within it"),
        ({"batch_size": 20}, "batch_size must be at least 64"),
        ({"mask_span": "long"}, "masked settings do not work"),
        ({"min_share": 2.0}, "min_share"),
        ({"directions": "both"}, "directions must be one of variance, shared, found 'both'"),
    ],
)
def test_settings_that_cannot_work_are_refused(group, message):
    given = {"candidates": [[4], [9], [64]], **group}
    with pytest.raises(ConfigurationError, match=message):
        MaskedSettings.read(given, [16, 64, 128], 10)


def test_clustering_settings_have_the_same_defaults():
    assert MaskedSettings().clustering == ClusteringSettings()


@pytest.fixture
def objective(prepared, tmp_path):
    model = {"window_seconds": 2.0, "hidden_size": 16, "num_attention_heads": 2, "max_clusters": [4, 6]}
    masked = {"candidates": [[4], [6]], "batches": 3, "batch_size": 64, "sample": 100, "rounds": 3, "eval_windows": 4}
    config = load_run_config("masked-demo", model=model, masked=masked, steps=10)
    alone = SimpleNamespace(process_index=0, num_processes=1)
    return MaskedObjective(config, open_corpora([prepared("one")]), alone, tmp_path / "labels")


def test_rounds_cover_all_steps(objective):
    assert objective.rounds() == [range(0, 8), range(8, 9), range(9, 10)]
    even = MaskedSettings(rounds=3)
    assert even.round_steps(10) == [range(0, 3), range(3, 6), range(6, 10)]
    assert MaskedSettings(rounds=1, first_share=0.4).round_steps(7) == [range(7)]


def test_a_round_starts_heads_and_their_optimiser_anew_and_teaches_from_a_frozen_copy(objective):
    torch.manual_seed(0)
    model = objective.build_model()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    alone = SimpleNamespace(is_main_process=True, print=lambda *_: None, wait_for_everyone=lambda: None)
    objective.start_round(0, model, optimizer, alone, resumed=False)
    assert not any(name.startswith("teacher.") for name in objective.state().tensors)
    model(**objective.steps[0]).loss.backward()
    optimizer.step()
    heads = set(model.heads.parameters())
    assert heads <= set(optimizer.state)
    (entry,) = objective.start_round(1, model, optimizer, alone, resumed=False)
    assert not heads & set(optimizer.state) and len(optimizer.state) == len(list(model.parameters())) - len(heads)
    state = objective.state()
    assert state.facts["round"] == entry["round"] == 1 and entry["step"] == 8
    teacher = state.tensors["teacher.tokenizer.projection.weight"].clone()
    model.masked_eeg.tokenizer.projection.weight.data += 1
    assert torch.equal(objective.state().tensors["teacher.tokenizer.projection.weight"], teacher)
    # Labels that cannot be made again from the checkpoint are refused.
    path = objective.pseudo_labels.folder / "round-1.npy"
    path.unlink()
    objective.restore(ObjectiveState(state.tensors, {**state.facts, "labels_sha256": "0"}))
    with pytest.raises(CheckpointError, match="cannot be made again"):
        objective.start_round(1, model, optimizer, alone, resumed=True)


def test_scores_count_hidden_tokens_only():
    labels = torch.tensor([[[0], [1], [1], [0], [2], [2]]])
    hidden = torch.tensor([[False, True, True, False, False, True]])

    output = SimpleNamespace(masked_accuracies=torch.tensor([0.25]))
    scores = masked_scores(output, {"labels": labels, "token_mask": hidden})
    # Token 1 copies token 0 (wrong), token 2 copies token 3 (wrong), token 5 copies token 4 (right).
    assert scores == {"accuracy/1": 0.25, "nearest/1": pytest.approx(1 / 3)}
