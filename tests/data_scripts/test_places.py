"""Sensors that are known by position alone: called by the nearest place, or refused."""

import json

import mne
import numpy as np
import pytest

from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.prepare import prepare
from mdjpt_hf.data_scripts.bids import BIDS
from mdjpt_hf.data_scripts.places import FARTHEST_MM, nearest_places, places_of_montage, places_of_tables
from mdjpt_hf.errors import ConfigurationError, CorpusError, MontageError
from mdjpt_hf.modeling.electrodes_mdjpt import ELECTRODES

from .test_bids import NAMES, study, table, write_edf

CAP = [
    "Fp1",
    "Fp2",
    "F7",
    "F3",
    "Fz",
    "F4",
    "F8",
    "T7",
    "C3",
    "Cz",
    "C4",
    "T8",
    "P7",
    "P3",
    "Pz",
    "P4",
    "P8",
    "O1",
    "O2",
]


def front_left_up(names=CAP, scale=1e-3) -> dict[str, list[float]]:
    """Positions in m with x to the front and y to the left, as CTF and EEGLAB have them."""
    return {
        name: [ELECTRODES[name][1] * scale, -ELECTRODES[name][0] * scale, ELECTRODES[name][2] * scale] for name in names
    }


def anonymous(positions):
    return {f"S{number}": place for number, place in enumerate(positions.values())}


def test_every_sensor_gets_its_own_place_whatever_the_unit():
    for scale in (1.0, 0.1, 1e-3):
        found = nearest_places(anonymous(front_left_up(scale=scale)), {}, "ALS")
        near = [
            np.linalg.norm(np.subtract(ELECTRODES[a], ELECTRODES[b]))
            for a, b in zip(found.names.values(), CAP, strict=True)
        ]
        assert max(near) < FARTHEST_MM and np.median(near) < 6
    everywhere = [name for name in ELECTRODES if name not in ("A1", "A2", "M1", "M2")]
    found = nearest_places(anonymous(front_left_up(everywhere)), {}, "ALS")
    assert list(found.names.values()) == everywhere and max(found.distances) < 0.01
    assert "sensors are called by the nearest place" in found.notes()[0] and len(found.notes()) == 1


def test_landmarks_say_what_is_front_where_no_name_does():
    landmarks = {"NAS": [86.8, 0, -40], "LPA": [-20, 86, -48], "RPA": [-20, -86, -48]}
    everywhere = [name for name in ELECTRODES if name not in ("A1", "A2", "M1", "M2")]
    positions = anonymous(front_left_up(everywhere, 1.0))
    assert list(nearest_places(positions, landmarks).names.values()) == everywhere
    with pytest.raises(MontageError, match="neither landmarks nor a coordinate system"):
        nearest_places(positions, {})


def right_front_up(names, scale=1.0) -> dict[str, list[float]]:
    return {name: [scale * value for value in ELECTRODES[name]] for name in names}


#: Coordinate systems of BIDS 1.10 and what its specification says of their axes.
SYSTEMS = {
    **dict.fromkeys(("CTF", "4DBti", "KitYokogawa", "EEGLAB", "EEGLAB-HJ"), front_left_up),
    **dict.fromkeys(("CapTrak", "ElektaNeuromag", "NeuromagElektaMEGIN", "ChietiItab"), right_front_up),
}


@pytest.mark.parametrize("system", SYSTEMS)
def test_coordinate_systems_lie_as_the_specification_says(system):
    """Taken for another, a head is turned by a quarter: there are places nearby all the same."""
    positions = anonymous(SYSTEMS[system](CAP))
    lines = [
        dict(zip(("name", "x", "y", "z"), (name, *map(str, place)), strict=True)) for name, place in positions.items()
    ]
    found = places_of_tables(lines, {"EEGCoordinateSystem": system})
    apart = [
        np.linalg.norm(np.subtract(ELECTRODES[one], ELECTRODES[other]))
        for one, other in zip(found.names.values(), CAP, strict=True)
    ]
    assert max(apart) < FARTHEST_MM


@pytest.mark.parametrize("system", SYSTEMS)
def test_landmarks_that_contradict_the_coordinate_system_are_refused(system):
    turned = right_front_up if SYSTEMS[system] is front_left_up else front_left_up
    positions = anonymous(turned(CAP))
    lines = [
        dict(zip(("name", "x", "y", "z"), (name, *map(str, place)), strict=True)) for name, place in positions.items()
    ]
    landmarks = {"NAS": [0, 87, -40], "LPA": [-86, -20, -48], "RPA": [86, -20, -48]}
    if turned is front_left_up:
        landmarks = {name: [y, -x, z] for name, (x, y, z) in landmarks.items()}
    told = {"EEGCoordinateSystem": system, "AnatomicalLandmarkCoordinates": landmarks}
    with pytest.raises(MontageError, match="landmarks lie otherwise"):
        places_of_tables(lines, told | {"AnatomicalLandmarkCoordinateSystem": system})
    assert places_of_tables(lines, told)  # landmarks of another frame, or nobody knows which


def test_sensors_off_the_scalp_are_left_out_and_many_of_them_refused():
    positions = front_left_up(scale=1.0) | {"face1": [100.0, 0, -110], "face2": [95.0, 30, -105]}
    found = nearest_places(positions, {}, "ALS")
    assert (
        found.names["face1"] == ""
        and "left out face1, face2: no position, or no free place within 20 mm" in found.notes()[1]
    )
    crowd = {f"S{k}": [0.1 * k, 0.05 * k, 95.0] for k in range(60)} | front_left_up(scale=1.0)
    with pytest.raises(MontageError, match="are farther than 20 mm from every place"):
        nearest_places(crowd, {}, "ALS")
    with pytest.raises(MontageError, match="do not lie on a head"):
        nearest_places({f"S{k}": [k, k % 3, k % 2] for k in range(20)}, {}, "RAS")


