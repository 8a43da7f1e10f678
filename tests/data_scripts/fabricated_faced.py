"""Tiny files laid out as those of FACED: pickled arrays, 24-bit BDF byte by byte, remarks, and the BIDS tables."""

import pickle

import numpy as np
import scipy.io

COHORT_1 = "Fp1 Fp2 Fz F3 F4 F7 F8 FC1 FC2 FC5 FC6 Cz C3 C4 T3 T4 A1 A2 CP1 CP2 CP5 CP6 Pz P3 P4 T5 T6 PO3 PO4 Oz O1 O2"
COHORT_2 = (
    "Fp1 Fp2 Fz F3 F4 F7 F8 FC1 FC2 FC5 FC6 Cz C3 C4 T7 T8 CP1 CP2 CP5 CP6 Pz P3 P4 P7 P8 PO3 PO4 Oz O1 O2 HEOR HEOL"
)
#: Scalp electrodes by the names of today, in the order of every form of the corpus.
NAMES = COHORT_2.split()[:30]
_OLD = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
#: What videos 1 to 28 are meant to evoke.
EMOTIONS = [
    *["anger"] * 3,
    *["disgust"] * 3,
    *["fear"] * 3,
    *["sadness"] * 3,
    *["neutral"] * 4,
    *["amusement"] * 3,
    *["inspiration"] * 3,
    *["joy"] * 3,
    *["tenderness"] * 3,
]
SCORES = ["Joy", "Tenderness", "Inspiration", "Amusement", "Anger", "Disgust", "Fear", "Sadness", "Arousal"]
SCORES += ["Valence", "Familiarity", "Liking"]


def tone(channel, loudness, time):
    """µV: another frequency in every channel, from 4 to 33 Hz; ears and eyes are loud at 45 Hz."""
    name = _OLD.get(channel, channel)
    if name not in NAMES:
        return 100 * np.sin(2 * np.pi * 45 * time)
    return loudness * np.sin(2 * np.pi * (4 + NAMES.index(name)) * time + 0.3)


def loudness(subject, video):
    """µV; another one for every clip of everybody."""
    return 10 + subject / 10 + video


def order_of(subject):
    """The videos, 1 to 28, as shown to a subject."""
    return [int(number) + 1 for number in np.random.default_rng(subject).permutation(28)]


def scores_of(subject, video):
    """Twelve scores from 0 to 7, all different."""
    return [round((subject + video + 0.5 * index) % 7, 3) for index in range(12)]


def assert_tones(trial, subject, video, seconds, start=0.0):
    assert trial.sampling_rate == 125 and abs(trial.signal.shape[1] - 125 * seconds) <= 1
    time = start + np.arange(trial.signal.shape[1]) / 125
    inner = slice(25, round(125 * seconds) - 25)
    assert trial.ch_names == NAMES
    for name, values in zip(NAMES, trial.signal, strict=True):
        wanted = tone(name, loudness(subject, video), time)
        assert np.abs(values - wanted)[inner].max() < 0.02 * loudness(subject, video), name


def processed_array(subject, samples=500):
    """`(28, 32, samples)`: A2 and A1 last, videos in order of their numbers."""
    time = np.arange(samples) / 250
    channels = [*NAMES, "A2", "A1"]
    return np.array([[tone(name, loudness(subject, v), time) for name in channels] for v in range(1, 29)])


def write_pickle(path, content, protocol=4):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


def write_remarks(folder, subject, shown=None, **changed):
    """After_remarks.mat: a (28, 1) struct array in order of presentation."""
    shown = order_of(subject) if shown is None else shown
    fields = [(name, object) for name in ("score", "trial", "vid", "Accuracy", "ResponseTime")]
    entries = np.empty((len(shown), 1), dtype=fields)
    for position, video in enumerate(shown):
        scores = changed.get("scores", scores_of(subject, video))
        entries[position, 0] = (
            np.array([scores], dtype=float),
            np.array([[position + 1]], dtype=np.uint8),
            np.array([[video]], dtype=np.uint8),
            np.empty((0, 0)),
            np.empty((0, 0)),
        )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "After_remarks.mat"
    scipy.io.savemat(path, {changed.get("name", "After_remark"): entries}, do_compression=True)
    return path


def _field(value, width):
    text = str(value).encode("latin-1")
    assert len(text) <= width
    return text.ljust(width)


def _bdf_header(signals, records, seconds, reserved, person):
    """256 bytes, then every field for all signals; a signal is (label, unit, physical range, samples per record)."""
    n = len(signals)
    head = b"\xffBIOSEMI" + _field(person, 80) + _field("recording", 80) + b"04.08.1809.30.00"
    head += _field(256 * (n + 1), 8) + _field(reserved, 44) + _field(records, 8) + _field(seconds, 8) + _field(n, 4)
    columns = [
        [(label, 16) for label, *_ in signals],
        [("", 80)] * n,
        [(unit, 8) for _, unit, *_ in signals],
        [(-top, 8) for *_, top, _ in signals],
        [(top, 8) for *_, top, _ in signals],
        [(-8388608, 8)] * n,
        [(8388607, 8)] * n,
        [("", 80)] * n,
        [(count, 8) for *_, count in signals],
        [("", 32)] * n,
    ]
    return head + b"".join(_field(value, width) for column in columns for value, width in column)


