"""Opening prepared corpora: views, scales, projections, and refusals."""

import pickle
import shutil

import numpy as np
import pytest
from datasets import load_from_disk

from mdjpt_hf.data import mapped
from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.validate import validate
from mdjpt_hf.data.windows import index_windows, read_windows
from mdjpt_hf.errors import CorpusError, SchemaError
from mdjpt_hf.modeling.montage_mdjpt import STANDARD_CHANNELS, channel_projection
from mdjpt_hf.modeling.signal_mdjpt import robust_scale


def test_signals_are_views_into_the_mapped_file(prepared, toy_corpus):
    (trials,) = open_corpora([prepared()])
    view = trials.signal(5)
    assert view.base is not None and not view.flags.owndata
    np.testing.assert_array_equal(view, toy_corpus().trial("s1", 1, 1, "clip1").signal)


def test_a_window_is_scaled_by_its_recording_and_projected(prepared, toy_corpus):
    (trials,) = open_corpora([prepared(seconds=9.0)])
    corpus = toy_corpus(seconds=9.0)
    own = np.concatenate([corpus.trial("s1", 1, n, f"clip{n}").signal.ravel() for n in range(4)])
    mean, std = robust_scale(own[None])
    piece = corpus.trial("s1", 1, 2, "clip2").signal[:, 100:400]
    expected = channel_projection(corpus.ch_names) @ ((piece - mean) / std)
    window = trials.window(6, 100, 300)
    assert window.shape == (60, 300) and window.dtype == np.float32
    np.testing.assert_allclose(window, expected, atol=2e-5)
    np.testing.assert_allclose(window[STANDARD_CHANNELS.index("Cz")], ((piece - mean) / std)[4], atol=2e-5)


def test_scales_are_computed_where_the_metadata_is_missing(prepared):
    folder = prepared()
    (stored,) = open_corpora([folder])
    expected = stored.scales
    (folder / "corpus.json").unlink()
    (computed,) = open_corpora([folder])
    np.testing.assert_allclose(computed.scales, expected, rtol=1e-6)


def test_a_pickled_trial_set_opens_its_files_itself(prepared):
    (trials,) = open_corpora([prepared()])
    trials.window(0, 0, 200)
    copy = pickle.dumps(trials)
    assert len(copy) < 20_000  # the signals did not travel
    np.testing.assert_array_equal(pickle.loads(copy).window(3, 5, 200), trials.window(3, 5, 200))


def test_a_folder_is_opened_once_for_all_its_trials_and_selections(prepared, monkeypatch):
    opened = []
    names = mapped._shard_names
    monkeypatch.setattr(mapped, "_shard_names", lambda path: opened.append(path) or names(path))
    folder = prepared()
    trials = open_corpora([folder])[0]
    trials.select(trials.session == 1).window(0, 5, 200)
    trials.window(0, 5, 200)
    assert opened == [folder]


def test_folders_of_folders_and_selections(prepared, tmp_path):
    prepared("one"), prepared("two")
    shutil.copytree(tmp_path / "one", tmp_path / ".one.0123.staging")  # left by a killed preparation
    trial_sets = open_corpora([tmp_path])
    assert [trials.name for trials in trial_sets] == ["one", "two"]
    part = trial_sets[1].select(trial_sets[1].subject == "s2")
    assert set(part.subject) == {"s2"} and len(part) == 4
    assert len({id(names) for names in trial_sets[0].ch_names}) == 1  # memory does not grow with the trials
    np.testing.assert_array_equal(part.signal(0), trial_sets[1].signal(8))


def test_a_name_that_no_record_can_have_is_refused(prepared):
    rows = load_from_disk(str(prepared()))
    with pytest.raises(SchemaError, match="is called 'user/toy'.*Call it 'user-toy'"):
        open_corpora([rows.map(lambda row: {**row, "dataset": "user/toy"})])


def test_the_same_dataset_twice_is_refused(prepared, tmp_path):
    folder = prepared()
    shutil.copytree(folder, tmp_path / "copy")
    with pytest.raises(CorpusError, match="'toy' comes from several folders"):
        open_corpora([folder, tmp_path / "copy"])


def test_what_is_not_a_prepared_corpus_is_refused(tmp_path, prepared):
    with pytest.raises(CorpusError, match="not a prepared corpus"):
        open_corpora([tmp_path / "nothing"])
    folder = prepared()
    shard = sorted(folder.glob("*.arrow"))[0]
    shard.write_bytes(shard.read_bytes()[:200])
    with pytest.raises(CorpusError, match="cannot be opened"):
        open_corpora([folder])


@pytest.mark.parametrize(("length", "stride"), [(625, 250), (100, 100), (7, 3)])
def test_window_arithmetic_equals_counting(length, stride):
    n_samples = np.array([624, 625, 626, 900, 3000, 5])
    index = index_windows(n_samples, length, stride)
    expected = [(t, s) for t, n in enumerate(n_samples) for s in range(0, n - length + 1, stride)]
    assert list(zip(index.trial.tolist(), index.start.tolist(), strict=True)) == expected


def test_read_windows_keeps_the_order_asked_for(prepared):
    (trials,) = open_corpora([prepared()])
    index = index_windows(trials.n_samples, 500, 500)
    chosen = np.array([7, 0, 3])
    windows = read_windows(trials, index, chosen)
    for window, number in zip(windows, chosen, strict=True):
        np.testing.assert_array_equal(window, trials.window(index.trial[number], index.start[number], 500))


@pytest.mark.parametrize("damage", ["flip", "nan", "cut", "remove", "swap"])
def test_a_damaged_shard_is_found_by_validate_and_when_it_is_opened(prepared, damage):
    folder = prepared()
    path, other = sorted(folder.glob("*.arrow"))[1:3]
    content = bytearray(path.read_bytes())
    middle = len(content) // 2 // 4 * 4
    if damage == "flip":
        content[middle] ^= 1
    elif damage == "nan":
        content[middle : middle + 4] = np.float32("nan").tobytes()
    elif damage == "cut":
        del content[middle:]
    elif damage == "swap":
        content = bytearray(other.read_bytes())
    path.unlink()
    if damage != "remove":
        path.write_bytes(content)
    with pytest.raises(CorpusError, match=rf"{path.name}: .*holds 's1'"):
        open_corpora([folder])
    assert any(path.name in problem for problem in validate(folder).problems)


def test_nan_that_was_written_as_such_is_found_as_well(with_nan):
    folder, path = with_nan
    with pytest.raises(CorpusError, match=rf"{path.name}: row 5 of the corpus holds NaN"):
        open_corpora([folder])
    assert any("s1" in problem for problem in validate(folder).problems)
