"""Channel names and the projection onto the standard channels."""

import numpy as np
import pytest

from mdjpt_hf.errors import MontageError
from mdjpt_hf.modeling.electrodes_mdjpt import ELECTRODES
from mdjpt_hf.modeling.mne_mdjpt import template_montage
from mdjpt_hf.modeling.montage_mdjpt import (
    STANDARD_CHANNELS,
    canonical_name,
    channel_projection,
    select_channels,
)
from mdjpt_hf.modeling.released_neighbours_mdjpt import RELEASED_NEIGHBOURS


def test_standard_channels_are_the_published_sixty_in_order():
    assert len(STANDARD_CHANNELS) == len(set(STANDARD_CHANNELS)) == 60
    assert [STANDARD_CHANNELS[i] for i in (0, 1, 9, 18, 23, 27, 45, 53, 58, 59)] == [
        *("Fp1", "Fpz", "Fz", "FCz", "T7", "Cz", "Pz", "POz", "Oz", "O2")
    ]
    assert set(STANDARD_CHANNELS) <= set(ELECTRODES)


def test_electrode_places_are_those_of_mne():
    mne = pytest.importorskip("mne")
    places = mne.channels.make_standard_montage(template_montage()).get_positions()["ch_pos"]
    assert set(places) - set(ELECTRODES) == {"T3", "T4", "T5", "T6"}
    for name, place in ELECTRODES.items():
        assert np.abs(np.array(place) - 1000 * places[name]).max() <= 0.051, name


@pytest.mark.parametrize(
    ("recorded", "meant"),
    [
        ("EEG Fp1-REF", "Fp1"),
        ("Fc5.", "FC5"),
        ("Cz..", "Cz"),
        ("EEG F3-LE", "F3"),
        ("FP1-A2", "Fp1"),
        (" t3 ", "T7"),
        ("T4", "T8"),
        ("T5", "P7"),
        ("EEG T6", "P8"),
        ("FPZ", "Fpz"),
        ("fcz", "FCz"),
        ("POZ", "POz"),
        ("OZ", "Oz"),
        ("EEG F1-Ref-0", "F1"),
        ("cb1", "CB1"),
        ("afp3h", "AFp3h"),
        ("M1", "M1"),
        ("F3-C3", None),
        ("EEG Fpz-Cz", None),
        ("EEG A2-A1", None),
        ("ECG ECG", None),
        ("EOG1", None),
        ("EEG 001", None),
        ("", None),
    ],
)
def test_canonical_name(recorded, meant):
    assert canonical_name(recorded) == meant


def test_recorded_channels_go_through_unchanged():
    for montage in ("positions", "released"):
        names = [name.upper() for name in reversed(STANDARD_CHANNELS)]
        np.testing.assert_array_equal(channel_projection(names, montage), np.eye(60)[:, ::-1])
        assert channel_projection(names, montage).dtype == np.float32


def test_missing_channel_is_the_mean_of_the_three_nearest_places():
    recorded = ["Fp1", "AF7", "F3", "Cz", "O2", "M1", "CB1", "HEOG"]
    projection = channel_projection(recorded)
    place = {name: np.array(ELECTRODES[name]) for name in (*recorded[:5], "AF3")}
    nearest = sorted(recorded[:5], key=lambda name: np.linalg.norm(place[name] - place["AF3"]))[:3]
    row = dict(zip(recorded, projection[STANDARD_CHANNELS.index("AF3")], strict=True))
    assert {name for name, weight in row.items() if weight} == set(nearest)
    assert sorted(row.values())[-3:] == pytest.approx([1 / 3] * 3)
    assert "AF7" in nearest  # not one of the 60, yet its place serves
    assert not projection[:, 5:].any()  # a reference, an electrode without place, no electrode
    np.testing.assert_allclose(projection.sum(axis=1), 1, rtol=1e-6)


