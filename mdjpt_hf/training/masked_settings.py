"""Settings of objective `masked`, the group `masked` of a run's settings."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from mdjpt_hf.errors import ConfigurationError
from mdjpt_hf.training.clustering.codebook import DIRECTIONS, ClusteringSettings


@dataclass(frozen=True)
class MaskedSettings:
    """How tokens are hidden, and when and how they are clustered.

    Attributes:
        windows_per_step: Windows of a step, on each process.
        mask_ratio: Part of a window's tokens that is hidden. mask_span: Tokens hidden together.
        rounds: Stretches of steps; tokens are clustered anew at the start of each.
        first_share: Part of all steps that the first of several rounds takes; the others are equally long. 0: all are.
        candidates, directions, components, whitening, min_share, batches, batch_size, sample: See `ClusteringSettings`.
        eval_windows: Windows per dataset of the subjects held out, for the masked accuracy.
    """

    windows_per_step: int = 64
    mask_ratio: float = 0.5
    mask_span: int = 5
    rounds: int = 2
    first_share: float = 0.0
    candidates: tuple[tuple[int, ...], ...] = ClusteringSettings.candidates
    directions: str = ClusteringSettings.directions
    components: int = ClusteringSettings.components
    whitening: float = ClusteringSettings.whitening
    min_share: float = ClusteringSettings.min_share
    batches: int = ClusteringSettings.batches
    batch_size: int = ClusteringSettings.batch_size
    sample: int = ClusteringSettings.sample
    eval_windows: int = 64

    @classmethod
    def read(cls, group: dict[str, Any], max_clusters: list[int], steps: int) -> "MaskedSettings":
        """From the settings of a run.

        Args:
            group (`dict`): Values that replace the defaults.
            max_clusters (`list[int]`): Sizes of the model's heads.
            steps (`int`): Steps of the run.

        Raises:
            ConfigurationError: If a name is unknown, or values cannot work.
        """
        unknown = sorted(set(group) - {entry.name for entry in dataclasses.fields(cls)})
        if unknown:
            raise ConfigurationError(f"masked has no settings {unknown}", value=unknown, remedy="See MaskedSettings")
        try:
            values = {**group, "candidates": tuple(map(tuple, group.get("candidates", cls.candidates)))}
            settings = cls(**values)
            settings._check(max_clusters, steps)
        except TypeError as error:
            raise ConfigurationError(f"masked settings do not work: {error}", value=group) from error
        return settings

    def round_steps(self, steps: int) -> list[range]:
        """Which of the run's steps belong to each round; none is empty."""
        first = round(self.first_share * steps) if self.first_share and self.rounds > 1 else steps // self.rounds
        first = min(max(first, 1), steps - self.rounds + 1)
        others = max(self.rounds - 1, 1)
        ends = [first + (steps - first) * number // others for number in range(others + 1)]
        return [range(start, stop) for start, stop in zip([0, *ends], ends[: self.rounds], strict=False)]

    @property
    def clustering(self) -> ClusteringSettings:
        """The part that clustering reads."""
        names = [entry.name for entry in dataclasses.fields(ClusteringSettings)]
        return ClusteringSettings(**{name: getattr(self, name) for name in names})

    def _check(self, max_clusters: list[int], steps: int) -> None:
        for name in ("windows_per_step", "mask_span", "components", "batches", "batch_size", "sample", "eval_windows"):
            self._require(getattr(self, name) >= 1, name, "must be at least 1")
        self._require(0 < self.mask_ratio < 1, "mask_ratio", "must lie between 0 and 1")
        self._require(0 <= self.first_share < 1, "first_share", "must lie in [0, 1)")
        self._require(0 <= self.whitening <= 1, "whitening", "must lie in [0, 1]")
        self._require(0 <= self.min_share <= 1, "min_share", "must lie in [0, 1]")
        self._require(1 <= self.rounds <= steps, "rounds", f"must be from 1 to the number of steps, {steps}")
        self._require(self.directions in DIRECTIONS, "directions", f"must be one of {', '.join(DIRECTIONS)}")
        fits = len(self.candidates) == len(max_clusters) and all(
            numbers and min(numbers) >= 2 and max(numbers) <= size
            for numbers, size in zip(self.candidates, max_clusters, strict=False)
        )
        self._require(fits, "candidates", f"must be one list per entry of model.max_clusters {max_clusters}, within it")
        largest = max(max(numbers) for numbers in self.candidates)
        self._require(self.batch_size >= largest, "batch_size", f"must be at least {largest}, the largest candidate")

    def _require(self, holds: bool, name: str, rule: str) -> None:
        if not holds:
            value = getattr(self, name)
            raise ConfigurationError(
                f"masked.{name} {rule}, found {value!r}", value=value, remedy="Change the run's settings"
            )
