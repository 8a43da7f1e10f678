"""What an Inference Endpoint runs: requests in, plain JSON out. This file stands beside the weights on the Hub.

A request is `{"inputs": ..., "parameters": {...}}`. `inputs` is one of

    {"signal": [[...], ...], "ch_names": [...], "sampling_rate": 250, "unit": "uV"}    channels x samples
    {"edf": "<base64>"}                                                                a whole EDF or BDF file
    a list of these

and `parameters` are those of the pipeline: smoothing, top_k, window_seconds, stride_seconds, batch_size. A request that
cannot be served gets `{"error": {"type", "message", "value", "remedy"}}`, never a stack trace.
"""

import base64
import binascii
import math
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import pipeline

# The task's name as the pipeline file has it, which cannot be imported from beside this file.
TASK = "eeg-emotion-recognition"

#: One request: enough for an hour of 64 channels at 250 Hz; more belongs into several requests.
MAX_VALUES = 64_000_000
MAX_CHANNELS = 512
MAX_FILE_BYTES = 256 * 2**20
MAX_RECORDINGS = 64
MAX_NAME = 100
#: Windows of one recording, and what all of them take as 60 channels in float32: 4,000 windows of 5 s.
MAX_WINDOWS = 4_000
MAX_WINDOW_BYTES = 600_000_000
#: Windows x samples the model sees at a time: 128 windows of 5 s. A larger batch is taken in several.
MAX_BATCH_SAMPLES = 80_000
#: What answering the largest request takes at most, on top of the model and of the request as the server hands it over.
#: Requests that come at the same time are answered one after the other.
PEAK_BYTES = 2 * 2**30

#: Parameter -> what it may be, in words and as a test.
PARAMETERS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "smoothing": ("none, causal or lds", lambda value: value in ("none", "causal", "lds")),
    "top_k": ("a whole number from 1 on", lambda value: _is_whole(value, 1, 10_000)),
    "batch_size": ("a whole number from 1 to 1024", lambda value: _is_whole(value, 1, 1024)),
    "window_seconds": ("seconds, at most 60", lambda value: _is_number(value, 60)),
    "stride_seconds": ("seconds, at most 600", lambda value: _is_number(value, 600)),
}


class RequestError(ValueError):
    """A request that cannot be served.

    Args:
        message (`str`): What was wrong.
        value: The offending value. remedy (`str`): What the caller can do.
    """

    def __init__(self, message: str, value: Any = None, remedy: str = ""):
        super().__init__(message)
        self.value, self.remedy = value, remedy


def _keep_to_usable_cores() -> None:
    """A container may have a quota of processor time, of which torch (2.13) knows nothing: it starts a thread for every
    core of the machine, and threads that share the time of one wait for each other at the end of every kernel.
    """
    try:
        from joblib.externals.loky import cpu_count
    except ImportError:  # it is in the requirements that are shared with a model
        return
    torch.set_num_threads(min(torch.get_num_threads(), cpu_count()))


