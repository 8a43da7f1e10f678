"""Features as a table, as arrays, and in scikit-learn: everywhere the same numbers."""

import json
import pickle
import sys
from pathlib import Path

import mne
import numpy as np
import pandas as pd
import pytest
import torch
from datasets import load_from_disk
from sklearn.base import clone
from sklearn.exceptions import NotFittedError, SkipTestWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator
from typer.testing import CliRunner

import mdjpt_hf
from mdjpt_hf import EEGEncoder, MDJPTConfig, MDJPTFeatureExtractor, MDJPTModel, embed
from mdjpt_hf.cli import app
from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.labelled import labelled_windows
from mdjpt_hf.errors import ConfigurationError, MDJPTError, MontageError, SignalError
from mdjpt_hf.evaluation.encoders import model_encoder
from mdjpt_hf.evaluation.protocols import open_pool

sys.path.insert(0, str(Path(__file__).parent))
from fabricated_edf import write_edf  # noqa: E402

NAMES = ["Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2"]
RATE = 250


def noise(seconds=13, seed=0):
    return np.random.default_rng(seed).normal(0, 12, (len(NAMES), seconds * RATE))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model")
    MDJPTModel(MDJPTConfig.preset("tiny")).save_pretrained(folder)
    MDJPTFeatureExtractor().save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    return [write_edf(folder / f"{seed}.edf", noise(seed=seed), NAMES, RATE) for seed in range(2)]


@pytest.fixture(scope="module")
def features(model, files):
    """Those of both files: every file is read in a process of its own, which takes seconds."""
    return embed(model, files)


def test_a_corpus_has_a_row_per_window_with_what_is_known_of_it(model, prepared):
    folder = prepared()
    found = embed(model, folder)
    (trials,) = open_corpora([folder])
    windows = labelled_windows(trials, 5.0)
    evaluated = model_encoder("it", MDJPTModel.from_pretrained(model))
    encoded = evaluated.features(open_pool([trials], "label", 5.0), "recording")
    np.testing.assert_allclose(found.features, encoded, atol=1e-5)
    assert found.windows["subject"].tolist() == windows.subject.tolist()
    assert set(found.windows["label_name"]) == {"a", "b"} and set(found.windows["onset"]) == {0.0, 5.0}
    assert len(embed(model, load_from_disk(str(folder)), stride_seconds=1.0)) > len(found)


def test_recordings_are_encoded_as_the_extractor_and_the_model_do(model, files, features):
    found = features
    encoder = MDJPTModel.from_pretrained(model).eval()
    for file in files:
        raw = mne.io.read_raw(file, verbose="error")
        wanted = encoder.encode(raw)
        own = found.windows["recording"] == file.name
        np.testing.assert_allclose(found.features[own], wanted, atol=1e-5)
        assert found.windows["onset"][own].tolist() == [0.0, 5.0]
    assert embed(model, Path(files[0]).parent).features.shape == found.features.shape  # of a folder
    several = encoder.encode([noise(), noise(seed=1)], ch_names=NAMES, sampling_rate=RATE)
    alone = encoder.encode(noise(), ch_names=NAMES, sampling_rate=RATE)
    np.testing.assert_allclose(several[0], alone, atol=1e-6)


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".npz"])
def test_the_command_writes_every_format(model, files, features, tmp_path, suffix):
    out = tmp_path / f"features{suffix}"
    done = CliRunner().invoke(app, ["embed", model, *map(str, files), "--out", str(out)])
    assert done.exit_code == 0 and "4 windows of" in done.output, done.output
    wanted = features
    if suffix == ".npz":
        with np.load(out) as stored:  # without pickles
            np.testing.assert_array_equal(stored["features"], wanted.features)
            assert stored["recording"].tolist() == wanted.windows["recording"].tolist()
    else:
        stored = pd.read_parquet(out) if suffix == ".parquet" else pd.read_csv(out)
        np.testing.assert_allclose(stored.filter(regex="^f[0-9]").to_numpy(), wanted.features, rtol=1e-6)
        assert stored["recording"].tolist() == wanted.windows["recording"].tolist()
    assert not list(tmp_path.glob(".*partial"))


