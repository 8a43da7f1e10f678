"""The pseudo-labels of a run: clustered at the start of every round, found again when it is resumed."""

import copy
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from mdjpt_hf.data.tokens import TokenIndex
from mdjpt_hf.errors import CheckpointError
from mdjpt_hf.training.clustering.codebook import CRITERION, Codebook
from mdjpt_hf.training.clustering.diagnostics import FACTS, guess_accuracies, report_clusters
from mdjpt_hf.training.clustering.features import TokenStates, TrialFeatures, entropy_per_token, states_per_token
from mdjpt_hf.training.clustering.labels import cluster_tokens, label_tokens, labels_hash, open_labels
from mdjpt_hf.training.config import RunConfig
from mdjpt_hf.training.masked_settings import MaskedSettings
from mdjpt_hf.training.objective import ObjectiveState

_TEACHER, _CODEBOOK = "teacher.", "codebook."


class PseudoLabels:
    """The cluster of every token in the present round.

    Round 0 clusters differential entropy; later rounds a frozen copy of the encoder, the teacher.

    Args:
        index (`TokenIndex`): The tokens.
        settings (`MaskedSettings`): How they are clustered, and when.
        held_out (`frozenset` of (dataset, subject)): They get labels; nothing is fitted to them.
        sampling_rate (`float`, Hz): Of the signals.
        seed (`int`): Of the run.
        folder (`Path`): Where labels are written; the same for every process.
        build_teacher (`Callable`): An encoder whose weights can be loaded.

    Attributes:
        labels: `(tokens, granularities)`, zeros before the first round.
        guesses: Per granularity, what can be guessed without the signal.
        state: For the checkpoint; [`start`] with `resumed=True` makes everything from it again.
    """

    def __init__(
        self,
        index: TokenIndex,
        settings: MaskedSettings,
        held_out: frozenset[tuple[str, str]],
        sampling_rate: float,
        seed: int,
        folder: Path,
        build_teacher: Callable[[], TokenStates],
    ):
        self.index, self.settings, self.held_out, self.folder = index, settings, held_out, folder
        self.sampling_rate, self.seed, self.build_teacher = sampling_rate, seed, build_teacher
        granularities = len(settings.candidates)
        self.labels = np.zeros((index.num_tokens, granularities), dtype=np.int16)
        self.guesses: list[dict[str, float]] = [{} for _ in range(granularities)]
        self.state = ObjectiveState()

    def start(
        self, number: int, step: int, encoder: TokenStates, accelerator: Accelerator, resumed: bool
    ) -> tuple[list[int], list[dict[str, Any]]]:
        """Cluster on the main process and share the codebook; or, resumed, find the labels again.

        Args:
            number (`int`): Of the round. step (`int`): The first of the round.
            encoder: What is trained, unwrapped.
            accelerator (`Accelerator`): Says which process this is.
            resumed (`bool`): A checkpoint from within this round was restored.

        Returns:
            Clusters of each granularity and entries for the history; both empty when resumed.

        Raises:
            CheckpointError: If the labels of a resumed round cannot be had.
        """
        path = self.folder / f"round-{number}.npy"
        if resumed:
            if accelerator.is_main_process:
                self._find(path)
            accelerator.wait_for_everyone()
            self.labels = open_labels(path)
            return [], []
        started = time.perf_counter()
        teacher = copy.deepcopy(encoder).eval() if number else None
        shared: list[Any] = [None]
        if accelerator.is_main_process:
            accelerator.print(f"round {number}: clustering {self.index.num_tokens:,} tokens ...")
            features, seed = self._features(teacher), self.seed_of(number)
            shared = [cluster_tokens(self.index, features, path, self.settings.clustering, seed, self.held_out)]
        broadcast_object_list(shared)
        codebook: Codebook = shared[0]
        self.labels = open_labels(path)
        first_nmi = self.state.facts.get("first_nmi")
        self.state = _state(number, codebook, teacher, labels_hash(self.labels))
        entry = self._describe(number, step, codebook)
        now = [entry[f"nmi/dataset/{g}"] for g in range(1, len(codebook.counts) + 1)]
        self.state.facts["first_nmi"] = first_nmi or now
        accelerator.print(_summary(entry, codebook, time.perf_counter() - started))
        if first_nmi:
            accelerator.print(_since_the_first(first_nmi, now))
        return codebook.counts, [entry]

    def restore(self, state: ObjectiveState) -> None:
        """From a checkpoint; [`start`] follows."""
        self.state = state
        self.guesses = state.facts["guesses"]

    def seed_of(self, number: int) -> int:
        """What everything drawn in a round follows from."""
        return int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])

    def accuracy_in_words(self, entry: dict[str, float]) -> str:
        """Accuracy on hidden tokens beside what can be guessed, one part per granularity."""
        return "; ".join(
            f"{entry[f'accuracy/{g}']:.3f} (majority {guess['majority']:.3f}, unigram {guess['unigram']:.3f}, "
            f"own recording's {guess['recording']:.3f}, nearest shown {entry[f'nearest/{g}']:.3f})"
            for g, guess in enumerate(self.guesses, start=1)
        )

    def _features(self, teacher: TokenStates | None) -> TrialFeatures:
        if teacher is None:
            return entropy_per_token(self.sampling_rate, self.index.token_samples)
        return states_per_token(teacher, self.index.window_samples, self.index.token_samples)

    def _find(self, path: Path) -> None:
        """The labels a checkpoint was trained with: from their file, or made again from codebook and teacher."""
        wanted = self.state.facts["labels_sha256"]
        if path.is_file() and labels_hash(open_labels(path)) == wanted:
            return
        tensors = self.state.tensors
        codebook = Codebook.from_tensors(_part(tensors, _CODEBOOK))
        teacher = None
        if self.state.facts["round"]:
            teacher = self.build_teacher().eval()
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

    def _describe(self, number: int, step: int, codebook: Codebook) -> dict[str, Any]:
        """One entry of the history: what this round's clusters are like and what they name."""
        self.guesses = guess_accuracies(self.index, self.labels, codebook.counts, self.held_out)
        self.state.facts["guesses"] = self.guesses
        entry: dict[str, Any] = {"step": step, "round": number, "criterion": CRITERION}
        reports = report_clusters(self.index, self.labels, codebook.counts)
        for g, (report, guess) in enumerate(zip(reports, self.guesses, strict=True), start=1):
            entry |= {f"clusters/{g}": report.clusters, f"perplexity/{g}": report.perplexity}
            entry |= {f"smallest/{g}": report.smallest, f"largest/{g}": report.largest}
            entry |= {f"nmi/{fact}/{g}": value for fact, value in report.nmi.items()}
            entry |= {f"guess/{name}/{g}": value for name, value in guess.items()}
            entry[f"candidates/{g}"] = {str(count): score for count, score in codebook.scores[g - 1].items()}
        return entry


