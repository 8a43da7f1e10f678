"""When samples were recorded: pauses, seams and marks, as every format tells of them."""

import sys
from pathlib import Path

import mne
import numpy as np
import pybv
import pytest
import scipy.io

from mdjpt_hf.errors import SignalError
from mdjpt_hf.modeling.feature_extraction_mdjpt import MDJPTFeatureExtractor
from mdjpt_hf.modeling.signal_mdjpt import clean
from mdjpt_hf.modeling.stretches_mdjpt import Span, Stretch, break_notes, find_span, mask_spans, time_of, whole
from mdjpt_hf.modeling.timeline_mdjpt import Mark, read_timeline

sys.path.insert(0, str(Path(__file__).parents[1]))
from fabricated_edf import paused, write_edf  # noqa: E402

NAMES = ["Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2"]
RATE = 250


def noise(seconds, seed=0):
    return np.random.default_rng(seed).normal(0, 12, (len(NAMES), seconds * RATE))


def raw_of(signal, annotations=None):
    raw = mne.io.RawArray(signal * 1e-6, mne.create_info(NAMES, RATE, "eeg"), verbose="ERROR")
    return raw.set_annotations(mne.Annotations(*annotations)) if annotations else raw


def opened(path):
    return mne.io.read_raw(path, verbose="ERROR")


def bounds(timeline):
    return [(s.start, s.stop, round(s.onset, 6)) for s in timeline.stretches]


@pytest.mark.parametrize("suffix", [".edf", ".bdf"])
def test_pauses_of_edf_files_are_those_of_their_records(tmp_path, suffix):
    marks = [(5.0, 1.0, "BAD_x"), (31.0, 2.0, "clip"), (52.0, 3.0, "BAD_late")]
    starts = paused(40, {10: 20.0, 30: 2.5})
    raw = opened(write_edf(tmp_path / f"x{suffix}", noise(40), NAMES, starts=starts, marks=marks))
    timeline = read_timeline(raw)
    assert bounds(timeline) == [(0, 2500, 0.0), (2500, 7500, 30.0), (7500, 10000, 52.5)]
    assert timeline.end == 62.5
    # MNE drops the last mark, as if it came after the end
    assert [(mark.onset, mark.duration, mark.text) for mark in timeline.marks] == marks
    assert timeline.bad_spans == [(5.0, 6.0), (52.0, 55.0)]
    assert "2 pauses or seams in the recording (at 10 s for 20 s, at 50 s for 2.5 s)" in timeline.notes()[0]


def test_edf_files_without_a_pause_have_one_stretch(tmp_path):
    plain = opened(write_edf(tmp_path / "plain.edf", noise(10), NAMES))
    started_late = opened(write_edf(tmp_path / "late.edf", noise(10), NAMES, starts=[k + 0.25 for k in range(10)]))
    no_clock = opened(write_edf(tmp_path / "zero.edf", noise(10), NAMES, starts=[0.0] * 10))
    rounded = opened(
        write_edf(tmp_path / "rounded.edf", noise(10), NAMES, starts=[k + (k % 2) / 250 for k in range(10)])
    )
    for raw in (plain, started_late, no_clock, rounded):
        assert bounds(read_timeline(raw)) == [(0, 2500, 0.0)]
        assert read_timeline(raw).notes() == []


def test_a_cropped_recording_keeps_the_clock_of_its_file(tmp_path):
    starts, marks = paused(40, {10: 20.0}), [(5.0, 1.0, "BAD_x"), (35.0, 2.0, "BAD_y")]
    raw = opened(write_edf(tmp_path / "x.edf", noise(40), NAMES, starts=starts, marks=marks))
    before = read_timeline(raw.copy().crop(4, 20))
    assert bounds(before) == [(0, 1500, 0.0), (1500, 4001, 26.0)]
    assert before.bad_spans[0] == (1.0, 2.0) and before.bad_spans[1] == (31.0, 33.0)
    after = read_timeline(raw.copy().crop(12, 20))
    assert bounds(after) == [(0, 2001, 0.0)]
    halved = read_timeline(raw.copy().load_data(verbose="ERROR").resample(125, verbose="ERROR"))
    assert bounds(halved) == [(0, 1250, 0.0), (1250, 5000, 30.0)]


def test_marks_that_a_user_added_or_removed_count_as_the_recording_shows_them(tmp_path):
    starts, marks = paused(40, {10: 20.0}), [(5.0, 1.0, "BAD_x"), (36.0, 2.0, "BAD_y")]
    raw = opened(write_edf(tmp_path / "x.edf", noise(40), NAMES, starts=starts, marks=marks))
    raw.annotations.append(15.0, 1.0, "BAD_seen")  # by eye, in MNE's time, in which nothing paused
    raw.annotations.delete(0)
    assert read_timeline(raw).bad_spans == [(35.0, 36.0), (36.0, 38.0)]


