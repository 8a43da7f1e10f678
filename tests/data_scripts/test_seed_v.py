"""SEED-V: raw sessions in Neuroscan files."""

import pytest
from fabricated_seed import NAMES, assert_tones, cnt_signal, everything_told, read, with_extras, write_cnt

from mdjpt_hf.data_scripts import builder_class
from mdjpt_hf.data_scripts.seed_v import SEEDV
from mdjpt_hf.errors import CorpusError

LABELS = ("4 1 3 2 0 4 1 3 2 0 4 1 3 2 0", *["2 1 3 0 4 4 0 3 2 1 3 4 1 2 0"] * 2)
MEANINGS = [
    ("disgust", "disgust", "negative"),
    ("fear", "fear", "negative"),
    ("sad", "sadness", "negative"),
    ("neutral", "neutral", "neutral"),
    ("happy", "joy", "positive"),
]


class ShortSEEDV(SEEDV):
    """SEED-V with clips of 1.6 s, at other times in every session."""

    clips = tuple(tuple((1 + session + 2.0 * n, 2.6 + session + 2.0 * n) for n in range(15)) for session in range(3))


def amplitude(subject, session, trial):
    """µV; another one in every trial of everybody."""
    return 10 + subject + 20 * session + trial


def write_session(folder, subject, session, date, **options):
    names = with_extras()
    signal = cnt_signal(names, 1000, 34.0, ShortSEEDV.clips[session], lambda n: amplitude(subject, session, n))
    return write_cnt(folder / "EEG_raw" / f"{subject}_{session + 1}_{date}.cnt", signal, names, **options)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("SEED-V")
    write_session(root, 1, 1, 20180810)  # the second set of clips was shown last
    write_session(root, 1, 2, 20180808)
    write_session(root, 12, 0, 20180515, width=2, header_samples=0)
    (root / "EEG_raw" / "read.ipynb").write_text("{}")
    (root / "EEG_DE_features").mkdir()
    (root / "EEG_DE_features" / "1_123.npz").write_bytes(b"PK")
    return root


def test_sessions_are_cut_at_their_clips(corpus):
    builder = ShortSEEDV(corpus, preprocessing="none")
    assert builder.units() == ["01", "12"]
    assert builder.notes() == ["product: EEG_raw", "2 of the 16 subjects of this corpus are here"]
    trials, reports = read(builder)
    there = [(1, 1), (1, 2), (12, 0)]
    assert [(int(t.subject), t.session, t.trial) for t in trials] == [(*key, n) for key in there for n in range(15)]
    for trial in trials:
        assert trial.ch_names == NAMES and trial.stimulus == f"session{trial.session + 1}-clip{trial.trial + 1:02d}"
        start, _ = ShortSEEDV.clips[trial.session][trial.trial]
        assert_tones(trial, amplitude(int(trial.subject), trial.session, trial.trial), 1.6, start)
        label = int(LABELS[trial.session].split()[trial.trial])
        assert (trial.label, trial.label_name, trial.emotion, trial.valence_class) == (label, *MEANINGS[label])
    assert len({trial.stimulus for trial in trials}) == 45
    assert "2 of 3 sessions are here" in reports["01"].notes and "1 of 3 sessions are here" in reports["12"].notes
    told = everything_told(builder, trials, reports)
    assert "Jane" not in told and "Q7Q1" not in told


def test_the_usual_preprocessing(corpus):
    builder = ShortSEEDV(corpus)
    trials = [trial for trial in read(builder)[0] if trial.subject == "12"]
    assert len(trials) == 15 and {trial.preprocessing for trial in trials} == {"basic-1"}
    assert all(trial.to_row()["n_samples"] == 200 for trial in trials)


def test_published_lists():
    assert [" ".join(map(str, session)) for session in SEEDV.labels] == list(LABELS)
    assert [session.count(label) for session in SEEDV.labels for label in range(5)] == [3] * 15
    lengths = [[end - start for start, end in session] for session in SEEDV.clips]
    # sum, longest and shortest of every session
    assert [sum(session) for session in lengths] == [2743, 2191, 2425]
    assert [max(session) for session in lengths] == [297, 240, 291]
    assert [min(session) for session in lengths] == [69, 59, 52]
    for session, labels in zip(SEEDV.clips, SEEDV.labels, strict=True):
        gaps = [after[0] - before[1] for before, after in zip(session, session[1:], strict=False)]
        upset = [label in (0, 1) for label in labels[:-1]]
        # after fear and disgust there was more time to recover; one gap of session 3 is long for no such reason
        odd = [gap for gap, long in zip(gaps, upset, strict=True) if (gap > 45) != long]
        assert odd in ([], [53])


@pytest.mark.parametrize(("share", "message"), [(0.5, "the file is truncated"), (0.0001, "not a Neuroscan recording")])
def test_truncated_recordings(tmp_path, share, message):
    path = write_session(tmp_path, 1, 0, 20180804)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(CorpusError, match=message) as error:
        read(ShortSEEDV(tmp_path))
    assert error.value.path == str(path)


def test_other_folders_are_told_apart(tmp_path):
    (tmp_path / "EEG_raw").mkdir()
    for name in ("1_20221015_1.cnt", "1_1.cnt", "1_4_20180804.cnt", "1_123.npz"):
        (tmp_path / "EEG_raw" / name).write_bytes(b"x")
    with pytest.raises(CorpusError, match="holds no files of SEED-V; looked for EEG_raw"):
        SEEDV(tmp_path)


def test_facts_and_registry(corpus):
    facts = builder_class("seed_v")(corpus).facts[0]
    assert (facts.name, facts.label_source, facts.redistributable) == ("seed_v", "stimulus", False)
    assert facts.label_names == tuple(meaning.name for meaning in SEEDV.classes)
    assert "10.1109/TCDS.2021.3071170" in facts.citation
