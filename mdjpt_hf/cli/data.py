"""The commands of `mdjpt data`: what there is, prepare, look at, check."""

from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from mdjpt_hf.cli.settings import SETTINGS, Backend, Scheduler, cluster_of
from mdjpt_hf.runtime.notes import gathered


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


def download(
    study: Annotated[str, typer.Argument(help="dens, ds002721, ds003004, faced or emoeeg-mc.")],
    out: Annotated[Path, typer.Option(help="The folder to make, or to go on with.")],
    subjects: Annotated[str, typer.Option(help="How many (3), or which (sub-01,sub-07); all by default.")] = "",
    derivatives: Annotated[
        bool, typer.Option("--derivatives", help="Also what the owners computed of these subjects.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say how large it is, and download nothing.")] = False,
) -> None:
    """Download an open study from NEMAR: its size first, resumed, every file compared with its published checksum."""
    from mdjpt_hf.data.download import RECORD, plan_download
    from mdjpt_hf.data.download import download as run

    plan = plan_download(study, out, subjects, derivatives)
    typer.echo(plan.told())
    if dry_run:
        return
    run(plan, out, typer.echo)
    typer.echo(f"{out} is ready; terms and checksums are kept in {RECORD}. Then")
    typer.echo(f"  mdjpt data prepare {plan.study.prepare} --source {quote(str(out))} --out FOLDER")


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
    stimulus_set: Annotated[
        str,
        typer.Option(
            help="recordings, bids: name of the stimuli, where another corpus shows the same ones under the same ids."
        ),
    ] = "",
    preprocessing: Annotated[str, typer.Option(help="none, basic or paper.")] = "basic",
    seed: Annotated[int, typer.Option(help="simulated: everything follows from it.")] = 0,
    difficulty: Annotated[str, typer.Option(help="simulated: easy, mid or hard.")] = "easy",
    only: Annotated[list[str] | None, typer.Option(help="simulated: only this corpus; repeatable.")] = None,
    task: Annotated[str, typer.Option(help="bids: only recordings of this task.")] = "",
    rules: Annotated[
        str | None,
        typer.Option(help="bids: YAML that says which events are trials; or dens, faced, ds002721, ds003004."),
    ] = None,
    stimulus: Annotated[str, typer.Option(help="bids: column of events.tsv that names what was shown.")] = "",
    label: Annotated[str, typer.Option(help="bids: column of events.tsv with the class; - for none.")] = "",
    channels: Annotated[
        str, typer.Option(help="eav: names of its channels in the order of its files, with commas between them.")
    ] = "",
    subjects: Annotated[
        str,
        typer.Option(
            help="Only these: which (s01,s07), how many (3, unless somebody is called so), or a share for an array of "
            "jobs (2/16); such parts open together as one corpus. All by default."
        ),
    ] = "",
    workers: Annotated[int, typer.Option(help="Processes that read subjects side by side.")] = 1,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out subjects that cannot be read, and list them.")
    ] = False,
    backend: Backend = "",
    scheduler: Scheduler = "",
) -> None:
    """Build a corpus into a folder that `datasets.load_from_disk` and `mdjpt pretrain --data` open."""
    from mdjpt_hf.data.prepare import prepare as run
    from mdjpt_hf.data_scripts import builder_class
    from mdjpt_hf.errors import ConfigurationError

    cluster = cluster_of(backend, scheduler)
    if cluster is not None:  # workers stand in folders of their own
        source, table = (path and path.absolute() for path in (source, table))
        out = out.absolute()
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
            arguments |= {"name": name, "unit": unit, "label_source": label_source, "stimulus_set": stimulus_set}
    else:
        if table is None:
            raise ConfigurationError("recordings needs --table", remedy="Give a CSV: see `mdjpt data prepare --help`")
        arguments |= {"table": table, "source": source, "name": name, "unit": unit, "label_source": label_source}
        arguments["stimulus_set"] = stimulus_set
    prepared = run(builder(**arguments), out, workers=workers, skip_bad=skip_bad, cluster=cluster, subjects=subjects)
    _report(prepared)


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
    typer.echo(f"  mdjpt data prepare recordings --table {quote(str(out))} --out FOLDER")


def parquet(
    folder: Annotated[Path, typer.Argument(help="A prepared corpus.")],
    out: Annotated[Path, typer.Option(help="The folder to make.")],
) -> None:
    """Write a prepared corpus as Parquet, which `datasets.load_dataset` opens and streams."""
    from mdjpt_hf.data.parquet import write_parquet

    typer.echo(f"{write_parquet(folder, out)} is ready")


def inspect(
    folder: Annotated[Path, typer.Argument(help="A prepared corpus.")],
    out: Annotated[Path | None, typer.Option(help="The picture to make; default FOLDER.png.")] = None,
) -> None:
    """Draw a prepared corpus: spectra by region, electrodes, durations of trials."""
    from mdjpt_hf.data.figures import draw_corpus

    named = folder if folder.name not in ("", "..") else folder.resolve()
    picture = out or named.with_name(f"{named.name}.png")
    draw_corpus(folder, picture)
    typer.echo(f"{picture} is ready")


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


def _report(prepared: Any) -> None:
    typer.echo(f"{prepared.folder} {'is ready' if prepared.built else 'was already up to date'}")
    for name, totals in prepared.report["datasets"].items():
        typer.echo(f"  {name}: {totals['subjects']} subjects, {totals['trials']} trials, {totals['minutes']:.1f} min")
    for unit, reason in prepared.report.get("skipped", {}).items():
        typer.echo(f"  skipped {unit}: {reason}")
    if SETTINGS.quiet:
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
