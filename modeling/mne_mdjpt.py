"""MNE, loaded where a file is opened and nowhere else: arrays need none of it."""

from typing import Any

from .errors_mdjpt import SignalError


def load_mne() -> Any:
    """The module `mne`.

    Raises:
        SignalError: If it is not installed.
    """
    try:
        import mne
    except ImportError as error:
        raise SignalError("opening files needs MNE", value="mne", remedy="pip install mne, or give an array") from error
    return mne
