"""Held-out pair retrieval: does the encoder find, among subjects it never saw, who watched the same moment?

It needs no labels, so it may be watched while training.
"""

import numpy as np
import torch

from mdjpt_hf.data.batches import collate_pairs
from mdjpt_hf.data.corpora import TrialSet
from mdjpt_hf.data.pairs import PairSampler

#: A dataset gives up subjects only if enough stay for training.
MIN_SUBJECTS_LEFT = 4


def hold_out_subjects(trials: TrialSet, count: int, seed: int) -> tuple[TrialSet, TrialSet | None]:
    """Split a dataset by subject into a training part and a held-out part, None where subjects are too few."""
    subjects = sorted(set(trials.subject.tolist()))
    if not count or len(subjects) - count < MIN_SUBJECTS_LEFT:
        return trials, None
    chosen = np.random.default_rng([seed, len(subjects)]).choice(subjects, count, replace=False)
    held_out = np.isin(trials.subject, chosen)
    return trials.select(~held_out), trials.select(held_out)


@torch.no_grad()
def retrieval_accuracy(
    model: torch.nn.Module, samplers: dict[str, PairSampler], seed: int, repeats: int = 4
) -> dict[str, tuple[float, float]]:
    """Top-1 accuracy of finding a window's partner among the other subject's windows.

    Args:
        model (`MDJPTForPreTraining`): Put into eval mode meanwhile.
        samplers (`dict[str, PairSampler]`): Held-out subjects of each dataset.
        seed (`int`): The pairs and moments are the same at every call.
        repeats (`int`): Pairs per dataset.

    Returns:
        Per dataset: accuracy in both directions, and what chance would give.
    """
    was_training = model.training
    model.eval()
    results = {}
    for number, (name, sampler) in enumerate(samplers.items()):
        pairs = [sampler.draw(np.random.default_rng([seed, number, repeat])) for repeat in range(repeats)]
        hits = [_hits(model, sampler, pair) for pair in pairs]
        accuracy = float(np.mean(np.concatenate(hits)))
        results[name] = (accuracy, float(np.mean([1 / len(pair.start) for pair in pairs])))
    model.train(was_training)
    return results


def _hits(model, sampler: PairSampler, pair) -> np.ndarray:
    batch = collate_pairs([sampler], [(0, 0, pair)])
    device = next(model.parameters()).device
    embeddings = model(batch["input_values"].to(device), batch["group_ids"].to(device)).embeddings
    first, second = embeddings.chunk(2)
    similarity = (first @ second.T).cpu()
    wanted = torch.arange(len(first))
    both = torch.cat([similarity.argmax(dim=1) == wanted, similarity.argmax(dim=0) == wanted])
    return both.numpy()