def write_bdf(path, signal, names, rate, unit="uV", person="Q7Q1 F X Roe_Jane"):
    """A BDF of whole seconds; `unit` is one for all channels, or one each.

    Args:
        signal: `(channels, samples)` in µV.
    """
    top = 375000
    units = [unit] * len(names) if isinstance(unit, str) else unit
    records = signal.shape[1] // rate
    signals = [(name, one, top, rate) for name, one in zip(names, units, strict=True)]
    counts = np.round(signal / (2 * top / (2**24 - 1)) - 0.5).astype("<i4")
    in_records = counts.reshape(len(names), records, rate).transpose(1, 0, 2)
    data = np.ascontiguousarray(in_records).view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_bdf_header(signals, records, 1, "24BIT", person) + data)
    return path


def write_events(path, events):
    """A BDF+ that holds annotations only: (s, text), one per record."""
    width = 120  # bytes, a multiple of 3
    records = []
    for number, (onset, text) in enumerate(events):
        stamp = f"+{number}\x14\x14\x00+{onset:.3f}\x14{text}\x14\x00".encode()
        records.append(stamp.ljust(width, b"\0"))
    header = _bdf_header([("BDF Annotations", "", 8388607, width // 3)], len(records), 1, "BDF+C", "X X X X")
    path.write_bytes(header + b"".join(records))
    return path


CLIP_SECONDS, PAUSE = 1.2, 0.4


def clip_times(shown):
    """(video, start, end) in s of every clip shown."""
    step = CLIP_SECONDS + PAUSE
    return [(video, 2 + step * index, 2 + step * index + CLIP_SECONDS) for index, video in enumerate(shown)]


def raw_signal(subject, names, rate, shown):
    """`(channels, samples)` in µV; 5 µV between the clips."""
    time = np.arange(48 * rate) / rate
    loud = np.full(len(time), 5.0)
    for video, start, end in clip_times(shown):
        loud[round(start * rate) : round(end * rate)] = loudness(subject, video)
    return np.array([tone(name, loud, time) for name in names])


def triggers(shown):
    """Codes of the clips among those of the other experiment, as they stand in evt.bdf."""
    events = [(0.0, "Start Impedance"), (0.2, "Stop Impedance"), (0.3, "95"), (0.35, "102"), (0.4, "101")]
    events += [(0.5, "116"), (1.0, "100"), (1.2, "201"), (1.4, "202")]
    for video, start, end in clip_times(shown):
        events += [(start - 0.1, str(video)), (start, "101"), (start + 0.5, "77"), (start + 0.6, "3"), (end, "102")]
    return [*events, (46.5, "201"), (46.8, "107"), (46.9, "102")]


def write_raw(root, subject, names, rate, unit="uV", shown=None):
    """Data/subXXX with its three files."""
    shown = order_of(subject) if shown is None else shown
    folder = root / "Data" / f"sub{subject:03d}"
    write_bdf(folder / "data.bdf", raw_signal(subject, names, rate, shown), names, rate, unit)
    write_events(folder / "evt.bdf", triggers(shown))
    write_remarks(folder, subject, shown)
    return folder / "data.bdf"


def write_bids(root, subject, names, rate, unit="uV"):
    """One subject of the BIDS copy: recording, and events with a byte order mark."""
    shown = order_of(subject)
    stem = f"sub-{subject:03d}_task-watchingVideoClips"
    folder = root / f"sub-{subject:03d}" / "eeg"
    path = write_bdf(folder / f"{stem}_eeg.bdf", raw_signal(subject, names, rate, shown), names, rate, unit)
    columns = ["onset", "duration", "trial_type", "value", "sample", "emotion_label", "binary_label", "video_index"]
    columns += SCORES
    lines = ["\t".join(columns), "\t".join(["1.0", "0.0", "201", "1", "125", *["n/a"] * 15])]
    for video, start, end in clip_times(shown):
        label = "\\" if EMOTIONS[video - 1] == "neutral" else EMOTIONS[video - 1].capitalize()
        title = '\u00a0A "film' if video == 26 else "Blue"
        row = [start, end - start, title, (7 * video) % 53, round(start * rate), label, "x", video]
        lines.append("\t".join(str(value) for value in [*row, *scores_of(subject, video)]))
    (folder / f"{stem}_events.tsv").write_text("\ufeff" + "\n".join(lines) + "\n", encoding="utf-8")
    return path
