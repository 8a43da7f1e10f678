"""A clip shown again is one stimulus and several trials: in every reader, in splits, among neighbours, in pairs."""

import csv
import json
import sys
from pathlib import Path

import mne
import numpy as np
import pandas as pd
import pytest
from datasets import concatenate_datasets, load_from_disk

from mdjpt_hf.data import from_arrays, from_epochs
from mdjpt_hf.data.corpora import TrialSet, open_corpora
from mdjpt_hf.data.pairs import PairSampler
from mdjpt_hf.data.parquet import write_parquet
from mdjpt_hf.data.prepare import preparation_key, prepare
from mdjpt_hf.data.validate import validate
from mdjpt_hf.data_scripts.adapted import AdaptedCorpus
from mdjpt_hf.data_scripts.adapted_arrays import array_subjects
from mdjpt_hf.data_scripts.bids import BIDS
from mdjpt_hf.data_scripts.recordings import Recordings
from mdjpt_hf.errors import CorpusError, SchemaError
from mdjpt_hf.evaluation.protocols import draw_splits, honest, open_pool
from mdjpt_hf.evaluation.readout.neighbours import Neighbours

sys.path.insert(0, str(Path(__file__).parents[1]))
from fabricated_edf import write_edf  # noqa: E402

NAMES = ["Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2"]
RATE, SECONDS = 250, 8
SHOWN = ("a", "b", "a", "c", "d", "a")
CLASSES = {"a": "joy", "b": "fear", "c": "joy", "d": "fear"}
PEOPLE = ("1", "2", "3")


def signals(person: str) -> np.ndarray:
    """`(trials, channels, samples)` in µV."""
    return np.random.default_rng(int(person)).normal(0, 12, (len(SHOWN), len(NAMES), SECONDS * RATE))


def by_arrays(tmp_path, stimuli=SHOWN, session=0):
    trials = np.concatenate([signals(person) for person in PEOPLE])
    return from_arrays(
        trials,
        ch_names=NAMES,
        sampling_rate=RATE,
        unit="uV",
        name="mine",
        subject=[person for person in PEOPLE for _ in SHOWN],
        session=session,
        stimulus=list(stimuli) * len(PEOPLE),
        label=[CLASSES[clip[0]] for clip in stimuli] * len(PEOPLE),
    )


def by_epochs(tmp_path):
    events = np.array([[k * 5000, 0, 1] for k in range(len(SHOWN))])
    table = pd.DataFrame({"clip": SHOWN, "felt": [CLASSES[clip] for clip in SHOWN]})
    info = mne.create_info(NAMES, RATE, "eeg")
    people = {
        person: mne.EpochsArray(signals(person) * 1e-6, info, events, metadata=table, verbose="error")
        for person in PEOPLE
    }
    return from_epochs(people, name="mine", stimulus="clip", label="felt")


def by_bids(tmp_path):
    root = tmp_path / "study"
    lines = ["onset\tduration\tstimulus\temotion"]
    lines += [f"{k * SECONDS}\t{SECONDS}\t{clip}\t{CLASSES[clip]}" for k, clip in enumerate(SHOWN)]
    for person in PEOPLE:
        folder = root / f"sub-{person}" / "eeg"
        folder.mkdir(parents=True)
        write_edf(folder / f"sub-{person}_task-watch_eeg.edf", np.concatenate(signals(person), axis=1), NAMES, RATE)
    (root / "task-watch_events.tsv").write_text("\n".join(lines) + "\n")
    return prepare(BIDS(root, name="mine"), tmp_path / "bids", progress=False).folder


