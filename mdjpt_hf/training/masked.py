"""Objective `masked`: hidden tokens' clusters are predicted, at several granularities, in rounds (Hu et al. 2024)."""

import copy
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from mdjpt_hf.clustering.codebook import CRITERION, Codebook
from mdjpt_hf.clustering.diagnostics import FACTS, guess_accuracies, report_clusters
from mdjpt_hf.clustering.features import TrialFeatures, entropy_per_token, states_per_token
from mdjpt_hf.clustering.labels import cluster_tokens, label_tokens, labels_hash, open_labels
from mdjpt_hf.data.corpora import TrialSet
from mdjpt_hf.data.masking import MaskedSteps
from mdjpt_hf.data.tokens import TokenIndex
from mdjpt_hf.errors import CheckpointError
from mdjpt_hf.modeling.configuration_masked_eeg import MaskedEEGConfig
from mdjpt_hf.modeling.modeling_masked_eeg import MaskedEEGForPreTraining, MaskedEEGModel
from mdjpt_hf.training.config import RunConfig
from mdjpt_hf.training.figures import draw_masked
from mdjpt_hf.training.masked_settings import MaskedSettings
from mdjpt_hf.training.objective import Meter, Objective, ObjectiveState
from mdjpt_hf.training.retrieval import hold_out_subjects

_TEACHER, _CODEBOOK = "teacher.", "codebook."


