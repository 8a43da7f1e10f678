"""The `mdjpt` command: every option a newcomer needs, nothing heavy loaded before it is used."""

import functools
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from mdjpt_hf import cli_evaluate, cli_live, cli_reproduce, cli_share
from mdjpt_hf.importing import collection_paused
from mdjpt_hf.notes import gathered
from mdjpt_hf.version import __version__

_Function = TypeVar("_Function", bound=Callable[..., Any])

app = typer.Typer(
    name="mdjpt",
    help="Joint pre-training on EEG emotion corpora, native to the Hugging Face Hub.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Turn recordings into prepared corpora.", no_args_is_help=True)
app.add_typer(data_app, name="data")


def _command(group: typer.Typer, name: str | None = None) -> Callable[[_Function], _Function]:
    """Adds a function to a group; running it registers the models, asking for its help does not."""

    def add(function: _Function) -> _Function:
        @functools.wraps(function)
        def run(*arguments: Any, **options: Any) -> Any:
            with collection_paused():
                from mdjpt_hf.auto import register
                from mdjpt_hf.progress import print_log

                register()
            print_log(_settings.quiet)
            return function(*arguments, **options)

        group.command(name)(run)
        return function

    return add


_command(app)(cli_share.push)
_command(app)(cli_share.verify)
_command(app)(cli_share.export)
_command(app)(cli_evaluate.evaluate)
_command(app)(cli_evaluate.report)
_command(app)(cli_reproduce.reproduce)
_command(app)(cli_live.live)
_command(data_app, "push")(cli_share.push_data)


class _Settings:
    """Of this call of the command."""

    quiet = False


_settings = _Settings()


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"mdjpt-hf {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print results and warnings alone.")] = False,
) -> None:
    """Joint pre-training on EEG emotion corpora, native to the Hugging Face Hub."""
    _settings.quiet = quiet


@app.command()
def env() -> None:
    """Print versions, devices and limits, for a report of a fault."""
    from mdjpt_hf.environment import environment

    for name, value in environment().items():
        typer.echo(f"{name}: {value}")


@_command(app)
def pretrain(
    config: Annotated[
        str | None,
        typer.Option(
            help="demo, paper, masked-demo, masked, joint-demo, or a YAML file; default: the objective's demo."
        ),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            help="A prepared or Parquet folder, or user/corpus of the Hub; repeatable. Without it: simulated corpora."
        ),
    ] = None,
    output_dir: Annotated[
        str | None, typer.Option(help="Where to write; default outputs/NAME, numbered if taken.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest complete checkpoint.")] = False,
    objective: Annotated[str | None, typer.Option(help="What to learn: mdjpt, masked, or mdjpt+masked.")] = None,
    seed: Annotated[int | None, typer.Option(help="Weights, sampling and simulation follow from it.")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of Adam.")] = None,
    num_workers: Annotated[int | None, typer.Option(help="Data worker processes.")] = None,
    push_to_hub: Annotated[str | None, typer.Option(help="user/name to share the result as; see mdjpt push.")] = None,
    push_private: Annotated[bool | None, typer.Option("--push-private", help="Make that repository private.")] = None,
    push_licence: Annotated[str | None, typer.Option(help="Of the weights; needed with real data.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any other setting as key=value, e.g. --set model.hidden_size=64; repeatable."),
    ] = None,
) -> None:
    """Pre-train one encoder on several corpora at once; the same program as `accelerate launch pretrain.py`."""
    with collection_paused():
        from mdjpt_hf.pretraining import pretrain as run
        from mdjpt_hf.training.config import default_preset, load_run_config, merge_settings, parse_setting

    overrides: dict[str, Any] = {}
    for text in settings or []:
        merge_settings(overrides, parse_setting(text))
    given = {
        "data": data,
        "output_dir": output_dir,
        "objective": objective,
        "seed": seed,
        "steps": steps,
        "learning_rate": learning_rate,
        "num_workers": num_workers,
        "push_to_hub": push_to_hub,
        "push_private": push_private,
        "push_licence": push_licence,
    }
    merge_settings(overrides, given)
    run(load_run_config(config or default_preset(overrides.get("objective")), **overrides), resume=resume)


