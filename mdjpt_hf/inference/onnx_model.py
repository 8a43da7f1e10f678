"""A network that `mdjpt export` wrote, without PyTorch: what PyTorch refuses is refused here too."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from mdjpt_hf.errors import CheckpointError, ConfigurationError, SignalError
from mdjpt_hf.runtime.cores import usable_cores


class OnnxModel:
    """A file of `mdjpt export`, opened with onnxruntime.

    ONNX has no words for a refusal: a file given windows that are too short, or none, ends in an error of some inner
    product or answers with nothing. Here they are looked at first, as the network in PyTorch does.

    Args:
        path: The file.
        threads: Cores to use; by default all that this process may use.

    Attributes:
        output: What comes out: `"logits"` of a classifier, `"pooler_output"` of an encoder.
        labels: Names of a classifier's outputs.
        facts: What stands in the file: rate, seconds of a window, what features are normalised over.

    Raises:
        ConfigurationError: If the extra `[onnx]` is missing.
        CheckpointError: If the file is missing, damaged, or none of `mdjpt export`.
    """

    def __init__(self, path: str | Path, threads: int | None = None):
        try:
            import onnxruntime
        except ImportError as error:
            raise ConfigurationError(
                f"this needs onnxruntime ({error})", value="onnx", remedy="pip install 'mdjpt-hf[onnx]'"
            ) from error
        self.threads = threads or usable_cores()

        def opened(threads: int) -> Any:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

        try:
            self.session = opened(self.threads)
            (given,), (made,) = self.session.get_inputs(), self.session.get_outputs()
            self.facts: dict[str, str] = dict(self.session.get_modelmeta().custom_metadata_map)
            (_, channels, _) = given.shape
            self.channels = int(channels or 0)
            self.shortest = int(self.facts.get("shortest_samples", self.facts["sampling_rate"]))
        except Exception as error:  # onnxruntime's errors have no common class of its own
            raise CheckpointError(
                f"is no whole file of mdjpt export ({str(error).splitlines()[0]})",
                path=path,
                remedy="Write it again with `mdjpt export MODEL --onnx FILE`",
            ) from error
        # Of several windows every core has its own; kernels that share one wait for each other.
        self._apart = opened(1) if self.threads > 1 and self._each_by_itself else self.session
        self.output, self._input = made.name, given.name
        self.labels = list(json.loads(self.facts["labels"]).values()) if self.output == "logits" else []

    def __call__(self, windows: np.ndarray) -> np.ndarray:
        """Logits or features of windows.

        Args:
            windows: `(batch, channels, samples)` from `MDJPTFeatureExtractor`, at least a second each.

        Returns:
            `(batch, labels or features)`, float32.

        Raises:
            SignalError: If there is no window, or its shape does not fit.
        """
        windows = np.asarray(windows)
        if windows.ndim != 3 or windows.shape[1] != self.channels or windows.shape[2] < self.shortest:
            raise SignalError(
                f"windows must have shape (batch, {self.channels}, at least {self.shortest} samples), "
                f"found {windows.shape}",
                value=windows.shape,
                remedy="Prepare the recording with MDJPTFeatureExtractor",
            )
        if not len(windows):
            raise SignalError(
                "there is no window", value=windows.shape, remedy="Leave out recordings shorter than a window"
            )
        windows = windows.astype(np.float32, copy=False)
        if not self._each_by_itself or len(windows) == 1:
            return self._run(self.session, windows)
        # What lies between products of one window stays in the cache, which that of many does not.
        parts = [windows[number : number + 1] for number in range(len(windows))]
        with ThreadPoolExecutor(self.threads) as threads:
            return np.concatenate(list(threads.map(lambda part: self._run(self._apart, part), parts)))

    @property
    def _each_by_itself(self) -> bool:
        return self.facts.get("windows") == "each by itself"

    def _run(self, session: Any, windows: np.ndarray) -> np.ndarray:
        (found,) = session.run([self.output], {self._input: windows})
        return found
