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


def template_montage() -> str:
    """MNE's name for the 10-05 electrodes on the head of Colin27; the same places had another name before 1.13."""
    new = "colin27_1005"
    return new if new in load_mne().channels.get_builtin_montages() else "standard_1005"
