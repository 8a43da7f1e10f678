"""What can be wrong with a recording on its way into the model: one exception class per cause.

Every message says what was found, with the offending value, and what to do about it. The same three facts are
attributes, so that a program can act on them.

    MDJPTError (ValueError)
    ├── MontageError        unknown, duplicate or missing channels
    ├── SamplingRateError   a rate that cannot carry the model's band
    ├── UnitError           amplitudes that cannot be EEG in the stated unit
    ├── SignalError         wrong shape, non-finite values, too short, nothing left
    └── ConfigurationError  settings that are unknown, out of range or contradict each other
"""

from typing import Any


class MDJPTError(ValueError):
    """Base of every error this package raises about its input.

    Args:
        message (`str`): What was wanted and what was found.
        value: The offending value.
        remedy (`str`): What the user can do.
        path: The file concerned, where there is one; it opens the message.
    """

    def __init__(self, message: str, *, value: Any = None, remedy: str = "", path: Any = None):
        self.value = value
        self.remedy = remedy
        self.path = None if path is None else str(path)
        text = message if self.path is None else f"{self.path}: {message}"
        super().__init__(f"{text.removesuffix('.')}. {remedy}" if remedy else text)


class MontageError(MDJPTError):
    """Channel names that are unknown, appear twice, or share nothing with the electrode positions known."""


class SamplingRateError(MDJPTError):
    """A sampling rate that is missing, not positive, or too low for the band the model reads."""


class UnitError(MDJPTError):
    """Amplitudes outside what EEG can be in the stated unit: usually volts taken for microvolts or the reverse."""


class SignalError(MDJPTError):
    """A signal with the wrong shape, with NaN or infinite samples, too short, or with no usable part left."""


class ConfigurationError(MDJPTError):
    """Settings that are unknown, out of range or contradict each other."""


def is_ours(error: BaseException) -> bool:
    """Whether an error is an [`MDJPTError`] of any copy of this code.

    transformers loads model, extractor and pipeline of one checkpoint each with copies of their own of the files that
    they share, so `except MDJPTError` in one does not catch what another raises.
    """
    return any(kind.__name__ == MDJPTError.__name__ for kind in type(error).__mro__)


def located(error: Any, where: str) -> Any:
    """The same error with the recording it concerns in front of its message, unless it stands there."""
    if not where or getattr(error, "path", None) == where:
        return error
    message = str(error).removesuffix(f". {error.remedy}") if error.remedy else str(error)
    return type(error)(f"{where}: {message}", value=error.value, remedy=error.remedy)