def test_released_ranking_uses_standard_channels_only():
    recorded = ["AF7", "Fp1", "F3", "Cz", "O2"]
    projection = channel_projection(recorded, "released")
    assert not projection[:, 0].any()
    for row, channel in enumerate(STANDARD_CHANNELS):
        ranked = [STANDARD_CHANNELS[i] for i in RELEASED_NEIGHBOURS[row] if STANDARD_CHANNELS[i] in recorded]
        wanted = {channel} if channel in recorded else set(ranked[:3])
        assert {name for name, weight in zip(recorded, projection[row], strict=True) if weight} == wanted


def test_released_ranking_is_a_ranking_with_known_first_neighbours():
    for row, ranking in enumerate(RELEASED_NEIGHBOURS):
        assert sorted([row, *ranking]) == list(range(60))
    first = [[STANDARD_CHANNELS[i] for i in RELEASED_NEIGHBOURS[row][:3]] for row in (0, 2)]
    assert first == [["AF3", "Fpz", "F5"], ["Fpz", "AF4", "F6"]]


def test_rankings_differ_in_as_many_rows_as_the_docstring_says():
    places = np.array([ELECTRODES[name] for name in STANDARD_CHANNELS])
    ordered = different = 0
    for row, released in enumerate(RELEASED_NEIGHBOURS):
        distance = np.linalg.norm(places - places[row], axis=1)
        nearest = [i for i in np.argsort(distance, kind="stable") if i != row][:3]
        ordered += nearest != released[:3]
        different += set(nearest) != set(released[:3])
    assert (ordered, different) == (17, 5)
    assert f"in {ordered} of the 60 rows" in " ".join(channel_projection.__doc__.split())


@pytest.mark.parametrize("montage", ["positions", "released"])
def test_order_of_channels_only_permutes_columns(montage):
    recorded = ["Fp1", "T3", "Oz", "AF7", "C4", "EEG P8-REF", "FT9", "XX"]
    order = np.random.default_rng(0).permutation(len(recorded))
    shuffled = channel_projection([recorded[i] for i in order], montage)
    np.testing.assert_array_equal(shuffled, channel_projection(recorded, montage)[:, order])


def test_one_channel_serves_everywhere():
    np.testing.assert_array_equal(channel_projection(["Cz"]), np.ones((60, 1)))
    np.testing.assert_array_equal(channel_projection(["AFF1h"]), np.ones((60, 1)))
    with pytest.raises(MontageError, match="no channel"):
        channel_projection(["AFF1h"], "released")


def test_duplicates_and_unknown_montages_are_refused():
    with pytest.raises(MontageError, match="T3, T7 all mean T7"):
        channel_projection(["T3", "Cz", "T7"])
    with pytest.raises(MontageError, match="XX, XX"):
        channel_projection(["Cz", "XX", "XX"])
    with pytest.raises(MontageError, match="'positions' or 'released'"):
        channel_projection(["Cz"], "nearest")


@pytest.mark.parametrize("names", [["FFp1", "Czz"], ["M1", "A2"], ["CB1", "CB2"], []])
def test_nothing_in_common_is_refused(names):
    with pytest.raises(MontageError, match="no channel is a scalp electrode") as error:
        channel_projection(names)
    assert error.value.value == names
    if "Czz" in names:
        assert "'Czz' resembles Cz" in str(error.value)


def test_select_channels_names_and_drops():
    selection = select_channels(
        ["EEG Fp1-REF", "ECG ECG", "EEG A2-A1", "M2", "Cz", "STI"],
        ["eeg", "eeg", "eeg", "eeg", "eeg", "stim"],
    )
    assert (selection.indices, selection.ch_names) == ([0, 4], ["Fp1", "Cz"])
    assert selection.renamed == {"EEG Fp1-REF": "Fp1"}
    assert set(selection.dropped) == {"ECG ECG", "EEG A2-A1", "M2", "STI"}
    assert "type stim" in " ".join(selection.notes())


def test_amplifier_inputs_are_not_taken_for_places():
    with pytest.raises(MontageError, match="amplifier input"):
        select_channels([f"{bank}{number}" for bank in "ABCD" for number in range(1, 33)])