@_command(data_app, "list")
def list_corpora(
    corpora: Annotated[list[str] | None, typer.Argument(help="Only these, with their citation.")] = None,
) -> None:
    """Name the corpora this version can prepare: size, terms, how to get them, and on request what to cite."""
    from mdjpt_hf.data_scripts import BUILDERS, builder_class
    from mdjpt_hf.data_scripts.downloaded import DownloadedCorpus

    for name in corpora or BUILDERS:
        builder = builder_class(name)
        if not issubclass(builder, DownloadedCorpus):
            typer.echo(f"{name}: {(builder.__doc__ or '').strip().splitlines()[0]}\n")
            continue
        about = builder.about
        typer.echo(f"{name}: {about.title}; {about.size}")
        typer.echo(f"  terms:  {about.licence}")
        typer.echo(f"  access: {about.access}")
        typer.echo(f"\n{about.citation}\n" if corpora else "")


@_command(data_app)
def prepare(
    corpus: Annotated[str, typer.Argument(help="A corpus of `mdjpt data list`.")],
    out: Annotated[Path, typer.Option(help="The folder to make.")],
    source: Annotated[Path | None, typer.Option(help="The corpus as you downloaded it.")] = None,
    table: Annotated[
        Path | None,
        typer.Option(
            help="recordings: CSV with file, subject, stimulus; where they are known session, trial, onset, duration "
            "(s), label, emotion, valence_class, valence, arousal, dominance, liking (0 to 1)."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="recordings, bids: name of the dataset.")] = None,
    unit: Annotated[
        str | None, typer.Option(help="recordings, bids: unit of the numbers, if headers are wrong; eav: always.")
    ] = None,
    label_source: Annotated[
        str, typer.Option(help="recordings, bids: whether labels say what was shown (stimulus) or felt (self-report).")
    ] = "stimulus",
    preprocessing: Annotated[str, typer.Option(help="none, basic or paper.")] = "basic",
    seed: Annotated[int, typer.Option(help="simulated: everything follows from it.")] = 0,
    difficulty: Annotated[str, typer.Option(help="simulated: easy, mid or hard.")] = "easy",
    only: Annotated[list[str] | None, typer.Option(help="simulated: only this corpus; repeatable.")] = None,
    task: Annotated[str, typer.Option(help="bids: only recordings of this task.")] = "",
    rules: Annotated[
        str | None, typer.Option(help="bids: YAML that says which events are trials; or dens, faced.")
    ] = None,
    stimulus: Annotated[str, typer.Option(help="bids: column of events.tsv that names what was shown.")] = "",
    label: Annotated[str, typer.Option(help="bids: column of events.tsv with the class; - for none.")] = "",
    channels: Annotated[
        str, typer.Option(help="eav: names of its channels in the order of its files, with commas between them.")
    ] = "",
    workers: Annotated[int, typer.Option(help="Processes that read subjects side by side.")] = 1,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out subjects that cannot be read, and list them.")
    ] = False,
) -> None:
    """Build a corpus into a folder that `datasets.load_from_disk` and `mdjpt pretrain --data` open."""
    from mdjpt_hf.data.prepare import prepare as run
    from mdjpt_hf.data_scripts import builder_class
    from mdjpt_hf.errors import ConfigurationError

    arguments: dict[str, Any] = {"preprocessing": preprocessing}
    builder = builder_class(corpus)
    if corpus == "simulated":
        arguments |= {"seed": seed, "difficulty": difficulty, "corpora": only}
    elif corpus != "recordings":
        if source is None:
            raise ConfigurationError(f"{corpus} needs --source", remedy="Give the folder your download was unpacked to")
        arguments["source"] = source
        if corpus == "eav":
            arguments |= {"channels": [name.strip() for name in channels.split(",") if name.strip()], "unit": unit}
        if corpus == "bids":
            arguments |= {"task": task, "rules": rules, "stimulus": stimulus, "label": label}
            arguments |= {"name": name, "unit": unit, "label_source": label_source}
    else:
        if table is None:
            raise ConfigurationError("recordings needs --table", remedy="Give a CSV: see `mdjpt data prepare --help`")
        arguments |= {"table": table, "source": source, "name": name, "unit": unit, "label_source": label_source}
    prepared = run(builder(**arguments), out, workers=workers, skip_bad=skip_bad)
    _report(prepared)


