"""What the commands of the extras work on: `python write_extras_inputs.py FOLDER`; needs what `[test]` installs."""

import sys
from pathlib import Path

import h5py
import mne
import numpy as np

from mdjpt_hf import MDJPTConfig, MDJPTFeatureExtractor, MDJPTForSequenceClassification, MDJPTModel
from mdjpt_hf.data.prepare import prepare
from mdjpt_hf.data_scripts.recordings import Recordings

NAMES = ["Fp1", "Fp2", "F7", "F3", "F4", "F8", "T7", "C3", "C4", "T8", "P7", "P3", "P4", "P8", "O1", "O2"]
READ_MATLAB = """from pathlib import Path

from mdjpt_hf.data_scripts.matlab import load_matlab

assert load_matlab(Path("signal.mat"))["x"].shape == (3, 4)
"""


def write(folder: Path) -> None:
    config = MDJPTConfig.preset("tiny", num_labels=2)
    for name, model_class in (("encoder", MDJPTModel), ("classifier", MDJPTForSequenceClassification)):
        model_class(config).save_pretrained(folder / name)
        MDJPTFeatureExtractor().save_pretrained(folder / name)
    lines = ["file,subject,session,stimulus,onset,duration,label"]
    for subject in range(4):
        signal = np.random.default_rng(subject).normal(0, 2e-5, (len(NAMES), 60 * 250))
        raw = mne.io.RawArray(signal, mne.create_info(NAMES, 250, "eeg"), verbose="ERROR")
        raw.export(folder / f"s{subject}.edf", overwrite=True, verbose="ERROR")
        lines += [f"s{subject}.edf,s{subject},1,clip{k},{30 * k},30,{'joy' if k else 'fear'}" for k in range(2)]
    (folder / "table.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    prepare(Recordings(folder / "table.csv"), folder / "data", progress=False)
    with h5py.File(folder / "signal.mat", "w") as file:
        file["x"] = np.zeros((4, 3))
    (folder / "read_matlab.py").write_text(READ_MATLAB, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
