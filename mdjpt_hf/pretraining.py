"""A pre-training run from settings to a folder that `AutoModel.from_pretrained` opens."""

import inspect
import json
import os
import shutil
import socket
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from transformers import PreTrainedModel

from mdjpt_hf.data.corpora import TrialSet, open_corpora, require_rate
from mdjpt_hf.data.facts import RECORD_FILE
from mdjpt_hf.data.overlap import check_no_copies
from mdjpt_hf.data.storage import write_json
from mdjpt_hf.errors import ConfigurationError
from mdjpt_hf.modeling.feature_extraction_mdjpt import MDJPTFeatureExtractor
from mdjpt_hf.runtime.cores import usable_cores
from mdjpt_hf.runtime.ownership import InUseError, Ownership, take
from mdjpt_hf.runtime.progress import LOGGER
from mdjpt_hf.training.checkpoint import CheckpointFolder
from mdjpt_hf.training.config import RUN_FILE, RunConfig
from mdjpt_hf.training.departures import departures
from mdjpt_hf.training.loop import Pretrainer, make_accelerator
from mdjpt_hf.training.objectives import build_objective
from mdjpt_hf.training.record import run_record, training_datasets
from mdjpt_hf.training.stopping import Stopped

CHECKPOINTS, LOGS, SIMULATED_DATA = "checkpoints", "logs", "data"
_LETTING_GO_SECONDS = 0.2


def pretrain(config: RunConfig, resume: bool = False) -> Path:
    """Pre-train as configured and return the folder that holds the result.

    Args:
        config (`RunConfig`): The run.
        resume (`bool`): Go on from the newest complete checkpoint in the output folder; without one, start.

    Raises:
        ConfigurationError: If settings, data and processes do not go together, or another process writes the folder.
        CorpusError, PairingError: If the data cannot be read or paired.
        CheckpointError: If the folder holds a run with other settings, no checkpoint is whole, or the disk is full.
        Stopped: After SIGTERM or Ctrl-C, once a checkpoint is saved; it ends the program with the signal's status.
    """
    started = time.perf_counter()
    config.model_config()  # refuses bad settings before a folder is taken
    _check_push(config)
    _check_folder(config, resume)
    given = _given_data(config) if config.data else []  # and bad data
    accelerator = make_accelerator(config, config.output_dir or "outputs")
    output_dir = _output_dir(config, resume, accelerator)
    try:
        return _pretrain(config, resume, accelerator, output_dir, given, started)
    except Stopped as stopped:
        accelerator.print(f"\n{stopped.message}")
        _let_go(accelerator)
        raise
    except OSError as error:
        raise _disk_error(error, output_dir) from error
    finally:
        _give_back(output_dir)


def _pretrain(
    config: RunConfig, resume: bool, accelerator: Accelerator, output_dir: Path, given: list[TrialSet], started: float
) -> Path:
    # Not set_directories(), which keeps the folder of logs chosen before the run's own was known.
    accelerator.project_configuration.logging_dir = str(output_dir)
    accelerator.init_trackers(LOGS)
    trial_sets, unseen = (given, None) if given else _simulated_data(config, output_dir, accelerator)
    objective = build_objective(config, trial_sets, accelerator, output_dir)
    torch.manual_seed(config.seed)
    model = objective.build_model()
    untrained = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    key = config.key(accelerator.num_processes, [trials.fingerprint for trials in trial_sets])
    checkpoints = CheckpointFolder(output_dir / CHECKPOINTS, key, config.keep_checkpoints)
    trainer = Pretrainer(config, accelerator, objective, model, checkpoints)
    _announce(config, trial_sets, trainer)
    datasets = training_datasets(config, trial_sets, trainer)
    model = trainer.train(resume)
    if accelerator.is_main_process:
        _save(config, output_dir, model, trainer)
        write_json(output_dir / RECORD_FILE, run_record(config, datasets, trainer, time.perf_counter() - started))
        if unseen is not None and config.comparison:
            _compare(config, output_dir, model, untrained, unseen, datasets)
        accelerator.print(f"\n{output_dir} is ready after {(time.perf_counter() - started) / 60:.1f} min: ")
        accelerator.print(f'  AutoModel.from_pretrained("{output_dir}", trust_remote_code=True)')
        _push(config, output_dir)
    accelerator.wait_for_everyone()
    _let_go(accelerator)
    accelerator.end_training()  # closes the trackers and the process group
    if accelerator.is_main_process:
        _forget_host(output_dir / LOGS)
    return output_dir


