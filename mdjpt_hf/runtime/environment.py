"""What a report of a fault should say of the machine: versions, devices, limits. Nothing personal, no path."""

import os
import platform
from importlib import metadata

from mdjpt_hf.runtime.cores import usable_cores
from mdjpt_hf.version import __version__

_LIBRARIES = ("torch", "transformers", "datasets", "huggingface_hub", "accelerate", "mne", "numpy", "scipy", "pyarrow")
_OPTIONAL = ("braindecode", "gradio", "mne-icalabel", "onnxruntime", "peft", "torchaudio")


def environment() -> dict[str, str]:
    """Name -> version or fact, in the order to print."""
    import torch

    facts = {
        "mdjpt-hf": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        **{name: _version(name) for name in (*_LIBRARIES, *_OPTIONAL)},
        "processor": f"{os.cpu_count()} cores, {usable_cores()} usable, {torch.get_num_threads()} threads of torch",
    }
    gpus = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return {**facts, "accelerators": ", ".join(gpus) or "none"}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
