"""The head of the simulated corpora: electrodes, dipoles and the field each dipole makes at each electrode.

One spherical head (four shells: brain, fluid, skull, scalp) from MNE carries every electrode of every corpus,
so a montage is a choice of rows. Each dipole has three columns, one per axis, for any orientation.
"""

from dataclasses import dataclass
from functools import cache

import mne
import numpy as np
from mne.bem import ConductorModel
from threadpoolctl import threadpool_limits

from mdjpt_hf.modeling.mne_mdjpt import template_montage

#: Cortical dipoles that carry emotion, each named after the electrode above it.
NAMED_DIPOLES = ("F3", "F4", "T7", "T8", "Pz", "P3", "P4", "O1", "O2", "Fz", "C3", "C4")
NUM_BACKGROUND = 75
EYES = ("left eye", "right eye")
#: Temporal, frontal and neck muscles, each under the electrode beside which it is usually recorded.
MUSCLES = {
    "FT9": "left temporalis",
    "FT10": "right temporalis",
    "AF7": "left frontalis",
    "AF8": "right frontalis",
    "PO9": "left neck",
    "PO10": "right neck",
}

NAMED_DEPTH, BACKGROUND_DEPTH, EYE_DEPTH, MUSCLE_DEPTH = 0.72, 0.70, 0.86, 0.87  # fraction of the head radius

#: Electrodes of the simulated corpora that are recorded, then those that only serve as reference.
RECORDED = (
    *("Fp1", "Fpz", "Fp2", "AF3", "AF4"),
    *("F7", "F5", "F3", "F1", "Fz", "F2", "F4", "F6", "F8"),
    *("FT7", "FC5", "FC3", "FC1", "FCz", "FC2", "FC4", "FC6", "FT8"),
    *("T7", "C5", "C3", "C1", "Cz", "C2", "C4", "C6", "T8"),
    *("TP7", "CP5", "CP3", "CP1", "CPz", "CP2", "CP4", "CP6", "TP8"),
    *("P7", "P5", "P3", "P1", "Pz", "P2", "P4", "P6", "P8"),
    *("PO7", "PO5", "PO3", "POz", "PO4", "PO6", "PO8"),
    *("CB1", "O1", "Oz", "O2", "CB2"),
)
REFERENCES = ("CCPz", "M1", "M2", "A1", "A2")

_STEP = 0.003  # m, cap displacement from which the derivative of the field is taken


@dataclass(frozen=True)
class HeadModel:
    """Fields of all dipoles at all electrodes, in MNE's head coordinates.

    Attributes:
        electrodes: Names, `E` of them: `RECORDED`, then `REFERENCES`.
        positions: `(E, 3)` m.
        dipoles: Names, `D` of them: `NAMED_DIPOLES`, `background 0...`, `EYES`, muscles.
        sources: `(D, 3)` m.
        radial: `(D, 3)` unit vectors from the centre outwards.
        leadfield: `(E, D, 3)` V per A m, potential against infinity.
        shift: `(2, E, D, 3)` V per A m, its change per mm the cap slides backwards and twists to the left.
        sphere: The conductor model.
    """

    electrodes: tuple[str, ...]
    positions: np.ndarray
    dipoles: tuple[str, ...]
    sources: np.ndarray
    radial: np.ndarray
    leadfield: np.ndarray
    shift: np.ndarray
    sphere: ConductorModel

    def rows(self, names: list[str] | tuple[str, ...]) -> list[int]:
        """Row of each electrode."""
        return [self.electrodes.index(name) for name in names]

    def columns(self, kind: str) -> slice:
        """Columns of one kind of dipole: `named`, `background`, `eyes` or `muscles`.

        Raises:
            KeyError: If there is no such kind.
        """
        sizes = {
            "named": len(NAMED_DIPOLES),
            "background": NUM_BACKGROUND,
            "eyes": len(EYES),
            "muscles": len(MUSCLES),
        }
        start = 0
        for name, size in sizes.items():
            if name == kind:
                return slice(start, start + size)
            start += size
        raise KeyError(kind)


@cache
def head_model() -> HeadModel:
    """The head, computed once per process (about a second)."""
    with threadpool_limits(1), mne.utils.use_log_level("ERROR"):
        return _compute_head()


