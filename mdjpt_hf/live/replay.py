"""A recording played as if it came from a headset, through Lab Streaming Layer on this machine."""

import os
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mdjpt_hf.errors import ConfigurationError
from mdjpt_hf.live.lsl import LslSource, add_channels, library, stay_on_this_machine
from mdjpt_hf.live.source import EndOfStream
from mdjpt_hf.modeling.isolated_mdjpt import Limits
from mdjpt_hf.modeling.raw_mdjpt import Recording
from mdjpt_hf.modeling.reading_mdjpt import read_file

#: Chunks a second of the recording, as amplifiers send them.
_CHUNKS = 16


class Player(threading.Thread):
    """Plays a signal as an LSL stream; its stamps are those of the recording, however fast it is played.

    Args:
        name: Of the stream. signal: `(channels, samples)` in µV. times: `(samples,)` in s, with the pauses of the
            recording. ch_names, sampling_rate: Of it. speed: 2 is twice as fast as it was recorded.
    """

    def __init__(
        self,
        name: str,
        signal: np.ndarray,
        times: np.ndarray,
        ch_names: Sequence[str],
        sampling_rate: float,
        speed: float = 1.0,
    ):
        super().__init__(daemon=True, name=f"player of {name}")
        self._lsl = pylsl = library()
        info = pylsl.StreamInfo(name, "EEG", len(ch_names), sampling_rate, "float32", f"{name}-{os.getpid()}")
        add_channels(info, ch_names, "EEG", "microvolts")
        self.chunk = max(1, round(sampling_rate / _CHUNKS))
        self._outlet = pylsl.StreamOutlet(info, chunk_size=self.chunk)
        self._signal, self._times, self._speed = signal, times, speed
        self.finished, self._stopped = threading.Event(), threading.Event()

    def run(self) -> None:
        """Send everything, once somebody listens."""
        while not self._outlet.wait_for_consumers(0.2):
            if self._stopped.is_set():
                return
        begun, first = self._lsl.local_clock(), self._times[0]
        for start in range(0, len(self._times), self.chunk):
            part = slice(start, start + self.chunk)
            due = begun + (self._times[part][-1] - first) / self._speed
            while (wait := due - self._lsl.local_clock()) > 0:
                if self._stopped.wait(min(wait, 0.2)):
                    return
            values = np.ascontiguousarray(self._signal[:, part].T, dtype=np.float32)
            self._outlet.push_chunk(values, (begun + self._times[part] - first).tolist())
        self.finished.set()

    def stop(self) -> None:
        """Stop, wherever it is, and take the stream away."""
        self._stopped.set()
        if self.is_alive():
            self.join(timeout=5)
        self._outlet = None


class ReplaySource(LslSource):
    """A recording played by a [`Player`], and read as any other stream.

    Args:
        path: In any format that MNE opens; read in a process of its own, as all files are.
        speed: 2 is twice as fast as it was recorded. unit: Of the numbers in the file, if its header is wrong.

    Raises:
        MDJPTError: If the file cannot be used, or the speed is none.
    """

    def __init__(self, path: Path, speed: float = 1.0, unit: str | None = None):
        if not 0 < speed <= 100:
            raise ConfigurationError(f"speed must lie in (0, 100], found {speed}", value=speed, remedy="Try 4")
        stay_on_this_machine()
        recording, notes = read_file(path, unit, Limits())
        self.notes = tuple(dict.fromkeys([*notes, *recording.selection.notes()]))
        # liblsl finds streams of the machine by name: two replays at a time are not mixed up
        name = f"replay-{os.getpid()}-{path.stem}"
        times = sample_times(recording)
        self._player = Player(name, recording.signal, times, recording.ch_names, recording.sampling_rate, speed)
        self._player.start()
        try:
            super().__init__(name, kind=f"replay of {path.name}")
        except BaseException:
            self._player.stop()
            raise

    def pull(self, timeout: float) -> tuple[np.ndarray, np.ndarray]:
        """See [`Source.pull`].

        Raises:
            EndOfStream: When the recording is over, and everything was taken.
        """
        over = self._player.finished.is_set()
        samples, stamps = super().pull(timeout)
        if over and not len(stamps):
            raise EndOfStream
        return samples, stamps

    def close(self) -> None:
        """See [`Source.close`]."""
        super().close()
        self._player.stop()


def sample_times(recording: Recording) -> np.ndarray:
    """When every sample was recorded, `(samples,)` in s: the pauses of the recorder count."""
    rate, times = recording.sampling_rate, np.arange(recording.signal.shape[1]) / recording.sampling_rate
    for stretch in recording.stretches:
        times[stretch.start : stretch.stop] = stretch.onset + np.arange(stretch.stop - stretch.start) / rate
    return times
