"""The command that repeats the publication: `mdjpt reproduce`."""

import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer


def reproduce(
    data: Annotated[list[str], typer.Option(help="A prepared corpus, or a folder of several; repeat for two or more.")],
    out: Annotated[Path, typer.Option(help="The folder to make, or to go on in.")],
    config: Annotated[str, typer.Option(help="Settings of the pre-trainings: a preset or a YAML file.")] = "paper",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Any of these settings as key=value, e.g. --set steps=2000.")
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option(help="Leave out only this corpus; repeatable; default each in turn.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Weights, sampling, splits and permutations follow from it.")] = 0,
    permutations: Annotated[int, typer.Option(help="Of the labels, for the null of each score.")] = 100,
) -> None:
    """Leave one corpus out after the other: pre-train on the others, evaluate on it, beside the published figures.

    Kill it at any moment; the same command goes on where it stopped.
    """
    from mdjpt_hf.reproduction.plan import Reproduction
    from mdjpt_hf.reproduction.run import reproduce as run
    from mdjpt_hf.training.config import merge_settings, parse_setting

    changes: dict[str, Any] = {}
    for text in settings or []:
        merge_settings(changes, parse_setting(text))
    task = Reproduction(
        data=tuple(data),
        out=out,
        config=config,
        settings=changes,
        seed=seed,
        targets=tuple(target or ()),
        permutations=permutations,
    )
    # As an exception, so that a pre-training that we began ends with us.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        typer.echo(f"\n{run(task, typer.echo)} is ready")
    finally:
        signal.signal(signal.SIGTERM, before)
