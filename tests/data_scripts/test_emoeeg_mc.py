"""EmoEEG-MC: derivatives sorted by their owners, and raw recordings whose triggers differ between subjects."""

import itertools
import json
import os

import edfio
import numpy as np
import pytest

from mdjpt_hf.data_scripts import builder_class
from mdjpt_hf.data_scripts.base import UnitReport
from mdjpt_hf.data_scripts.emoeeg_mc import EmoEEGMC
from mdjpt_hf.data_scripts.emoeeg_mc_order import CONTEXTS, SEQUENCES, TRIGGERS
from mdjpt_hf.errors import CorpusError

# written down a second time, so that the reader's own tables are tested
CHANNELS = [
    *("Fp1", "Fpz", "Fp2", "AF7", "AF3", "AF4", "AF8", "F7", "F5", "F3", "F1", "Fz", "F2", "F4", "F6", "F8"),
    *("FT7", "FC5", "FC3", "FC1", "FCz", "FC2", "FC4", "FC6", "FT8", "T7", "C5", "C3", "C1", "Cz", "C2", "C4"),
    *("C6", "T8", "TP7", "CP5", "CP3", "CP1", "CPz", "CP2", "CP4", "CP6", "TP8", "P7", "P5", "P3", "P1", "Pz"),
    *("P2", "P4", "P6", "P8", "PO7", "PO3", "POz", "PO4", "PO8", "O1", "Oz", "O2", "F9", "F10", "TP9", "TP10"),
]
REORDERED = [
    *("sad4", "sad5", "sad8", "dis4", "dis5", "dis8", "fear4", "fear5", "fear8", "neu4", "neu5", "neu8"),
    *("joy4", "joy5", "joy8", "ten4", "ten5", "ten8", "ins4", "ins5", "ins8"),
]
POINTER = "../../../.git/annex/objects/Xq/0k/MD5E-s64512128--abc.npy/MD5E-s64512128--abc.npy"
NUMBERED = [f"{emotion}{clip}" for emotion in ("joy", "ins", "ten", "sad", "fear", "dis", "neu") for clip in "485"]


def amplitude(context, stimulus):
    """µV: another one for every trial."""
    return 10 + REORDERED.index(stimulus) + (30 if context == "ima" else 0)


def wave(context, stimulus, channel, time):
    return amplitude(context, stimulus) * np.sin(2 * np.pi * (4 + CHANNELS.index(channel) / 2) * time)


def read(builder):
    reports = {unit: UnitReport(unit) for unit in builder.units()}
    return [trial for unit in builder.units() for trial in builder.read_unit(unit, reports[unit])], reports


# --- what a folder holds ----------------------------------------------------------------------------------------------


def write_derivative(source, subject="01", context="vid", stimuli=REORDERED, wrapped=False, level="eeg/", samples=600):
    """`(64, trials, samples)` at 200 Hz; as it is, or within a dictionary that NumPy pickles."""
    time = np.arange(samples) / 200
    data = np.array([[wave(context, stimulus, name, time) for stimulus in stimuli] for name in CHANNELS])
    name = f"sub-{subject}_ses-{context}_task-emotion_reorder.npy"
    path = source / f"derivatives/sub-{subject}/ses-{context}/{level}{name}"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, {"reorder": data} if wrapped else data)
    np.save(path.with_name(name.replace("reorder", "de")), {"de": np.zeros((64, 21 * 30, 5))})
    (source / "derivatives" / "tmp1fkmnsit").touch()
    return path


def score(context, stimulus, column):
    """From 0 to 7, another one for every trial and column."""
    return round(0.1 * REORDERED.index(stimulus) + (2.5 if context == "ima" else 0) + 0.2 * column, 3)