@_command(data_app)
def table(
    folder: Annotated[Path, typer.Argument(help="Of recordings, in any format MNE opens.")],
    out: Annotated[Path, typer.Option(help="The CSV to make.")],
    events: Annotated[str, typer.Option(help="annotations, stim (trigger channels) or none.")] = "annotations",
) -> None:
    """Write a first table of your recordings, to be corrected by hand: a line per mark, subjects from file names."""
    from mdjpt_hf.data.table import draft_table

    drafted = draft_table(folder, out, events)
    for note in drafted.notes:
        typer.echo(f"  {note}")
    who = ", ".join(drafted.subjects[:8]) + (", ..." if len(drafted.subjects) > 8 else "")
    typer.echo(f"{out} is ready: {drafted.lines} lines of {len(drafted.subjects)} subjects ({who})")
    typer.echo("Correct it: keep the stimuli, give labels, and codes in place of people's names. Then")
    typer.echo(f"  mdjpt data prepare recordings --table {out} --out FOLDER")


@_command(data_app)
def parquet(
    folder: Annotated[Path, typer.Argument(help="A prepared corpus.")],
    out: Annotated[Path, typer.Option(help="The folder to make.")],
) -> None:
    """Write a prepared corpus as Parquet, which `datasets.load_dataset` opens and streams."""
    from mdjpt_hf.data.parquet import write_parquet

    typer.echo(f"{write_parquet(folder, out)} is ready")


@_command(data_app)
def inspect(
    folder: Annotated[Path, typer.Argument(help="A prepared corpus.")],
    out: Annotated[Path | None, typer.Option(help="The picture to make; default FOLDER.png.")] = None,
) -> None:
    """Draw a prepared corpus: spectra by region, electrodes, durations of trials."""
    from mdjpt_hf.data.figures import draw_corpus

    picture = out or folder.with_suffix(".png")
    draw_corpus(folder, picture)
    typer.echo(f"{picture} is ready")


@_command(data_app)
def validate(folder: Annotated[Path, typer.Argument(help="A prepared corpus.")]) -> None:
    """Check a prepared corpus again: files, columns, signals, amplitudes, labels; ends with 1 if something is wrong."""
    from mdjpt_hf.data.validate import validate as run

    found = run(folder)
    for problem in found.problems:
        typer.echo(f"  {problem}")
    verdict = f"{len(found.problems)} problems" if found.problems else "everything is as it should be"
    typer.echo(f"{folder}: {found.trials} trials looked at, {verdict}")
    if found.problems:
        raise typer.Exit(1)


