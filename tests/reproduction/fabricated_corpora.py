"""Four subjects of each of the paper's six corpora, as files in their owners' formats, with trials of 1 to 2 s."""

import numpy as np
from fabricated_deap import preprocessed, write_dat, write_ratings
from fabricated_faced import processed_array, write_pickle, write_remarks
from fabricated_seed import cnt_signal, trial_matrix, with_extras, write_cnt, write_mat

SUBJECTS = (1, 2, 3, 4)
SEED_LABELS = [1, 0, -1, -1, 0, 1, -1, 0, 1, 1, 0, -1, 0, 1, -1]


def noisy(signal, *key):
    """The tones of the fabricated files with noise of 10 µV, so that no two windows are alike."""
    return signal + np.random.default_rng(key).normal(0, 10, np.shape(signal))


def seed(root, amplitude=10.0):
    write_mat(root / "Preprocessed_EEG" / "label.mat", {"label": np.array([SEED_LABELS], dtype=float)})
    for subject in SUBJECTS:
        trials = {f"ab_eeg{n}": noisy(trial_matrix(amplitude + n, 2.0), 1, subject, n) for n in range(1, 16)}
        write_mat(root / "Preprocessed_EEG" / f"{subject}_20131027.mat", trials)


def seed_iv(root):
    for subject in SUBJECTS:
        trials = {f"cz_eeg{n}": noisy(trial_matrix(10 + n, 1.5), 2, subject, n) for n in range(1, 25)}
        write_mat(root / "eeg_raw_data" / "1" / f"{subject}_20160518.mat", trials)


def seed_v(root):
    """Raw sessions; the clips are those that `SEEDV.clips` names."""
    from mdjpt_hf.data_scripts.seed_v import SEEDV

    names = with_extras()
    for subject in SUBJECTS:
        signal = cnt_signal(names, 1000, 25.0, SEEDV.clips[0], lambda n: 10 + n)
        write_cnt(root / "EEG_raw" / f"{subject}_1_20180515.cnt", noisy(signal, 3, subject), names)


def seed_vii(root):
    for subject in SUBJECTS:
        trials = {str(n): noisy(trial_matrix(10 + n % 20, 1.2), 4, subject, n) for n in range(1, 41)}
        write_mat(root / "EEG_preprocessed" / f"{subject}.mat", trials)


def faced(root):
    for subject in SUBJECTS:
        clips = noisy(processed_array(subject, 300), 5, subject)
        write_pickle(root / "Processed_data" / f"sub{subject:03d}.pkl", clips)
        write_remarks(root / "Data" / f"sub{subject:03d}", subject)


def deap(root):
    for subject in SUBJECTS:
        write_dat(root / "data_preprocessed_python", subject, data=noisy(preprocessed(1.2), 6, subject))
    write_ratings(root / "metadata_csv" / "participant_ratings.csv", SUBJECTS)


SOURCES = {"seed": seed, "seed_iv": seed_iv, "seed_v": seed_v, "seed_vii": seed_vii, "faced": faced, "deap": deap}