def write_behaviour(source, subject, shown, style="same", missing=()):
    """One line per trial; `shown` in order of time. Styles: "named", "same" (useless names), "brackets"."""
    lines = ["\t".join(["trial_number", "video_name", *(f"score_{k}" for k in range(1, 11))])]
    for number, (context, stimulus) in enumerate(shown, start=1):
        name = NUMBERED.index(stimulus) + 1 + (21 if context == "vid" else 0)
        name = {"named": str(name), "same": "15", "brackets": "[[38]]"}[style]
        scores = ["n/a" if (context, stimulus) in missing else str(score(context, stimulus, k)) for k in range(1, 11)]
        lines.append("\t".join([str(number), name, *scores]))
    path = source / f"sub-{subject}/beh/sub-{subject}_task-emotion_beh.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def assert_ratings(trial):
    context, stimulus = trial.stimulus.split("_")
    wanted = [score(context, stimulus, column) / 7 for column in (7, 8, 10)]
    assert [trial.arousal, trial.valence, trial.liking] == pytest.approx(wanted)
    assert np.isnan(trial.dominance)


def alternating(sequences):
    """(context, stimulus) in order of time: blocks of three, videos first."""
    both = [iter(sequences[context]) for context in CONTEXTS]
    shown = []
    while len(shown) < sum(map(len, sequences.values())):
        for context, order in zip(CONTEXTS, both, strict=True):
            shown += [(context, stimulus) for stimulus in itertools.islice(order, 3)]
    return shown


# --- derivatives ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("level", ["eeg/", ""])
def test_derivatives_in_microvolts_with_class_and_place(tmp_path, wrapped, level):
    for context in CONTEXTS:
        write_derivative(tmp_path, "02", context, wrapped=wrapped, level=level)
    trials, reports = read(EmoEEGMC(tmp_path, preprocessing="none"))
    assert [trial.session for trial in trials] == [0] * 21 + [1] * 21
    for session, context in enumerate(CONTEXTS):
        part = trials[21 * session : 21 * session + 21]
        assert [trial.trial for trial in part] == list(range(21))
        assert [trial.stimulus for trial in part] == [f"{context}_{name}" for name in SEQUENCES["02"][context]]
    time = np.arange(375) / 125
    for trial in trials:
        context, stimulus = trial.stimulus.split("_")
        assert (trial.dataset, trial.subject, trial.sampling_rate) == ("emoeeg_mc", "02", 125)
        assert trial.ch_names == CHANNELS and trial.label_name == stimulus[:-1]
        wanted = np.array([wave(context, stimulus, name, time) for name in CHANNELS])
        assert np.abs(trial.signal - wanted)[:, 60:-60].max() < 0.5
        assert np.isnan([trial.valence, trial.arousal, trial.liking]).all()
        assert trial.to_row()["n_samples"] == 375
    name = "sub-02_ses-vid_task-emotion_reorder.npy"
    assert f"{name}: trials last 3 s instead of 30" in reports["02"].notes
    assert "sub-02: no ratings; the behaviour file is not below the source" in reports["02"].notes


def test_the_first_stimulus_of_subject_2_is_that_of_the_readme(tmp_path):
    """Checked against the README by hand, not against our table."""
    write_derivative(tmp_path, "02", "vid")
    trial = read(EmoEEGMC(tmp_path, preprocessing="none"))[0][0]
    assert (trial.stimulus, trial.trial, trial.label, trial.emotion) == ("vid_fear8", 0, 2, "fear")


def test_classes_and_valence(tmp_path):
    write_derivative(tmp_path, "02", "vid")
    trials, _ = read(EmoEEGMC(tmp_path, preprocessing="none"))
    seen = {(trial.label, trial.label_name, trial.emotion, trial.valence_class) for trial in trials}
    assert sorted(seen) == [
        (0, "sad", "sadness", "negative"),
        (1, "dis", "disgust", "negative"),
        (2, "fear", "fear", "negative"),
        (3, "neu", "neutral", "neutral"),
        (4, "joy", "joy", "positive"),
        (5, "ten", "tenderness", "positive"),
        (6, "ins", "inspiration", "positive"),
    ]


def test_named_behaviour_files_rate_the_derivatives(tmp_path):
    for context in CONTEXTS:
        write_derivative(tmp_path, "30", context)
    shown = alternating(SEQUENCES["30"])
    write_behaviour(tmp_path, "30", shown, "named", missing=[shown[4]])
    trials, _ = read(EmoEEGMC(tmp_path, preprocessing="none"))
    for trial in trials:
        if trial.stimulus == "_".join(shown[4]):
            assert np.isnan([trial.valence, trial.arousal, trial.liking]).all()
        else:
            assert_ratings(trial)


