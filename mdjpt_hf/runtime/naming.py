"""What a model is called where its address is too long."""

import os
from pathlib import Path


def model_name(address: str | Path) -> str:
    """The last part of a folder or Hub id; of `.` and `..` that of the folder meant."""
    return Path(os.path.abspath(address)).name