class EndpointHandler:
    """Serves one model.

    Args:
        path (`str`): Folder of the checkpoint, its own code included.

    Raises:
        ConfigurationError: Of the checkpoint's code, a `ValueError`, if it is no classifier.
    """

    def __init__(self, path: str = ""):
        _keep_to_usable_cores()
        self.pipeline: Any = pipeline(task=TASK, model=path, trust_remote_code=True)  # type: ignore[call-overload]
        self._turn = threading.Lock()
        self.pipeline.warm_up()

    def __call__(self, data: dict[str, Any]) -> Any:
        """Answer one request.

        Returns:
            What the pipeline returns (a dict per recording, a list for a list), or a dict with the key `error`.
        """
        try:
            inputs, parameters = _request(data)
            if isinstance(inputs, list):
                return [self._answer(item, parameters) for item in inputs]
            return self._answer(inputs, parameters)
        except Exception as error:
            if _is_for_caller(error):
                return {"error": _described(error)}
            # nobody who calls can do anything about these; no detail of this machine is told
            return {"error": _described(RequestError("the request could not be served", type(error).__name__))}

    def _answer(self, item: Any, parameters: dict[str, Any]) -> dict[str, Any]:
        with self._turn:
            if "edf" not in item:
                signal = _signal(item)
                return self.pipeline(signal, **self._checked(signal["signal"], signal["sampling_rate"], parameters))
            try:
                recording, notes = self._read(*_file(item["edf"]))
            finally:
                self.pipeline.warm_up()
            answer = self.pipeline(recording, **self._checked(recording.signal, recording.sampling_rate, parameters))
            return {**answer, "notes": [*notes, *answer["notes"]]}

    def _read(self, content: bytes, suffix: str) -> tuple[Any, list[str]]:
        """What the process that reads strangers' files makes of one; it sees a folder with nothing else in it."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "recording").with_suffix(suffix)
            path.write_bytes(content)
            try:
                return self.pipeline.read(path, foreign=True)
            except Exception as error:
                if not _is_for_caller(error):
                    raise
                raise RequestError(
                    str(error).replace(str(path), "the file").replace(str(path.resolve()), "the file"),
                    getattr(error, "value", None),
                    getattr(error, "remedy", ""),
                ) from error

    def _checked(self, signal: np.ndarray, rate: float, parameters: dict[str, Any]) -> dict[str, Any]:
        """The parameters, with a batch that fits; what would take too much memory is refused before it takes any."""
        extractor = self.pipeline.feature_extractor
        stride = parameters.get("stride_seconds") or extractor.stride_seconds
        length = parameters.get("window_seconds") or extractor.window_seconds
        (channels, samples), window = signal.shape, math.ceil(length * extractor.sampling_rate)
        step = max(1, round(stride * extractor.sampling_rate)) / extractor.sampling_rate
        windows = samples / rate / min(stride, step)
        size = windows * window * 60 * 4
        values = channels * samples
        if channels > MAX_CHANNELS or values > MAX_VALUES or windows > MAX_WINDOWS or size > MAX_WINDOW_BYTES:
            raise RequestError(
                f"a recording has at most {MAX_CHANNELS} channels, {MAX_VALUES:,} values and {MAX_WINDOWS:,} windows, "
                f"together {MAX_WINDOW_BYTES:,} bytes; found {channels} channels, {values:,} values and {windows:,.0f} "
                f"windows of {length:g} s, which are {size:,.0f} bytes",
                samples,
                "Send a shorter recording, a larger stride_seconds or a smaller window_seconds",
            )
        return {**parameters, "batch_size": min(parameters.get("batch_size", 32), max(1, MAX_BATCH_SAMPLES // window))}


def _request(data: Any) -> tuple[Any, dict[str, Any]]:
    if not isinstance(data, dict) or "inputs" not in data:
        raise RequestError("the request has no 'inputs'", remedy='Send {"inputs": {...}}')
    inputs, parameters = data["inputs"], data.get("parameters") or {}
    items = inputs if isinstance(inputs, list) else [inputs]
    if not 0 < len(items) <= MAX_RECORDINGS:
        raise RequestError(
            f"a request holds 1 to {MAX_RECORDINGS} recordings, found {len(items)}", len(items), "Send several requests"
        )
    for item in items:
        if not isinstance(item, dict) or ("edf" in item) == ("signal" in item):
            raise RequestError(
                "every input must be an object with either 'signal' or 'edf'",
                sorted(item) if isinstance(item, dict) else type(item).__name__,
                'Send {"signal": ..., "ch_names": ..., "sampling_rate": ...} or {"edf": "<base64>"}',
            )
    if not isinstance(parameters, dict) or set(parameters) - set(PARAMETERS):
        found = sorted(map(str, parameters)) if isinstance(parameters, dict) else type(parameters).__name__
        raise RequestError(f"unknown parameters {found}", str(found), f"Use some of {', '.join(PARAMETERS)}")
    for name, value in parameters.items():
        words, fits = PARAMETERS[name]
        if not fits(value):
            raise RequestError(f"{name} must be {words}", str(value)[:100], "Leave it out for the default")
    return inputs, parameters


def _is_whole(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_number(value: Any, high: float) -> bool:
    """A positive number; NaN and infinity, which some JSON carries, are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= high