def test_orders_that_contradict_each_other_are_noted(tmp_path):
    for context in CONTEXTS:
        write_derivative(tmp_path, "30", context)
    shown = alternating(SEQUENCES["30"])
    write_behaviour(tmp_path, "30", shown, "named")
    _, reports = read(EmoEEGMC(tmp_path, preprocessing="none"))
    assert not any("different orders" in note for note in reports["30"].notes)
    write_behaviour(tmp_path, "30", shown[::-1], "named")
    _, reports = read(EmoEEGMC(tmp_path, preprocessing="none"))
    assert sum("README and behaviour file give different orders" in note for note in reports["30"].notes) == 2


@pytest.mark.parametrize("subject, style", [("02", "same"), ("25", "brackets")])
def test_behaviour_files_without_names_rate_no_derivative(tmp_path, subject, style):
    write_derivative(tmp_path, subject, "vid")
    write_behaviour(tmp_path, subject, alternating(SEQUENCES[subject]), style)
    trials, reports = read(EmoEEGMC(tmp_path, preprocessing="none"))
    assert len(trials) == 21 and all(np.isnan(trial.valence) for trial in trials)
    assert any("does not say which are of this context" in note for note in reports[subject].notes)
    assert f"sub-{subject}: no derivative of the context 'ima' is here" in reports[subject].notes


def test_subjects_with_fewer_trials_keep_their_stimuli(tmp_path):
    shown = SEQUENCES["56"]["ima"]
    assert len(shown) == 19
    write_derivative(tmp_path, "56", "ima", [name for name in REORDERED if name in shown], level="")
    trials, _ = read(EmoEEGMC(tmp_path, preprocessing="none"))
    assert [trial.stimulus for trial in trials] == [f"ima_{name}" for name in shown]
    time = np.arange(375) / 125
    for trial in trials:
        wanted = wave("ima", trial.stimulus[4:], "Cz", time)
        assert np.abs(trial.signal[CHANNELS.index("Cz")] - wanted)[60:-60].max() < 0.5


@pytest.mark.parametrize(
    "subject, count, message",
    [
        ("55", 19, "the README lists 18"),
        ("02", 20, "the README lists 21"),
        ("53", 21, "README and behaviour file disagree"),
    ],
)
def test_trials_that_cannot_be_identified_are_left_out_and_listed(tmp_path, subject, count, message):
    write_derivative(tmp_path, subject, "vid", REORDERED[:count])
    trials, reports = read(EmoEEGMC(tmp_path))
    assert trials == []
    (reason,) = reports[subject].rejected
    assert f"sub-{subject}_ses-vid_task-emotion_reorder.npy: holds {count} trials, but {message}" in reason


def test_trials_with_missing_samples_are_left_out(tmp_path):
    path = write_derivative(tmp_path, "02", "vid")
    data = np.load(path)
    data[3, REORDERED.index("neu5"), 100] = np.inf
    np.save(path, data)
    trials, reports = read(EmoEEGMC(tmp_path, preprocessing="none"))
    assert len(trials) == 20 and "vid_neu5" not in {trial.stimulus for trial in trials}
    assert reports["02"].rejected == [f"{path.name}: stimulus vid_neu5 holds samples that are not numbers"]


def test_the_usual_preprocessing(tmp_path):
    write_derivative(tmp_path, "02", "vid", samples=1200)
    trial = next(iter(EmoEEGMC(tmp_path).read_unit("02", UnitReport("02"))))
    time = np.arange(750) / 125
    wanted = np.array([wave("vid", "fear8", name, time) for name in CHANNELS])
    assert trial.preprocessing == "basic-1" and trial.signal.shape == wanted.shape
    wanted -= wanted.mean(axis=0)
    assert np.corrcoef(trial.signal[:, 125:-125].ravel(), wanted[:, 125:-125].ravel())[0, 1] > 0.98


