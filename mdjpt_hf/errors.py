"""Every exception of the package, in one place.

MDJPTError (ValueError)
├── MontageError, SamplingRateError, UnitError, SignalError    a recording (defined beside the model)
├── ConfigurationError   settings that cannot work together (defined beside the model)
├── SchemaError          a trial that does not fit the one schema
├── CorpusError          a source folder, file or table that cannot be read as the corpus it should be
├── PairingError         a corpus that cannot give two subjects the same stimulus
├── SplitError           splits that cannot be drawn, are damaged, or belong to other data
├── RecordError          a record of results that is damaged, or not comparable
├── StreamError          a live stream that is not there, is lost, or is not the one it was
├── CheckpointError      a checkpoint that is incomplete, damaged or of another run
├── HubError             what the Hub refuses, or where it cannot be reached
├── ChecksumError        a file that is not the one that was shared
├── CardError            a card that lacks facts
└── LicenceError         data whose terms do not allow what was asked
"""

import importlib.util

from mdjpt_hf.modeling.errors_mdjpt import (
    ConfigurationError,
    MDJPTError,
    MontageError,
    SamplingRateError,
    SignalError,
    UnitError,
    located,
)

__all__ = [
    "CardError",
    "CheckpointError",
    "ChecksumError",
    "ConfigurationError",
    "CorpusError",
    "HubError",
    "LicenceError",
    "MDJPTError",
    "MontageError",
    "PairingError",
    "RecordError",
    "SamplingRateError",
    "SchemaError",
    "SignalError",
    "SplitError",
    "StreamError",
    "UnitError",
    "located",
    "require",
]


class SchemaError(MDJPTError):
    """A trial whose signal, names, labels or identity do not fit `mdjpt_hf.schema.TRIAL_FEATURES`."""


class CorpusError(MDJPTError):
    """A source that is missing, truncated, foreign, or not the corpus it was said to be."""


class PairingError(MDJPTError):
    """A corpus from which no two subjects with the same stimulus can be drawn."""


class SplitError(MDJPTError):
    """Splits that cannot be drawn from the data, were changed after they were saved, or belong to other data."""


class RecordError(MDJPTError):
    """A record of results that lacks something, or that others cannot be compared with."""


class StreamError(MDJPTError):
    """A live stream that cannot be found, does not come back, or comes back as another one."""


class CheckpointError(MDJPTError):
    """A checkpoint that is incomplete, damaged, or belongs to a run with other settings."""


class HubError(MDJPTError):
    """The Hub refuses a request or stays out of reach, or a folder is not fit to be shared."""


class ChecksumError(MDJPTError):
    """Files, here or on the Hub, whose content is not what was shared."""


class CardError(MDJPTError):
    """A card that lacks facts; `value` lists them."""


class LicenceError(MDJPTError):
    """Data whose terms do not allow what was asked."""


def require(module: str, extra: str, what: str = "this") -> None:
    """Look for a library that only some commands need, before anything heavy starts.

    Args:
        module: Its name. extra: Ours that brings it. what: What needs it.

    Raises:
        ConfigurationError: If it is not installed.
    """
    if importlib.util.find_spec(module) is None:
        raise ConfigurationError(
            f"{what} needs {module}", value=module, remedy=f"Install it with `pip install 'mdjpt-hf[{extra}]'`"
        )
