"""Factories shared by the tests: seeded, small, offline."""

import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest

# Before anything imports huggingface_hub: no test may look for the network.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("MPLBACKEND", "agg")
# Nor may tests, or processes that they start, share a core: threads with so little to do wait for each other.
for _threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_threads, "1")
# Trainings take every core all the same, where threads that spin while they wait keep the others from working.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from mdjpt_hf.data.prepare import prepare  # noqa: E402
from mdjpt_hf.data_scripts.base import CorpusBuilder, CorpusFacts, UnitReport  # noqa: E402
from mdjpt_hf.schema import Trial  # noqa: E402

CHANNELS = ["Fp1", "Fp2", "F3", "F4", "Cz", "Pz", "O1", "O2", "T7"]
RATE = 125.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked slow run last, so that a broken unit shows first."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections leave this machine in no test; those within it are allowed."""
    connect = socket.socket.connect

    def guarded(self, address):
        local = self.family not in (socket.AF_INET, socket.AF_INET6) or address[0] in ("127.0.0.1", "::1", "localhost")
        if not local:
            raise AssertionError(f"a test tried to reach {address}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True)
def few_threads() -> None:
    """A training in this process sets how many threads torch has, which would hold for all tests after it."""
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


class ToyCorpus(CorpusBuilder):
    """Recordings of white noise with a stated amplitude: all that storage and sampling care about.

    `shown` maps (subject, session) to the stimuli seen, in order of presentation.
    """

    def __init__(
        self,
        name: str = "toy",
        shown: dict[tuple[str, int], list[str]] | None = None,
        seconds: float = 12.0,
        ch_names: list[str] | None = None,
        seed: int = 0,
    ):
        super().__init__("none")
        stimuli = [f"clip{number}" for number in range(4)]
        self.name = name
        self.shown = shown or {(f"s{number}", 1): stimuli for number in range(3)}
        self.seconds, self.ch_names, self.seed = seconds, ch_names or CHANNELS, seed

    @property
    def facts(self) -> list[CorpusFacts]:
        return [CorpusFacts(self.name, "toy corpus", "CC0-1.0", True, "stimulus", ("a", "b"))]

    def units(self) -> list[str]:
        return list(dict.fromkeys(subject for subject, _ in self.shown))

    def options(self) -> dict:
        shown = [[*key, stimuli] for key, stimuli in self.shown.items()]
        return {"shown": shown, "seconds": self.seconds, "ch_names": self.ch_names, "seed": self.seed}

    def read_unit(self, unit: str, report: UnitReport) -> Iterator[Trial]:
        report.notes.append("read")
        for (subject, session), stimuli in self.shown.items():
            if subject == unit:
                for position, stimulus in enumerate(stimuli):
                    yield self.trial(subject, session, position, stimulus)

    def trial(self, subject: str, session: int, position: int, stimulus: str) -> Trial:
        key = [self.seed, *f"{self.name}{subject}{session}{stimulus}".encode()]
        signal = np.random.default_rng(key).normal(0, 10, (len(self.ch_names), round(self.seconds * RATE)))
        label = position % 2
        return Trial(
            dataset=self.name,
            subject=subject,
            session=session,
            trial=position,
            stimulus=stimulus,
            signal=signal.astype(np.float32),
            sampling_rate=RATE,
            ch_names=self.ch_names,
            label=label,
            label_name="ab"[label],
        )


@pytest.fixture(scope="session")
def toy_corpus() -> type[ToyCorpus]:
    return ToyCorpus


@pytest.fixture
def prepared(tmp_path: Path) -> Callable[..., Path]:
    """Prepares a toy corpus and returns its folder."""

    def make(name: str = "toy", **arguments) -> Path:
        return prepare(ToyCorpus(name, **arguments), tmp_path / name, progress=False).folder

    return make


@pytest.fixture(scope="session")
def dask_workers() -> Callable[..., AbstractContextManager]:
    """Starts workers of Dask on this machine, of one thread each unless told otherwise."""
    reason = "needs the extra [dask]"
    dask, distributed = pytest.importorskip("dask", reason=reason), pytest.importorskip("distributed", reason=reason)

    @contextmanager
    def start(count: int, threads: int = 1) -> Iterator:
        # Dask looks once, 15 s after a worker was gone, and gives one up for good that is away again just then.
        with (
            dask.config.set({"distributed.deploy.lost-worker-timeout": "1h"}),
            distributed.LocalCluster(n_workers=count, threads_per_worker=threads, dashboard_address=None) as cluster,
        ):
            yield cluster

    return start
