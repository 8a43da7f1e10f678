"""Objective `mdjpt`: subject pairs, inter-subject and cross-dataset alignment (arXiv 2510.22197)."""

import hashlib
import math
import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from mdjpt_hf.data.batches import PretrainingSteps
from mdjpt_hf.data.corpora import TrialSet, stored_stimuli
from mdjpt_hf.data.pairs import PairSampler
from mdjpt_hf.data.pools import PooledSampler, pooled_samplers, pools_of
from mdjpt_hf.errors import CheckpointError, PairingError
from mdjpt_hf.modeling.modeling_mdjpt import MDJPTForPreTraining
from mdjpt_hf.runtime.progress import LOGGER
from mdjpt_hf.training.config import RunConfig
from mdjpt_hf.training.figures import draw_losses
from mdjpt_hf.training.guide import Guide, GuidedSteps, find_guide
from mdjpt_hf.training.objective import Meter, Objective, ObjectiveState
from mdjpt_hf.training.retrieval import MIN_SUBJECTS_LEFT, hold_out_subjects, retrieval_accuracy

_WHY_NOT = (
    f"no subjects are held out: fewer than {MIN_SUBJECTS_LEFT} would be left, or those drawn, or left, share no "
    "stimuli; pair retrieval is not measured on it"
)

#: Steps whose pairs a checkpoint knows a run by.
_KNOWN_STEPS = 32


