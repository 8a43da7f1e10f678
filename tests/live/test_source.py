"""What a stream says of its channels, and what is made of it."""

import numpy as np
import pytest

from mdjpt_hf.errors import MontageError, UnitError
from mdjpt_hf.live.source import choose_channels

NAMES = ["Fp1", "Cz", "O2"]


@pytest.mark.parametrize(
    ("unit", "scale"),
    [
        ("microvolts", 1),
        ("uV", 1),
        ("µV", 1),
        ("V", 1e6),
        ("Volts", 1e6),
        ("mV", 1e3),
        ("nanovolts", 1e-3),
        ("-6", 1),
        ("0", 1e6),
    ],
)
def test_units_of_streams(unit, scale):
    found = choose_channels(NAMES, ["EEG"] * 3, [unit] * 3)
    np.testing.assert_allclose(found.scales, scale)
    assert not found.notes and found.ch_names == tuple(NAMES)


@pytest.mark.parametrize("unit", ["", "none", "N/A"])
def test_a_unit_that_is_not_stated_is_taken_for_microvolts_and_told(unit):
    found = choose_channels(NAMES, [""] * 3, [unit] * 3)
    assert found.scales.tolist() == [1] * 3 and "does not state its unit" in found.notes[0]
    stated = choose_channels(NAMES, [""] * 3, [unit] * 3, unit="V")
    assert stated.scales.tolist() == [1e6] * 3 and not stated.notes


def test_what_the_user_says_of_the_unit_goes_before_what_the_stream_says():
    found = choose_channels(NAMES, ["EEG"] * 3, ["V"] * 3, unit="uV")
    assert found.scales.tolist() == [1] * 3 and found.notes[0].endswith("the stream says V")


def test_units_may_differ_by_channel_and_other_channels_have_their_own():
    names, units = [*NAMES, "ACC_X", "TRG"], ["uV", "mV", "V", "g", ""]
    found = choose_channels(names, ["EEG", "EEG", "eeg", "ACC", ""], units)
    assert found.rows == [0, 1, 2, 4] and found.scales.tolist() == [1, 1e3, 1e6, 1]
    assert found.notes == ("dropped ACC_X (type ACC)",)


def test_what_cannot_be_used_is_refused():
    with pytest.raises(UnitError, match="channel Cz of the stream is said to be in 'ohm'.*--unit"):
        choose_channels(NAMES, ["EEG"] * 3, ["uV", "ohm", "uV"])
    with pytest.raises(MontageError, match="names none of its 3 channels.*--channels"):
        choose_channels([""] * 3, ["EEG"] * 3, ["uV"] * 3)
    with pytest.raises(MontageError, match="no channel of the stream is of type EEG; they are Gaze"):
        choose_channels(NAMES, ["Gaze"] * 3, ["uV"] * 3)