@pytest.mark.parametrize("content", [np.zeros((21, 64, 600)), np.zeros((64, 600)), {"a": 1, "b": 2}, {"de": [1]}])
def test_arrays_that_are_no_derivative(tmp_path, content):
    np.save(write_derivative(tmp_path), content)
    with pytest.raises(CorpusError, match="sub-01_ses-vid_task-emotion_reorder.npy: is no reordered derivative"):
        read(EmoEEGMC(tmp_path))


def test_truncated_malicious_and_doubled_derivatives(tmp_path):
    path = write_derivative(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CorpusError, match="reorder.npy: the file is truncated"):
        read(EmoEEGMC(tmp_path))
    np.save(path, np.array({"x": os.system}, dtype=object))
    with pytest.raises(CorpusError, match="reorder.npy: this pickle asks for .*system"):
        read(EmoEEGMC(tmp_path))
    write_derivative(tmp_path, level="")
    with pytest.raises(CorpusError, match="reorder.npy: is there 2 times"):
        read(EmoEEGMC(tmp_path))


# --- raw recordings ---------------------------------------------------------------------------------------------------

RATE = 100
NAMES = ["Fp1", "Fz", "C3", "Cz", "C4", "Pz", "O1", "O2", "TP10"]
LONG = ("vid", "dis4")  # its clip lasts 40 s; all others are shorter than 30 s


class Session:
    """A raw recording under construction: a signal that is known at any time, and its annotations."""

    def __init__(self, subject, names=NAMES):
        self.codes = {kind: code for code, kind in TRIGGERS[subject].items()}
        self.names, self.now, self.events, self.trials = names, 5.0, [], {}

    def event(self, kind, at=None):
        self.events.append((self.now if at is None else at, self.codes[kind]))

    def show(self, context, stimulus, fade=True):
        """A trial: start, the end that fades, 2 s later the rating."""
        lasts = 40.0 if (context, stimulus) == LONG else 8.0 + REORDERED.index(stimulus) % 4
        end = self.now + lasts + (0 if fade else 2)
        self.trials[context, stimulus] = (max(self.now, end - 31), end - 1, self.now, end)
        self.event(context)
        if fade:
            self.event("fade", self.now + lasts)
        self.event("rating", self.now + lasts + 2)
        self.now += lasts + 5

    def write(self, path):
        time = np.arange(round((self.now + 3) * RATE)) / RATE
        signal = 5 * np.sin(2 * np.pi * 2 * time) + np.zeros((len(self.names), 1))
        for (context, stimulus), (_, _, start, end) in self.trials.items():
            inside = (time >= start) & (time < end)
            for row, name in enumerate(self.names):
                place = name if name in CHANNELS else CHANNELS[row]
                signal[row, inside] = wave(context, stimulus, place, time[inside])
        signals = [
            edfio.EdfSignal(row, RATE, label=name, physical_dimension="uV", physical_range=(-150, 150))
            for row, name in zip(signal, self.names, strict=True)
        ]
        notes = [edfio.EdfAnnotation(onset, None, str(code)) for onset, code in sorted(self.events)]
        path.parent.mkdir(parents=True, exist_ok=True)
        edfio.Edf(signals, annotations=notes).write(path)
        settings = {"SamplingFrequency": 1200, "EEGChannelCount": 64, "TriggerChannelCount": 4}  # not those of the file
        path.with_name(f"{path.name[:19]}_eeg.json").write_text(json.dumps(settings))
        return path


def edf(source, subject, run=""):
    return source / f"sub-{subject}/eeg/sub-{subject}_task-emotion{run}_eeg.edf"


def write_raw(source, subject, shown=None, names=NAMES, **arguments):
    session = Session(subject, names)
    for context, stimulus in alternating(SEQUENCES[subject]) if shown is None else shown:
        session.show(context, stimulus, **arguments)
    session.write(edf(source, subject))
    return session


def assert_raw(trial, session):
    """The right stretch of time at the right channels: phases are those of the recording's clock."""
    context, stimulus = trial.stimulus.split("_")
    start, end, _, _ = session.trials[context, stimulus]
    assert trial.signal.shape == (len(NAMES), round((end - start) * 125)) and trial.sampling_rate == 125
    time = start + np.arange(trial.signal.shape[1]) / 125
    wanted = np.array([wave(context, stimulus, name, time) for name in trial.ch_names])
    assert np.abs(trial.signal - wanted)[:, 60:-60].max() < 0.5
    assert trial.label_name == stimulus[:-1]


