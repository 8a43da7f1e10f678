"""The two pre-training losses against slow versions written from their equations."""

import math
from itertools import combinations

import pytest
import torch
import torch.nn.functional as F

from mdjpt_hf.modeling.kernels_mdjpt import CENTRED_AT_ONCE, mean_covariances
from mdjpt_hf.modeling.objectives_mdjpt import (
    cross_dataset_alignment,
    find_positives,
    group_covariances,
    inter_subject_alignment,
    window_covariances,
)

TAU = 0.07


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def batch_of(*datasets):
    """Ids of a batch in which dataset number d holds one subject pair per entry of `datasets[d]`, of that many clips.

    Numbers of groups, datasets and clips have nothing to do with their order of appearance.
    """
    groups, sets, stimuli = [], [], []
    for number, pairs in enumerate(datasets):
        for pair, clips in enumerate(pairs):
            for subject in range(2):
                groups += [900 - 100 * number - 2 * pair - subject] * clips
                sets += [70 - number] * clips
                stimuli += [1000 * pair + 3 * clip for clip in range(clips)]
    return torch.tensor(groups), torch.tensor(sets), torch.tensor(stimuli)


def viewers_of(*datasets):
    """The same for groups of several subjects: dataset number d holds one for each (subjects, clips)."""
    groups, sets, stimuli = [], [], []
    for number, parts in enumerate(datasets):
        for part, (subjects, clips) in enumerate(parts):
            for subject in range(subjects):
                groups += [900 - 100 * number - 10 * part - subject] * clips
                sets += [70 - number] * clips
                stimuli += [1000 * part + 3 * clip for clip in range(clips)]
    return torch.tensor(groups), torch.tensor(sets), torch.tensor(stimuli)


def sphere(ids, size=6, seed=0):
    return F.normalize(noise(len(ids[0]), size, seed=seed), dim=-1)


def agree(found, wanted):
    torch.testing.assert_close(found, torch.as_tensor(wanted, dtype=found.dtype), rtol=1e-10, atol=1e-12)


# Slow versions


def subject_pairs(groups, sets, stimuli, dataset):
    """The sets of two groups that saw the same clips."""
    rows = [row for row in range(len(groups)) if sets[row] == dataset]
    seen = [
        frozenset((groups[a], groups[b]))
        for a, b in combinations(rows, 2)
        if stimuli[a] == stimuli[b] and groups[a] != groups[b]
    ]
    return sorted(set(seen), key=sorted)


def nt_xent(embeddings, groups, stimuli, rows, tau):
    terms = {}
    for i in rows:
        (positive,) = [j for j in rows if stimuli[j] == stimuli[i] and groups[j] != groups[i]]
        close = {j: math.exp(F.cosine_similarity(embeddings[i], embeddings[j], dim=0) / tau) for j in rows}
        terms[i] = -math.log(close[positive] / sum(value for j, value in close.items() if j != i))
    return terms


def slow_isa(embeddings, ids, tau):
    groups, sets, stimuli = (part.tolist() for part in ids)
    loss, terms = 0.0, {row: [] for row in range(len(groups))}
    for dataset in set(sets):
        pairs = subject_pairs(groups, sets, stimuli, dataset)
        for pair in pairs:
            rows = [row for row in range(len(groups)) if groups[row] in pair]
            part = nt_xent(embeddings, groups, stimuli, rows, tau)
            loss += sum(part.values()) / len(rows) / len(pairs)
            for row, term in part.items():
                terms[row].append(term)
    return loss, [sum(own) / len(own) for own in terms.values()]


