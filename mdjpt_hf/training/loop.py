"""The loop: one optimiser step per item of an objective's `steps`, on one process or many."""

import importlib.util
import os
import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from threadpoolctl import threadpool_limits
from torch.utils.data import DataLoader
from transformers import PreTrainedModel

from mdjpt_hf.errors import ConfigurationError, MDJPTError
from mdjpt_hf.modeling.modeling_mdjpt import MDJPTForPreTraining
from mdjpt_hf.runtime.cores import usable_cores
from mdjpt_hf.runtime.progress import LOGGER, Progress
from mdjpt_hf.training.checkpoint import Checkpoint, CheckpointFolder
from mdjpt_hf.training.config import RunConfig
from mdjpt_hf.training.feeding import ending_with_it, feeding_workers, patience
from mdjpt_hf.training.fitting import (
    Way,
    choose_way,
    does_not_fit,
    is_out_of_memory,
    remember_way,
    remembered_way,
)
from mdjpt_hf.training.memory import PeakMemory
from mdjpt_hf.training.objective import Meter, Objective, ObjectiveState
from mdjpt_hf.training.stopping import Stopped, StopRequests, ignore_stop_signals
from mdjpt_hf.training.ways import next_way, release, use_way, ways_for


def _trackers(config: RunConfig) -> list[str]:
    """Those trackers that are installed."""
    trackers = list(config.trackers)
    if "tensorboard" in trackers and importlib.util.find_spec("tensorboard") is None:
        print("No TensorBoard logs: `pip install 'mdjpt-hf[tensorboard]'` brings them; history.json holds the numbers")
        trackers.remove("tensorboard")
    return trackers


def make_accelerator(config: RunConfig, logging_dir: str) -> Accelerator:
    """The Accelerator of this run; on machines without an accelerator, processes are joined over the CPU.

    Raises:
        ConfigurationError: If several processes were started that do not know of each other, which would train
            several separate models, or fp16 is asked of a processor.
    """
    if config.mixed_precision == "fp16" and not torch.cuda.is_available():
        raise ConfigurationError("mixed_precision 'fp16' needs a GPU", value="fp16", remedy="Use no or bf16")
    cores = usable_cores()  # asked before processes are bound to some of them
    accelerator = Accelerator(
        cpu=not torch.cuda.is_available(),
        mixed_precision=config.mixed_precision,
        log_with=_trackers(config) or None,
        project_dir=logging_dir,
    )
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if accelerator.num_processes != started:
        raise ConfigurationError(
            f"{started} processes were started, but this one sees {accelerator.num_processes}",
            value=started,
            remedy="On CPU: ACCELERATE_USE_CPU=true torchrun --nproc_per_node N pretrain.py",
        )
    threads = config.num_threads or max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    torch.set_num_threads(threads)
    # NumPy's products here are small, and threads that wait for the next one take the cores from torch's.
    threadpool_limits(1, user_api="blas")
    torch.set_flush_denormal(True)  # numbers near zero otherwise slow some processors many times over
    return accelerator


