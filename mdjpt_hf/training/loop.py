"""The loop: one optimiser step per item of `PretrainingSteps`, on one process or many."""

import math
import os
import random
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from threadpoolctl import threadpool_limits
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from mdjpt_hf.data.batches import PretrainingSteps
from mdjpt_hf.data.pairs import PairSampler
from mdjpt_hf.errors import ConfigurationError, MDJPTError
from mdjpt_hf.modeling.modeling_mdjpt import MDJPTForPreTraining
from mdjpt_hf.training.checkpoint import Checkpoint, CheckpointFolder
from mdjpt_hf.training.config import RunConfig
from mdjpt_hf.training.retrieval import retrieval_accuracy


def make_accelerator(config: RunConfig, logging_dir: str) -> Accelerator:
    """The Accelerator of this run; on machines without an accelerator, processes are joined over the CPU.

    Raises:
        ConfigurationError: If several processes were started that do not know of each other, which would train
            several separate models, or fp16 is asked of a processor.
    """
    if config.mixed_precision == "fp16" and not torch.cuda.is_available():
        raise ConfigurationError("mixed_precision 'fp16' needs a GPU", value="fp16", remedy="Use no or bf16")
    accelerator = Accelerator(
        cpu=not torch.cuda.is_available(),
        mixed_precision=config.mixed_precision,
        log_with=list(config.trackers),
        project_dir=logging_dir,
    )
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if accelerator.num_processes != started:
        raise ConfigurationError(
            f"{started} processes were started, but this one sees {accelerator.num_processes}",
            value=started,
            remedy="On CPU: ACCELERATE_USE_CPU=true torchrun --nproc_per_node N pretrain.py",
        )
    threads = config.num_threads or max(1, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    torch.set_num_threads(threads)
    # NumPy's products here are small, and threads that wait for the next one take the cores from torch's.
    threadpool_limits(1, user_api="blas")
    torch.set_flush_denormal(True)  # numbers near zero otherwise slow some processors many times over
    return accelerator


class Pretrainer:
    """Trains a model on subject pairs.

    Args:
        config (`RunConfig`): The run.
        accelerator (`Accelerator`): From [`make_accelerator`].
        model (`MDJPTForPreTraining`): Initialised the same way on every process.
        samplers (`dict[str, PairSampler]`): Training pairs of each dataset.
        held_out (`dict[str, PairSampler]`): Pairs of subjects that are not trained on.
        checkpoints (`CheckpointFolder`): Where checkpoints are kept.
    """

    def __init__(
        self,
        config: RunConfig,
        accelerator: Accelerator,
        model: MDJPTForPreTraining,
        samplers: dict[str, PairSampler],
        held_out: dict[str, PairSampler],
        checkpoints: CheckpointFolder,
    ):
        self.config, self.accelerator, self.checkpoints = config, accelerator, checkpoints
        self.names, self.held_out = list(samplers), held_out
        self.steps = PretrainingSteps(
            list(samplers.values()),
            num_steps=config.steps,
            steps_per_epoch=config.steps_per_epoch,
            seed=config.seed,
            pairs_per_dataset=config.pairs_per_dataset * accelerator.num_processes,
            datasets_per_step=config.datasets_per_step,
            rank=accelerator.process_index,
            world_size=accelerator.num_processes,
        )
        if config.recompute:
            model.activation_checkpointing_enable()
        first, second = config.adam_betas
        optimizer = torch.optim.Adam(
            model.parameters(), config.learning_rate, (first, second), weight_decay=config.weight_decay
        )
        self.model, self.optimizer = accelerator.prepare(model, optimizer)
        self.forward: Callable[..., Any] = torch.compile(self.model) if config.compile else self.model
        self.history: list[dict[str, Any]] = []

    def train(self, resume: bool = False) -> MDJPTForPreTraining:
        """Run to the last step, whose weights are the result: a rule that looks at no labels.

        Args:
            resume (`bool`): Go on from the newest complete checkpoint; from the start where there is none.
        """
        done = self._restore() if resume else 0
        if done == 0:
            self._evaluate(0)
        loader = DataLoader(
            self.steps,
            batch_size=None,
            sampler=range(done, len(self.steps)),
            num_workers=self.config.num_workers,
            pin_memory=self.accelerator.device.type == "cuda",
        )
        window = _RunningMeans(self.names)
        bar = tqdm(total=len(self.steps), initial=done, desc="pretrain", unit="step", disable=not self._is_main)
        with bar:
            for step, batch in enumerate(loader, start=done + 1):
                window.add(*self._step(step, batch))
                self._after_step(step, window, bar)
        return self.accelerator.unwrap_model(self.model)

    @property
    def windows_per_step(self) -> float:
        """Expected windows of one global step."""
        per_pair = float(np.mean([sampler.mean_windows for sampler in self.steps.samplers]))
        return per_pair * self.steps.pairs_per_dataset * self.steps.datasets_per_step

    def rehearse(self) -> tuple[float, int]:
        """Seconds and peak memory (bytes, whole process or device) of one step that changes nothing."""
        model, batch = self.accelerator.unwrap_model(self.model), self.steps[0]
        batch = {name: tensor.to(self.accelerator.device) for name, tensor in batch.items()}
        started = time.perf_counter()
        with self.accelerator.autocast():
            # Without ids there is no loss, hence no exchange with the other processes.
            output = model(batch["input_values"], batch["group_ids"])
        output.embeddings.float().square().mean().backward()
        self.optimizer.zero_grad()
        if self.accelerator.device.type == "cuda":
            torch.cuda.synchronize()  # until here the work was only queued
            return time.perf_counter() - started, torch.cuda.max_memory_allocated()
        unit = 1 if sys.platform == "darwin" else 1024
        return time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

    def _step(self, step: int, batch: dict[str, torch.Tensor]):
        # Anything random inside the step follows from its number, so a resumed run repeats it exactly.
        _seed_everything(self.config.seed, step)
        self.model.train()
        batch = {name: tensor.to(self.accelerator.device) for name, tensor in batch.items()}
        output = self.forward(**batch)
        self._check_finite(step, output, batch)
        self.optimizer.zero_grad()
        self.accelerator.backward(output.loss)
        self.optimizer.step()
        return output, batch["dataset_ids"]

    def _after_step(self, step: int, window: "_RunningMeans", bar: tqdm) -> None:
        config, last = self.config, step == len(self.steps)
        bar.update()
        if step % config.log_steps == 0 or last:
            self._log({"step": step, **window.close(self.accelerator)}, bar)
        if step % config.eval_steps == 0 or last:
            self._evaluate(step)
        if step % config.checkpoint_steps == 0 or last:
            self._save(step)

    def _log(self, entry: dict[str, Any], bar: tqdm) -> None:
        self.history.append(entry)
        numbers = {name: value for name, value in entry.items() if name != "step"}
        self.accelerator.log(numbers, step=entry["step"])
        bar.set_postfix_str(" ".join(f"{name.removeprefix('isa/')} {value:.3g}" for name, value in numbers.items()))

    def _evaluate(self, step: int) -> None:
        """Pair retrieval on held-out subjects, by the main process while the others wait."""
        if not self.held_out:
            return
        if self._is_main:
            model = self.accelerator.unwrap_model(self.model)
            results = retrieval_accuracy(model, self.held_out, self.config.seed)
            accuracy = float(np.mean([result[0] for result in results.values()]))
            chance = float(np.mean([result[1] for result in results.values()]))
            entry = {
                "retrieval": accuracy,
                **{f"retrieval/{name}": result[0] for name, result in results.items()},
            }
            self.history.append({"step": step, **entry})
            self.accelerator.log(entry, step=step)
            tqdm.write(f"step {step}: held-out pair retrieval {accuracy:.3f} (chance {chance:.3f})")
        self.accelerator.wait_for_everyone()

    def _save(self, step: int) -> None:
        if self._is_main:
            weights = self.accelerator.unwrap_model(self.model).state_dict()
            self._check_weights(step, weights)
            self.checkpoints.save(Checkpoint(step, weights, self.optimizer.state_dict(), self.history))
        self.accelerator.wait_for_everyone()

    def _check_weights(self, step: int, weights: dict[str, torch.Tensor]) -> None:
        """A finite loss can still have had an infinite gradient; such weights must not replace good ones."""
        bad = [name for name, tensor in weights.items() if not torch.isfinite(tensor).all()]
        if bad:
            raise MDJPTError(
                f"the update of step {step} made {bad[:3]} non-finite; it is not saved",
                value=bad,
                remedy="Start again with a smaller learning rate",
            )

    def _restore(self) -> int:
        checkpoint = self.checkpoints.load_newest()
        if checkpoint is None:
            return 0
        self.accelerator.unwrap_model(self.model).load_state_dict(checkpoint.weights)
        self.optimizer.load_state_dict(checkpoint.optimizer)
        self.history = checkpoint.history
        self.accelerator.print(f"resumed after step {checkpoint.step}")
        return checkpoint.step

    def _check_finite(self, step: int, output, batch) -> None:
        if torch.isfinite(output.loss):
            return
        bad = batch["dataset_ids"][~torch.isfinite(output.isa_terms)].unique().tolist()
        names = [self.names[dataset] for dataset in bad] or self.names
        raise MDJPTError(
            f"the loss became {output.loss.item()} at step {step}, from the datasets {names}",
            value=step,
            remedy="Start again with a smaller learning rate, or check those datasets",
        )

    @property
    def _is_main(self) -> bool:
        return self.accelerator.is_main_process


class _RunningMeans:
    """Means of the losses and the throughput since the last report."""

    def __init__(self, names: list[str]):
        self.names = names
        self._reset()

    def _reset(self) -> None:
        self.sums, self.counts = torch.zeros(2, 2 + len(self.names)).unbind()
        self.windows, self.since = 0, time.perf_counter()

    def add(self, output, dataset_ids: torch.Tensor) -> None:
        """One step; a dataset that took no part in it counts nothing."""
        datasets = torch.arange(len(self.names), device=dataset_ids.device)
        members = (datasets[:, None] == dataset_ids).float()
        isa = (members @ output.isa_terms.float()) / members.sum(dim=1).clamp_min(1)
        losses = torch.stack([output.loss.detach(), output.cda_loss.detach()]).float()
        self.sums = self.sums.to(isa.device) + torch.cat([losses, isa])
        self.counts = self.counts.to(isa.device) + torch.cat([torch.ones_like(losses), members.amax(dim=1)])
        self.windows += len(dataset_ids)

    def close(self, accelerator: Accelerator) -> dict[str, float]:
        """Means over steps and processes, datasets that took part only; starts the next stretch."""
        means = accelerator.reduce(self.sums / self.counts, reduction="mean").tolist()
        speed = self.windows * accelerator.num_processes / (time.perf_counter() - self.since)
        named = {f"isa/{name}": mean for name, mean in zip(self.names, means[2:], strict=True) if not math.isnan(mean)}
        self._reset()
        return {"loss": means[0], "cda": means[1], **named, "windows/s": speed}


def _seed_everything(seed: int, step: int) -> None:
    value = int(np.random.SeedSequence([seed, step]).generate_state(1)[0])
    random.seed(value)
    np.random.seed(value)
    torch.manual_seed(value)