def test_nets_that_mne_knows():
    net = places_of_montage("GSN-HydroCel-129")
    for sensor, place in {"E24": "F3", "E124": "F4", "E36": "C3", "E104": "C4", "E70": "O1", "E83": "O2"}.items():
        distance = np.linalg.norm(np.subtract(ELECTRODES[net.names[sensor]], ELECTRODES[place]))
        assert distance < 15, (sensor, net.names[sensor])
    assert net.names["E127"] == ""  # on the face
    with pytest.raises(ConfigurationError, match="no montage 'net'"):
        places_of_montage("net")


def test_names_of_places_are_believed():
    lines = [{"name": name, "x": "1", "y": "2", "z": "3"} for name in CAP]
    assert places_of_tables(lines, {"EEGCoordinateSystem": "CTF"}) is None
    assert places_of_tables([{"name": "S1", "x": "n/a", "y": "n/a", "z": "n/a"}], {}) is None


def by_position(root, system="CTF", names=NAMES):
    """A study whose channels are called A1, A2, ..., with a table of positions in a space of its own."""
    sensors = [f"A{number}" for number in range(1, len(names) + 1)]
    study(root, people=("01",), names=sensors)
    table(
        root / "channels.tsv",
        "name type units status",
        [(name, "EEG", "uV", "bad" if name == "A3" else "good") for name in sensors],
    )
    folder = root / "sub-01" / "eeg"
    rows = [(sensor, *place) for sensor, place in zip(sensors, front_left_up(names).values(), strict=True)]
    table(folder / f"sub-01_space-{system}_electrodes.tsv", "name x y z", rows)
    (folder / f"sub-01_space-{system}_coordsystem.json").write_text(json.dumps({"EEGCoordinateSystem": system}))
    return root


def test_a_study_by_position_is_the_study_by_name(tmp_path):
    named = study(tmp_path / "named", people=("01",))
    table(
        named / "channels.tsv",
        "name type units status",
        [(name, "EEG", "uV", "bad" if name == "F3" else "good") for name in NAMES],
    )
    report = prepare(BIDS(by_position(tmp_path / "placed")), tmp_path / "out", progress=False).report
    prepare(BIDS(named), tmp_path / "same", progress=False)
    (placed,), (same,) = open_corpora([tmp_path / "out"]), open_corpora([tmp_path / "same"])
    assert len(placed) == len(same) == 2 and len(placed.ch_names[0]) == len(same.ch_names[0])
    for mine, theirs in zip(placed.ch_names[0], same.ch_names[0], strict=True):
        assert np.linalg.norm(np.subtract(ELECTRODES[mine], ELECTRODES[theirs])) < FARTHEST_MM
    notes = " ".join(report["units"][0]["notes"])
    assert "10 sensors are called by the nearest place of the 10-05 system" in notes
    assert "are bad" in notes and "does not know" not in notes


def test_sensors_without_a_position_are_never_taken_for_places(tmp_path):
    """BioSemi calls sensors C3 or F1 that lie elsewhere."""
    root = by_position(tmp_path / "ds", names=CAP[:10])
    folder = root / "sub-01" / "eeg"
    sensors = [*(f"A{number}" for number in range(1, 11)), "C3", "F1"]
    values = np.random.default_rng(0).normal(0, 12, (12, 40 * 250))
    write_edf(folder / "sub-01_task-watch_eeg.edf", values, sensors, 250)
    with open(folder / "sub-01_space-CTF_electrodes.tsv", "a") as file:
        file.write("F1\tn/a\tn/a\tn/a\n")
    report = prepare(BIDS(root), tmp_path / "out", progress=False).report
    (trials,) = open_corpora([tmp_path / "out"])
    assert len(trials.ch_names[0]) == 10 and not {"C3", "F1"} & set(trials.ch_names[0])
    notes = " ".join(report["units"][0]["notes"])
    assert "left out C3: among sensors known by position" in notes and "left out F1: no position" in notes


def test_a_frame_that_says_nothing_is_asked_for(tmp_path):
    with pytest.raises(MontageError, match=r"electrodes\.tsv.*neither landmarks.*montage: NAME"):
        prepare(BIDS(by_position(tmp_path / "ds", "Other")), tmp_path / "out", progress=False)


def test_a_montage_of_other_sensors_is_refused(tmp_path):
    (tmp_path / "rules.yaml").write_text("montage: GSN-HydroCel-129\nstimulus: stim_file")
    root = study(tmp_path / "ds", people=("01",), names=[f"S{k}" for k in range(10)])
    (root / "channels.tsv").unlink()
    with pytest.raises(CorpusError, match="channels are S0, S1.*sensors with a place are E1"):
        prepare(BIDS(root, rules=tmp_path / "rules.yaml"), tmp_path / "out", progress=False)


def test_tilted_templates_are_why_names_come_first():
    """Landmarks of MNE's spherical templates are no head's."""
    montage = mne.channels.make_standard_montage("easycap-M1").get_positions()
    landmarks = {"NAS": montage["nasion"], "LPA": montage["lpa"], "RPA": montage["rpa"]}
    kept = [nearest_places(montage["ch_pos"], landmarks, axes).names["C3"] for axes in ("RAS", "")]
    places = [np.linalg.norm(np.subtract(ELECTRODES[name], ELECTRODES["C3"])) for name in kept]
    assert places[0] < places[1]