def by_table(tmp_path, stimuli=SHOWN, numbered=True):
    with open(tmp_path / "mine.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "subject", "stimulus", "onset", "duration", "label", *["trial"] * numbered])
        for person in PEOPLE:
            write_edf(tmp_path / f"{person}.edf", np.concatenate(signals(person), axis=1), NAMES, RATE)
            for k, clip in enumerate(stimuli):
                times = [k * SECONDS, SECONDS, CLASSES[clip[0]]]
                writer.writerow([f"{person}.edf", person, clip, *times, *[k] * numbered])
    return prepare(Recordings(tmp_path / "mine.csv"), tmp_path / "table", progress=False).folder


def opened(made) -> TrialSet:
    (trials,) = open_corpora([made])
    return trials


@pytest.mark.parametrize("reader", [by_arrays, by_epochs, by_bids, by_table])
def test_a_clip_shown_again_keeps_its_id_in_every_reader(reader, tmp_path):
    made = reader(tmp_path)
    trials = opened(made)
    assert trials.stimulus.tolist() == [*SHOWN] * len(PEOPLE)
    assert trials.trial.tolist() == [*range(len(SHOWN))] * len(PEOPLE)
    folder = trials.folder
    assert validate(folder).problems == []
    pool = open_pool([trials], "label", 4.0)
    for split in draw_splits(pool, honest("leave-one-subject-out", stimulus_disjoint=True), "mine", {}, 0).splits:
        train, _, test = split.parts(pool.subject, pool.stimulus)
        assert not set(pool.stimulus[train]) & set(pool.stimulus[test])
        assert {"mine/a"} <= set(split.train_stimuli) or {"mine/a"} <= set(split.test_stimuli)
    features = np.random.default_rng(0).normal(size=(len(pool), 4))
    found = Neighbours(features, pool, honest("zero-shot", exclude="stimulus", neighbours=3))
    assert (pool.stimulus[found.nearest] != pool.stimulus[:, None]).all()


def test_in_a_table_numbers_of_trials_say_that_a_clip_was_shown_again(tmp_path):
    with pytest.raises(CorpusError, match="lines 2 and 4 have the same subject.*numbering the trials"):
        by_table(tmp_path, numbered=False)


def test_sessions_show_a_clip_again_as_well(tmp_path):
    trials = opened(by_arrays(tmp_path, session=[0, 0, 0, 1, 1, 1] * len(PEOPLE)))
    assert trials.stimulus.tolist() == [*SHOWN] * len(PEOPLE)
    assert trials.trial.tolist() == [0, 1, 2] * 2 * len(PEOPLE)


# --- pairs ----------------------------------------------------------------------------------------------------------


def test_a_step_has_a_clip_once_by_the_same_showing_for_all(tmp_path):
    trials = opened(by_arrays(tmp_path))
    for viewers, clips in ((2, 0), (3, 0), (2, 2)):
        sampler = PairSampler(trials, 500, viewers=viewers, clips=clips)
        met = set()
        for seed in range(40):
            viewing = sampler.draw(np.random.default_rng(seed))
            shown, places = trials.stimulus[viewing.trials], trials.trial[viewing.trials]
            assert (shown == shown[0]).all() and (places == places[0]).all()
            assert len(set(shown[0])) == viewing.trials.shape[1]
            assert len(set(trials.subject[viewing.trials][:, 0])) == viewers
            met |= set(places[0][shown[0] == "a"].tolist())
        assert met == {0, 2, 5}  # none goes to waste


def test_who_saw_a_clip_less_often_is_paired_by_the_showings_that_both_have(tmp_path):
    trials = opened(by_arrays(tmp_path))
    kept = trials.select(~((trials.subject == "2") & (trials.trial > 2)))
    sampler = PairSampler(kept.select(kept.subject != "3"), 500)
    for seed in range(20):
        viewing = sampler.draw(np.random.default_rng(seed))
        places = sampler.trials.trial[viewing.trials]
        assert (places == places[0]).all() and 5 not in places


def test_without_repetitions_what_is_drawn_is_what_was_drawn_before(tmp_path):
    """Numbers of the generator are used for showings only where there are some."""
    trials = opened(by_arrays(tmp_path))
    once = trials.select(np.isin(trials.trial, (0, 1, 3, 4)))
    sampler = PairSampler(once, 500, grid=5)
    first, second = np.random.default_rng(3), np.random.default_rng(3)
    viewing = sampler.draw(first)
    sampler.candidates[second.integers(len(sampler.candidates))], second.integers(2)
    assert viewing.start.tolist() == (second.integers(0, np.full(4, (1000 - 500) // 5 + 1)) * 5).tolist()


# --- folders of earlier versions ------------------------------------------------------------------------------------


def as_before(folder: Path) -> None:
    """The folder without the word on showings, as earlier versions wrote it."""
    for name in ("corpus.json", "dataset_info.json"):
        content = json.loads((folder / name).read_text())
        about = content if name == "corpus.json" else json.loads(content["description"])
        del about["options"]["showings"]
        content = about if name == "corpus.json" else content | {"description": json.dumps(about)}
        (folder / name).write_text(json.dumps(content))


EARLIER = ("a", "b", "a #2", "c", "d", "a #3")


def test_later_showings_of_earlier_versions_are_the_clip(tmp_path):
    rows = by_arrays(tmp_path, EARLIER)
    assert opened(rows).stimulus.tolist() == [*EARLIER] * len(PEOPLE)  # names that somebody gave
    folder = Path(rows.cache_files[0]["filename"]).parent
    as_before(folder)
    for source in (
        folder,
        write_parquet(folder, tmp_path / "parquet"),
        f"stream:{tmp_path / 'parquet'}",
    ):
        assert opened(source).stimulus.tolist() == [*SHOWN] * len(PEOPLE)


def test_they_are_beside_corpora_of_this_version(tmp_path, toy_corpus):
    """Put together, rows of a corpus of before and of one of now are read as each is by itself."""

    class Asked(toy_corpus):
        rules = {}

        def options(self):
            return super().options() | {"label_source": "stimulus"} | self.rules

    class Now(Asked):
        rules = {"showings": "one stimulus"}

    shown = {("s0", 1): ["a", "a #2", "b"]}
    rows = [
        load_from_disk(str(prepare(corpus(name, shown=shown), tmp_path / name, progress=False).folder))
        for corpus, name in ((Asked, "before"), (Now, "now"))
    ]
    together = concatenate_datasets(rows)
    together.save_to_disk(str(tmp_path / "saved"))
    again = concatenate_datasets([load_from_disk(str(tmp_path / "saved")), rows[1].select([])])
    for source in (together, tmp_path / "saved", again):
        before, now = open_corpora([source])
        assert before.stimulus.tolist() == ["a", "a", "b"] and now.stimulus.tolist() == ["a", "a #2", "b"]


def test_names_of_no_clip_and_those_of_a_table_stay(tmp_path):
    table = opened(by_table(tmp_path, EARLIER, numbered=False))
    assert table.stimulus.tolist() == [*EARLIER] * len(PEOPLE)
    own = ("video #2", "video #3", "a", "b", "c", "d")
    unlike = from_arrays(
        signals("1"), ch_names=NAMES, sampling_rate=RATE, unit="uV", name="mine", subject="1", stimulus=list(own)
    )
    trials = opened(unlike)
    assert trials.stimulus.tolist() == [*own]
    assert "showings" not in json.loads((trials.folder / "corpus.json").read_text())["options"]


def test_a_corpus_with_repetitions_is_prepared_again_and_another_is_not(tmp_path):
    def options(stimuli):
        fields = [{"stimulus": clip} for clip in stimuli]
        people, sessions = ["1"] * len(stimuli), [""] * len(stimuli)
        arrays = array_subjects(signals("1"), NAMES, RATE, "uV", people, sessions, fields)
        return AdaptedCorpus(arrays, "mine").options()

    assert options(SHOWN)["showings"] == "one stimulus"
    assert "showings" not in options(("a", "b", "c", "d", "e", "f"))


# --- promises of the schema -----------------------------------------------------------------------------------------


def test_two_trials_with_the_same_ids_are_refused(tmp_path, toy_corpus):
    class Repeating(toy_corpus):
        def read_unit(self, unit, report):
            for trial in super().read_unit(unit, report):
                trial.trial = -1
                yield trial

    shown = {("s0", 1): ["clip0", "clip1"], ("s1", 1): ["clip0", "clip0"]}
    with pytest.raises(SchemaError, match="subject s1, session 1, stimulus clip0: two trials have these ids"):
        prepare(Repeating(shown=shown), tmp_path / "out", progress=False)
    assert preparation_key(Repeating(shown=shown))


# --- numbers of sessions --------------------------------------------------------------------------------------------


def test_who_lacks_a_session_shifts_no_number(tmp_path):
    arrays = np.concatenate([signals("1")[:2], signals("2")[:1]])
    shared = {"ch_names": NAMES, "sampling_rate": RATE, "unit": "uV", "name": "mine", "stimulus": ["x", "x", "x"]}
    rows = from_arrays(arrays, subject=["1", "1", "2"], session=["calm", "film", "film"], **shared)
    assert list(zip(rows["subject"], rows["session"], strict=True)) == [("1", 1), ("1", 2), ("2", 2)]
    rows = from_arrays(arrays, subject=["1", "1", "2"], session=["01", "02", "02"], **shared)
    assert list(zip(rows["subject"], rows["session"], strict=True)) == [("1", 1), ("1", 2), ("2", 2)]
    root = tmp_path / "study"
    for person, session in (("1", "calm"), ("1", "film"), ("2", "film")):
        folder = root / f"sub-{person}" / f"ses-{session}" / "eeg"
        folder.mkdir(parents=True)
        values = np.random.default_rng([int(person), ord(session[0])]).normal(0, 12, (len(NAMES), 20 * RATE))
        write_edf(folder / f"sub-{person}_ses-{session}_task-watch_eeg.edf", values, NAMES, RATE)
    (root / "task-watch_events.tsv").write_text("onset\tduration\tstimulus\n2\t8\tx\n")
    trials = opened(prepare(BIDS(root), tmp_path / "bids", progress=False).folder)
    assert list(zip(trials.subject, trials.session, strict=True)) == [("1", 1), ("1", 2), ("2", 2)]
    assert BIDS(root).options()["sessions"] == {"calm": 1, "film": 2}
