"""Published tables, and which of our protocols may stand beside them: what is known, what differs, what is not known.

EEG-Arena (arXiv 2609.32743): encoders on SEED, balanced accuracy within and across subjects. OmniEEG-Bench (arXiv
2606.00815): a frozen encoder with a linear layer, subjects in parts of 8:1:1, at most 40 windows of each subject and
class, 3 runs; its "zero-shot" finds the nearest of the validation windows. What these tables report beyond the figures
here is not copied, and what could not be learned of their protocols is listed, not guessed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from mdjpt_hf.evaluation.protocols.choices import Protocol
from mdjpt_hf.evaluation.protocols.presets import eeg_arena, omnieeg

#: What every score of ours has otherwise than the tables.
_OURS = (
    "all encoders see the same windows on 60 standard channels",
    "scores are means over subjects with an interval over subjects; how the table averages is not known",
)


@dataclass(frozen=True)
class Benchmark:
    """A column of a published table.

    Args:
        name: With its setting. source: Where it was published. protocol: Ours that comes nearest.
        metric: Of our records, that the figures are compared with.
        figures: Corpus -> name of a model -> its figure for the corpus's own classes, from 0 to 1.
        differs: What is known to be otherwise here. unknown: What the table does about a choice that had to be made
            here, and is not known.
    """

    name: str
    source: str
    protocol: Protocol
    metric: str
    figures: Mapping[str, Mapping[str, float]]
    differs: tuple[str, ...]
    unknown: tuple[str, ...]

    def in_words(self) -> str:
        """For records and cards: what a score is to be read with."""
        return (
            f"{self.name} ({self.source}), its {self.metric.replace('_', ' ')}; different here: "
            f"{'; '.join((*self.differs, *_OURS))}; not known of the benchmark: {'; '.join(self.unknown)}"
        )


_ARENA = "arXiv 2609.32743"
_OMNI = "arXiv 2606.00815"
_FROZEN = "the encoder stays frozen, and ridge regression reads its features"
_NORMALISED = "features are z-scored over each recording, without labels"
_SAMPLES = "the length of its windows and their number"

BENCHMARKS = (
    Benchmark(
        "EEG-Arena, within subjects",
        _ARENA,
        eeg_arena("within-subject"),
        "balanced_accuracy",
        {"seed": {"mdJPT": 0.6461, "LaBraM": 0.6880, "REVE-base": 0.8932, "ST-EEGFormer-s": 0.9409}},
        (_FROZEN, _NORMALISED, "half of the stimuli of each class train and the others are tested, then the other way"),
        ("how the windows of a subject are divided, and whether windows of one trial stand on both sides", _SAMPLES),
    ),
    Benchmark(
        "EEG-Arena, across subjects",
        _ARENA,
        eeg_arena("leave-one-subject-out"),
        "balanced_accuracy",
        {
            "seed": {
                "mdJPT": 0.5321,
                "LaBraM": 0.4825,
                "REVE-base": 0.5820,
                "ST-EEGFormer-s": 0.5676,
                "SleepEEGNet (supervised)": 0.5732,
            }
        },
        (_FROZEN, _NORMALISED, "each subject is left out in turn; tested stimuli were trained on, watched by others"),
        ("how the subjects are divided", _SAMPLES),
    ),
    Benchmark(
        "OmniEEG-Bench, linear probe across subjects",
        _OMNI,
        omnieeg("held-out"),
        "balanced_accuracy",
        {
            "seed": {"best of ten models": 0.543},
            "seed_iv": {"best of ten models": 0.334},
            "seed_v": {"best of ten models": 0.290},
            "seed_vii": {"best of ten models": 0.191},
            "faced": {"best of ten models": 0.481},
        },
        (
            "the linear layer is ridge regression, its strength chosen on the validation subjects",
            "features are computed on whole recordings before windows are drawn, which matters to encoders that "
            "normalise over a recording",
            "mdJPT is none of its ten models",
        ),
        (
            "which score its figures are",
            "how it rounds tenths of the subjects, and which windows it draws",
            "whether its three runs divide the subjects anew, as the three draws here do",
        ),
    ),
    Benchmark(
        "OmniEEG-Bench, zero-shot",
        _OMNI,
        omnieeg("held-out-neighbours"),
        "balanced_accuracy",
        {},
        ("a cosine nearest neighbour; its figures for emotion are not at hand",),
        ("how many neighbours it takes, and by which distance", "which score its figures are"),
    ),
)


def comparable(protocol_key: str) -> list[Benchmark]:
    """Published columns that scores of a protocol may stand beside; none where a choice was changed."""
    return [benchmark for benchmark in BENCHMARKS if benchmark.protocol.key == protocol_key]