@_command(app)
def convert(
    checkpoint: Annotated[Path, typer.Argument(help="A .ckpt file of the authors' mdJPT program.")],
    out: Annotated[Path, typer.Argument(help="The folder to make.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="What the file's shapes cannot tell, e.g. --set patch_stride=8; repeatable."),
    ] = None,
) -> None:
    """Turn a checkpoint of the authors' mdJPT program into a model folder that every auto class opens."""
    from mdjpt_hf.convert import convert_checkpoint, released_config
    from mdjpt_hf.training.config import parse_setting

    given = {name: value for text in settings or [] for name, value in parse_setting(text).items()}
    typer.echo(str(convert_checkpoint(checkpoint, out, released_config(**given) if given else None)))
    typer.echo(f"{out} is ready: AutoModel.from_pretrained({str(out)!r})")


@_command(app)
def finetune(
    model: Annotated[str, typer.Argument(help="Folder or Hub id of a pre-trained encoder.")],
    data: Annotated[
        list[str], typer.Option(help="A labelled corpus: prepared or Parquet folder, or user/corpus; repeatable.")
    ],
    out: Annotated[Path, typer.Option(help="The folder to make.")],
    target: Annotated[
        str, typer.Option(help="label (the corpus's own), emotion, valence_class, clip_valence or ratings.")
    ] = "label",
    method: Annotated[str, typer.Option(help="head (the encoder stays as it is), full or lora.")] = "head",
    epochs: Annotated[int, typer.Option(help="At most; 0: eight, and at least 300 steps.")] = 0,
    steps: Annotated[int, typer.Option(help="At most, in place of epochs.")] = 0,
    evaluation_steps: Annotated[
        int, typer.Option(help="Between two looks at validation subjects; 0: an epoch, at least 25 steps.")
    ] = 0,
    patience: Annotated[int, typer.Option(help="Looks without improvement before training stops.")] = 5,
    batch_size: Annotated[int, typer.Option(help="Windows.")] = 64,
    learning_rate: Annotated[float, typer.Option(help="0: that of the method.")] = 0.0,
    validation_share: Annotated[float, typer.Option(help="Of the subjects; they never train.")] = 0.2,
    class_weights: Annotated[bool, typer.Option(help="Let a rare class count as much as a frequent one.")] = True,
    seed: Annotated[int, typer.Option(help="Split, order and new weights follow from it.")] = 0,
    for_streaming: Annotated[
        bool, typer.Option("--for-streaming", help="For `mdjpt live`: train and score on windows as they come live.")
    ] = False,
    trust_remote_code: Annotated[bool, typer.Option("--trust-remote-code", help="Run the model's own code.")] = False,
) -> None:
    """Make a classifier out of a pre-trained encoder."""
    from mdjpt_hf.finetuning.train import FinetuneConfig
    from mdjpt_hf.finetuning.train import finetune as run

    config = FinetuneConfig(
        model=model,
        data=tuple(data),
        output_dir=str(out),
        target=target,
        method=method,
        epochs=epochs,
        steps=steps,
        evaluation_steps=evaluation_steps,
        patience=patience,
        batch_size=batch_size,
        learning_rate=learning_rate,
        validation_share=validation_share,
        class_weights=class_weights,
        seed=seed,
        for_streaming=for_streaming,
        trust_remote_code=trust_remote_code,
    )
    found = json.loads((run(config) / "finetune.json").read_text(encoding="utf-8"))
    typer.echo("\n".join(found["verdict"]))
    state = "ready" if found["validation"]["above_chance"] else "written, and no better than guessing"
    typer.echo(f"{out} is {state}; what it was made of, and how well it does: {out / 'results'}")


@_command(app)
def predict(
    model: Annotated[str, typer.Argument(help="Folder or Hub id of a classifier.")],
    recording: Annotated[list[Path], typer.Argument(help="In any format MNE opens; several, or a folder of them.")],
    smoothing: Annotated[str, typer.Option(help="none, causal (the past counts) or lds (the future too).")] = "none",
    json_path: Annotated[Path | None, typer.Option("--json", help="Where to write everything as JSON.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Where to draw the scores over time (of one recording).")] = None,
    trust_remote_code: Annotated[bool, typer.Option("--trust-remote-code", help="Run the model's own code.")] = False,
    csv_path: Annotated[Path | None, typer.Option("--csv", help="Where to write one line per window.")] = None,
    stride: Annotated[float | None, typer.Option(help="Seconds between the starts of two windows.")] = None,
    unit: Annotated[
        str | None, typer.Option(help="What the numbers in the files are, if headers are wrong: uV, mV or V.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, mps; by default the best there is.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Windows the model sees at a time.")] = None,
) -> None:
    """Recognise emotion in every window of recordings; scores are normalised over each recording as a whole."""
    from mdjpt_hf.prediction import predict_all, render_all

    outputs = (json_path, picture, trust_remote_code, csv_path)
    predictions = predict_all(model, recording, smoothing, *outputs, stride, unit, device, batch_size)
    typer.echo(render_all(predictions))
    if predictions.failed:
        raise typer.Exit(1)


@_command(app)
def embed(
    model: Annotated[str, typer.Argument(help="Folder or Hub id of an encoder or a classifier.")],
    sources: Annotated[
        list[str], typer.Argument(help="Corpora (prepared or Parquet folders, user/corpus), or recordings.")
    ],
    out: Annotated[Path, typer.Option(help="The table to make: .parquet, .csv or .npz.")],
    stride: Annotated[float | None, typer.Option(help="Seconds between the starts of two windows.")] = None,
    unit: Annotated[str | None, typer.Option(help="Of the numbers in recordings, if headers are wrong.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, mps.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Windows the model sees at a time.")] = 32,
    trust_remote_code: Annotated[bool, typer.Option("--trust-remote-code", help="Run the model's own code.")] = False,
) -> None:
    """Write the features of every window of corpora or recordings; each recording is normalised as a whole."""
    from mdjpt_hf.embedding import check_format
    from mdjpt_hf.embedding import embed as run

    check_format(out)
    found = run(
        model,
        sources,
        stride_seconds=stride,
        unit=unit,
        batch_size=batch_size,
        device=device,
        trust_remote_code=trust_remote_code,
    )
    typer.echo(f"{len(found)} windows of {found.features.shape[1]} features are ready in {found.write(out)}")


@_command(app)
def demo(
    model: Annotated[str, typer.Argument(help="Folder or Hub id of a classifier, saved with its code.")],
    example: Annotated[list[Path] | None, typer.Option(help="A recording to offer (not in a Space).")] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 opens the page to the network.")
    ] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(help="Default: the first free one from 7860.")] = None,
    space: Annotated[
        Path | None, typer.Option(help="Instead of opening the page, write it as a Space into this folder.")
    ] = None,
    trust_remote_code: Annotated[bool, typer.Option("--trust-remote-code", help="Run the model's own code.")] = False,
) -> None:
    """Open a web page that reads emotion out of recordings, or write it as a Space."""
    from mdjpt_hf.errors import require

    require("gradio", "demo")
    if space is not None:
        from mdjpt_hf.demo.space import write_space

        typer.echo(f"{write_space(model, space)} is ready")
        return
    from mdjpt_hf.demo.app import serve
    from mdjpt_hf.demo.examples import write_example
    from mdjpt_hf.errors import ConfigurationError
    from mdjpt_hf.prediction import open_recogniser

    recogniser = open_recogniser(model, trust_remote_code)
    with tempfile.TemporaryDirectory() as folder:
        examples = example or [write_example(Path(folder))]
        try:
            serve(model, [str(path) for path in examples], recogniser, server_name=host, server_port=port)
        except OSError as error:  # the port is taken
            raise ConfigurationError(str(error), value=port, remedy="Choose another --port") from error


