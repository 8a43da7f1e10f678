"""Tiny files laid out as those of DEAP: its Python 2 pickles, and the table of ratings."""

import csv

import numpy as np
from python2_pickle import write_python2_pickle

SECONDS = 5  # of a video; real ones last 60
PERIPHERAL = ["hEOG", "vEOG", "zEMG", "tEMG", "GSR", "Resp", "Plet", "Temp"]
# the two orders of channels, written down here a second time so that the reader's own table is tested
GENEVA = [
    *("Fp1", "AF3", "F3", "F7", "FC5", "FC1", "C3", "T7", "CP5", "CP1", "P3", "P7", "PO3", "O1", "Oz", "Pz"),
    *("Fp2", "AF4", "Fz", "F4", "F8", "FC6", "FC2", "Cz", "C4", "T8", "CP6", "CP2", "P4", "P8", "PO4", "O2"),
]
TWENTE = [
    *("Fp1", "AF3", "F7", "F3", "FC1", "FC5", "T7", "C3", "CP1", "CP5", "P7", "P3", "Pz", "PO3", "O1", "Oz"),
    *("O2", "PO4", "P4", "P8", "CP6", "CP2", "C4", "T8", "FC6", "FC2", "F4", "F8", "AF4", "Fp2", "Fz", "Cz"),
]


def wave(channel, video, time):
    """µV: every channel has its frequency, every video its amplitude."""
    return (10 + video) * np.sin(2 * np.pi * (5 + GENEVA.index(channel) / 2) * time)


def preprocessed(seconds=SECONDS):
    """`(40, 40, samples)`: 3 s of something else, the video, and peripheral channels after the EEG."""
    time = np.arange(round(seconds * 128)) / 128
    data = np.full((40, 40, 384 + len(time)), 1e4)
    for video in range(1, 41):
        for index, channel in enumerate(GENEVA):
            data[video - 1, index, 384:] = wave(channel, video, time)
            data[video - 1, index, :384] = 70 * np.cos(2 * np.pi * 11 * np.arange(384) / 128 + index)
    return data


def ratings(subject):
    """`(40, 4)` from 1 to 9, with two decimals, valence and arousal of one trial beyond 8."""
    values = np.random.default_rng(subject).uniform(1, 9, (40, 4)).round(2)
    values[3, :2] = 8.5, 9.0
    return values


def order(subject):
    """Video -> position from 0."""
    positions = np.random.default_rng(100 + subject).permutation(40)
    return dict(zip(range(1, 41), positions.tolist(), strict=True))


def start(position):
    return 20.0 + 9 * position


def write_ratings(path, subjects, seconds_between=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    names = ["Participant_id", "Trial", "Experiment_id", "Start_time"]
    names += ["Valence", "Arousal", "Dominance", "Liking", "Familiarity"]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        for subject in subjects:
            for video, position in sorted(order(subject).items(), key=lambda item: item[1]):
                when = round((start(position) + 0.2) * 1e6)
                writer.writerow([subject, position + 1, video, when, *ratings(subject)[video - 1], ""])
    return path


def write_dat(folder, subject=1, labels=None, data=None):
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "labels": ratings(subject) if labels is None else labels,
        "data": preprocessed() if data is None else data,
    }
    return write_python2_pickle(folder / f"s{subject:02d}.dat", content)