class AlignmentObjective(Objective):
    """Two subjects who saw the same moment should look alike, and covariances of all corpora should agree.

    Args:
        config (`RunConfig`): The run.
        trial_sets (`Sequence[TrialSet]`): What to train on.
        accelerator (`Accelerator`): Says which process this is.
        grid (`int`, samples): Windows start at multiples of it.

    Raises:
        PairingError: If a dataset gives no pair.
    """

    def __init__(self, config: RunConfig, trial_sets: Sequence[TrialSet], accelerator: Accelerator, grid: int = 1):
        self.config, self.trial_sets = config, trial_sets
        self.guide: np.ndarray | None = None
        samplers, self.samplers_held_out = pair_samplers(config, trial_sets, grid)
        if config.held_out_subjects:
            self.not_held_out = {name: _WHY_NOT for name in samplers if name not in self.samplers_held_out}
        self.names, self.held_out = list(samplers), list(self.samplers_held_out)
        self.notes = [_note(sampler) for sampler in samplers.values() if isinstance(sampler, PooledSampler)]
        self.plan: dict[str, Any] = {
            "samplers": list(samplers.values()),
            "num_steps": config.steps,
            "steps_per_epoch": config.steps_per_epoch,
            "seed": config.seed,
            "pairs_per_dataset": config.pairs_per_dataset * accelerator.num_processes,
            "datasets_per_step": config.datasets_per_step,
            "rank": accelerator.process_index,
            "world_size": accelerator.num_processes,
        }
        self.steps: PretrainingSteps = PretrainingSteps(**self.plan)
        per_pair = float(np.mean([sampler.mean_windows for sampler in self.steps.samplers]))
        self.windows_per_step = per_pair * self.steps.pairs_per_dataset * self.steps.datasets_per_step

    def build_model(self) -> MDJPTForPreTraining:
        """mdJPT with its projector, without heads for clusters."""
        model_config = self.config.model_config()
        model_config.max_clusters = []  # heads that predict clusters would get no gradient here
        return MDJPTForPreTraining(model_config)

    def start_round(
        self, number: int, model: Any, optimizer: torch.optim.Optimizer, accelerator: Accelerator, resumed: bool
    ) -> list[dict[str, Any]]:
        """Find what guides the first steps, if something does; resumed: from the checkpoint."""
        guided = self.config.guided_steps
        if guided:
            rate = self.config.model_config().sampling_rate
            guide = find_guide(self.steps, guided, rate, accelerator) if self.guide is None else Guide(self.guide, rate)
            self.guide = guide.matrix
            if guide:
                self.steps = GuidedSteps(guide, guided, **self.plan)
            elif accelerator.is_main_process:
                LOGGER.warning("viewers of the same moments agree in no band power: no step is guided")
        return []

    def rehearse(self, model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Forward and embeddings of a batch, without its losses."""
        # Without ids there is no loss, hence no exchange with the other processes.
        return model(batch["input_values"], batch["group_ids"]).embeddings.float().square().mean()

    def meter(self) -> Meter:
        """Losses in all and by dataset, and windows a second."""
        return AlignmentMeter(self.names)

    def culprits(self, output: Any, batch: dict[str, torch.Tensor]) -> list[str]:
        """Datasets one of whose windows has a contrastive term that is not finite; all, where none has."""
        bad = batch["dataset_ids"][~torch.isfinite(output.isa_terms)].unique().tolist()
        drawn = [name for dataset in bad for name in self.steps.samplers[dataset].corpora]
        return list(dict.fromkeys(drawn)) or self.names

    def evaluate(self, model: Any) -> tuple[dict[str, float], str] | None:
        """Pair retrieval on held-out subjects."""
        if not self.samplers_held_out:
            return None
        results = retrieval_accuracy(model, self.samplers_held_out, self.config.seed)
        accuracy = float(np.mean([result[0] for result in results.values()]))
        chance = float(np.mean([result[1] for result in results.values()]))
        entry = {"retrieval": accuracy, **{f"retrieval/{name}": result[0] for name, result in results.items()}}
        return entry, f"held-out pair retrieval {accuracy:.3f} (chance {chance:.3f})"

    @cached_property
    def pairs(self) -> str:
        """What pairs are known by, on every process alike: a hash of the rows and starts that some steps draw."""
        whole = PretrainingSteps(**{**self.plan, "rank": 0, "world_size": 1})
        digest = hashlib.sha256()
        for step in np.linspace(0, self.config.steps - 1, _KNOWN_STEPS).astype(int).tolist():
            for dataset, pair, viewing in whole.draw(step):
                trials = whole.samplers[dataset].trials
                rows = [trials.origin(int(trial)) for trial in viewing.trials.flat]
                digest.update(repr((dataset, pair, rows, viewing.starts.tolist())).encode())
        return digest.hexdigest()

    def state(self) -> ObjectiveState:
        """What pairs are known by, and the guide, if there is one."""
        tensors = {} if self.guide is None else {"guide": torch.from_numpy(self.guide)}
        return ObjectiveState(tensors, {"pairs": self.pairs})

    def restore(self, state: ObjectiveState) -> None:
        """The guide that the run began with; how pairs are drawn now is compared with how they were.

        Raises:
            CheckpointError: If a run began with other pairs: its data, or versions that read them, are others.
        """
        self.guide = state.tensors["guide"].numpy() if "guide" in state.tensors else None
        reread = [trials.name for trials in self.trial_sets if _reread(trials)]
        if state.facts.get("pairs", "" if reread else self.pairs) == self.pairs:
            return
        raise CheckpointError(
            f"the run began with other pairs of subjects than are drawn now from {', '.join(reread or self.names)}"
            + (": clips shown again are read as one stimulus" if reread else ""),
            value=reread or self.names,
            remedy="Go on with the version and the data that it began with, or start anew in another --output-dir",
        )

    def draw(self, history: list[dict[str, Any]], folder: Path, title: str) -> None:
        """Losses and retrieval, beside what guessing gives."""
        guess = float(np.mean([math.log(2 * _clips(sampler) - 1) for sampler in self.steps.samplers]))
        held_out = [1 / _clips(sampler) for sampler in self.samplers_held_out.values()]
        draw_losses(history, folder / "loss.png", title, guess, float(np.mean(held_out)) if held_out else None)


def _note(sampler: PooledSampler) -> str:
    name, *others = sampler.corpora
    share = sampler.candidates.across / len(sampler.candidates)
    return f"{name}: paired with {' and '.join(others)} as well, {share:.0%} of the pairs it begins"


def _reread(trials: TrialSet) -> bool:
    """Whether stimuli are others than those that are stored, by which versions before made pairs."""
    return bool((stored_stimuli(trials) != trials.stimulus).any())


def _clips(sampler: PairSampler) -> int:
    """Windows of one subject in a draw: a softmax is over those of two, less the window itself."""
    return sampler.draw(np.random.default_rng(0)).trials.shape[1]


def pair_samplers(
    config: RunConfig, trial_sets: Sequence[TrialSet], grid: int = 1
) -> tuple[dict[str, PairSampler], dict[str, PairSampler]]:
    """Training pairs and held-out pairs of each dataset, by its name.

    Training pairs may be across corpora (`config.pairs_across`); held-out ones are of one, whose moments are known.

    Raises:
        PairingError: If a dataset gives no pair, or there are none across corpora though they are asked for.
    """
    length, aligned = config.model_config().window_samples, config.aligned_pairs
    pools = pools_of(trial_sets, config.pairs_across) if config.pairs_across != "no" else {}
    parts, held_out = {}, {}
    for trials in trial_sets:
        part, rest = hold_out_subjects(trials, config.held_out_subjects, config.seed)
        if rest is not None and _all_pair(part, rest, length=length):
            parts[trials.name], held_out[trials.name] = part, PairSampler(rest, length, aligned, grid)
        else:  # the subjects drawn, or those left, share nothing: none is held out
            parts[trials.name] = trials
    plan: dict[str, Any] = {"aligned": aligned, "grid": grid, "viewers": config.viewers, "clips": config.clips}
    across = pooled_samplers(pools, parts, length, moments=config.pairs_across == "moments", **plan)
    alone = {name: PairSampler(part, length, **plan) for name, part in parts.items() if name not in across}
    training = {name: across[name] if name in across else alone[name] for name in parts}
    return training, held_out


def _all_pair(*parts: TrialSet, length: int) -> bool:
    """Whether every part of a dataset gives pairs by itself."""
    try:
        return all(PairSampler(part, length) for part in parts)
    except PairingError:
        return False


class AlignmentMeter(Meter):
    """Means of the losses and the throughput since the last report; of the guide's, over the guided steps."""

    def __init__(self, names: list[str]):
        self.names = names
        self._reset()

    def _reset(self) -> None:
        self.sums, self.counts = torch.zeros(2, 3 + len(self.names)).unbind()
        self.windows, self.since = 0, time.perf_counter()

    def add(self, output: Any, batch: dict[str, torch.Tensor]) -> None:
        """One step; a dataset that took no part in it counts nothing."""
        dataset_ids = batch["dataset_ids"]
        datasets = torch.arange(len(self.names), device=dataset_ids.device)
        members = (datasets[:, None] == dataset_ids).float()
        isa = (members @ output.isa_terms.float()) / members.sum(dim=1).clamp_min(1)
        losses = [output.loss, output.cda_loss, getattr(output, "guide_loss", None)]
        there = torch.tensor([float(loss is not None) for loss in losses], device=isa.device)
        values = torch.stack([isa.new_zeros(()) if loss is None else loss.detach().float() for loss in losses])
        self.sums = self.sums.to(isa.device) + torch.cat([values, isa])
        self.counts = self.counts.to(isa.device) + torch.cat([there, members.amax(dim=1)])
        self.windows += len(dataset_ids)

    def close(self, accelerator: Accelerator) -> dict[str, float]:
        """Means over steps and processes, datasets that took part only; starts the next stretch."""
        means = accelerator.reduce(self.sums / self.counts, reduction="mean").tolist()
        speed = self.windows * accelerator.num_processes / (time.perf_counter() - self.since)
        names = ("loss", "cda", "guide", *(f"isa/{name}" for name in self.names))
        named = {name: mean for name, mean in zip(names, means, strict=True) if not math.isnan(mean)}
        self._reset()
        return {**named, "windows/s": speed}