@pytest.mark.parametrize("subject", ["02", "08", "39", "60"])  # triggers that no rule connects
def test_raw_trials_in_microvolts_at_their_time(tmp_path, subject):
    session = write_raw(tmp_path, subject)
    shown = alternating(SEQUENCES[subject])
    write_behaviour(tmp_path, subject, shown)
    trials, reports = read(EmoEEGMC(tmp_path, preprocessing="none"))
    assert [trial.stimulus for trial in trials] == ["_".join(pair) for pair in shown]
    assert [(trial.session, trial.trial) for trial in trials] == [(0, k) for k in range(len(shown))]
    for trial in trials:
        assert trial.ch_names == NAMES
        assert_raw(trial, session)
        assert_ratings(trial)
    assert reports[subject].rejected == []


def test_a_trial_is_the_last_30_s_or_less_and_that_is_noted(tmp_path):
    write_raw(tmp_path, "02")
    trials, reports = read(EmoEEGMC(tmp_path, preprocessing="none"))
    seconds = {trial.stimulus: trial.signal.shape[1] / 125 for trial in trials}
    assert seconds["vid_dis4"] == 30 and seconds["vid_fear8"] == 8 + REORDERED.index("fear8") % 4 - 1
    noted = [note for note in reports["02"].notes if "instead of 30" in note]
    assert len(noted) == 41 and "sub-02_task-emotion_eeg.edf: vid_fear8 lasts 7.0 s instead of 30" in noted


def test_without_a_fade_a_trial_ends_at_the_rating(tmp_path):
    session = write_raw(tmp_path, "60", fade=False)
    for trial in read(EmoEEGMC(tmp_path, preprocessing="none"))[0]:
        assert_raw(trial, session)


def test_events_that_were_sent_twice(tmp_path):
    session = Session("02")
    for number, (context, stimulus) in enumerate(alternating(SEQUENCES["02"])):
        begun = session.now
        session.show(context, stimulus)
        end = session.trials[context, stimulus][3]
        if number == 3:
            session.event(context, begun + 0.5)
        if number == 5:
            session.event("fade", end + 1)
        if number == 6:
            session.event("fade", begun + 1)
            session.event("rating", begun + 1.5)
        if number == 8:
            session.event("fade", end + 4)
    session.events.append((session.now, 99))
    session.write(edf(tmp_path, "02"))
    trials, reports = read(EmoEEGMC(tmp_path, preprocessing="none"))
    assert len(trials) == 42
    for trial in trials:
        assert_raw(trial, session)
    assert sum("a second start" in note for note in reports["02"].notes) == 1


def test_two_runs_count_on_and_start_their_clocks_anew(tmp_path):
    shown = alternating(SEQUENCES["30"])
    sessions = [Session("30"), Session("30")]
    for session, part in zip(sessions, (shown[:24], shown[24:]), strict=True):
        for pair in part:
            session.show(*pair)
    sessions[0].write(edf(tmp_path, "30", "_run-01"))
    sessions[1].write(edf(tmp_path, "30", "_run-02"))
    write_behaviour(tmp_path, "30", shown, "named")
    builder = EmoEEGMC(tmp_path, preprocessing="none")
    assert builder.notes()[0] == "product: raw"
    trials, _ = read(builder)
    assert [trial.stimulus for trial in trials] == ["_".join(pair) for pair in shown]
    assert [trial.trial for trial in trials] == list(range(42)) and {trial.session for trial in trials} == {0}
    for number, trial in enumerate(trials):
        assert_raw(trial, sessions[number >= 24])
        assert_ratings(trial)
    sessions[0].write(edf(tmp_path, "30"))
    with pytest.raises(CorpusError, match="is there 3 times"):
        read(builder_class("emoeeg_mc")(tmp_path))


