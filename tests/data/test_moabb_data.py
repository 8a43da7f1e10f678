"""Data sets of MOABB itself: its subjects, sessions and labels, and signals prepared as those of files.

Needs moabb, which `.ci/run` installs beside the extra `[braindecode]` for this file and those like it.
"""

import warnings

import numpy as np
import pytest

from mdjpt_hf.data import corpus_metadata, from_moabb
from mdjpt_hf.errors import CorpusError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    fake = pytest.importorskip("moabb.datasets.fake", reason="needs moabb")
    paradigms = pytest.importorskip("moabb.paradigms", reason="needs moabb")

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

NAMES = ["Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2"]


def study(**changes):
    given = {"n_subjects": 2, "n_sessions": 2, "n_runs": 2, "n_events": 4, "duration": 60, "seed": 1, "channels": NAMES}
    return fake.FakeDataset(["left_hand", "right_hand"], **given | changes)


@pytest.mark.parametrize("marks", [{"stim": True}, {"stim": False, "annotations": True}])
def test_subjects_sessions_and_labels_are_those_of_moabb(marks):
    dataset, paradigm = study(**marks), paradigms.MotorImagery(n_classes=2)
    rows = from_moabb(dataset, paradigm)
    _, labels, table = paradigm.get_data(dataset)
    assert rows["label_name"] == labels.tolist()
    assert rows["subject"] == table["subject"].astype(str).tolist()
    assert rows["session"] == table["session"].astype(int).tolist()
    assert set(rows["n_samples"]) == {375} and rows["trial"][:8] == list(range(8))
    assert rows["dataset"][0] == dataset.code and "nothing says" in corpus_metadata(rows)["facts"][0]["unaligned"]


def test_signals_are_the_recordings_own_in_microvolts_and_not_filtered_by_the_paradigm():
    dataset = study(n_subjects=1)
    rows = from_moabb(dataset, paradigms.MotorImagery(n_classes=2, tmin=0.5, tmax=2.5), preprocessing="none")
    raw = dataset.get_data([1])[1]["0"]["0"]
    event = int(np.flatnonzero(raw.get_data(len(NAMES))[0])[0])
    kept = raw.get_data(NAMES, event + 64, event + 64 + 256) * 1e6
    found = np.reshape(rows[0]["signal"], (len(NAMES), -1))
    assert found.shape[1] == 250 and found.std() == pytest.approx(kept.std(), rel=0.1) and found.std() > 15
    at = np.arange(250) * 128 / 125
    assert np.corrcoef(found[0, 10:240], np.interp(at, np.arange(256), kept[0])[10:240])[0, 1] > 0.7


def test_channels_and_subjects_can_be_chosen():
    paradigm = paradigms.MotorImagery(n_classes=2, channels=NAMES[:8])
    rows = from_moabb(study(), paradigm, subjects=[2], name="mine", preprocessing="none")
    assert set(rows["subject"]) == {"2"} and rows[0]["ch_names"] == NAMES[:8] and rows[0]["dataset"] == "mine"


def test_what_does_not_fit_is_refused():
    paradigm = paradigms.MotorImagery(n_classes=2)
    with pytest.raises(CorpusError, match=r"has no subjects \[9\]"):
        from_moabb(study(), paradigm, subjects=[9])
    with pytest.raises(CorpusError, match="does not fit"):
        from_moabb(study(paradigm="ssvep"), paradigm)
    with pytest.raises(CorpusError, match="no data set and paradigm of MOABB"):
        from_moabb("BNCI2014_001", paradigm)
    with pytest.raises(CorpusError, match="slide across trials"):
        from_moabb(study(), paradigms.MotorImagery(n_classes=2, overlap=50))
    with pytest.raises(CorpusError, match="trials overlap"):
        from_moabb(study(n_events=40), paradigm)
