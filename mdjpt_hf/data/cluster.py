"""Units of work on a cluster that exists already: the workers of a Dask scheduler, or of Ray."""

import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import metadata
from time import monotonic, sleep
from typing import Any, Literal, get_args

from mdjpt_hf.errors import ConfigurationError, require
from mdjpt_hf.version import __version__

Backend = Literal["dask", "ray"]
#: s until the first worker has to be there; those of a job start one after the other.
_PATIENCE = 60
#: s between two looks for what is done, and for workers.
_POLL, _LOOK = 0.05, 5
_NEEDED = {"dask": "distributed", "ray": "ray"}
#: Libraries whose versions must be the same wherever rows are made.
LIBRARIES = ("mne", "numpy", "scipy")


@dataclass(frozen=True)
class Cluster:
    """Where work is sent.

    Attributes:
        backend: `dask` or `ray`. scheduler: Its address; of Ray empty for the one this machine belongs to.

    Raises:
        ConfigurationError: If there is no such backend, its extra is missing, or Dask's address is.
    """

    backend: str
    scheduler: str = ""

    def __post_init__(self) -> None:
        if self.backend not in get_args(Backend):
            raise ConfigurationError(
                f"no backend {self.backend!r}", value=self.backend, remedy=f"Use {' or '.join(get_args(Backend))}"
            )
        require(_NEEDED[self.backend], self.backend, f"--backend {self.backend}")
        if self.backend == "dask" and not self.scheduler:
            raise ConfigurationError(
                "Dask is reached by the address of its scheduler",
                value=self.scheduler,
                remedy="Give it with --scheduler, such as tcp://node1:8786",
            )


#: Number of the arguments, what the function returned, and whether it was the end of every worker that tried.
Done = tuple[int, Any, bool]


def on_cluster(
    cluster: Cluster,
    function: Callable[..., Any],
    arguments: Sequence[tuple[Any, ...]],
    libraries: Sequence[str] = LIBRARIES,
) -> Iterator[Done]:
    """Call a function for each of its arguments; what was read and written lies under the same names for every worker.

    Args:
        libraries: Those whose versions must be the same everywhere.

    Yields:
        `(int, Any, bool)`: In the order in which workers are done, the number of the arguments, what was returned,
            and whether it was the end of every worker that tried: one that dies is replaced by another, which begins
            anew, three times.

    Raises:
        ConfigurationError: If the cluster cannot be reached, or its workers cannot be used.
        Exception: What the function raises.
    """
    calls = [(_versions(libraries), function, *one) for one in arguments]
    yield from (_on_dask if cluster.backend == "dask" else _on_ray)(cluster, call_in_same_versions, calls)


def call_in_same_versions(versions: dict[str, str], function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function where libraries are those of who asks: others may compute other numbers.

    Raises:
        ConfigurationError: If one differs.
    """
    if other := {name: mine for name, mine in _versions([*versions][1:]).items() if mine != versions[name]}:
        told = ", ".join(f"{name} {mine}, not {versions[name]}" for name, mine in other.items())
        raise ConfigurationError(
            f"a worker on {platform.node()} has {told}",
            value=other,
            remedy="Start workers in the environment that this command runs in",
        )
    return function(*arguments)


def _versions(libraries: Sequence[str] = LIBRARIES) -> dict[str, str]:
    return {"mdjpt-hf": __version__, **{name: _version(name) for name in libraries}}


def _version(library: str) -> str:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return "none"


def _on_dask(cluster: Cluster, function: Callable[..., Any], arguments: Sequence[tuple]) -> Iterator[Done]:
    """By futures of Dask itself: under joblib 1.6, a unit that is the end of every worker is waited for without end."""
    from distributed import Client, KilledWorker, as_completed

    with _told(cluster, (OSError, ValueError)):
        client = Client(cluster.scheduler, timeout=20)
    with client:
        with suppress(TimeoutError):  # told below
            client.wait_for_workers(1, timeout=_PATIENCE)
        _check_threads([worker["nthreads"] for worker in client.scheduler_info(n_workers=-1)["workers"].values()])
        futures = {client.submit(function, *one, pure=False): number for number, one in enumerate(arguments)}
        try:
            for future in _as_long_as_workers_are_there(client, as_completed(futures)):
                died = isinstance(future.exception(), KilledWorker)
                yield futures[future], None if died else future.result(), died
        finally:
            client.cancel(list(futures))


def _as_long_as_workers_are_there(client: Any, completed: Any) -> Iterator[Any]:
    """Futures as they are done; Dask itself waits without end where the last worker is gone and none comes.

    Raises:
        ConfigurationError: If there has been none for a while.
    """
    patience = _Patience(lambda: bool(client.scheduler_info(n_workers=-1)["workers"]))
    while completed.count():
        if completed.has_ready():
            yield next(completed)
            continue
        sleep(_POLL)
        patience.check()


class _Patience:
    """How long nothing but waiting is done where nobody works.

    Args:
        workers: Says whether there are any; asked now and then.
    """

    def __init__(self, workers: Callable[[], bool]):
        self._workers = workers
        self._seen = self._looked = monotonic()

    def check(self) -> None:
        """Go on, unless there has been nobody for a while.

        Raises:
            ConfigurationError: If so.
        """
        if monotonic() - self._looked > _LOOK:
            self._looked = monotonic()
            self._seen = self._looked if self._workers() else self._seen
        if self._looked - self._seen > _PATIENCE:
            raise ConfigurationError(
                f"no worker is left, and none came for {_PATIENCE} s",
                value=0,
                remedy="Start workers again, perhaps with more memory, and run the same command again",
            )


def _on_ray(cluster: Cluster, function: Callable[..., Any], arguments: Sequence[tuple]) -> Iterator[Done]:
    import ray
    from ray.exceptions import NodeDiedError, OutOfMemoryError, RayTaskError, WorkerCrashedError

    joined = ray.is_initialized()
    if not joined:
        with _told(cluster, (ConnectionError, RuntimeError, ValueError)):
            ray.init(address=cluster.scheduler or "auto", log_to_driver=False)
    try:
        remote = ray.remote(max_retries=3)(function)
        waiting = {remote.remote(*one): number for number, one in enumerate(arguments)}
        # Ray itself waits without end where no node has a processor to give, such as a head that only schedules.
        patience = _Patience(lambda: ray.cluster_resources().get("CPU", 0) >= 1)
        while waiting:
            ready, _ = ray.wait(list(waiting), num_returns=1, timeout=_LOOK)
            if not ready:
                patience.check()
                continue
            (done,) = ready
            result, died = None, False
            try:
                result = ray.get(done)
            except (NodeDiedError, OutOfMemoryError, WorkerCrashedError):
                died = True
            except RayTaskError as error:
                raise error.cause from error
            yield waiting.pop(done), result, died
    finally:
        if not joined:
            ray.shutdown()


def _check_threads(threads: Sequence[int]) -> None:
    if not threads or max(threads) > 1:
        raise ConfigurationError(
            f"the scheduler has {len(threads)} workers with up to {max(threads, default=0)} threads each",
            value=list(threads),
            remedy="Start at least one, and each with --nthreads 1: a worker reads one file at a time",
        )


@contextmanager
def _told(cluster: Cluster, errors: tuple[type[Exception], ...]) -> Iterator[None]:
    try:
        yield
    except errors as error:
        raise ConfigurationError(
            f"{cluster.backend} cannot be reached at {cluster.scheduler or 'this machine'} ({error})",
            value=cluster.scheduler,
            remedy="Start the cluster first, and give the address it prints",
        ) from error