def slow_covariance(window, covariance):
    """`window` is (channels, tokens), one feature."""
    channels, tokens = window.shape
    centred = window - window.sum(dim=1, keepdim=True) / tokens
    if covariance == "released":
        flat = [centred[place % channels, place // channels] for place in range(channels * tokens)]
        centred = torch.stack(flat).view(channels, tokens)
    if covariance == "correlation":
        centred = centred / (centred.square().sum(dim=1, keepdim=True) / (tokens - 1)).sqrt()
    out = torch.zeros(channels, channels, dtype=window.dtype)
    for i in range(channels):
        for j in range(channels):
            out[i, j] = 0 if i == j else sum(centred[i] * centred[j]) / (tokens - 1)
    return out


def slow_gammas(maps, group_ids, covariance):
    gammas = {}
    for group in sorted(set(group_ids.tolist())):
        rows = [row for row, one in enumerate(group_ids.tolist()) if one == group]
        gammas[group] = [
            sum(slow_covariance(maps[row, feature], covariance) for row in rows) / len(rows)
            for feature in range(maps.shape[1])
        ]
    return gammas


def slow_cda(maps, group_ids, covariance):
    gammas = slow_gammas(maps, group_ids, covariance)
    total = sum(
        (one - other).square().sum().sqrt()
        for s, t in combinations(gammas, 2)
        for one, other in zip(gammas[s], gammas[t], strict=True)
    )
    return math.log(1 + total)


# Inter-subject alignment


@pytest.mark.parametrize("datasets", [[[1]], [[3]], [[2, 2]], [[4], [2]], [[2, 5], [3], [1, 4, 2]]])
@pytest.mark.parametrize("tau", [TAU, 0.5])
def test_isa(datasets, tau):
    ids = batch_of(*datasets)
    embeddings = sphere(ids)
    loss, terms = inter_subject_alignment(embeddings, *ids, tau)
    wanted, wanted_terms = slow_isa(embeddings, ids, tau)
    agree(loss, wanted)
    agree(terms, wanted_terms)


@pytest.mark.parametrize(
    "datasets", [[[(3, 2)]], [[(5, 1)]], [[(4, 3), (2, 5)]], [[(3, 4)], [(2, 2), (4, 2)]], [[(2, 3)], [(2, 2)]]]
)
def test_isa_of_several_viewers_is_that_of_all_their_pairs(datasets):
    ids = viewers_of(*datasets)
    embeddings = sphere(ids)
    loss, terms = inter_subject_alignment(embeddings, *ids, TAU, several=True)
    wanted, wanted_terms = slow_isa(embeddings, ids, TAU)
    agree(loss, wanted)
    agree(terms, wanted_terms)


def test_several_viewers_must_not_see_a_clip_twice():
    groups, sets, stimuli = viewers_of([(3, 3)])
    with pytest.raises(ValueError, match="once in each"):
        inter_subject_alignment(sphere((groups,)), groups, sets, stimuli // 6, TAU, several=True)
    with pytest.raises(ValueError, match="0 positives, wanted 1 or more"):
        inter_subject_alignment(sphere((groups,)), groups, sets, torch.arange(9), TAU, several=True)


def test_isa_of_a_dataset_does_not_depend_on_the_others():
    ids = batch_of([2, 5], [3])
    embeddings = sphere(ids)
    parts = []
    for dataset in ids[1].unique():
        rows = ids[1] == dataset
        parts.append(inter_subject_alignment(embeddings[rows], *(part[rows] for part in ids), TAU)[0])
    agree(inter_subject_alignment(embeddings, *ids, TAU)[0], sum(parts))


def test_isa_of_one_window_each_is_zero():
    ids = batch_of([1])
    agree(inter_subject_alignment(sphere(ids), *ids, TAU)[0], 0.0)


def test_same_stimulus_number_in_two_datasets_is_no_positive():
    ids = batch_of([3], [3])
    positives, same_group = find_positives(*ids)
    assert not positives[:6, 6:].any() and not same_group[:6, 6:].any()
    assert same_group.sum(dim=1).tolist() == [3] * 12
    assert [row.nonzero().item() for row in positives] == [3, 4, 5, 0, 1, 2, 9, 10, 11, 6, 7, 8]


def test_alignment_gives_a_low_loss_and_mismatch_a_high_one():
    ids = batch_of([5])
    subject = F.normalize(torch.eye(5, dtype=torch.float64), dim=-1)
    aligned = inter_subject_alignment(torch.cat([subject, subject]), *ids, TAU)[0]
    mismatched = inter_subject_alignment(torch.cat([subject, subject.roll(1, 0)]), *ids, TAU)[0]
    agree(aligned, math.log(1 + 8 * math.exp(-1 / TAU)))
    assert aligned < 1e-5 and mismatched > 1 / TAU


@pytest.mark.parametrize(
    ("change", "count"),
    [
        (lambda g, d, s: (g, d, torch.where(torch.arange(6) == 1, 99, s)), 0),  # clip seen by one subject only
        (lambda g, d, s: (g, torch.where(torch.arange(6) == 1, 99, d), s), 0),  # the partner in another dataset
        (lambda g, d, s: (torch.zeros_like(g), d, s), 0),  # one group only
        (lambda g, d, s: (g, d, torch.where(s == 3, 0, s)), 2),  # the same clip twice in each group
        (lambda g, d, s: (torch.arange(6), d, torch.zeros_like(s)), 5),  # three subjects and more
    ],
)
def test_a_window_without_or_with_several_positives_is_refused(change, count):
    ids = change(*batch_of([3]))
    with pytest.raises(ValueError, match=rf"has {count} positives, wanted exactly 1"):
        inter_subject_alignment(sphere(ids), *ids, TAU)


# Cross-dataset alignment


@pytest.mark.parametrize("covariance", ["true", "released", "correlation"])
def test_cda(covariance):
    ids = batch_of([2, 1], [3])[0]
    maps = 3 * noise(len(ids), 2, 5, 7).relu()
    found = window_covariances(maps, covariance)
    for window in range(len(ids)):
        for feature in range(2):
            agree(found[window, feature], slow_covariance(maps[window, feature], covariance))
    gammas = slow_gammas(maps, ids, covariance)
    agree(group_covariances(maps, ids, covariance), torch.stack([torch.stack(g) for g in gammas.values()]))
    agree(cross_dataset_alignment(maps, ids, covariance), slow_cda(maps, ids, covariance))


def test_mean_covariances_have_the_gradient_of_a_mean_of_covariances():
    """Over more windows than are centred at once, in groups that lie among each other."""
    ids = torch.arange(CENTRED_AT_ONCE + 3) % 3
    maps = noise(len(ids), 2, 4, 6).requires_grad_()
    weight = noise(3, 2, 4, 4, seed=1)  # of no symmetry
    average = F.one_hot(ids).T.double()
    average = average / average.sum(dim=1, keepdim=True)
    wanted = (torch.einsum("sb,bdij->sdij", average, window_covariances(maps)) * weight).sum()
    found = (group_covariances(maps, ids) * weight).sum()
    agree(found, wanted)
    agree(*(torch.autograd.grad(total, maps)[0] for total in (found, wanted)))
    assert torch.autograd.gradcheck(mean_covariances, (maps, average))


def test_the_true_covariance_is_the_textbook_one():
    maps = noise(2, 3, 5, 40)
    off_diagonal = 1 - torch.eye(5, dtype=torch.float64)
    agree(window_covariances(maps)[1, 2], torch.cov(maps[1, 2]) * off_diagonal)


def test_the_released_covariance_is_another_matrix():
    ids, maps = batch_of([2])[0], noise(4, 2, 5, 7)
    true, released = (window_covariances(maps, covariance) for covariance in ("true", "released"))
    assert (true - released).abs().max() > 0.1
    shifted = maps + noise(4, 2, 5, 1)
    agree(window_covariances(shifted, "released"), released)  # still centred over time
    assert cross_dataset_alignment(maps, ids) != cross_dataset_alignment(maps, ids, "released")


def test_correlations_know_no_scale():
    ids, maps = batch_of([2])[0], noise(4, 2, 5, 7)
    scaled = maps * noise(4, 2, 5, 1).abs().clamp_min(0.1)
    agree(window_covariances(scaled, "correlation"), window_covariances(maps, "correlation"))
    assert window_covariances(torch.zeros(1, 1, 3, 7), "correlation").abs().max() == 0  # a channel that is constant
    assert cross_dataset_alignment(1e-3 * maps, ids) < 0.1 * cross_dataset_alignment(maps, ids)
    agree(*(cross_dataset_alignment(scale * maps, ids, "correlation") for scale in (1e-3, 1.0)))


def test_cda_counts_every_window_of_a_group_equally():
    ids = torch.tensor([0, 0, 0, 1])
    maps = noise(4, 2, 5, 7)
    repeated = torch.cat([maps, maps[:3]])
    found = cross_dataset_alignment(repeated, torch.tensor([0, 0, 0, 1, 0, 0, 0]))
    agree(found, cross_dataset_alignment(maps, ids))


def test_cda_of_one_group_and_of_identical_groups_is_zero_with_finite_gradients():
    maps = noise(3, 2, 5, 7)
    agree(cross_dataset_alignment(maps, torch.zeros(3, dtype=torch.long)), 0.0)
    twice = torch.cat([maps, maps]).requires_grad_()
    loss = cross_dataset_alignment(twice, torch.tensor([0, 0, 0, 1, 1, 1]))
    loss.backward()
    agree(loss.detach(), 0.0)
    assert twice.grad.isfinite().all()


@pytest.mark.parametrize("value", [0.0, 2.0])
def test_constant_maps_have_finite_gradients(value):
    maps = torch.full((4, 2, 5, 7), value, requires_grad=True)
    cross_dataset_alignment(maps, torch.tensor([0, 0, 1, 2])).backward()
    assert maps.grad.isfinite().all()


def test_nearly_equal_groups_are_told_apart_in_float32():
    maps = noise(2, 2, 5, 40)
    near = torch.cat([maps, maps * (1 + 1e-4)])
    ids = torch.tensor([0, 0, 1, 1])
    found = cross_dataset_alignment(near.float(), ids)
    assert found.item() == pytest.approx(slow_cda(near, ids, "true"), rel=0.01)


# Both


def test_gradients_of_both_losses():
    ids = batch_of([2], [1])
    embeddings, maps = noise(6, 4).requires_grad_(), noise(6, 2, 3, 5).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: inter_subject_alignment(F.normalize(x, dim=-1), *ids, 0.5)[0], [embeddings]
    )
    assert torch.autograd.gradcheck(lambda x: cross_dataset_alignment(x, ids[0]), [maps])
    for covariance in ("released", "correlation"):
        assert torch.autograd.gradcheck(lambda x, kind=covariance: cross_dataset_alignment(x, ids[0], kind), [maps])


def test_order_of_the_batch_does_not_matter():
    ids = batch_of([2, 4], [3])
    embeddings, maps = sphere(ids), noise(len(ids[0]), 2, 5, 7)
    order = torch.randperm(len(maps), generator=torch.Generator().manual_seed(1))
    shuffled = tuple(part[order] for part in ids)
    loss, terms = inter_subject_alignment(embeddings, *ids, TAU)
    moved_loss, moved_terms = inter_subject_alignment(embeddings[order], *shuffled, TAU)
    agree(moved_loss, loss)
    agree(moved_terms, terms[order])
    agree(cross_dataset_alignment(maps[order], shuffled[0]), cross_dataset_alignment(maps, ids[0]))
