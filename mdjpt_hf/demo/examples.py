"""A recording to try the page with: simulated, and saying so."""

from pathlib import Path

import mne

from mdjpt_hf.data_scripts.simulated import SimulatedCorpora

#: Corpus of the simulation, and how much of it the example holds.
CORPUS, CLIPS, CLIP_SECONDS = "sim-32", 3, 20.0


def write_example(folder: Path, seed: int = 1000) -> Path:
    """Write a simulated session of three clips, as recorded, in FIF.

    Args:
        folder: Made where it is missing.
        seed: Of the simulation.
    """
    builder = SimulatedCorpora(
        seed=seed, corpora=[CORPUS], subjects=1, stimuli=CLIPS, trial_seconds=CLIP_SECONDS, preprocessing="none"
    )
    subject = builder.units()[0].split("/")[1]
    recording = builder.recording(CORPUS, subject, 1)
    amplifier = builder.specs[CORPUS].amplifier
    info = mne.create_info(list(amplifier.ch_names), amplifier.sampling_rate, "eeg")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "simulated_raw.fif"
    mne.io.RawArray(recording.signal * 1e-6, info, verbose="ERROR").save(path, overwrite=True, verbose="ERROR")
    return path