def _let_go(accelerator: Accelerator) -> None:
    """Give threads that exchange tensors the moment they need to drop what was exchanged last.

    In torch 2.13 the end of a gloo group waits for its threads and holds Python's lock; one of them that waits for the
    lock, to drop the last barrier, then waits for ever. It was seen once, at the end of a run on a busy machine.
    """
    if accelerator.num_processes > 1:
        time.sleep(_LETTING_GO_SECONDS)


def _forget_host(logs: Path) -> None:
    """TensorBoard puts the machine's name into the names of its files (2.20), which may be shared with the folder."""
    for file in logs.rglob("events.out.tfevents.*"):
        kept = file.with_name(file.name.replace(f".{socket.gethostname()}.", ".run."))
        if kept != file and not kept.exists():
            file.rename(kept)


def _output_dir(config: RunConfig, resume: bool, accelerator: Accelerator) -> Path:
    """The folder of this run, the same on every process. A folder that holds a run is only touched to resume it."""
    chosen: list[Any] = [None]
    if accelerator.is_main_process:
        chosen = [_choose_output_dir(config, resume)]
    broadcast_object_list(chosen)
    if isinstance(chosen[0], ConfigurationError):
        raise chosen[0]
    return Path(chosen[0])


def _disk_error(error: OSError, folder: str | Path) -> ConfigurationError:
    """What is full, read-only or gone; what was written before is whole."""
    return ConfigurationError(
        f"{error.strerror or error}; what was finished before is kept",
        path=error.filename or folder,
        value=error.errno,
        remedy="Make room, or make the place writable and readable again, then repeat the command with --resume",
    )


#: Folders of runs of this process, which nobody else may write until they end.
_owned: dict[str, Ownership] = {}

#: Seconds to wait for a run that is resumed while its processes are still ending.
_ENDING = 30.0


def _give_back(folder: Path) -> None:
    if ownership := _owned.pop(str(folder), None):
        ownership.give_back()


def _check_folder(config: RunConfig, resume: bool) -> None:
    """Say at once that a folder holds a run, on the main process: to read a large corpus first takes minutes."""
    is_main = os.environ.get("RANK", "0") == "0"
    if is_main and config.output_dir and not resume and _holds_run(Path(config.output_dir)):
        found = _choose_output_dir(config, resume)
        if isinstance(found, ConfigurationError):
            raise found
        _give_back(Path(found))  # it was deleted in this moment


def _choose_output_dir(config: RunConfig, resume: bool) -> str | ConfigurationError:
    """A folder of which this process is the owner from now on."""
    taken = [folder for folder in _numbered(Path("outputs"), config.name) if _holds_run(folder)]
    try:
        if config.output_dir or (resume and taken):
            folder = Path(config.output_dir) if config.output_dir else taken[-1]
            _take(folder, _ENDING if resume else 0.0)
        else:
            folder = _take_free(config.name)
    except InUseError as error:
        return error
    except OSError as error:
        return _disk_error(error, config.output_dir or "outputs")
    if config.output_dir and not resume and _holds_run(folder):
        _give_back(folder)
        return ConfigurationError(
            "already holds a run",
            path=folder,
            remedy="Add --resume to go on with it, or choose another folder",
        )
    if not _holds_run(folder):  # a run that is resumed keeps its record until it is known to be the same one
        config.save(folder)
    return str(folder)