def test_what_cannot_be_is_refused_before_the_work(model, files, prepared, tmp_path):
    for sources, message in (([prepared(), files[0]], "corpora and recordings"), ([], "nothing was given")):
        with pytest.raises(ConfigurationError, match=message):
            embed(model, sources)
    with pytest.raises(ConfigurationError, match="stride_seconds"):
        embed(model, files, stride_seconds=0)
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        embed(str(tmp_path / "nowhere"), files)
    done = CliRunner().invoke(app, ["embed", model, str(files[0]), "--out", str(tmp_path / "x.xlsx")])
    assert isinstance(done.exception, ConfigurationError) and ".parquet" in str(done.exception)
    with pytest.raises(SignalError, match=r"short\.edf"):
        embed(model, write_edf(tmp_path / "short.edf", noise(3), NAMES, RATE))


def test_the_extractor_beside_the_weights_is_the_one_that_is_used(model, tmp_path):
    encoder = MDJPTModel.from_pretrained(model)
    encoder.save_pretrained(tmp_path)
    MDJPTFeatureExtractor(montage="released").save_pretrained(tmp_path)
    assert MDJPTModel.from_pretrained(tmp_path).feature_extractor().montage == "released"
    assert MDJPTModel(MDJPTConfig.preset("tiny")).feature_extractor().montage == "positions"


def test_trials_in_a_pipeline_and_a_cross_validation(model):
    trials = np.stack([noise(6, seed) for seed in range(12)])
    labels = np.tile([0, 1], 6)
    encoder = EEGEncoder(model, ch_names=NAMES, sampling_rate=RATE)
    features = encoder.fit(trials, labels).transform(trials)
    np.testing.assert_allclose(features[3:4], encoder.transform(trials[3:4]), atol=1e-6)  # others do not matter
    assert features.shape == (12, encoder.n_features_out_) == (12, len(encoder.get_feature_names_out()))
    scores = cross_val_score(make_pipeline(encoder, StandardScaler(), LogisticRegression()), trials, labels, cv=3)
    assert scores.shape == (3,) and np.isfinite(scores).all()
    both = EEGEncoder(model, ch_names=NAMES, sampling_rate=RATE, pooling="mean+std").fit(trials)
    assert both.transform(trials[:2]).shape == (2, 2 * encoder.n_features_out_)
    info = mne.create_info(NAMES, RATE, "eeg")
    raws = [mne.io.RawArray(trial * 1e-6, info, verbose="error") for trial in trials[:2]]
    np.testing.assert_allclose(EEGEncoder(model).fit(raws).transform(raws), features[:2], atol=1e-4)


def test_scikit_learn_knows_that_its_checks_of_tables_do_not_apply(model):
    encoder = EEGEncoder(model, ch_names=NAMES, sampling_rate=RATE)
    with pytest.warns(SkipTestWarning, match="three_d_array=True"):
        check_estimator(encoder)
    settings = encoder.get_params()
    copy = clone(encoder.set_params(pooling="mean+std"))
    assert copy.get_params() == {**settings, "pooling": "mean+std"} and not hasattr(copy, "encoder_")
    with pytest.raises(NotFittedError):
        copy.transform([noise()])
    reopened = pickle.loads(pickle.dumps(copy.fit([noise()])))
    np.testing.assert_array_equal(reopened.transform([noise()]), copy.transform([noise()]))


def test_what_is_no_recording_is_refused(model):
    encoder = EEGEncoder(model, ch_names=NAMES, sampling_rate=RATE)
    for X, message in ((np.zeros((4, 7)), r"found shape \(4, 7\)"), ([], "found none")):
        with pytest.raises(ConfigurationError, match=message):
            encoder.fit(X)
    with pytest.raises(ConfigurationError, match="pooling"):
        EEGEncoder(model, pooling="max").fit([noise()])
    with pytest.raises(ConfigurationError, match="model is not given"):
        EEGEncoder().fit([noise()])
    with pytest.raises(SignalError, match="window"):
        encoder.fit([noise()]).transform([noise(2)])
    with pytest.raises(MontageError):
        EEGEncoder(model, ch_names=[f"X{number}" for number in range(10)], sampling_rate=RATE).fit_transform([noise()])


def test_what_commands_do_are_functions_of_the_package():
    assert all(callable(getattr(mdjpt_hf, name)) for name in ("pretrain", "finetune", "evaluate", "predict", "embed"))
    assert json.dumps([mdjpt_hf.pretrain.__module__, mdjpt_hf.embed.__module__])
    assert issubclass(ConfigurationError, MDJPTError)
