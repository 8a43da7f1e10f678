"""The program behind `mdjpt`: its commands in order, and how its errors are told."""

import errno
import functools
import os
import sys
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import typer

from mdjpt_hf.cli import data, evaluate, infer, live, reproduce, share, train
from mdjpt_hf.cli.settings import SETTINGS
from mdjpt_hf.runtime.importing import collection_paused
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


def _add(group: typer.Typer, function: _Function, name: str | None = None) -> None:
    """Adds a command to a group; running it registers the models, asking for its help does not."""

    @functools.wraps(function)
    def run(*arguments: Any, **options: Any) -> Any:
        with collection_paused():
            from mdjpt_hf.runtime.cores import keep_to_usable_cores

            keep_to_usable_cores()
            from mdjpt_hf.runtime.progress import print_log
            from mdjpt_hf.runtime.registration import register

            register()
        print_log(SETTINGS.quiet)
        return function(*arguments, **options)

    group.command(name)(run)


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
    SETTINGS.quiet = quiet


def env() -> None:
    """Print versions, devices and limits, for a report of a fault."""
    from mdjpt_hf.runtime.cores import keep_to_usable_cores

    keep_to_usable_cores()  # as every command does
    from mdjpt_hf.runtime.environment import environment

    for name, value in environment().items():
        typer.echo(f"{name}: {value}")


#: In the order of `mdjpt --help`, which is that of the work.
_COMMANDS: tuple[Callable[..., Any], ...] = (
    *(train.pretrain, train.finetune),
    *(infer.predict, infer.embed, infer.demo, live.live),
    *(evaluate.evaluate, evaluate.report, reproduce.reproduce),
    *(share.push, share.verify, share.export, share.convert),
)
_DATA_COMMANDS: dict[str, Callable[..., Any]] = {
    "list": data.list_corpora,
    "download": data.download,
    "table": data.table,
    "prepare": data.prepare,
    "inspect": data.inspect,
    "validate": data.validate,
    "parquet": data.parquet,
    "push": share.push_data,
}

for _one in _COMMANDS:
    _add(app, _one)
for _name, _one in _DATA_COMMANDS.items():
    _add(data_app, _one, _name)
app.command()(env)


def main() -> None:
    """Run the command line; our own errors end it with their message alone."""
    _run(app)


def pretrain_main() -> None:
    """`pretrain.py`: the `pretrain` command on its own."""
    from mdjpt_hf.runtime.cores import keep_to_usable_cores
    from mdjpt_hf.runtime.progress import print_log

    keep_to_usable_cores()
    print_log()
    _run(lambda: typer.run(train.pretrain))


#: What a machine may lack at any moment, and what to do about it.
_REMEDIES = {
    errno.ENOSPC: "Free some space, or write elsewhere; then run the same command again",
    errno.EDQUOT: "Free some space, or write elsewhere; then run the same command again",
    errno.EROFS: "Make the place writable, or choose another",
    errno.EACCES: "Make the place accessible, or choose another",
}


def _run(program: Any) -> None:
    from mdjpt_hf.modeling.errors_mdjpt import is_ours
    from mdjpt_hf.runtime.telemetry import switch_off_telemetry

    switch_off_telemetry()
    try:
        program()
    except ValueError as error:
        if not is_ours(error):
            raise
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        sys.exit(1)
    except OSError as error:
        if error.errno not in _REMEDIES:
            raise
        where = f"{error.filename}: " if error.filename else ""
        typer.echo(f"{where}{os.strerror(error.errno)}. {_REMEDIES[error.errno]}", err=True)
        sys.exit(1)
