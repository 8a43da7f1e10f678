"""What guides the first steps of alignment: correlated components of the band power of the windows that they train on.

A single window says so little of what its viewers share that the contrastive loss hardly moves for a hundred steps and
more. Second moments over many windows say it at once: directions of band power (differential entropy in five bands of
the 60 channels, z-scored over a viewer's windows of the step) in which viewers of the same moment agree. Every window
is then given what these directions say of its moment, averaged over the viewers in the step, and windows shall be alike
in their maps as they are in that (`guide_mdjpt.py`). No label is needed, and no window besides those of the guided
steps themselves. It is ours; docs/results/recipe.md measures it.
"""

from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast

from mdjpt_hf.data.batches import PretrainingSteps, collate_pairs
from mdjpt_hf.data.spectra import differential_entropy
from mdjpt_hf.training.clustering.correlated import correlated_components

COMPONENTS = 8
#: Components are found from the windows of so many guided steps at most.
LEARNT_FROM = 60
_LEAST_DEVIATION = 1e-6


@dataclass(frozen=True)
class Guide:
    """What viewers of the windows of a step have in common.

    Attributes:
        matrix: `(size, COMPONENTS)`: z-scored band power to components, whose averages over viewers have unit variance
            times their share of all correlation; zero for components that do not exist.
        sampling_rate: Hz.
    """

    matrix: np.ndarray
    sampling_rate: float

    def __bool__(self) -> bool:
        """Whether they have anything in common; what is always 0 guides nobody."""
        return bool(self.matrix.any())

    def __call__(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """`(batch, COMPONENTS)` float32."""
        seen = _over_viewers(batch) @ _band_power(batch, self.sampling_rate)
        return torch.from_numpy((seen @ self.matrix).astype(np.float32))


class GuidedSteps(PretrainingSteps):
    """[`PretrainingSteps`] whose first batches also hold `guide`, `guide_sets` and, falling from 1, `guide_weight`.

    Args:
        guide: From [`find_guide`]. guided (`int`): Number of these batches.
        plan: Arguments of [`PretrainingSteps`].
    """

    def __init__(self, guide: Guide, guided: int, **plan):
        super().__init__(**plan)
        self.guide, self.guided = guide, guided

    def __getitem__(self, step: int) -> dict[str, torch.Tensor]:
        drawn = self.draw(step)
        batch = collate_pairs(self.samplers, drawn)
        if step >= self.guided:
            return batch
        sets = torch.arange(len(drawn)).repeat_interleave(torch.tensor([pair.trials.size for _, _, pair in drawn]))
        weight = torch.tensor(1 - step / self.guided)
        return {**batch, "guide": self.guide(batch), "guide_sets": sets, "guide_weight": weight}


def find_guide(steps: PretrainingSteps, guided: int, sampling_rate: float, accelerator: Accelerator) -> Guide:
    """The components of the first guided steps, the same on every process."""
    sums: list[np.ndarray] = []
    for step in range(min(guided, LEARNT_FROM)):
        found = _moments(steps[step], sampling_rate)
        sums = [total + part for total, part in zip(sums, found, strict=True)] if sums else found
    between, everything, seen, pairs, windows = (
        accelerator.reduce(torch.as_tensor(part, device=accelerator.device)).cpu().numpy() for part in sums
    )
    components = correlated_components(between / pairs, everything / windows, COMPONENTS)
    matrix = np.zeros((len(between), COMPONENTS))
    if len(components.directions):
        spread = np.einsum("ks,st,kt->k", components.directions, seen / windows, components.directions)
        share = components.correlations / components.correlations.sum()
        matrix[:, : len(share)] = components.directions.T * np.sqrt(share / spread)
    # Processors of different make round eigenvectors differently.
    agreed = broadcast(torch.from_numpy(matrix).to(accelerator.device))
    return Guide(agreed.cpu().numpy(), sampling_rate)


def _moments(batch: dict[str, torch.Tensor], sampling_rate: float) -> list[np.ndarray]:
    """Sums of products: between viewers of a moment, of all windows, of averages over viewers; pairs and windows."""
    power, average = _band_power(batch, sampling_rate), _over_viewers(batch)
    others = (average > 0) & ~np.eye(len(average), dtype=bool)
    seen = average @ power
    counts = [np.array(float(count)) for count in (others.sum(), len(power))]
    return [power.T @ others @ power, power.T @ power, seen.T @ seen, *counts]


def _band_power(batch: dict[str, torch.Tensor], sampling_rate: float) -> np.ndarray:
    """`(batch, size)`, z-scored over the windows of each group."""
    power = differential_entropy(batch["input_values"].numpy(), sampling_rate)
    for group in batch["group_ids"].unique().tolist():
        own = (batch["group_ids"] == group).numpy()
        power[own] -= power[own].mean(axis=0)
        power[own] /= np.maximum(power[own].std(axis=0), _LEAST_DEVIATION)
    return power


def _over_viewers(batch: dict[str, torch.Tensor]) -> np.ndarray:
    """`(batch, batch)`: averages over all who see a window's moment, the window's own viewer among them."""
    datasets, stimuli = batch["dataset_ids"].numpy(), batch["stimulus_ids"].numpy()
    same = (datasets[:, None] == datasets) & (stimuli[:, None] == stimuli)
    return same / same.sum(axis=1, keepdims=True)
