"""The 28 film clips that FACED, THU-EP and the emotion contest of BCI2022 show: three of each emotion, four neutral.

They have the same ids in all three corpora, so that a split over stimuli can be one over all of them.
"""

from mdjpt_hf.data_scripts.downloaded import EmotionClass

NUM_CLIPS = 28
#: `CorpusFacts.stimulus_set` of the three.
STIMULUS_SET = "tsinghua-28"
#: In the owners' order.
LABELS = ("anger", "disgust", "fear", "sadness", "neutral", "amusement", "inspiration", "joy", "tenderness")
#: All nine are words of the common vocabulary; negative are 0 to 3, positive 5 to 8.
CLASSES = tuple(
    EmotionClass(name, name, "neutral" if name == "neutral" else "negative" if label < 4 else "positive")
    for label, name in enumerate(LABELS)
)
_LAST_OF_CLASS = (3, 6, 9, 12, 16, 19, 22, 25, 28)


def label_of(clip: int) -> int:
    """Class of a clip, numbered from 1."""
    return next(label for label, last in enumerate(_LAST_OF_CLASS) if clip <= last)


def stimulus_of(clip: int) -> str:
    """Id of a clip, numbered from 1."""
    return f"video{clip:02d}"