def _take(folder: Path, wait: float = 0.0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    _owned[str(folder)] = take(folder / ".lock", folder, wait)


def _take_free(name: str) -> Path:
    """The first folder of a name that holds no run and that nobody is about to use."""
    for folder in _numbered(Path("outputs"), name, None):
        if _holds_run(folder):
            continue
        try:
            _take(folder)
        except InUseError:
            continue
        if not _holds_run(folder):
            return folder
        _give_back(folder)  # another run has come and gone in between
    raise AssertionError("numbers do not end")


def _numbered(parent: Path, name: str, count: int | None = 1000):
    """`outputs/demo`, `outputs/demo-2`, ..."""
    number = 1
    while count is None or number <= count:
        folder = parent / (name if number == 1 else f"{name}-{number}")
        if count is not None and not folder.exists():
            return
        yield folder
        number += 1


def _holds_run(folder: Path) -> bool:
    return (folder / RUN_FILE).exists()


def _given_data(config: RunConfig) -> list[TrialSet]:
    """The datasets in the folders of a run, without those it leaves out."""
    trial_sets = open_corpora(config.data, config.montage)
    names = [trials.name for trials in trial_sets]
    unknown = sorted(set(config.leave_out) - set(names))
    if unknown or not set(names) - set(config.leave_out):
        raise ConfigurationError(
            f"leave_out names {unknown}, which the data do not hold" if unknown else "leave_out leaves no dataset",
            value=list(config.leave_out),
            remedy=f"The data hold {', '.join(names)}: name some of them",
        )
    chosen = [trials for trials in trial_sets if trials.name not in config.leave_out]
    check_no_copies(chosen)
    return check_rates(config, chosen)


def _simulated_data(
    config: RunConfig, output_dir: Path, accelerator: Accelerator
) -> tuple[list[TrialSet], TrialSet | None]:
    """Simulated datasets to train on, and the one that stays unseen."""
    folder = output_dir / SIMULATED_DATA
    if accelerator.is_main_process:
        _simulate(config, folder)
    accelerator.wait_for_everyone()
    trial_sets = check_rates(config, open_corpora([folder], config.montage))
    training = [trials for trials in trial_sets if trials.name != config.unseen_corpus]
    if not training:
        raise ConfigurationError(
            f"no simulated corpus is left to train on beside the unseen {config.unseen_corpus!r}",
            value=config.unseen_corpus,
            remedy="Name more in simulation.corpora, or another unseen_corpus",
        )
    return training, next((trials for trials in trial_sets if trials.name == config.unseen_corpus), None)


def _simulate(config: RunConfig, folder: Path) -> None:
    # MNE is only loaded where signals are made or read.
    from mdjpt_hf.data.prepare import prepare
    from mdjpt_hf.data_scripts.simulated import SimulatedCorpora

    known = set(inspect.signature(SimulatedCorpora).parameters) - {"seed"}
    unknown = sorted(set(config.simulation) - known)
    if unknown:
        raise ConfigurationError(
            f"simulation has no settings {unknown}", value=unknown, remedy=f"Use some of {', '.join(sorted(known))}"
        )
    builder = SimulatedCorpora(seed=config.seed, **config.simulation)
    prepare(builder, folder, workers=usable_cores())


def check_rates(config: RunConfig, trial_sets: list[TrialSet]) -> list[TrialSet]:
    """The same datasets.

    Raises:
        ConfigurationError: If one has another sampling rate than the model reads.
    """
    wanted = config.model_config().sampling_rate
    for trials in trial_sets:
        require_rate(trials, wanted)
    return trial_sets


def _announce(config: RunConfig, trial_sets: list[TrialSet], trainer: Pretrainer) -> None:
    """Say what is about to happen: data, model, memory and time."""
    say = LOGGER.info if trainer.accelerator.is_main_process else lambda line: None
    say(f"run {config.name!r}: {config.steps} steps, seed {config.seed}" + _simulated_note(config))
    for trials in trial_sets:
        subjects, held_out = len(np.unique(trials.subject)), trials.name in trainer.objective.held_out
        note = f", {config.held_out_subjects} of them held out" if held_out else ""
        say(f"  {trials.name}: {subjects} subjects{note}, {len(trials)} trials, {trials.hours:.1f} h")
    for name, reason in trainer.objective.not_held_out.items():
        say(f"  {name}: {reason}")
    for note in trainer.objective.notes:
        say(f"  {note}")
    for departure in departures(config):
        say(f"  differs from the paper: {departure}")
    windows = trainer.objective.windows_per_step
    parameters = sum(parameter.numel() for parameter in trainer.model.parameters())
    say(f"  {trainer.way}")
    seconds, peak = trainer.rehearse()
    say(
        f"  {parameters:,} parameters, {windows:.0f} windows a step, about {seconds:.2f} s a step, "
        f"{seconds * config.steps_per_epoch / 60:.1f} min an epoch, {seconds * config.steps / 60:.1f} min in all; "
        f"memory {peak / 2**30:.1f} GiB of its own (measured on one step)"
    )


def _simulated_note(config: RunConfig) -> str:
    return ", simulated data" if config.simulated else ""


def _save(config: RunConfig, output_dir: Path, model: PreTrainedModel, trainer: Pretrainer) -> None:
    """Write the model, its code and its extractor; every file appears whole."""
    staging = output_dir / ".saving"
    shutil.rmtree(staging, ignore_errors=True)
    model.save_pretrained(staging)
    config.save(staging)
    extractor = MDJPTFeatureExtractor(
        sampling_rate=model.config.sampling_rate,
        window_seconds=model.config.window_seconds,
        montage=config.montage,
    )
    extractor.save_pretrained(staging)
    for file in staging.iterdir():
        os.replace(file, output_dir / file.name)
    staging.rmdir()
    write_json(output_dir / "history.json", trainer.history)
    trainer.objective.draw(trainer.history, output_dir, f"{config.name}, seed {config.seed}" + _simulated_note(config))


def _check_push(config: RunConfig) -> None:
    """Refuse before the run what could not be shared after it."""
    if not config.push_to_hub:
        return
    from mdjpt_hf.sharing.hub import Destination

    to = Destination(config.push_to_hub, private=config.push_private)
    to.check()
    to.check_access()
    if not (config.simulated or config.push_licence):
        raise ConfigurationError(
            "weights trained on real data need a licence to be shared under",
            value=config.push_to_hub,
            remedy="Give --push-licence, as the terms of the data allow",
        )


def _push(config: RunConfig, output_dir: Path) -> None:
    """Share the result if that was asked for. The run is complete before; a failure is reported and costs nothing."""
    if not config.push_to_hub:
        return
    from mdjpt_hf.sharing.hub import push_model

    try:
        print(push_model(output_dir, config.push_to_hub, private=config.push_private, licence=config.push_licence))
    except Exception as error:  # whatever it is, the run must end as one that has succeeded
        print(f"\nNOT SHARED: {type(error).__name__}: {error}", file=sys.stderr)
        print(f"The run is complete. Later: mdjpt push {output_dir} {config.push_to_hub}", file=sys.stderr)


def _compare(config: RunConfig, output_dir: Path, model, untrained, unseen: TrialSet, datasets) -> None:
    from mdjpt_hf.evaluation.encoders import model_encoder
    from mdjpt_hf.evaluation.quick import quick_table, render

    random_weights = type(model)(model.config)
    random_weights.load_state_dict(untrained)
    print(f"\ncomparing on {unseen.name}, a simulated corpus not trained on ...")
    encoders = [
        model_encoder("pre-trained", model.base_model.cpu(), record={"datasets": datasets}),
        model_encoder("random weights", random_weights.base_model, "random"),
    ]
    record = quick_table(unseen, encoders, model.config.window_seconds)
    record = {**record, "data": "simulated", "seed": config.seed, "departures": list(departures(config))}
    write_json(output_dir / "comparison.json", record)
    table = render(record)
    (output_dir / "comparison.md").write_text(table + "\n", encoding="utf-8")
    print("\n" + table)
    print("\nprotocol: " + json.dumps(record["protocol"], indent=1, ensure_ascii=False))
