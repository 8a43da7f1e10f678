"""What was asked of this call of the command as a whole, and options that several commands have."""

from typing import Annotated

import typer


class Settings:
    """Options that stand before the name of a command."""

    quiet = False


SETTINGS = Settings()

#: Corpora that a command trains a classifier on, or tests.
LabelledData = Annotated[
    list[str],
    typer.Option(help="A labelled corpus: prepared or Parquet folder, user/corpus, or stream: before it; repeatable."),
]
