"""What was asked of this call of the command as a whole, and options that several commands have."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mdjpt_hf.data.cluster import Cluster


class Settings:
    """Options that stand before the name of a command."""

    quiet = False


SETTINGS = Settings()

#: Corpora that a command trains a classifier on, or tests.
LabelledData = Annotated[
    list[str],
    typer.Option(help="A labelled corpus: prepared or Parquet folder, user/corpus, or stream: before it; repeatable."),
]

#: Where a command computes, if not here.
Backend = Annotated[str, typer.Option(help="dask or ray: workers of a cluster compute, in place of this process.")]
Scheduler = Annotated[str, typer.Option(help="Address of the cluster, such as tcp://node1:8786.")]


def cluster_of(backend: str, scheduler: str) -> "Cluster | None":
    """The cluster that options name; None where they name none.

    Raises:
        ConfigurationError: If an address comes without a backend, or the backend cannot be used.
    """
    from mdjpt_hf.data.cluster import Cluster
    from mdjpt_hf.errors import ConfigurationError

    if scheduler and not backend:
        raise ConfigurationError(
            f"--scheduler {scheduler} is of no cluster", value=scheduler, remedy="Say --backend dask or ray as well"
        )
    return Cluster(backend, scheduler) if backend else None
