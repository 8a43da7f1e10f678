"""Embedding and evaluation by the workers of a cluster: the numbers of one process, whatever happens to a worker."""

import importlib
import json
import pickle
import shutil
import sys
from pathlib import Path

import mne
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from mdjpt_hf import Evaluation, MDJPTConfig, MDJPTFeatureExtractor, MDJPTModel, embed, evaluate
from mdjpt_hf.cli import app
from mdjpt_hf.data import elsewhere
from mdjpt_hf.data.cluster import Cluster, on_cluster
from mdjpt_hf.data.elsewhere import Seen, check_corpora, check_places, shared_source
from mdjpt_hf.data.prepare import prepare
from mdjpt_hf.errors import ConfigurationError, CorpusError
from mdjpt_hf.evaluation.scores import Effort
from mdjpt_hf.runtime.threads import Threads, computing_with

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent / "evaluation")]
from fabricated_edf import write_edf  # noqa: E402
from noise_corpora import NoiseCorpus  # noqa: E402

NAMES = ["Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2"]
DYING = '''
import signal
from pathlib import Path


def dies(lives, function, *arguments):
    """Call a function, or end the process, as often as there are lives."""
    left = sorted(Path(lives).iterdir())
    if left:
        left[0].unlink()
        signal.raise_signal(signal.SIGKILL)
    return function(*arguments)
'''


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model") / "encoder"
    MDJPTModel(MDJPTConfig.preset("tiny")).save_pretrained(folder)
    MDJPTFeatureExtractor().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpora")
    sizes = (("one", 5), ("two", 3))
    return [prepare(RatedNoise(name, people), folder / name, progress=False).folder for name, people in sizes]


class RatedNoise(NoiseCorpus):
    """Noise that everybody felt something at."""

    def read_unit(self, unit, report):
        for trial in super().read_unit(unit, report):
            trial.valence = (7 * trial.trial + len(self.name) * int(unit[1:])) % 10 / 10
            yield trial


@pytest.fixture(scope="module")
def dying(tmp_path_factory):
    place = tmp_path_factory.mktemp("modules")
    (place / "those_who_die.py").write_text(DYING)
    sys.path.insert(0, str(place))
    yield importlib.import_module("those_who_die").dies
    sys.path.remove(str(place))
    sys.modules.pop("those_who_die")


@pytest.fixture(scope="module")
def dask(dying, dask_workers):
    """Two workers of one thread each; started after what they have to import stands on the path."""
    with dask_workers(2) as cluster:
        yield Cluster("dask", cluster.scheduler_address)


@pytest.fixture
def killing(tmp_path, dying, monkeypatch):
    """Work that is the end of so many workers."""

    def start(count):
        lives = tmp_path / f"lives{count}"
        lives.mkdir()
        for number in range(count):
            (lives / str(number)).touch()

        def mortal(cluster, function, calls, libraries):
            return on_cluster(cluster, dying, [(lives, function, *call) for call in calls], libraries)

        monkeypatch.setattr(elsewhere, "on_cluster", mortal)
        return lives

    return start


@pytest.fixture
def one_after_the_other(monkeypatch):
    """Work as a cluster would be given it, by this process and from the last piece to the first."""

    def run(cluster, function, calls, what):
        for number in reversed(range(len(calls))):
            sent, arguments = pickle.loads(pickle.dumps((function, calls[number])))
            yield number, pickle.loads(pickle.dumps(sent(*arguments)))

    monkeypatch.setattr("mdjpt_hf.evaluation.spread.everywhere", run)
    monkeypatch.setattr("mdjpt_hf.inference.embedding_elsewhere.everywhere", run)
    monkeypatch.setattr("mdjpt_hf.data.cluster.require", lambda *names: None)
    return Cluster("dask", "tcp://nowhere:1")


# --- embedding ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_features_of_corpora_are_those_of_one_process_though_a_worker_is_killed(
    model, corpora, dask, killing, tmp_path
):
    alone = embed(model, corpora, stride_seconds=2.5, batch_size=7)
    lives = killing(1)
    spread = embed(model, corpora, stride_seconds=2.5, batch_size=7, cluster=dask)
    assert not list(lives.iterdir())  # a worker was killed
    for suffix in (".parquet", ".csv", ".npz"):
        one, other = (found.write(tmp_path / f"{name}{suffix}") for name, found in (("a", alone), ("b", spread)))
        if suffix == ".npz":  # an archive has the time of its writing
            with np.load(one) as first, np.load(other) as second:
                assert all(first[name].tobytes() == second[name].tobytes() for name in (*first, *second))
        else:
            assert one.read_bytes() == other.read_bytes()


def test_what_was_the_end_of_every_worker_is_told(model, corpora, monkeypatch):
    monkeypatch.setattr(elsewhere, "on_cluster", lambda cluster, function, calls, libraries: [(1, None, True)])
    pytest.importorskip("distributed", reason="needs the extra [dask]")
    with pytest.raises(CorpusError, match="every worker that computed subject s1 died.*more memory"):
        embed(model, corpora[0], cluster=Cluster("dask", "tcp://nowhere:1"))