class MaskedObjective(Objective):
    """The cluster of a hidden token follows from what surrounds it.

    Args:
        config (`RunConfig`): The run.
        trial_sets (`Sequence[TrialSet]`): What to train on.
        accelerator (`Accelerator`): Says which process this is.
        folder (`Path`): Where pseudo-labels are written; the same for every process.

    Raises:
        ConfigurationError: If the group `masked` does not work.
        CorpusError: If a dataset has no trial as long as a window.
    """

    def __init__(self, config: RunConfig, trial_sets: Sequence[TrialSet], accelerator: Accelerator, folder: Path):
        self.config, self.folder = config, folder
        self.model_config: MaskedEEGConfig = config.model_config()
        self.settings = MaskedSettings.read(config.masked, self.model_config.max_clusters, config.steps)
        self.index = TokenIndex(trial_sets, self.model_config.token_samples, self.model_config.window_samples)
        self.rank, self.world_size = accelerator.process_index, accelerator.num_processes
        self.windows_per_step = float(self.settings.windows_per_step * self.world_size)
        parts = [hold_out_subjects(trials, config.held_out_subjects, config.seed)[1] for trials in trial_sets]
        self.subjects_held_out = {
            (part.name, subject) for part in parts if part is not None for subject in part.subject.tolist()
        }
        self.held_out = [part.name for part in parts if part is not None]
        granularities = len(self.model_config.max_clusters)
        self._use(np.zeros((self.index.num_tokens, granularities), dtype=np.int16))
        self._state = ObjectiveState()
        self._guesses: list[dict[str, float]] = [{} for _ in range(granularities)]

    def build_model(self) -> MaskedEEGForPreTraining:
        return MaskedEEGForPreTraining(self.model_config)

    def rounds(self) -> list[range]:
        """See `MaskedSettings.round_steps`."""
        return self.settings.round_steps(self.config.steps)

    def start_round(
        self, number: int, model: Any, optimizer: torch.optim.Optimizer, accelerator: Accelerator, resumed: bool
    ) -> list[dict[str, Any]]:
        """Cluster on the main process, share the codebook, and start the heads anew; resumed: find the labels again."""
        path = self.folder / f"round-{number}.npy"
        if resumed:
            if accelerator.is_main_process:
                self._find_labels(path)
            accelerator.wait_for_everyone()
            self._use(open_labels(path))
            return []
        started = time.perf_counter()
        teacher = copy.deepcopy(model.masked_eeg).eval() if number else None
        shared: list[Any] = [None]
        if accelerator.is_main_process:
            accelerator.print(f"round {number}: clustering {self.index.num_tokens:,} tokens ...")
            features, seed = self._features(teacher), self._seed(number)
            held_out = frozenset(self.subjects_held_out)
            shared = [cluster_tokens(self.index, features, path, self.settings.clustering, seed, held_out)]
        broadcast_object_list(shared)
        codebook: Codebook = shared[0]
        self._use(open_labels(path))
        torch.manual_seed(self._seed(number))
        model.renew_heads(codebook.counts)
        for parameter in model.heads.parameters():
            optimizer.state.pop(parameter, None)
        self._state = _state(number, codebook, teacher, labels_hash(self.labels))
        entries = [self._describe(number, codebook)]
        accelerator.print(_summary(entries[0], codebook, time.perf_counter() - started))
        return entries

    def rehearse(self, model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return model(**batch).loss

    def meter(self) -> Meter:
        return _MaskedMeter()

    def culprits(self, output: Any, batch: dict[str, torch.Tensor]) -> list[str]:
        return [trials.name for trials in self.index.trial_sets]

    def evaluate(self, model: Any) -> tuple[dict[str, float], str] | None:
        """Accuracy on hidden tokens of held-out subjects, beside that of copying the nearest token that is shown."""
        was_training = model.training
        model.eval()
        batches = [self._evaluation[number] for number in range(len(self._evaluation))]
        scores = [masked_scores(model, batch) for batch in batches]
        model.train(was_training)
        entry = {name: float(np.mean([score[name] for score in scores])) for name in scores[0]}
        who = "held-out" if self.subjects_held_out else "trained"
        words = [
            f"{entry[f'accuracy/{g}']:.3f} (majority {guess['majority']:.3f}, unigram {guess['unigram']:.3f}, "
            f"own recording's {guess['recording']:.3f}, nearest shown {entry[f'nearest/{g}']:.3f})"
            for g, guess in enumerate(self._guesses, start=1)
        ]
        return entry, f"masked accuracy on {who} subjects " + "; ".join(words)

    def state(self) -> ObjectiveState:
        return self._state

    def restore(self, state: ObjectiveState) -> None:
        self._state = state
        self._guesses = state.facts["guesses"]

    def draw(self, history: list[dict[str, Any]], folder: Path, title: str) -> None:
        draw_masked(history, folder / "masked.png", title)

    def _use(self, labels: np.ndarray) -> None:
        """Draw batches with these labels from now on."""
        self.labels, settings, config = labels, self.settings, self.config
        how = (settings.mask_ratio, settings.mask_span)
        everyone = {(part.name, part.subject) for part in self.index.recordings}
        shown = everyone - self.subjects_held_out if self.subjects_held_out else set()
        datasets = len(self.index.trial_sets)
        total = settings.windows_per_step * self.world_size
        self.steps: MaskedSteps = MaskedSteps(
            self.index,
            self.subjects_held_out,
            labels,
            config.steps,
            config.steps_per_epoch,
            config.seed,
            total,
            *how,
            rank=self.rank,
            world_size=self.world_size,
        )
        # Batches of 64: enough to be fast, and memory stays bounded.
        batches = -(-settings.eval_windows * datasets // 64)
        self._evaluation = MaskedSteps(self.index, shown, labels, batches, batches, config.seed + 1, 64, *how)

    def _features(self, teacher: MaskedEEGModel | None) -> TrialFeatures:
        if teacher is not None:
            return states_per_token(teacher)
        return entropy_per_token(self.model_config.sampling_rate, self.model_config.token_samples)

    def _seed(self, number: int) -> int:
        return int(np.random.SeedSequence([self.config.seed, number]).generate_state(1)[0])

    def _find_labels(self, path: Path) -> None:
        """The labels a checkpoint was trained with: from their file, or made again from codebook and teacher.

        Raises:
            CheckpointError: If they cannot be had.
        """
        wanted = self._state.facts["labels_sha256"]
        if path.is_file() and labels_hash(open_labels(path)) == wanted:
            return
        tensors = self._state.tensors
        codebook = Codebook.from_tensors(_part(tensors, _CODEBOOK))
        teacher = None
        if self._state.facts["round"]:
            teacher = MaskedEEGModel(self.model_config).eval()
            teacher.load_state_dict(_part(tensors, _TEACHER))
        label_tokens(self.index, self._features(teacher), path, codebook)
        found = labels_hash(open_labels(path))
        if found != wanted:
            raise CheckpointError(
                "the pseudo-labels of the checkpoint's round cannot be made again",
                path=path,
                value=found,
                remedy="Resume on the machine and the data that the run began with, or start a new run",
            )

    def _describe(self, number: int, codebook: Codebook) -> dict[str, Any]:
        """One entry of the history: what this round's clusters are like and what they name."""
        self._guesses = guess_accuracies(self.index, self.labels, codebook.counts, self.subjects_held_out)
        self._state.facts["guesses"] = self._guesses
        entry: dict[str, Any] = {"step": self.rounds()[number].start, "round": number, "criterion": CRITERION}
        reports = report_clusters(self.index, self.labels, codebook.counts)
        for g, (report, guess) in enumerate(zip(reports, self._guesses, strict=True), start=1):
            entry |= {f"clusters/{g}": report.clusters, f"perplexity/{g}": report.perplexity}
            entry |= {f"smallest/{g}": report.smallest, f"largest/{g}": report.largest}
            entry |= {f"nmi/{fact}/{g}": value for fact, value in report.nmi.items()}
            entry |= {f"guess/{name}/{g}": value for name, value in guess.items()}
            entry[f"candidates/{g}"] = {str(count): score for count, score in codebook.scores[g - 1].items()}
        return entry


@torch.no_grad()
def masked_scores(model: Any, batch: dict[str, torch.Tensor]) -> dict[str, float]:
    """Accuracy on hidden tokens per granularity, of the model and of the nearest shown token (the earlier of two)."""
    device = next(model.parameters()).device
    output = model(**{name: tensor.to(device) for name, tensor in batch.items()})
    hidden, labels = batch["token_mask"], batch["labels"]
    places = torch.arange(hidden.shape[1])
    # Twice the distance, and one more for the later token, so that the earlier of two equally near ones is taken.
    distance = 2 * (places[:, None] - places).abs() + (places > places[:, None]).long()
    nearest = distance.masked_fill(hidden[:, None, :], 4 * len(places)).argmin(dim=-1)
    copied = labels.gather(1, nearest[..., None].expand_as(labels))[hidden] == labels[hidden]
    scores = {f"accuracy/{g}": float(value) for g, value in enumerate(output.masked_accuracies, start=1)}
    return scores | {f"nearest/{g}": float(value) for g, value in enumerate(copied.float().mean(dim=0), start=1)}


def _state(number: int, codebook: Codebook, teacher: MaskedEEGModel | None, digest: str) -> ObjectiveState:
    tensors = {_CODEBOOK + name: tensor for name, tensor in codebook.tensors().items()}
    if teacher is not None:
        tensors |= {_TEACHER + name: tensor for name, tensor in teacher.state_dict().items()}
    return ObjectiveState(tensors, {"round": number, "labels_sha256": digest})


def _part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _summary(entry: dict[str, Any], codebook: Codebook, seconds: float) -> str:
    lines = [f"round {entry['round']}: clustered in {seconds:.0f} s; number chosen by {entry['criterion']}"]
    for g in range(1, len(codebook.counts) + 1):
        tried = ", ".join(f"{count}: {score:.2f}" for count, score in entry[f"candidates/{g}"].items())
        named = ", ".join(f"{fact} {entry[f'nmi/{fact}/{g}']:.4f}" for fact in FACTS)
        sizes = f"{entry[f'clusters/{g}']} clusters ({tried}), perplexity {entry[f'perplexity/{g}']:.1f}"
        lines.append(f"  granularity {g}: {sizes}, NMI with {named}")
    return "\n".join(lines)


class _MaskedMeter(Meter):
    """Means of the losses and accuracies, and the throughput, since the last report."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self.sums, self.steps, self.windows, self.since = torch.zeros(1), 0, 0, time.perf_counter()

    def add(self, output: Any, batch: dict[str, torch.Tensor]) -> None:
        """One step."""
        parts = [output.loss.detach()[None], output.masked_losses, output.intermediate_losses, output.masked_accuracies]
        values = torch.cat([part.float() for part in parts])
        self.sums = values + (self.sums.to(values.device) if self.steps else 0)
        self.steps += 1
        self.windows += len(batch["labels"])

    def close(self, accelerator: Accelerator) -> dict[str, float]:
        """Means over steps and processes; starts the next stretch."""
        total, *parts = accelerator.reduce(self.sums / self.steps, reduction="mean").tolist()
        speed = self.windows * accelerator.num_processes / (time.perf_counter() - self.since)
        names = ("masked", "intermediate", "training accuracy")
        granularities = len(parts) // len(names)
        named = {f"{names[i // granularities]}/{i % granularities + 1}": value for i, value in enumerate(parts)}
        self._reset()
        return {"loss": total, **named, "windows/s": speed}
