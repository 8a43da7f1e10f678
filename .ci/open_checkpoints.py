"""What a stranger does with checkpoints of both families, with transformers alone: `python open_checkpoints.py FOLDER`.

FOLDER holds a checkpoint folder for each of `CHECKPOINTS` (`write_checkpoints.py` makes them). Each is opened where it
lies and from a cache in the Hub's layout, with every auto class, the extractor, the pipeline and one step of Trainer.
All numbers found go to FOLDER/NAME.npz; what failed is printed, and sets the exit status. Needs transformers, torch,
NumPy, SciPy and Accelerate; MNE for reading a file.
"""

import argparse
import importlib.util
import json
import logging
import os
import shutil
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

#: Folder -> the auto classes that open it, and whether it has a trained head.
CHECKPOINTS = {
    f"{family}-{kind}": (classes, kind == "classifier")
    for family in ("mdjpt", "masked")
    for kind, classes in {
        "encoder": ("AutoModel",),
        "pretraining": ("AutoModelForPreTraining", "AutoModel"),
        "classifier": ("AutoModelForSequenceClassification", "AutoModel"),
    }.items()
}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", default="found.npz")
    parser.add_argument("--skip", nargs="*", default=[], help="families to leave out")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ |= {"HF_HOME": scratch, "HF_HUB_OFFLINE": "1", "HF_MODULES_CACHE": f"{scratch}/modules"}
        os.environ |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_VERBOSITY": "error"}
        sys.meta_path.insert(0, _NothingOfOurs())
        numbers, failures = {}, {}
        for name, (classes, is_classifier) in CHECKPOINTS.items():
            if name.split("-")[0] in arguments.skip:
                continue
            as_on_the_hub(folder / name, Path(scratch))
            for place, where in {"folder": str(folder / name), "hub": f"somebody/{name}"}.items():
                try:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        found = open_checkpoint(where, classes, is_classifier, folder / "recording.edf", scratch)
                except Exception as error:
                    failures[f"{name} {place}"] = f"{type(error).__name__}: {str(error).splitlines()[0][:300]}"
                    traceback.print_exc()
                else:
                    numbers |= {f"{name}/{place}/{key}": value for key, value in found.items()}
    import numpy as np
    import torch
    import transformers

    np.savez(folder / arguments.out, **numbers)
    versions = {"transformers": transformers.__version__, "torch": torch.__version__}
    print(json.dumps({**versions, "numbers": len(numbers), "failures": failures}))
    return len(failures) > 0


class _NothingOfOurs:
    """Refuses the package, which strangers do not have."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "mdjpt_hf":
            raise ImportError(name)


def as_on_the_hub(folder: Path, home: Path) -> None:
    """Lay a checkpoint where a download would have laid it."""
    repo = home / "hub" / f"models--somebody--{folder.name}"
    commit = "a" * 40
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text(commit)
    shutil.copytree(folder, repo / "snapshots" / commit)


def open_checkpoint(where: str, classes: tuple, is_classifier: bool, recording: Path, scratch: str) -> dict:
    """Everything that is asked of one checkpoint, as arrays by name."""
    import numpy as np
    import torch
    import transformers

    trusted = {"trust_remote_code": True}
    config = transformers.AutoConfig.from_pretrained(where, **trusted)
    extractor = transformers.AutoFeatureExtractor.from_pretrained(where, **trusted)
    names = ["Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2"]
    signal = np.random.default_rng(0).normal(0, 20, (10, 250 * 13))
    inputs = extractor(signal, ch_names=names, sampling_rate=250, unit="uV", return_tensors="pt")
    found = {"input_values": inputs["input_values"].numpy()}
    for name in classes:
        model = getattr(transformers, name).from_pretrained(where, **trusted).eval()
        assert type(model.config).__name__ == type(config).__name__
        with torch.no_grad():
            output = model(**inputs)
        for key, value in output.items():
            for index, part in enumerate(value if isinstance(value, tuple) else [value]):
                found[f"{name}/{key}{index}"] = part.numpy()
    if is_classifier:
        found |= recognised(where, signal, names, recording) | trained(where, inputs, scratch)
    return found


def recognised(where: str, signal, names: list, recording: Path) -> dict:
    """Scores of the pipeline, of an array and, with MNE, of a file."""
    import numpy as np
    import transformers

    recognise = transformers.pipeline("eeg-emotion-recognition", model=where, trust_remote_code=True)
    answers = {"array": recognise(signal, ch_names=names, sampling_rate=250, unit="uV")}
    if importlib.util.find_spec("mne"):
        answers["file"] = recognise(str(recording), smoothing="causal")
    return {
        f"pipeline/{name}": np.array([entry["score"] for window in answer["windows"] for entry in window["scores"]])
        for name, answer in answers.items()
    }


def trained(where: str, inputs, scratch: str) -> dict:
    """Weights of the head after one step of Trainer, and the loss."""
    import torch
    import transformers

    logging.getLogger("transformers.trainer").setLevel(logging.ERROR)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(where, trust_remote_code=True)
    windows = [
        {"input_values": values, "labels": torch.tensor(index % 3)}
        for index, values in enumerate(inputs["input_values"])
    ]
    arguments = transformers.TrainingArguments(
        output_dir=f"{scratch}/trainer",
        max_steps=1,
        per_device_train_batch_size=len(windows),
        learning_rate=1e-3,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
        optim="adamw_torch",
        seed=0,
    )
    trainer = transformers.Trainer(model=model, args=arguments, train_dataset=windows)
    loss = trainer.train().training_loss
    weights = [value.detach().float().flatten() for _, value in sorted(model.named_parameters())]
    return {"trainer/loss": torch.tensor(loss).numpy(), "trainer/weights": torch.cat(weights).cpu().numpy()}


if __name__ == "__main__":
    sys.exit(main())
