"""Boards that BrainFlow knows, without Lab Streaming Layer in between."""

import sys
import time
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import numpy as np

from mdjpt_hf.errors import ConfigurationError, StreamError
from mdjpt_hf.live.source import StreamFacts, StreamLost, choose_channels

#: s between two looks at what a board has sent. Samples that BrainFlow keeps meanwhile.
_LOOK, _KEPT = 0.02, 450_000
#: s without a sample after which a board counts as gone.
_GONE = 5.0


class BrainFlowSource:
    """The EEG channels of a board.

    BrainFlow gives EEG in µV, and stamps every sample with the time at which it arrived (5.23).

    Args:
        board: Its name among BrainFlow's, in any case ("synthetic", "cyton", "muse_2"), or its number.
        settings: Of `BrainFlowInputParams`, such as `serial_port`, as text.
        channels: Names of the electrodes, where they sit elsewhere than BrainFlow thinks.
        unit: Of the numbers, where BrainFlow is wrong.

    Raises:
        ConfigurationError: If BrainFlow is not installed, or has no such board or setting.
        StreamError: If the board does not answer.
    """

    def __init__(
        self,
        board: str,
        settings: dict[str, str] | None = None,
        channels: Sequence[str] = (),
        unit: str | None = None,
    ):
        brainflow = _library()
        self._brainflow, self._number = brainflow, _board_number(brainflow, board)
        facts = brainflow.BoardShim.get_board_descr(self._number)
        self._rows, self._stamps = facts["eeg_channels"], facts["timestamp_channel"]
        names = list(channels) or facts.get("eeg_names", "").split(",")
        if len(names) != len(self._rows):
            raise ConfigurationError(
                f"the board {facts['name']} has {len(self._rows)} EEG channels, {len(names)} are named",
                value=names,
                remedy="Name its electrodes in order with --channels Fp1,Fp2,...",
            )
        chosen = choose_channels(names, ["EEG"] * len(names), ["uV"] * len(names), unit)
        self._scales = chosen.scales
        notes, rate = list(chosen.notes), float(facts["sampling_rate"])
        if not channels:
            notes.append("electrodes are taken to sit where BrainFlow thinks; --channels says otherwise")
        self.facts = StreamFacts(facts["name"], chosen.ch_names, rate, tuple(notes), "BrainFlow")
        self._parameters = _parameters(brainflow, settings or {})
        self._board: Any = None
        self._start()

    def _start(self) -> None:
        board = self._brainflow.BoardShim(self._number, self._parameters)
        try:
            board.prepare_session()
            board.start_stream(_KEPT)
        except self._brainflow.BrainFlowError as error:
            if board.is_prepared():
                board.release_session()
            raise StreamError(
                f"the board {self.facts.name} does not answer: {error}",
                value=self.facts.name,
                remedy="Switch it on, and give its port or address with --board-setting serial_port=...",
            ) from error
        self._board, self._last = board, time.monotonic()

    def pull(self, timeout: float) -> tuple[np.ndarray, np.ndarray]:
        """See [`Source.pull`]."""
        until = time.monotonic() + timeout
        while self._board is not None:
            data = self._board.get_board_data()
            if data.shape[1]:
                self._last = time.monotonic()
                return data[self._rows] * self._scales[:, None], data[self._stamps]
            if time.monotonic() - self._last > _GONE:
                self.close()
                break
            if time.monotonic() >= until:
                return np.empty((len(self._rows), 0)), np.empty(0)
            time.sleep(_LOOK)
        raise StreamLost

    def reconnect(self, timeout: float) -> bool:
        """See [`Source.reconnect`]."""
        try:
            self._start()
        except StreamError:
            time.sleep(min(timeout, 1.0))
            return False
        return True

    def now(self) -> float:
        """s on the clock of the stamps."""
        return time.time()

    def close(self) -> None:
        """See [`Source.close`]."""
        board, self._board = self._board, None
        if board is not None and board.is_prepared():
            board.release_session()


def _library() -> Any:
    try:
        import brainflow
        from brainflow import board_shim
    except ImportError as error:
        raise ConfigurationError(
            f"BrainFlow cannot be used ({error})", value="brainflow", remedy="pip install 'mdjpt-hf[live]'"
        ) from error
    if sys.version_info < (3, 12):
        # BrainFlow 5.23 asks `files` for the resources of a module, which Python takes from 3.12 on, and then
        # pkg_resources, which setuptools has not had since 82.
        board_shim.files = lambda name: files("brainflow")
    brainflow.BoardShim.disable_board_logger()
    return brainflow


def _board_number(brainflow: Any, board: str) -> int:
    known = {kind.name.removesuffix("_BOARD").lower(): int(kind) for kind in brainflow.BoardIds}
    wanted = board.strip().lower().removesuffix("_board")
    if wanted.lstrip("-").isdigit() and int(wanted) in known.values():
        return int(wanted)
    if wanted not in known:
        raise ConfigurationError(
            f"BrainFlow knows no board {board!r}", value=board, remedy=f"Use one of {', '.join(sorted(known))}"
        )
    return known[wanted]


def _parameters(brainflow: Any, settings: dict[str, str]) -> Any:
    parameters = brainflow.BrainFlowInputParams()
    for name, value in settings.items():
        if not hasattr(parameters, name):
            raise ConfigurationError(
                f"BrainFlow has no setting {name!r}", value=name, remedy=f"Use some of {', '.join(vars(parameters))}"
            )
        setattr(parameters, name, type(getattr(parameters, name))(value))
    return parameters
