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
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from transformers import pipeline

# The task's name as the pipeline file has it, which cannot be imported from beside this file.
TASK = "eeg-emotion-recognition"

#: One request: enough for an hour of 64 channels at 250 Hz as JSON, and for most EDF files; more belongs into batches.
MAX_VALUES = 64_000_000
MAX_CHANNELS = 512
MAX_FILE_BYTES = 256 * 2**20
MAX_RECORDINGS = 64

PARAMETERS = ("smoothing", "top_k", "window_seconds", "stride_seconds", "batch_size")


class RequestError(ValueError):
    """A request that cannot be served.

    Args:
        message (`str`): What was wrong.
        value: The offending value. remedy (`str`): What the caller can do.
    """

    def __init__(self, message: str, value: Any = None, remedy: str = ""):
        super().__init__(message)
        self.value, self.remedy = value, remedy


class EndpointHandler:
    """Serves one model.

    Args:
        path (`str`): Folder of the checkpoint, its own code included.

    Raises:
        RequestError: If it is no classifier.
    """

    def __init__(self, path: str = ""):
        self.pipeline: Any = pipeline(task=TASK, model=path, trust_remote_code=True)  # type: ignore[call-overload]
        if not self.pipeline.has_trained_head:
            raise RequestError("the model has no emotion head", path, "Fine-tune it first")

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
        except ValueError as error:  # ours and the model's own errors, which all are ValueErrors
            return {"error": _described(error)}

    def _answer(self, item: Any, parameters: dict[str, Any]) -> dict[str, Any]:
        if "edf" not in item:
            return self.pipeline(_signal(item), **parameters)
        content, suffix = _file(item["edf"])
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "recording").with_suffix(suffix)
            path.write_bytes(content)
            return self.pipeline(str(path), **parameters)


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
        found = sorted(parameters) if isinstance(parameters, dict) else type(parameters).__name__
        raise RequestError(f"unknown parameters {found}", found, f"Use some of {', '.join(PARAMETERS)}")
    return inputs, parameters


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
    rows = item["signal"]
    if not isinstance(rows, list) or not rows or not all(isinstance(row, list) for row in rows):
        raise RequestError("signal must be a list of channels, each a list of samples", type(rows).__name__)
    if len(rows) > MAX_CHANNELS or sum(map(len, rows)) > MAX_VALUES:
        raise RequestError(
            f"at most {MAX_CHANNELS} channels and {MAX_VALUES:,} values, found {len(rows)} channels and "
            f"{sum(map(len, rows)):,} values",
            len(rows),
            "Send a shorter recording, or an EDF file",
        )
    try:
        signal = np.array(rows, dtype=np.float32)
    except (ValueError, TypeError) as error:
        raise RequestError("channels must be numbers and of equal length", str(error)[:200]) from error
    if not np.isfinite(signal).all():
        raise RequestError("the signal holds values that are not finite", remedy="Cut them out")
    return {**item, "signal": signal}


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


def _described(error: ValueError) -> dict[str, Any]:
    value = getattr(error, "value", None)
    return {
        "type": type(error).__name__,
        "message": str(error),
        "value": value if isinstance(value, str | int | float | bool | None) else str(value),
        "remedy": getattr(error, "remedy", ""),
    }