class LabelledInRounds(ABC):
    """What objectives with pseudo-labels share: rounds, the start of each, and what a checkpoint keeps.

    Attributes:
        config: Of the run. settings: Of masked prediction. pseudo_labels: Of the present round.
    """

    config: RunConfig
    settings: MaskedSettings
    pseudo_labels: PseudoLabels

    @abstractmethod
    def _use_labels(self) -> None:
        """Draw batches with the labels of this round from now on."""

    def rounds(self) -> list[range]:
        """See `MaskedSettings.round_steps`."""
        return self.settings.round_steps(self.config.steps)

    def start_round(
        self, number: int, model: Any, optimizer: torch.optim.Optimizer, accelerator: Accelerator, resumed: bool
    ) -> list[dict[str, Any]]:
        """Label the tokens and start the heads anew; resumed: find the labels again."""
        first = self.rounds()[number].start
        counts, entries = self.pseudo_labels.start(number, first, model.base_model, accelerator, resumed)
        self._use_labels()
        if not resumed:
            _renew_heads(model.heads, counts, optimizer, self.pseudo_labels.seed_of(number))
        return entries

    def state(self) -> ObjectiveState:
        """For the checkpoint."""
        return self.pseudo_labels.state

    def restore(self, state: ObjectiveState) -> None:
        """From the checkpoint."""
        self.pseudo_labels.restore(state)


def _renew_heads(heads: Any, counts: list[int], optimizer: torch.optim.Optimizer, seed: int) -> None:
    """Heads for clusters that mean something else than those before start anew, and so does their optimiser."""
    torch.manual_seed(seed)
    heads.renew(counts)
    for parameter in heads.parameters():
        optimizer.state.pop(parameter, None)


def masked_scores(output: Any, batch: dict[str, torch.Tensor]) -> dict[str, float]:
    """Accuracy on hidden tokens per granularity, of a model and of the nearest shown token (the earlier of two).

    Args:
        output: Of the model on this batch, with `masked_accuracies`.
        batch: With `token_mask` `(batch, tokens)` and `labels` `(batch, tokens, granularities)`.
    """
    hidden, labels = batch["token_mask"], batch["labels"]
    places = torch.arange(hidden.shape[1])
    # Twice the distance, and one more for the later token, so that the earlier of two equally near ones is taken.
    distance = 2 * (places[:, None] - places).abs() + (places > places[:, None]).long()
    nearest = distance.masked_fill(hidden[:, None, :], 4 * len(places)).argmin(dim=-1)
    copied = labels.gather(1, nearest[..., None].expand_as(labels))[hidden] == labels[hidden]
    scores = {f"accuracy/{g}": float(value) for g, value in enumerate(output.masked_accuracies, start=1)}
    return scores | {f"nearest/{g}": float(value) for g, value in enumerate(copied.float().mean(dim=0), start=1)}


def _state(number: int, codebook: Codebook, teacher: TokenStates | None, digest: str) -> ObjectiveState:
    tensors = {_CODEBOOK + name: tensor for name, tensor in codebook.tensors().items()}
    if teacher is not None:
        tensors |= {_TEACHER + name: tensor for name, tensor in teacher.state_dict().items()}
    return ObjectiveState(tensors, {"round": number, "labels_sha256": digest})


def _part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _since_the_first(before: list[float], now: list[float]) -> str:
    """Whether clusters have come to name the dataset, which they should not."""
    changes = [
        f"{old:.4f} → {new:.4f} ({'falls' if new < old else 'DOES NOT FALL'})"
        for old, new in zip(before, now, strict=True)
    ]
    return "  NMI with dataset since round 0: " + ", ".join(changes)


def _summary(entry: dict[str, Any], codebook: Codebook, seconds: float) -> str:
    lines = [f"round {entry['round']}: clustered in {seconds:.0f} s; number chosen by {entry['criterion']}"]
    for g in range(1, len(codebook.counts) + 1):
        tried = ", ".join(f"{count}: {score:.2f}" for count, score in entry[f"candidates/{g}"].items())
        named = ", ".join(f"{fact} {entry[f'nmi/{fact}/{g}']:.4f}" for fact in FACTS)
        sizes = f"{entry[f'clusters/{g}']} clusters ({tried}), perplexity {entry[f'perplexity/{g}']:.1f}"
        lines.append(f"  granularity {g}: {sizes}, NMI with {named}")
    return "\n".join(lines)