def test_a_behaviour_file_wins_where_it_names_the_trials(tmp_path):
    """For subject 53 the README lists another order."""
    order = list(np.random.default_rng(0).permutation(REORDERED))
    shown = alternating({"vid": order, "ima": order[::-1]})
    session = write_raw(tmp_path, "53", shown)
    trials, reports = read(EmoEEGMC(tmp_path, preprocessing="none"))
    assert trials == [] and all("README and behaviour file disagree" in reason for reason in reports["53"].rejected)
    write_behaviour(tmp_path, "53", shown, "named")
    trials, reports = read(EmoEEGMC(tmp_path, preprocessing="none"))
    assert [trial.stimulus for trial in trials] == ["_".join(pair) for pair in shown]
    for trial in trials:
        assert_raw(trial, session)
        assert_ratings(trial)
    assert reports["53"].rejected == []


def test_lost_trials_have_empty_lines_in_the_behaviour_file(tmp_path):
    shown = alternating(SEQUENCES["57"])
    write_raw(tmp_path, "57", shown)
    lost = [("ima", "dis4"), ("vid", "neu5")]
    lines = [*shown[:10], lost[0], *shown[10:30], lost[1], *shown[30:]]
    write_behaviour(tmp_path, "57", lines, missing=lost)
    trials, _ = read(EmoEEGMC(tmp_path, preprocessing="none"))
    assert len(trials) == 32
    for trial in trials:
        assert_ratings(trial)


def test_ratings_that_do_not_count_up_are_left_out(tmp_path):
    shown = alternating(SEQUENCES["02"])
    write_raw(tmp_path, "02", shown)
    write_behaviour(tmp_path, "02", shown[:36])
    trials, reports = read(EmoEEGMC(tmp_path, preprocessing="none"))
    assert len(trials) == 42 and all(np.isnan(trial.valence) for trial in trials)
    assert "sub-02: no ratings; 36 were given, but 42 trials are here" in reports["02"].notes


def test_a_context_that_lacks_trials_is_left_out_and_listed(tmp_path):
    shown = [pair for pair in alternating(SEQUENCES["02"]) if pair != ("ima", "sad4")]
    session = write_raw(tmp_path, "02", shown)
    trials, reports = read(EmoEEGMC(tmp_path, preprocessing="none"))
    assert len(trials) == 21 and all(trial.stimulus.startswith("vid_") for trial in trials)
    for trial in trials:
        assert_raw(trial, session)
        assert trial.trial == shown.index(tuple(trial.stimulus.split("_")))
    (reason,) = reports["02"].rejected
    assert "sub-02: holds 20 trials of the context 'ima', but 21 were shown" in reason


def test_channels_without_names_are_those_of_the_readme(tmp_path):
    numbers = [f"Ch{number}" for number in range(1, 65)]
    write_raw(tmp_path, "60", names=numbers)
    trial = read(EmoEEGMC(tmp_path, preprocessing="none"))[0][0]
    assert trial.ch_names == CHANNELS
    start, end = 5.0, 5.0 + trial.signal.shape[1] / 125
    time = np.arange(round(start * 125), round(end * 125)) / 125
    wanted = wave("vid", trial.stimulus[4:], "O2", time)
    assert np.abs(trial.signal[CHANNELS.index("O2")] - wanted)[60:-60].max() < 0.5


def test_a_recording_of_somebody_else_is_refused(tmp_path):
    write_raw(tmp_path, "02")
    (tmp_path / "sub-05/eeg").mkdir(parents=True)
    os.rename(edf(tmp_path, "02"), edf(tmp_path, "05"))
    with pytest.raises(
        CorpusError, match=r"sub-05_task-emotion_eeg.edf: holds no trigger of subject 05; found \[30, 31"
    ):
        read(EmoEEGMC(tmp_path))


def test_subjects_without_a_recording_are_noted(tmp_path):
    write_behaviour(tmp_path, "01", alternating(SEQUENCES["01"]))
    write_raw(tmp_path, "60")
    builder = EmoEEGMC(tmp_path)
    assert builder.units() == ["60"]
    assert "1 of the 60 subjects of this corpus are here" in builder.notes()