def test_pieces_of_features_are_put_together_in_any_order(model, corpora, one_after_the_other, tmp_path):
    alone, spread = embed(model, corpora), embed(model, corpora, cluster=one_after_the_other)
    assert alone.features.tobytes() == spread.features.tobytes() and alone.windows.equals(spread.windows)
    files = []
    for seed in range(2):
        values = np.random.default_rng(seed).normal(0, 12, (len(NAMES), (11 + 5 * seed) * 250))
        files.append(write_edf(tmp_path / f"{seed}.edf", values, NAMES, 250))
    alone, spread = embed(model, files), embed(model, files, cluster=one_after_the_other)
    assert alone.features.tobytes() == spread.features.tobytes() and alone.windows.equals(spread.windows)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_command_embeds_recordings_in_dask(model, dask, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("rec").mkdir()
    for seed in range(3):
        values = np.random.default_rng(seed).normal(0, 12, (len(NAMES), (11 + seed) * 250))
        write_edf(tmp_path / "rec" / f"{seed}.edf", values, NAMES, 250)
    command = ["embed", str(model), "rec", "--out"]
    spread = CliRunner().invoke(app, [*command, "b.csv", "--backend", "dask", "--scheduler", dask.scheduler])
    assert spread.exit_code == 0, spread.output
    assert CliRunner().invoke(app, [*command, "a.csv"]).exit_code == 0
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes()
    raw = mne.io.read_raw_edf("rec/0.edf", preload=True, verbose="error")
    with pytest.raises(ConfigurationError, match="recordings in memory cannot be sent.*Save them"):
        embed(model, raw, cluster=dask)
    with pytest.raises(ConfigurationError, match="a model in memory cannot be sent.*give the folder"):
        embed(MDJPTModel.from_pretrained(model), "rec", cluster=dask)


# --- evaluation -----------------------------------------------------------------------------------------------------


def evaluation(model, corpora, out, **settings):
    values = {
        "models": (str(model), "de", "random"),
        "protocols": ("zero-shot", "few-shot"),
        "corpora": ("one",),
        "label": "valence_class",
        "effort": Effort(4, 60, 2),
        **settings,
    }
    return Evaluation(data=tuple(map(str, corpora)), out=out, **values)


def written(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".json", ".md")}


