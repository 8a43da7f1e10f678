"""`mdjpt reproduce`: leave one corpus out after the other, pre-train, evaluate, and write the table."""

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from queue import Queue

import torch

from mdjpt_hf.data.facts import RECORD_FILE
from mdjpt_hf.errors import RecordError
from mdjpt_hf.evaluation.encoders import EncoderSource
from mdjpt_hf.evaluation.run import Evaluation, evaluate
from mdjpt_hf.evaluation.scores import Effort
from mdjpt_hf.reproduction.plan import PRESETS, PROTOCOLS, Corpus, Plan, Reproduction, make_plan, take_folder
from mdjpt_hf.reproduction.processes import Processes, devices, locked
from mdjpt_hf.reproduction.table import TABLE_FILE, write_table
from mdjpt_hf.training.config import RunConfig

WEIGHTS_FILE = "model.safetensors"

#: (settings, device) -> nothing, once the folder of the settings holds a finished pre-training.
Pretrain = Callable[[RunConfig, str], None]


def reproduce(task: Reproduction, say: Callable[[str], None] = print, pretrain: Pretrain | None = None) -> Path:
    """Make the table, or go on with it where an earlier call stopped.

    What is finished is kept: a pre-training with its record, an evaluation with its folder. The table is written anew
    after every target.

    Args:
        task (`Reproduction`): What to do.
        say (`Callable`): Told what happens.
        pretrain (`Callable`): Makes one pre-training; default a process of its own for each.

    Returns:
        `Path`: The table in Markdown; the same in JSON lies beside it.

    Raises:
        MDJPTError: What [`make_plan`] and [`take_folder`] refuse, or a pre-training that failed.
    """
    plan = make_plan(task)
    out = Path(task.out)
    with locked(out) as lock:
        take_folder(plan)
        available = devices()
        processes = Processes(lock, logged=len(available) > 1)
        try:
            for target in _pretrained(plan, pretrain or processes, available, say):
                _evaluate(plan, target, say)
                write_table(plan)
        finally:
            processes.stop()
    return out / TABLE_FILE


# --- pre-training --------------------------------------------------------------------------------------------------


def _pretrained(
    plan: Plan, pretrain: Pretrain, available: Sequence[str], say: Callable[[str], None]
) -> Iterator[Corpus]:
    """The targets as soon as the encoder without them is there: in order, or side by side on several devices."""
    missing = [target for target in plan.targets if not _is_finished(plan, target)]
    for target in plan.targets:
        if target not in missing:
            yield _checked(plan, target)
    if len(available) == 1:
        for target in missing:
            _pretrain(plan, target, pretrain, available[0], say)
            yield _checked(plan, target)
        return
    free: Queue[str] = Queue()
    for device in available:
        free.put(device)
    pool = ThreadPoolExecutor(len(available))
    try:
        begun = {pool.submit(_on_a_free_device, free, plan, target, pretrain, say): target for target in missing}
        for done in as_completed(begun):
            done.result()
            yield _checked(plan, begun[done])
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # who called us ends those that still run


def _on_a_free_device(free: Queue, plan: Plan, target: Corpus, pretrain: Pretrain, say: Callable[[str], None]) -> None:
    device = free.get()
    try:
        _pretrain(plan, target, pretrain, device, say)
    finally:
        free.put(device)


def _pretrain(plan: Plan, target: Corpus, pretrain: Pretrain, device: str, say: Callable[[str], None]) -> None:
    where = f" on GPU {device}" if device else ""
    say(f"\n=== pre-training without {target.name}, on {', '.join(plan.sources(target))}{where}")
    pretrain(plan.without(target), device)


def _is_finished(plan: Plan, target: Corpus) -> bool:
    """A run writes its record when everything else is written."""
    folder = Path(plan.without(target).output_dir)
    return (folder / RECORD_FILE).is_file() and (folder / WEIGHTS_FILE).is_file()


def _checked(plan: Plan, target: Corpus) -> Corpus:
    """The target, after its encoder's own record has said that it was trained on the others and on nothing else."""
    path = Path(plan.without(target).output_dir) / RECORD_FILE
    trained_on = sorted(entry["name"] for entry in json.loads(path.read_text(encoding="utf-8"))["datasets"])
    if trained_on != plan.sources(target):
        raise RecordError(
            f"was to be trained on {plan.sources(target)}, without {target.name}, but on record are {trained_on}",
            path=path,
            value=trained_on,
            remedy=f"Delete {path.parent} and repeat the command",
        )
    return target


# --- evaluation ----------------------------------------------------------------------------------------------------


def _evaluate(plan: Plan, target: Corpus, say: Callable[[str], None]) -> None:
    """Both protocols, honest and as the paper does it; an evaluation's folder appears when it is complete."""
    for preset in PRESETS:
        final = plan.folder(target) / preset
        if final.exists():
            continue
        say(f"\n=== {target.name}: few-shot and zero-shot, preset {preset}")
        evaluate(_evaluation(plan, target, preset, final), say)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()  # the next pre-training is another process and needs the memory


def _evaluation(plan: Plan, target: Corpus, preset: str, out: Path) -> Evaluation:
    task = plan.task
    return Evaluation(
        models=(plan.without(target).output_dir, "random", "de"),
        data=(str(target.trials.folder),),
        protocols=PROTOCOLS,
        out=out,
        preset=preset,
        label=target.label,
        corpora=(target.name,),
        effort=Effort(task.permutations, zero_shot_permutations=5 * task.permutations, seed=task.seed),
        source=EncoderSource(seed=task.seed, device="cuda" if torch.cuda.is_available() else "cpu"),
    )
