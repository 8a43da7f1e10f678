"""Sensors known by where they are alone: each is called by the place of the 10-05 system that is nearest to it.

Positions are compared as directions from the middle of the head, so that their unit and the size of the head do not
matter. Which way is right and front does: it follows from the name of the coordinate system, or from landmarks (nasion,
left and right ear), and is asked for where neither tells. Names come first, because templates on a sphere have
landmarks that no head has: with them, MNE's own easycap-M1 would be tilted by 8 degrees. Between the templates of MNE
and that of the 10-05 system, places of one name lie 7 mm apart in the middle and 21 mm at most.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from mdjpt_hf.errors import ConfigurationError, MontageError
from mdjpt_hf.modeling.electrodes_mdjpt import ELECTRODES
from mdjpt_hf.modeling.montage_mdjpt import REFERENCES, canonical_name

#: mm along a head of 95 mm; a sensor farther than this from every free place is left out.
FARTHEST_MM = 20.0
_HEAD_MM = 95.0
#: Largest share of sensors that may be left out, and of the radius by which they may lie off a sphere.
_MOST_LEFT_OUT, _OFF_SPHERE = 0.25, 0.15
#: Landmarks of the head that the places of the 10-05 system are given on, in mm; from MNE's `colin27_1005`.
_LANDMARKS = {
    "NAS": (0.0083, 86.811, -39.983),
    "LPA": (-86.0761, -19.9897, -47.986),
    "RPA": (85.7939, -20.0093, -48.031),
}
#: Coordinate systems of BIDS 1.10, in lower case -> whether x is right and y front (RAS), or x front and y left (ALS).
_AXES = {
    **dict.fromkeys(("captrak", "elektaneuromag", "neuromagelektamegin", "neuromag", "chietiitab"), "RAS"),
    **dict.fromkeys(("ctf", "4dbti", "kityokogawa", "eeglab", "eeglab-hj"), "ALS"),
}


@dataclass(frozen=True)
class Places:
    """What sensors are called.

    Attributes:
        names: Sensor -> place; empty for those that are left out.
        distances: mm of those that are kept, in their order.
    """

    names: dict[str, str] = field(default_factory=dict)
    distances: tuple[float, ...] = ()

    def notes(self) -> list[str]:
        """How far the sensors are from the places they are called by."""
        left_out = [sensor for sensor, place in self.names.items() if not place]
        told = (
            f"{len(self.distances)} sensors are called by the nearest place of the 10-05 system, "
            f"{np.median(self.distances):.0f} mm away in the middle and {max(self.distances):.0f} mm at most"
        )
        far = f"left out {', '.join(left_out)}: no position, or no free place within {FARTHEST_MM:g} mm of it"
        return [told] + ([far] if left_out else [])


def nearest_places(
    positions: Mapping[str, Sequence[float]], landmarks: Mapping[str, Sequence[float]], axes: str = ""
) -> Places:
    """The place of every sensor; no place is taken twice, and all together lie as near as they can.

    Args:
        positions: Sensor -> x, y, z in any unit.
        landmarks: `NAS`, `LPA` and `RPA` in the same frame; they say what is front where there are no axes, and must
            not contradict those that there are.
        axes: `RAS` or `ALS`, where they are known.

    Raises:
        MontageError: If nothing says which way is front, or two things say it otherwise; the positions do not lie on a
            head; or more than a quarter of them are farther than 20 mm from every place.
    """
    places = {name: place for name, place in ELECTRODES.items() if name not in REFERENCES}
    sensors = list(positions)
    if axes in ("RAS", "ALS"):
        _check_landmarks(landmarks, axes)
        own = _right_front_up(np.array([positions[name] for name in sensors], float), axes)
        standard = np.array(list(places.values()))
    elif {"NAS", "LPA", "RPA"} <= landmarks.keys():
        own = _in_head(np.array([positions[name] for name in sensors], float), landmarks)
        standard = _in_head(np.array(list(places.values())), _LANDMARKS)
    else:
        raise MontageError(
            "positions of electrodes are given, but neither landmarks nor a coordinate system that says what is front",
            value=axes,
            remedy="Name NAS, LPA and RPA in coordsystem.json, or say montage: NAME (of MNE) with --rules",
        )
    cosines = np.clip(_directions(own) @ _directions(standard).T, -1, 1)
    distances = np.arccos(cosines) * _HEAD_MM
    rows, columns = linear_sum_assignment(np.minimum(distances, 2 * FARTHEST_MM))
    found = {
        sensors[row]: (list(places)[column], float(distances[row, column]))
        for row, column in zip(rows, columns, strict=True)
        if distances[row, column] <= FARTHEST_MM
    }
    if len(found) < (1 - _MOST_LEFT_OUT) * len(sensors):
        far = [sensor for sensor in sensors if sensor not in found]
        raise MontageError(
            f"{len(far)} of {len(sensors)} sensors, such as {', '.join(far[:4])}, are farther than {FARTHEST_MM:g} mm "
            f"from every place of the 10-05 system",
            value=far,
            remedy="Check positions and coordinate system, or leave out sensors that are not on the scalp",
        )
    names = {sensor: found[sensor][0] if sensor in found else "" for sensor in sensors}
    return Places(names, tuple(distance for _, distance in found.values()))


def _right_front_up(points: np.ndarray, axes: str) -> np.ndarray:
    return points if axes == "RAS" else np.column_stack([-points[:, 1], points[:, 0], points[:, 2]])


def _check_landmarks(landmarks: Mapping[str, Sequence[float]], axes: str) -> None:
    """Refuse axes that lead from the left ear to elsewhere than the right one, or away from the nose."""
    if not {"NAS", "LPA", "RPA"} <= landmarks.keys():
        return
    nasion, left, right = _right_front_up(np.array([landmarks[name] for name in ("NAS", "LPA", "RPA")], float), axes)
    across, ahead = right - left, nasion - (left + right) / 2
    if across[0] < np.abs(across[1:]).max() or ahead[1] < np.abs(ahead[0]):
        raise MontageError(
            f"the coordinate system says {axes}, and the landmarks lie otherwise",
            value={name: list(place) for name, place in landmarks.items()},
            remedy="Correct EEGCoordinateSystem or AnatomicalLandmarkCoordinates in coordsystem.json",
        )


def places_of_montage(montage: str) -> Places:
    """The places of the sensors of a montage that MNE has.

    Raises:
        ConfigurationError: If MNE has no such montage.
        MontageError: If its sensors do not lie on a head.
    """
    import mne

    known = mne.channels.get_builtin_montages()
    if montage not in known:
        raise ConfigurationError(
            f"MNE has no montage {montage!r}", value=montage, remedy=f"Use one of {', '.join(known)}"
        )
    found = mne.channels.make_standard_montage(montage).get_positions()
    return nearest_places(found["ch_pos"], {}, "RAS")


def places_of_tables(electrodes: Sequence[Mapping[str, str]], system: Mapping[str, Any]) -> Places | None:
    """The places of the sensors in `electrodes.tsv`; None where most are called by places already.

    Args:
        electrodes: Its lines. system: The content of `coordsystem.json`.

    Raises:
        MontageError: What `nearest_places` raises.
    """
    positions = {line["name"]: place for line in electrodes if (place := _position(line)) is not None}
    named = [name for name in positions if canonical_name(name) not in (None, *REFERENCES)]
    if not positions or 2 * len(named) >= len(positions):
        return None
    told = system.get("AnatomicalLandmarkCoordinates") or {}
    landmarks = {name: place for name, place in told.items() if isinstance(place, list) and len(place) == 3}
    called = str(system.get("EEGCoordinateSystem", "")).lower()
    axes = _AXES.get(called, "")
    if axes and str(system.get("AnatomicalLandmarkCoordinateSystem", "")).lower() != called:
        landmarks = {}  # of a frame of their own
    found = nearest_places(positions, landmarks, axes)
    nowhere = {line["name"]: "" for line in electrodes if line["name"] not in positions}
    return Places({**nowhere, **found.names}, found.distances)


def _position(line: Mapping[str, str]) -> list[float] | None:
    try:
        place = [float(line[axis]) for axis in "xyz"]
    except (KeyError, ValueError):
        return None
    return place if np.isfinite(place).all() and any(place) else None


def _in_head(points: np.ndarray, landmarks: Mapping[str, Sequence[float]]) -> np.ndarray:
    """Points `(n, 3)` with x to the right ear, y to the nasion and z up, as MNE's head frame has them."""
    nasion, left, right = (np.asarray(landmarks[name], float) for name in ("NAS", "LPA", "RPA"))
    x = (right - left) / np.linalg.norm(right - left)
    middle = left + x * ((nasion - left) @ x)
    y = (nasion - middle) / np.linalg.norm(nasion - middle)
    return (points - middle) @ np.column_stack([x, y, np.cross(x, y)])


def _directions(points: np.ndarray) -> np.ndarray:
    """Unit vectors `(n, 3)` from the middle of the sphere that fits the points best: |p|² = 2 p·c + const."""
    equations = np.hstack([2 * points, np.ones((len(points), 1))])
    centre = np.linalg.lstsq(equations, (points**2).sum(axis=1), rcond=None)[0][:3]
    radii = np.linalg.norm(points - centre, axis=1)
    if len(points) < 8 or radii.std() > _OFF_SPHERE * radii.mean():
        raise MontageError(
            f"the positions of {len(points)} electrodes do not lie on a head",
            value=[round(float(radius), 4) for radius in radii[:5]],
            remedy="Check the units and the columns x, y, z; at least eight positions are needed",
        )
    return (points - centre) / radii[:, None]