@pytest.mark.parametrize("protocols", [("zero-shot", "few-shot"), ("leave-one-subject-out",), ("cross-dataset",)])
def test_pieces_of_answers_are_put_together_in_any_order(model, corpora, one_after_the_other, tmp_path, protocols):
    settings = {"protocols": protocols, "models": (str(model), "de")}
    evaluate(evaluation(model, corpora, tmp_path / "alone", **settings), lambda line: None)
    spread = evaluation(model, corpora, tmp_path / "spread", **settings, cluster=one_after_the_other)
    evaluate(spread, lambda line: None)
    assert written(tmp_path / "spread") == written(tmp_path / "alone")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("deaths", "settings"),
    [
        (1, {}),
        (0, {"protocols": ("leave-one-subject-out",), "models": ("de",), "effort": Effort(3, importance=True)}),
        (0, {"protocols": ("cross-dataset",), "choices": {"head": "mlp", "encoder_groups": "blocks-of-32"}}),
        (0, {"protocols": ("few-shot",), "label": "valence"}),
    ],
    ids=["several encoders", "importance", "across corpora", "ratings"],
)
def test_records_are_those_of_one_process_though_a_worker_is_killed(
    deaths, settings, model, corpora, dask, killing, tmp_path
):
    evaluate(evaluation(model, corpora, tmp_path / "alone", **settings), lambda line: None)
    lives = killing(deaths)
    evaluate(evaluation(model, corpora, tmp_path / "spread", **settings, cluster=dask), lambda line: None)
    assert not list(lives.iterdir())  # a worker was killed
    assert written(tmp_path / "spread") == written(tmp_path / "alone")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone", lives.name, "spread"]  # nothing is left behind


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_what_workers_do_not_see_is_told(model, corpora, dask, killing, tmp_path, monkeypatch):
    """Here all see the same disk: what is not there is taken away after it was opened."""
    moved = tmp_path / "encoder"
    shutil.copytree(model, moved)

    def gone(cluster, function, calls, libraries):
        shutil.rmtree(moved, ignore_errors=True)
        return on_cluster(cluster, function, calls, libraries)

    monkeypatch.setattr(elsewhere, "on_cluster", gone)
    with pytest.raises(ConfigurationError, match="encoder.*is not there for the worker.*under the same absolute names"):
        embed(moved, corpora, cluster=dask)
    shutil.copytree(model, moved)
    with pytest.raises(ConfigurationError, match="is not there for the worker"):
        evaluate(evaluation(moved, corpora, tmp_path / "out", cluster=dask), lambda line: None)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_command_evaluates_in_dask(model, corpora, dask, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = ["evaluate", "de", "--data", str(corpora[0]), "--protocol", "few-shot", "--permutations", "2", "--out"]
    spread = CliRunner().invoke(app, [*command, "spread", "--backend", "dask", "--scheduler", dask.scheduler])
    assert spread.exit_code == 0, spread.output
    assert CliRunner().invoke(app, [*command, "alone"]).exit_code == 0
    assert written(tmp_path / "spread") == written(tmp_path / "alone")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_ray_gives_the_same_features_and_records_though_a_worker_is_killed(model, corpora, dying, killing, tmp_path):
    ray = pytest.importorskip("ray", reason="needs the extra [ray]")
    paths = ":".join([str(Path(sys.modules[dying.__module__].__file__).parent), str(Path(__file__).parent)])
    runtime = {"env_vars": {"PYTHONPATH": paths}}
    small = {"models": ("de",), "protocols": ("few-shot",)}
    evaluate(evaluation(model, corpora, tmp_path / "alone", **small), lambda line: None)
    with ray.init(num_cpus=2, include_dashboard=False, runtime_env=runtime, log_to_driver=False) as context:
        there = Cluster("ray", context.address_info["address"])
        lives = killing(1)
        spread = embed(model, corpora[1], cluster=there)
        assert not list(lives.iterdir())
        evaluate(evaluation(model, corpora, tmp_path / "spread", **small, cluster=there), lambda line: None)
    assert spread.features.tobytes() == embed(model, corpora[1]).features.tobytes()
    assert written(tmp_path / "spread") == written(tmp_path / "alone")


# --- what has to be the same ----------------------------------------------------------------------------------------


def test_other_files_under_the_same_name_are_refused(model, tmp_path):
    folder = tmp_path / "encoder"
    shutil.copytree(model, folder)
    seen = Seen.of(folder)
    seen.check()
    (folder / "config.json").write_text(json.dumps({}))
    with pytest.raises(ConfigurationError, match="there are other files than where the command runs"):
        seen.check()
    shutil.rmtree(folder)
    with pytest.raises(ConfigurationError, match="is not there for the worker"):
        seen.check()
    assert Seen.of("user/model") == Seen("user/model")  # the Hub's names are the same everywhere


def test_other_rows_under_the_same_name_are_refused(corpora, tmp_path, monkeypatch):
    from mdjpt_hf.data.corpora import open_corpora

    sets = open_corpora(corpora)
    check_corpora(sets, {trials.name: trials.fingerprint for trials in sets})
    with pytest.raises(ConfigurationError, match="the corpus one has other rows"):
        check_corpora(sets, {"one": "0" * 16})
    monkeypatch.chdir(tmp_path)
    Path("here").mkdir()
    assert shared_source("here") == str(tmp_path / "here") and shared_source("stream:here") == f"stream:{tmp_path}/here"
    assert shared_source("user/corpus@main") == "user/corpus@main"
    check_places([f"stream:{tmp_path}/here", "user/corpus", "stream:s3://bucket/data"])
    with pytest.raises(ConfigurationError, match="is not there for the worker"):
        check_places([f"stream:{tmp_path}/nowhere"])


def test_threads_are_those_of_who_asks():
    before = torch.get_num_threads()
    with computing_with(Threads(before + 1, 1)):
        assert torch.get_num_threads() == before + 1 and Threads.here().algebra == 1
    assert torch.get_num_threads() == before


def test_an_address_without_a_backend_is_refused(tmp_path):
    done = CliRunner().invoke(app, ["embed", "model", "rec", "--out", "a.csv", "--scheduler", "tcp://node:1"])
    assert isinstance(done.exception, ConfigurationError) and "--backend" in str(done.exception)


def test_another_revision_of_a_model_of_the_hub_is_refused(tmp_path, monkeypatch):
    """The cache of a machine that opened the model at another time."""
    for machine, revision in (("here", "a" * 40), ("there", "b" * 40)):
        folder = tmp_path / machine / "models--user--model"
        (folder / "snapshots" / revision).mkdir(parents=True)
        (folder / "snapshots" / revision / "config.json").write_text("{}")
        (folder / "refs").mkdir()
        (folder / "refs" / "main").write_text(revision)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "here"))
    seen, word = Seen.of("user/model"), Seen.of("random")
    for one in (seen, word, Seen("")):
        one.check_opened()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "there"))
    with pytest.raises(ConfigurationError, match="user/model is of revision b+, not a+.*same cache of the Hub"):
        seen.check_opened()
    word.check_opened()


def test_without_a_cluster_no_file_is_hashed(model, corpora, tmp_path, monkeypatch):
    """Nothing is sent, and the folder that a command stands in may hold anything."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(elsewhere, "_content", lambda path: pytest.fail(f"{path} is hashed"))
    assert len(embed(model, corpora[1:]))
