"""Preparation by the workers of a cluster: the same bytes, whatever happens to a worker."""

import hashlib
import importlib
import inspect
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mdjpt_hf.cli import app
from mdjpt_hf.data.cluster import Cluster, _as_long_as_workers_are_there, _versions, call_in_same_versions
from mdjpt_hf.data.prepare import prepare
from mdjpt_hf.errors import ConfigurationError, CorpusError

MORTAL = '''
import signal
from pathlib import Path
from data_of_toys import ToyCorpus


class Mortal(ToyCorpus):
    """Reading one of its subjects ends the process that does it, as often as there are lives."""

    def __init__(self, lives, **more):
        super().__init__(**more)
        self.lives = Path(lives)

    def read_unit(self, unit, report):
        left = sorted(self.lives.iterdir()) if unit == "s1" else []
        if left:
            left[0].unlink()
            signal.raise_signal(signal.SIGKILL)
        yield from super().read_unit(unit, report)
'''


@pytest.fixture
def mortal(tmp_path, monkeypatch, toy_corpus):
    """A corpus in modules of their own, which workers can import."""
    place = tmp_path / "modules"
    place.mkdir()
    (place / "data_of_toys.py").write_text(Path(inspect.getfile(toy_corpus)).read_text())
    (place / "data_of_the_dying.py").write_text(MORTAL)
    monkeypatch.syspath_prepend(str(place))
    yield importlib.import_module("data_of_the_dying").Mortal
    for name in ("data_of_toys", "data_of_the_dying"):
        sys.modules.pop(name, None)


def lives(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        (folder / str(number)).touch()
    return folder


@pytest.fixture
def dask(mortal, dask_workers):
    """Two workers of one thread each; started after what they have to import stands on the path."""
    with dask_workers(2) as cluster:
        yield cluster


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_dask_gives_the_bytes_of_one_process_though_a_worker_is_killed(tmp_path, mortal, dask):
    shown = {(f"s{number}", 1): ["clip0", "clip1"] for number in range(5)}
    alone = prepare(mortal(lives(tmp_path / "none", 0), shown=shown), tmp_path / "alone", progress=False).folder
    corpus = mortal(lives(tmp_path / "one", 1), shown=shown)
    there = Cluster("dask", dask.scheduler_address)
    spread = prepare(corpus, tmp_path / "spread", progress=False, cluster=there).folder
    assert not list((tmp_path / "one").iterdir())  # a worker was killed
    assert hashes(spread) == hashes(alone)
    fatal = mortal(lives(tmp_path / "many", 50), shown=shown)
    with pytest.raises(CorpusError, match="read unit 's1' died"):
        prepare(fatal, tmp_path / "fatal", progress=False, cluster=there)
    assert not (tmp_path / "fatal").exists()
    report = prepare(fatal, tmp_path / "fatal", progress=False, cluster=there, skip_bad=True).report
    assert list(report["skipped"]) == ["s1"] and report["datasets"]["toy"]["subjects"] == 4


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_command_sends_subjects_to_dask(tmp_path, dask, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = ["data", "prepare", "simulated", "--only", "sim-14", "--out"]
    done = CliRunner().invoke(app, [*command, "spread", "--backend", "dask", "--scheduler", dask.scheduler_address])
    assert done.exit_code == 0, done.output
    assert CliRunner().invoke(app, [*command, "alone"]).exit_code == 0
    assert hashes(tmp_path / "spread") == hashes(tmp_path / "alone")


@pytest.mark.filterwarnings("ignore")
def test_workers_of_several_threads_are_refused(tmp_path, mortal, dask_workers):
    with (
        dask_workers(1, threads=2) as cluster,
        pytest.raises(ConfigurationError, match="up to 2 threads each.*--nthreads 1"),
    ):
        there = Cluster("dask", cluster.scheduler_address)
        prepare(mortal(lives(tmp_path / "none", 0)), tmp_path / "out", progress=False, cluster=there)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_ray_gives_the_same_bytes_though_a_worker_is_killed(tmp_path, mortal):
    ray = pytest.importorskip("ray", reason="needs the extra [ray]")
    shown = {(f"s{number}", 1): ["clip0"] for number in range(3)}
    alone = prepare(mortal(lives(tmp_path / "none", 0), shown=shown), tmp_path / "alone", progress=False).folder
    corpus = mortal(lives(tmp_path / "one", 1), shown=shown)
    fatal = mortal(lives(tmp_path / "many", 50), shown=shown)
    paths = {"PYTHONPATH": str(tmp_path / "modules")}
    with ray.init(num_cpus=2, include_dashboard=False, runtime_env={"env_vars": paths}, log_to_driver=False) as context:
        there = Cluster("ray", context.address_info["address"])
        spread = prepare(corpus, tmp_path / "spread", progress=False, cluster=there)
        assert not list((tmp_path / "one").iterdir())  # a worker was killed
        with pytest.raises(CorpusError, match="read unit 's1' died"):
            prepare(fatal, tmp_path / "fatal", progress=False, cluster=there)
    assert not (tmp_path / "fatal").exists()
    assert hashes(spread.folder) == hashes(alone)


def test_a_cluster_without_workers_is_not_waited_for_without_end(monkeypatch):
    class Nobody:
        """A client and its futures: there is something to do, and nobody who does it."""

        def scheduler_info(self, n_workers):
            return {"workers": {}}

        def count(self):
            return 1

        def has_ready(self):
            return False

    for name, seconds in (("_PATIENCE", 0.2), ("_POLL", 0.01), ("_LOOK", 0.05)):
        monkeypatch.setattr(f"mdjpt_hf.data.cluster.{name}", seconds)
    with pytest.raises(ConfigurationError, match="no worker is left.*Start workers again"):
        next(_as_long_as_workers_are_there(Nobody(), Nobody()))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_nor_is_ray_where_no_node_has_a_processor(tmp_path, mortal, monkeypatch):
    ray = pytest.importorskip("ray", reason="needs the extra [ray]")
    for name, seconds in (("_PATIENCE", 0.5), ("_LOOK", 0.2)):
        monkeypatch.setattr(f"mdjpt_hf.data.cluster.{name}", seconds)
    with ray.init(num_cpus=0, include_dashboard=False, log_to_driver=False) as context:
        there = Cluster("ray", context.address_info["address"])
        with pytest.raises(ConfigurationError, match="no worker is left.*Start workers again"):
            prepare(mortal(lives(tmp_path / "none", 0)), tmp_path / "out", progress=False, cluster=there)


def test_a_worker_with_other_libraries_is_refused():
    with pytest.raises(ConfigurationError, match="has numpy .*, not 1.0.*in the environment"):
        call_in_same_versions({**_versions(), "numpy": "1.0"}, print)
    assert call_in_same_versions(_versions(), max, 1, 2) == 2


def test_what_cannot_be_reached_is_told(tmp_path, toy_corpus):
    with pytest.raises(ConfigurationError, match="no backend 'slurm'.*dask or ray"):
        Cluster("slurm")
    pytest.importorskip("distributed", reason="needs the extra [dask]")
    with pytest.raises(ConfigurationError, match="address of its scheduler"):
        Cluster("dask")
    with pytest.raises(ConfigurationError, match="dask cannot be reached at no-such-scheme"):
        prepare(toy_corpus(), tmp_path / "out", progress=False, cluster=Cluster("dask", "no-such-scheme://x:1"))