class Pretrainer:
    """Trains the model of an objective.

    Args:
        config (`RunConfig`): The run.
        accelerator (`Accelerator`): From [`make_accelerator`].
        objective (`Objective`): What is learnt.
        model (`PreTrainedModel`): From the objective, initialised the same way on every process.
        checkpoints (`CheckpointFolder`): Where checkpoints are kept.
    """

    def __init__(
        self,
        config: RunConfig,
        accelerator: Accelerator,
        objective: Objective,
        model: PreTrainedModel,
        checkpoints: CheckpointFolder,
    ):
        self.config, self.accelerator, self.checkpoints = config, accelerator, checkpoints
        self.objective = objective
        self.way = self._way(model)
        first, second = config.adam_betas
        optimizer = torch.optim.Adam(
            model.parameters(), config.learning_rate, (first, second), weight_decay=config.weight_decay
        )
        self.model, self.optimizer = accelerator.prepare(model, optimizer)
        self.forward: Callable[..., Any] = self._compiled() if config.compile else self.model
        self.history: list[dict[str, Any]] = []

    def _way(self, model: PreTrainedModel) -> Way:
        """How steps are made: as the settings say, as this run began, or the fastest way that fits."""
        asked = self.config.recompute
        folder = self.checkpoints.folder
        name = remembered_way(folder) if asked == "auto" else asked
        if name is not None and name not in ways_for(model):
            raise ConfigurationError(
                f"recompute {name!r} is for mdJPT's alignment alone", value=name, remedy="Use yes, no or auto"
            )
        model.to(self.accelerator.device)
        if name is None:
            whole = self.config.compile and not self._compiles_chunks(model)
            way = choose_way(model, self.objective, self.accelerator, whole)
        else:
            way = Way(name, {}, 0)
        use_way(model, way.name)
        return way

    def _compiled(self) -> Callable[..., Any]:
        """The whole model with any number of windows; on a CPU, where that pays, its encoder chunk by chunk."""
        model = self.accelerator.unwrap_model(self.model)
        if self._compiles_chunks(model):
            model.compile_encoder()
            return self.model
        return torch.compile(self.model, dynamic=True)

    def _compiles_chunks(self, model: PreTrainedModel) -> bool:
        return self.accelerator.device.type == "cpu" and isinstance(model, MDJPTForPreTraining)

    def train(self, resume: bool = False) -> PreTrainedModel:
        """Run to the last step, whose weights are the result: a rule that looks at no labels.

        Args:
            resume (`bool`): Go on from the newest complete checkpoint; from the start where there is none.

        Raises:
            Stopped: After SIGTERM, a first Ctrl-C, or the end of the launcher; the last step is saved then.
            CheckpointError: If no checkpoint is whole, or none can be written.
            MDJPTError: If loss or weights are not finite, or a data worker dies.
            ConfigurationError: If a step does not fit into memory in any way that the settings allow.
        """
        done = self._restore() if resume else 0
        self._saved = done
        if self._is_main:
            remember_way(self.checkpoints.folder, self.way.name)
        try:
            with ending_with_it(), self._progress(done) as self.progress, StopRequests() as self.requests:
                self._train(done)
        except RuntimeError as error:
            if not str(error).startswith("DataLoader"):
                raise
            raise MDJPTError(
                f"a data worker died or stands still ({str(error).splitlines()[0]}); checkpoints are whole",
                remedy="Give it more memory, or fewer --num-workers, or for a stream a better connection, and go on "
                "with --resume",
            ) from error
        finally:
            release(self.accelerator.unwrap_model(self.model))
        return self.accelerator.unwrap_model(self.model)

    def _train(self, done: int) -> None:
        meter = self.objective.meter()
        for number, steps in enumerate(self.objective.rounds()):
            if done < steps.stop:
                if done != self._saved:  # a new round may take long and changes the model step by step
                    self._save(done)
                self._start_round(number, resumed=done > steps.start)
                if done == 0:
                    self._evaluate(0)
                for step, batch in enumerate(self._loader(done, steps.stop), start=done + 1):
                    meter.add(*self._step_that_fits(step, batch))
                    self._update(step)
                    self._after_step(step, meter)
                done = steps.stop

    def _start_round(self, number: int, resumed: bool) -> None:
        model = self.accelerator.unwrap_model(self.model)
        optimizer = getattr(self.optimizer, "optimizer", self.optimizer)
        for entry in self.objective.start_round(number, model, optimizer, self.accelerator, resumed):
            self.history.append(entry)
            self.accelerator.log(
                {name: value for name, value in entry.items() if isinstance(value, int | float)}, step=entry["step"]
            )

    def _loader(self, first: int, last: int) -> DataLoader:
        steps = self.objective.steps
        workers = feeding_workers(self.config.num_workers, steps[first]) if self.config.num_workers else 0
        return DataLoader(
            steps,
            batch_size=None,
            sampler=range(first, last),
            num_workers=workers,
            timeout=patience() if workers else 0,
            pin_memory=self.accelerator.device.type == "cuda",
            worker_init_fn=ignore_stop_signals,
        )

    def rehearse(self) -> tuple[float, int]:
        """Seconds and peak memory (bytes, whole process or device) of one step that changes nothing.

        Where memory does not suffice after all, the next way is taken, unless the settings name one.

        Raises:
            ConfigurationError: If there is none.
        """
        while True:
            try:
                return self._rehearse()
            except (RuntimeError, MemoryError) as error:
                name = self._next_way(error)
            self.optimizer.zero_grad()
            self._take_way(name, "one step")

    def _next_way(self, error: Exception) -> str:
        """The way to go on after an error of memory; any other error is raised again."""
        if not is_out_of_memory(error):
            raise error
        name = next_way(self.accelerator.unwrap_model(self.model), self.way.name)
        if name is None or self.config.recompute != "auto":
            raise does_not_fit(self.way.name, name) from error
        return name

    def _take_way(self, name: str, what: str) -> None:
        use_way(self.accelerator.unwrap_model(self.model), name)
        self.way = Way(name, {}, 0)
        LOGGER.info(f"  {what} did not fit into memory; {self.way}")

    def _rehearse(self) -> tuple[float, int]:
        model, batch = self.accelerator.unwrap_model(self.model), self.objective.steps[0]
        batch = {name: tensor.to(self.accelerator.device) for name, tensor in batch.items()}
        started = time.perf_counter()
        with PeakMemory() as peak:
            with self.accelerator.autocast():
                loss = self.objective.rehearse(model, batch)
            loss.backward()
            self.optimizer.zero_grad()
        if self.accelerator.device.type == "cuda":
            torch.cuda.synchronize()  # until here the work was only queued
            return time.perf_counter() - started, torch.cuda.max_memory_allocated()
        return time.perf_counter() - started, peak.bytes

    def _step_that_fits(self, step: int, batch: dict[str, torch.Tensor]):
        """The gradient of a step; where memory does not suffice after all, it is made again in the next way.

        What was learnt before is saved first, so that a run that goes on from there changes its way at the same step.
        """
        while True:
            try:
                return self._step(step, batch)
            except (RuntimeError, MemoryError) as error:
                name = self._next_way(error)
                if self.accelerator.num_processes > 1:  # the others wait for this step's gradient
                    raise does_not_fit(self.way.name, name) from error
            if self._saved != step - 1:
                self._save(step - 1)
            self._take_way(name, f"step {step}")
            remember_way(self.checkpoints.folder, name)

    def _step(self, step: int, batch: dict[str, torch.Tensor]):
        # Anything random inside the step follows from its number, so a resumed run repeats it exactly.
        seed_everything(self.config.seed, step)
        self.model.train()
        batch = {name: tensor.to(self.accelerator.device) for name, tensor in batch.items()}
        output = self.forward(**batch)
        self._check_finite(step, output, batch)
        self.optimizer.zero_grad()
        self.accelerator.backward(output.loss)
        return output, batch

    def _update(self, step: int) -> None:
        """Once and not again: where memory ends in the middle, some weights are new and some old."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate_at(step)
        try:
            self.optimizer.step()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            less = next_way(self.accelerator.unwrap_model(self.model), self.way.name)
            raise does_not_fit(self.way.name, less) from error

    def _after_step(self, step: int, meter: Meter) -> None:
        config, last = self.config, step == self.config.steps
        self.progress.advance()
        if step % config.log_steps == 0 or last:
            self._log({"step": step, **meter.close(self.accelerator)})
        if step % config.eval_steps == 0 or last:
            self._evaluate(step)
        number, overdue = self.requests.agreed(self.accelerator)
        if step % config.checkpoint_steps == 0 or last or number or overdue:
            self._save(step)
        if number:
            raise Stopped(number, step)

    def _progress(self, done: int) -> Progress:
        return Progress(self.config.steps, done, "pretrain", "step", shown=self._is_main)

    def _log(self, entry: dict[str, Any]) -> None:
        self.history.append(entry)
        numbers = {name: value for name, value in entry.items() if name != "step"}
        self.accelerator.log(numbers, step=entry["step"])
        self.progress.tell(" ".join(f"{name.removeprefix('isa/')} {value:.3g}" for name, value in numbers.items()))

    def _evaluate(self, step: int) -> None:
        """Scores on held-out subjects, by the main process while the others wait."""
        scores = None
        if self._is_main:
            with self.requests.interruptible():
                scores = self.objective.evaluate(self.accelerator.unwrap_model(self.model))
            if scores is not None:
                entry, line = scores
                self.history.append({"step": step, **entry})
                self.accelerator.log(entry, step=step)
                self.progress.say(f"step {step}: {line}")
        self.accelerator.wait_for_everyone()

    def _save(self, step: int) -> None:
        if self._is_main:
            weights = self.accelerator.unwrap_model(self.model).state_dict()
            self._check_weights(step, weights)
            state = self.objective.state()
            self.checkpoints.save(
                Checkpoint(step, weights, self.optimizer.state_dict(), self.history, state.tensors, state.facts)
            )
        self.accelerator.wait_for_everyone()
        self._saved = step
        self.requests.saved()

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
        self.objective.restore(ObjectiveState(checkpoint.tensors, checkpoint.facts))
        self.accelerator.print(f"resumed after step {checkpoint.step}")
        return checkpoint.step

    def _check_finite(self, step: int, output, batch) -> None:
        if torch.isfinite(output.loss):
            return
        names = self.objective.culprits(output, batch)
        raise MDJPTError(
            f"the loss became {output.loss.item()} at step {step}, from the datasets {names}",
            value=step,
            remedy="Start again with a smaller learning rate, or check those datasets",
        )

    @property
    def _is_main(self) -> bool:
        return self.accelerator.is_main_process


def seed_everything(seed: int, step: int) -> None:
    """Every global generator, from the seed of the run and the number of a step."""
    value = int(np.random.SeedSequence([seed, step]).generate_state(1)[0])
    random.seed(value)
    np.random.seed(value)
    torch.manual_seed(value)
