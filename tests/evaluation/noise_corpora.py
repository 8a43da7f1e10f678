"""Corpora of white noise, in which no emotion can be found, and encoders that know something anyway."""

from collections.abc import Iterator

import numpy as np

from mdjpt_hf.data_scripts.base import CorpusBuilder, CorpusFacts, UnitReport
from mdjpt_hf.evaluation.encoders import Encoder
from mdjpt_hf.schema import Trial

CLIPS, SECONDS, RATE = 8, 15, 125
CHANNELS = ["Fp1", "Fp2", "F3", "F4", "Cz", "Pz", "O1", "O2", "T7"]
VALENCE = ("negative", "positive")


class NoiseCorpus(CorpusBuilder):
    """Subjects who saw the same clips of two classes, and whose signals are noise."""

    def __init__(self, name: str, subjects: int, own_reports: bool = False, clips: int = CLIPS):
        super().__init__("none")
        self.name, self.subjects, self.own_reports, self.clips = name, subjects, own_reports, clips

    @property
    def facts(self) -> list[CorpusFacts]:
        return [CorpusFacts(self.name, "noise", "CC0-1.0", True, "stimulus", VALENCE)]

    def units(self) -> list[str]:
        return [f"s{number}" for number in range(self.subjects)]

    def options(self) -> dict:
        return {"subjects": self.subjects, "own_reports": self.own_reports, "clips": self.clips}

    def read_unit(self, unit: str, report: UnitReport) -> Iterator[Trial]:
        rng = np.random.default_rng([*f"{self.name}{unit}".encode()])
        for clip in range(self.clips):
            label = int(rng.integers(0, 2)) if self.own_reports else clip % 2
            yield Trial(
                dataset=self.name,
                subject=unit,
                session=1,
                trial=clip,
                stimulus=f"clip{clip}",
                signal=rng.normal(0, 10, (len(CHANNELS), SECONDS * RATE)).astype(np.float32),
                sampling_rate=float(RATE),
                ch_names=CHANNELS,
                label=label,
                label_name=VALENCE[label],
                valence_class=VALENCE[label],
            )


def knowing(what: str, strength: float = 1.0) -> Encoder:
    """Features that are noise and know the `label`, `stimulus`, `trial` or `subject` of a window."""

    def features(pool, groups):
        number = np.unique(getattr(pool, what), return_inverse=True)[1]
        noise = np.random.default_rng(0).normal(size=(len(pool), 24))
        return noise + strength * np.random.default_rng(1).normal(size=(number.max() + 1, 24))[number]

    return Encoder(f"knows {what}", {"weights": "none", "pretrained_on": []}, features)