def test_joined_recordings_have_seams(tmp_path):
    parts = [raw_of(noise(8, seed)) for seed in range(3)]
    joined = mne.concatenate_raws(parts)
    joined.save(tmp_path / "joined_raw.fif", verbose="ERROR")
    wanted = [(0, 2000, 0.0), (2000, 4000, 8.0), (4000, 6000, 16.0)]
    for raw in (joined, opened(tmp_path / "joined_raw.fif"), joined.copy().crop(2)):
        shift = 0 if raw.n_times == 6000 else 500
        timeline = read_timeline(raw)
        assert bounds(timeline) == [(max(a - shift, 0), b - shift, max(c - shift / RATE, 0)) for a, b, c in wanted]
        assert timeline.bad_spans == []
    joined.set_annotations(None)  # the files behind it are still several, but nothing tells of them in arrays
    assert len(read_timeline(joined).stretches) == 3


def test_a_recording_split_over_files_has_none(tmp_path):
    raw_of(noise(300)).save(tmp_path / "long_raw.fif", split_size="2MB", verbose="ERROR")
    raw = opened(tmp_path / "long_raw.fif")
    assert len(raw.filenames) > 1
    assert bounds(read_timeline(raw)) == [(0, 75000, 0.0)]


def test_skips_are_no_signal(tmp_path):
    signal = noise(40)
    signal[:, 2500:3750] = 0
    raw = raw_of(signal, ([10.0, 20.0], [5.0, 1.0], ["BAD_ACQ_SKIP", "BAD_x"]))
    raw.save(tmp_path / "x_raw.fif", buffer_size_sec=5, verbose="ERROR")
    raw.export(tmp_path / "x.vhdr", verbose="ERROR")
    raw.export(tmp_path / "x.edf", verbose="ERROR")
    for one in (raw, *map(opened, (tmp_path / "x_raw.fif", tmp_path / "x.vhdr", tmp_path / "x.edf"))):
        timeline = read_timeline(one)
        assert bounds(timeline) == [(0, 2500, 0.0), (3750, 10000, 15.0)]
        assert timeline.bad_spans == [(20.0, 21.0)]


def test_boundaries_of_eeglab_lie_between_samples(tmp_path):
    locations = np.array([(name,) for name in NAMES], dtype=[("labels", object)])
    events = np.array(
        [("boundary", 0.5, 0.0), ("boundary", 1000.5, 700.0), ("odd", 1200.0, 0.0)],
        dtype=[("type", object), ("latency", object), ("duration", object)],
    )
    eeg = {"setname": "x", "srate": 250.0, "nbchan": 10, "trials": 1, "pnts": 5000, "data": noise(20), "xmin": 0.0}
    eeg |= {"chanlocs": locations, "event": events, "xmax": 20.0, "icawinv": [], "icasphere": [], "icaweights": []}
    eeg |= {"epoch": [], "ref": "common", "times": [], "chaninfo": {"nodatchans": []}, "icachansind": [], "icaact": []}
    scipy.io.savemat(tmp_path / "x.set", {"EEG": eeg}, appendmat=False)
    timeline = read_timeline(opened(tmp_path / "x.set"))
    assert bounds(timeline) == [(0, 1000, 0.0), (1000, 5000, 4.0)]
    assert [mark.text for mark in timeline.marks] == ["odd"]


def test_new_segments_of_brainvision(tmp_path):
    pybv.write_brainvision(
        data=noise(20) * 1e-6, sfreq=RATE, ch_names=NAMES, fname_base="x", folder_out=str(tmp_path), unit="µV"
    )
    with (tmp_path / "x.vmrk").open("a") as file:
        file.write("Mk1=New Segment,,1,1,0,20200101100000000000\n")
        file.write("Mk2=New Segment,,2001,1,0,20200101100030000000\nMk3=Comment,BAD_moved,3001,250,0\n")
    timeline = read_timeline(opened(tmp_path / "x.vhdr"))
    assert bounds(timeline) == [(0, 2000, 0.0), (2000, 5000, 8.0)]
    assert timeline.bad_spans == [(12.0, 13.0)]


def test_persyst_tells_in_its_sample_times(tmp_path):
    values = np.round(noise(20).T).astype("<i2")
    (tmp_path / "x.dat").write_bytes(values.tobytes())
    channels = "\n".join(f"{name}={number + 1}" for number, name in enumerate(NAMES))
    (tmp_path / "x.lay").write_text(
        "[FileInfo]\nFile=x.dat\nFileType=Interleaved\nSamplingRate=250\nHeaderLength=0\nCalibration=1.0\n"
        f"WaveformCount=10\nDataType=0\n[Patient]\nSex=\nHand=\nFirst=\nMiddle=\nLast=\nID=\nBirthDate=01/01/1980\nTestDate=01/01/2020\nTestTime=10:00:00\n[SampleTimes]\n0=36000.0\n1000=36004.0\n2000=36020.5\n"
        f"[ChannelMap]\n{channels}\n[Comments]\n"
    )
    timeline = read_timeline(opened(tmp_path / "x.lay"))
    assert bounds(timeline) == [(0, 2000, 0.0), (2000, 5000, 8.0)]