def _compute_head() -> HeadModel:
    electrodes = (*RECORDED, *REFERENCES)
    montage = montage_positions()
    positions = np.stack([montage[name] for name in electrodes])
    sphere = mne.make_sphere_model("auto", "auto", recording_info(dict(zip(electrodes, positions, strict=True))))
    centre, radius = sphere["r0"], sphere.radius
    dipoles, sources = _dipoles(montage, centre, radius)
    caps = [positions, _turn(positions, centre, 0, radius), _turn(positions, centre, 2, radius)]
    field, back, left = _fields(caps, sources, sphere)
    per_mm = 1000 * _STEP
    return HeadModel(
        electrodes=electrodes,
        positions=positions,
        dipoles=dipoles,
        sources=sources,
        radial=_unit(sources - centre),
        leadfield=field,
        shift=np.stack([back - field, left - field]) / per_mm,
        sphere=sphere,
    )


@cache
def montage_positions() -> dict[str, np.ndarray]:
    """Electrode positions `(3,)` in m, head coordinates: MNE's 10-05 montage, and SEED's CB1 and CB2.

    CB1 and CB2 are in no standard montage. They sit in the row of O1 and PO7 but lower: here half-way between
    PO9 (PO10) and POO9 (POO10).
    """
    montage = mne.channels.make_standard_montage(template_montage())
    info = mne.create_info(montage.ch_names, 100.0, "eeg").set_montage(montage)
    positions = {channel["ch_name"]: channel["loc"][:3].copy() for channel in info["chs"]}
    positions["CB1"] = (positions["PO9"] + positions["POO9"]) / 2
    positions["CB2"] = (positions["PO10"] + positions["POO10"]) / 2
    return positions


def recording_info(positions: dict[str, np.ndarray], sampling_rate: float = 125.0) -> mne.Info:
    """MNE measurement info of electrodes at `positions` (m, head coordinates)."""
    info = mne.create_info(list(positions), sampling_rate, "eeg")
    return info.set_montage(mne.channels.make_dig_montage(positions, coord_frame="head"))


def _dipoles(montage: dict[str, np.ndarray], centre: np.ndarray, radius: float) -> tuple[tuple[str, ...], np.ndarray]:
    """Names and positions (m) of all dipoles."""
    directions = {name: _unit(montage[name] - centre) * NAMED_DEPTH for name in NAMED_DIPOLES}
    background = _upper_shell(NUM_BACKGROUND) * BACKGROUND_DEPTH
    directions |= {f"background {i}": background[i] for i in range(NUM_BACKGROUND)}
    # The eyes lie a good way below and a little outside the frontopolar electrodes.
    eyes = np.array([[-0.38, 0.85, -0.36], [0.38, 0.85, -0.36]])
    directions |= {name: _unit(eyes[i]) * EYE_DEPTH for i, name in enumerate(EYES)}
    directions |= {MUSCLES[name]: _unit(montage[name] - centre) * MUSCLE_DEPTH for name in MUSCLES}
    return tuple(directions), centre + radius * np.stack(list(directions.values()))


def _upper_shell(count: int) -> np.ndarray:
    """`(count, 3)` unit vectors spread evenly (golden spiral) over the upper part of the sphere."""
    height = np.linspace(1, -0.25, count)
    angle = np.pi * (3 - np.sqrt(5)) * np.arange(count)
    ring = np.sqrt(1 - height**2)
    return np.stack([ring * np.cos(angle), ring * np.sin(angle), height], axis=1)


def _turn(positions: np.ndarray, centre: np.ndarray, axis: int, radius: float) -> np.ndarray:
    """Electrodes after the cap turned by `_STEP` on the scalp.

    About the axis to the right (0) the front goes up, so the cap slides backwards; about the upward axis (2)
    the front goes left.
    """
    angle = _STEP / radius
    first, second = [i for i in range(3) if i != axis]
    old = positions - centre
    turned = old.copy()
    turned[:, first] = np.cos(angle) * old[:, first] - np.sin(angle) * old[:, second]
    turned[:, second] = np.sin(angle) * old[:, first] + np.cos(angle) * old[:, second]
    return turned + centre


def _fields(caps: list[np.ndarray], sources: np.ndarray, sphere: ConductorModel) -> np.ndarray:
    """`(caps, E, D, 3)` V per A m: all electrodes of all caps in one forward solution."""
    positions = np.concatenate(caps)
    info = recording_info({f"{i}": position for i, position in enumerate(positions)})
    grid = {"rr": sources, "nn": np.tile([0.0, 0.0, 1.0], (len(sources), 1))}
    space = mne.setup_volume_source_space(pos=grid, sphere=sphere, mindist=0.0)
    forward = mne.make_forward_solution(info, trans=None, src=space, bem=sphere, meg=False, eeg=True, mindist=0.0)
    if forward["nsource"] != len(sources):
        raise RuntimeError(f"{len(sources)} dipoles placed, but only {forward['nsource']} lie inside the brain")
    return forward["sol"]["data"].reshape(len(caps), len(caps[0]), len(sources), 3)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