def _report(prepared: Any) -> None:
    typer.echo(f"{prepared.folder} {'is ready' if prepared.built else 'was already up to date'}")
    for name, totals in prepared.report["datasets"].items():
        typer.echo(f"  {name}: {totals['subjects']} subjects, {totals['trials']} trials, {totals['minutes']:.1f} min")
    for unit, reason in prepared.report.get("skipped", {}).items():
        typer.echo(f"  skipped {unit}: {reason}")
    if _settings.quiet:
        return
    for note in prepared.report.get("notes", []):
        typer.echo(f"  {note}")
    said = [
        note
        for unit in prepared.report["units"]
        for note in (*unit["notes"], *(f"left out: {reason}" for reason in unit["rejected"]))
    ]
    for line in gathered(said):
        typer.echo(f"  {line}")


def main() -> None:
    """Run the command line; our own errors end it with their message alone."""
    _run(app)


def pretrain_main() -> None:
    """`pretrain.py`: the `pretrain` command on its own."""
    from mdjpt_hf.progress import print_log

    print_log()
    _run(lambda: typer.run(pretrain))


def _run(program: Any) -> None:
    from mdjpt_hf.modeling.errors_mdjpt import is_ours
    from mdjpt_hf.telemetry import switch_off_telemetry

    switch_off_telemetry()
    try:
        program()
    except ValueError as error:
        if not is_ours(error):
            raise
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        sys.exit(1)