@pytest.mark.parametrize(
    ("text", "reader", "is_seam"),
    [
        ("boundary", "", True),
        ("Comment/boundary", "", True),
        ("EDGE boundary", "", True),
        ("Comment/BAD boundary", "", True),
        ("bad_boundary", "", True),
        ("New Segment/", "", True),
        ("New Segment/LostSamples: 3", "", True),
        ("Segment boundary", "", True),
        ("Recording paused", "", True),
        ("boundaries of the self", "", False),
        ("Stimulus/S 99", "", False),
        ("-99", "", False),
        ("-99", "RawEEGLAB", True),
        ("32766", "RawGDF", True),
        ("32766", "RawEEGLAB", False),
        ("impedance", "RawANT", True),
    ],
)
def test_words_for_seams(text, reader, is_seam):
    raw = raw_of(noise(10), ([4.0], [0.0], [text]))
    if reader:
        raw.__class__ = type(reader, (mne.io.RawArray,), {})
    timeline = read_timeline(raw)
    assert (len(timeline.stretches) == 2) == is_seam
    assert bool(timeline.marks) != is_seam


@pytest.mark.parametrize(
    ("text", "is_bad"),
    [
        ("BAD_moved", True),
        ("bad", True),
        (" Bad blink", True),
        ("Comment/BAD_moved", True),
        ("Userdefined/bad", True),
        ("Bad Interval/Bad Min-Max", True),
        ("Stimulus/badminton", False),
        ("Stimulus/S  1", False),
        ("not bad", False),
    ],
)
def test_words_for_bad(text, is_bad):
    assert Mark(0.0, 1.0, text).is_bad == is_bad


def test_a_span_lies_within_one_stretch():
    stretches = [Stretch(0, 1000, 0.0), Stretch(1000, 3000, 30.0)]
    assert find_span(2.0, 3.0, stretches, 100) == Span(200, 500)
    assert find_span(31.0, 4.0, stretches, 100) == Span(1100, 1500)
    assert find_span(30.0, None, stretches, 100) == Span(1000, 3000)
    assert "runs across a pause or seam at 10 s" in find_span(8.0, 4.0, stretches, 100).broken
    assert "runs across" in find_span(0.0, None, stretches, 100).broken
    assert "nothing was recorded" in find_span(15.0, 2.0, stretches, 100).broken
    assert find_span(49.0, 2.0, stretches, 100).beyond and find_span(60.0, None, stretches, 100).beyond
    back = [Stretch(0, 1000, 0.0), Stretch(1000, 2000, 5.0)]
    assert "more than once" in find_span(6.0, 1.0, back, 100).broken


def test_masks_and_times_follow_the_clock():
    stretches = [Stretch(0, 1000, 0.0), Stretch(1000, 3000, 30.0)]
    clear = mask_spans([(9.0, 31.0)], stretches, 100, 3000)
    assert np.flatnonzero(~clear).tolist() == list(range(900, 1100))
    assert (time_of(999, stretches, 100), time_of(1000, stretches, 100)) == (9.99, 30.0)
    assert break_notes(whole(3000), 100) == []


def test_filters_stop_at_a_break():
    """A step that only the joint makes leaves no trace on either side."""
    left, right = noise(20, 1), noise(20, 2) + 400
    joined = clean(np.hstack([left, right]), NAMES, RATE, stretches=[Stretch(0, 5000), Stretch(5000, 10000, 20.0)])
    apart = [clean(part, NAMES, RATE).signal for part in (left, right)]
    np.testing.assert_allclose(joined.signal, np.hstack(apart), atol=1e-4)
    assert joined.stretches == [Stretch(0, 2500, 0.0), Stretch(2500, 5000, 20.0)]
    with pytest.raises(SignalError, match=r"at least 1 s, found 0.4 s between two breaks"):
        clean(left[:, :200], NAMES, RATE, stretches=[Stretch(0, 100), Stretch(100, 200)])
    short = clean(left, NAMES, RATE, stretches=[Stretch(0, 100), Stretch(100, 5000, 0.4)])
    assert short.signal.shape == (10, 2450) and "left out 1 stretches" in " ".join(short.notes)


def test_windows_stay_within_stretches_and_are_told_in_the_files_time(tmp_path):
    raw = opened(write_edf(tmp_path / "x.edf", noise(24), NAMES, starts=paused(24, {10: 20.0, 14: 3.0})))
    inputs = MDJPTFeatureExtractor()(raw)
    assert inputs["window_onsets"].tolist() == [0.0, 2.0, 4.0, 37.0, 39.0, 41.0]
    assert "pauses or seams" in str(inputs.report)
    with pytest.raises(SignalError, match="the longest stretch without a break lasts 10 s, one window 12 s"):
        MDJPTFeatureExtractor()(raw, window_seconds=12.0)