def _signal(item: dict[str, Any]) -> dict[str, Any]:
    """The recording that an object of plain JSON describes."""
    unknown = sorted(set(item) - {"signal", "ch_names", "sampling_rate", "unit"})
    missing = [name for name in ("ch_names", "sampling_rate") if name not in item]
    if unknown or missing:
        raise RequestError(
            f"a signal comes with ch_names, sampling_rate and perhaps unit: {unknown} unknown, {missing} lacking",
            unknown or missing,
            "Send exactly these",
        )
    rows, names, rate = item["signal"], item["ch_names"], item["sampling_rate"]
    if not isinstance(rows, list) or not rows or not all(isinstance(row, list) for row in rows):
        raise RequestError("signal must be a list of channels, each a list of samples", type(rows).__name__)
    if not isinstance(names, list) or not all(isinstance(name, str) and len(name) <= MAX_NAME for name in names):
        raise RequestError(f"ch_names must be a list of names, each of at most {MAX_NAME} letters", str(names)[:100])
    if len(names) > MAX_CHANNELS:
        raise RequestError(f"at most {MAX_CHANNELS} channels, found {len(names)} ch_names", len(names))
    if not _is_number(rate, 1e6):
        raise RequestError("sampling_rate must be a positive number of Hz", str(rate)[:100])
    if not isinstance(item.get("unit", "uV"), str):
        raise RequestError("unit must be uV, mV or V", str(item["unit"])[:100])
    count = sum(map(len, rows))
    if len(rows) > MAX_CHANNELS or count > MAX_VALUES:
        raise RequestError(
            f"at most {MAX_CHANNELS} channels and {MAX_VALUES:,} values, found {len(rows)} and {count:,}",
            len(rows),
            "Send a shorter recording, or an EDF file",
        )
    return {**item, "signal": _numbers(rows)}


def _numbers(rows: list[list[Any]]) -> np.ndarray:
    """`(channels, samples)`. Kinds are looked at first: NumPy would turn every number beside one text into a text."""
    if len({len(row) for row in rows}) > 1 or any(isinstance(row[0], list) for row in rows if row):
        raise RequestError("channels must be of equal length", remedy="Send as many samples for every channel")
    signal = np.empty((len(rows), len(rows[0])), dtype=np.float32)
    for index, row in enumerate(rows):
        kinds = set(map(type, row))
        if not kinds <= {int, float}:
            names = ", ".join(sorted(kind.__name__ for kind in kinds - {int, float}))
            raise RequestError("channels must be numbers and of equal length", names)
        try:
            values = np.fromiter(row, np.float64, len(row))
        except OverflowError as error:
            raise RequestError("channels must be numbers of at most 64 bits", index) from error
        if not (np.abs(values) <= np.finfo(np.float32).max).all():  # NaN compares false
            raise RequestError("the signal holds values that are not finite", index, "Cut them out")
        signal[index] = values
    return signal


def _file(text: Any) -> tuple[bytes, str]:
    """Bytes of an EDF or BDF file and the suffix that tells which."""
    if not isinstance(text, str) or len(text) > MAX_FILE_BYTES * 4 // 3 + 4:
        raise RequestError(
            f"edf must be base64 text of at most {MAX_FILE_BYTES:,} bytes",
            len(text) if isinstance(text, str) else type(text).__name__,
            "Send a shorter recording",
        )
    try:
        content = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise RequestError(f"edf is no base64 ({error})", remedy="Encode the file's bytes as base64") from error
    if content[:8] == b"0       ":
        return content, ".edf"
    if content[:8] == b"\xffBIOSEMI":
        return content, ".bdf"
    raise RequestError("the file is neither EDF nor BDF", content[:8].hex(), "Convert the recording to EDF")


def _is_for_caller(error: Exception) -> bool:
    """Whether an error says what the caller can do: ours and those of the model's code, known by name.

    transformers loads every part of a checkpoint with its own copy of our exceptions, so classes are not the same.
    """
    return isinstance(error, RequestError) or any(kind.__name__ == "MDJPTError" for kind in type(error).__mro__)


def _described(error: Exception) -> dict[str, Any]:
    value = getattr(error, "value", None)
    if isinstance(value, int) and abs(value) > 2**63:  # too long for many a reader of JSON
        value = "a very large number"
    return {
        "type": type(error).__name__,
        "message": str(error)[:2000],  # it may repeat what was sent
        "value": value if value is None or isinstance(value, int | bool) else str(value)[:1000],
        "remedy": getattr(error, "remedy", ""),
    }
