"""The simulated experiments: what each corpus recorded, of whom, with which stimuli.

They differ as real corpora do: in montage, rate, reference, noise, gain, slope of the spectrum, mains,
classes and sessions, and in whether people rated. The montages are those of common caps.
"""

from dataclasses import dataclass

from mdjpt_hf.data_scripts.simulated_head import RECORDED
from mdjpt_hf.data_scripts.simulated_recording import Amplifier

_BIOSEMI_32 = (
    "Fp1 AF3 F3 F7 FC5 FC1 C3 T7 CP5 CP1 P3 P7 PO3 O1 Oz Pz Fp2 AF4 Fz F4 F8 FC6 FC2 Cz C4 T8 CP6 CP2 P4 P8 PO4 O2"
)
_EMOTIV_14 = "AF3 F7 F3 FC5 T7 P7 O1 O2 P8 T8 FC6 F4 F8 AF4"
_CAP_30 = "Fp1 Fp2 Fz F3 F4 F7 F8 FC1 FC2 FC5 FC6 Cz C3 C4 T7 T8 CP1 CP2 CP5 CP6 Pz P3 P4 P7 P8 PO3 PO4 Oz O1 O2"


@dataclass(frozen=True)
class EmotionClass:
    """A class of stimuli: its name, its place in the plane, its words in the common vocabulary."""

    name: str
    valence: float
    arousal: float
    emotion: str | None = None
    valence_class: str | None = None


def _felt(name: str, valence: float, arousal: float, valence_class: str) -> EmotionClass:
    """A class whose own name is a word of the common vocabulary."""
    return EmotionClass(name, valence, arousal, name, valence_class)


_THREE = (
    EmotionClass("negative", -0.8, 0.4, None, "negative"),
    EmotionClass("neutral", 0.0, -0.4, "neutral", "neutral"),
    EmotionClass("positive", 0.8, 0.4, None, "positive"),
)
_FIVE = (
    _felt("disgust", -0.8, 0.4, "negative"),
    _felt("fear", -0.7, 0.9, "negative"),
    _felt("sadness", -0.8, -0.5, "negative"),
    _felt("neutral", 0.0, -0.4, "neutral"),
    _felt("joy", 0.9, 0.6, "positive"),
)
_NINE = (
    _felt("anger", -0.8, 0.8, "negative"),
    _felt("disgust", -0.8, 0.4, "negative"),
    _felt("fear", -0.7, 0.9, "negative"),
    _felt("sadness", -0.8, -0.5, "negative"),
    _felt("neutral", 0.0, -0.4, "neutral"),
    _felt("amusement", 0.8, 0.7, "positive"),
    _felt("inspiration", 0.6, 0.3, "positive"),
    _felt("joy", 0.9, 0.6, "positive"),
    _felt("tenderness", 0.7, -0.4, "positive"),
)
#: Not classes but the plan of a rating study: clips spread over the plane, each quadrant in turn.
_PLANE = tuple(
    EmotionClass("", side * strength, height * intensity)
    for strength, intensity in ((0.9, 0.9), (0.9, 0.3), (0.3, 0.9), (0.3, 0.3))
    for side, height in ((1, 1), (-1, 1), (-1, -1), (1, -1))
)


@dataclass(frozen=True)
class CorpusSpec:
    """One simulated experiment.

    Attributes:
        name, title: Of the corpus.
        amplifier: Montage, rate, reference and noise.
        classes: Stimulus `i` belongs to class `i % len(classes)`.
        subjects, sessions: Counts.
        stimuli: Shown in each session.
        new_stimuli: Whether each session has stimuli of its own rather than the same again.
        rated: Whether subjects rate valence and arousal, in place of classes.
        trial_seconds: Duration of every stimulus.
    """

    name: str
    title: str
    amplifier: Amplifier
    classes: tuple[EmotionClass, ...]
    subjects: int = 12
    sessions: int = 1
    stimuli: int = 15
    new_stimuli: bool = False
    rated: bool = False
    trial_seconds: float = 30.0

    def stimulus_indices(self, session: int) -> range:
        """Indices of the stimuli shown in `session` (from 1)."""
        first = (session - 1) * self.stimuli if self.new_stimuli else 0
        return range(first, first + self.stimuli)

    def emotion_class(self, index: int) -> EmotionClass:
        """The class of stimulus `index`."""
        return self.classes[index % len(self.classes)]


SPECS = {
    spec.name: spec
    for spec in (
        CorpusSpec(
            "sim-62",
            "62 channels, three classes, two sessions with the same clips",
            Amplifier(RECORDED, 200.0, ("CCPz",), noise=1.0),
            _THREE,
            sessions=2,
        ),
        CorpusSpec(
            "sim-60",
            "60 channels, five classes, two sessions with clips of their own",
            Amplifier(
                tuple(name for name in RECORDED if not name.startswith("CB")),
                250.0,
                ("M1",),
                noise=1.1,
                gain=1.15,
                exponent=1.1,
            ),
            _FIVE,
            sessions=2,
            new_stimuli=True,
        ),
        CorpusSpec(
            "sim-32",
            "32 channels, nine emotions, high-pass in the amplifier",
            Amplifier(
                tuple(_BIOSEMI_32.split()),
                250.0,
                ("M1", "M2"),
                noise=1.5,
                gain=0.8,
                exponent=0.9,
                line_microvolt=2.0,
                high_pass=2.0,
            ),
            _NINE,
            stimuli=18,
        ),
        CorpusSpec(
            "sim-14",
            "14 channels of a consumer headset, ratings in place of classes",
            Amplifier(
                tuple(_EMOTIV_14.split()),
                128.0,
                ("M2",),
                noise=2.5,
                gain=1.3,
                exponent=1.2,
                line_microvolt=6.0,
            ),
            _PLANE,
            stimuli=16,
            rated=True,
        ),
        CorpusSpec(
            "sim-30",
            "30 channels, three classes, kept out of pre-training",
            Amplifier(tuple(_CAP_30.split()), 250.0, ("A1", "A2"), noise=1.3, gain=0.9, exponent=1.05, line=60.0),
            _THREE,
            subjects=16,
        ),
    )
}