def test_truncated_recordings_are_refused(tmp_path):
    write_raw(tmp_path, "60")
    path = edf(tmp_path, "60")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CorpusError, match="sub-60_task-emotion_eeg.edf: the file is truncated"):
        read(EmoEEGMC(tmp_path))


# --- both -------------------------------------------------------------------------------------------------------------


def test_pointers_are_named_and_real_data_is_preferred_to_them(tmp_path):
    path = tmp_path / "derivatives/sub-60/ses-vid/sub-60_ses-vid_task-emotion_reorder.npy"
    path.parent.mkdir(parents=True)
    path.symlink_to(POINTER)
    with pytest.raises(CorpusError, match="sub-60_ses-vid_task-emotion_reorder.npy is a pointer.*datalad get"):
        read(EmoEEGMC(tmp_path))
    path.unlink()
    path.write_text("/annex/objects/MD5E-s64512128--abc.npy\n")
    with pytest.raises(CorpusError, match="is a pointer"):
        read(EmoEEGMC(tmp_path))
    write_raw(tmp_path, "60")
    assert EmoEEGMC(tmp_path).notes()[0] == "product: raw"
    write_derivative(tmp_path, "59", "vid")
    assert EmoEEGMC(tmp_path).notes()[0] == "product: derivatives"


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda text: text.replace("score_8", "pleasure"), "KeyError"),
        (lambda text: text.replace("\t2.5\t", "\tx\t"), "ValueError"),
        (lambda text: text.replace("\t2.5\t", "\t9.5\t"), "outside the scale from 0 to 7"),
        (lambda text: text[:-30], "TypeError|AttributeError"),
    ],
)
def test_damaged_behaviour_files(tmp_path, change, message):
    write_derivative(tmp_path, "30", "vid")
    path = write_behaviour(tmp_path, "30", alternating(SEQUENCES["30"]), "named")
    changed = change(path.read_text())
    assert changed != path.read_text()
    path.write_text(changed)
    with pytest.raises(CorpusError, match=f"sub-30_task-emotion_beh.tsv: .*({message})"):
        read(EmoEEGMC(tmp_path))


def test_orders_and_triggers_cover_the_corpus():
    assert sorted(TRIGGERS) == [f"{number:02d}" for number in range(1, 61)]
    assert TRIGGERS["08"] == {42: "vid", 41: "ima", 40: "rating", 37: "fade"}
    assert TRIGGERS["53"] == {38: "vid", 36: "ima", 33: "rating", 34: "fade"}
    assert len(SEQUENCES) == 59 and "53" not in SEQUENCES
    complete = {
        subject for subject, each in SEQUENCES.items() if all(sorted(o) == sorted(REORDERED) for o in each.values())
    }
    assert sorted(set(SEQUENCES) - complete) == ["55", "56", "57", "58", "59", "60"]
    assert all(len(set(order)) == len(order) for each in SEQUENCES.values() for order in each.values())
    assert {
        subject: [len(SEQUENCES[subject][c]) for c in CONTEXTS] for subject in sorted(set(SEQUENCES) - complete)
    } == {**{"55": [18, 18], "56": [21, 19], "57": [15, 17], "58": [21, 18], "59": [17, 15], "60": [9, 7]}}


def test_wrong_folder_facts_and_options(tmp_path):
    with pytest.raises(CorpusError, match="holds no files of EmoEEG-MC.*openneuro"):
        EmoEEGMC(tmp_path)
    write_derivative(tmp_path, "30", "vid")
    behaviour = write_behaviour(tmp_path, "30", alternating(SEQUENCES["30"]), "named")
    builder = builder_class("emoeeg_mc")(tmp_path)
    (facts,) = builder.facts
    assert (facts.name, facts.licence, facts.redistributable, facts.label_source) == (
        "emoeeg_mc",
        "CC0",
        True,
        "stimulus",
    )
    assert facts.label_names == ("sad", "dis", "fear", "neu", "joy", "ten", "ins")
    assert "10.1038/s41597-025-05349-2" in facts.citation and "0 to 7" in facts.rating_scale
    options = builder.options()
    assert json.loads(json.dumps(options)) == options and len(options["files"]) == 2
    os.utime(behaviour, (1, 1))
    assert builder.options() != options
