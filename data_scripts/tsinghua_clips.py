"""The 28 film clips that FACED, THU-EP and the emotion contest of BCI2022 show: three of each emotion, four neutral.

They have the same ids in all three corpora, so that a split over stimuli can be one over all of them.
"""

NUM_CLIPS = 28
#: As `facts/_tsinghua_clips.toml` has it.
STIMULUS_SET = "tsinghua-28"
#: Corpus -> product -> which part of a clip its trials hold; empty where no source tells.
PARTS = {
    "faced": {"Processed_data": "its last 30 s", "BIDS": "all of it", "Data": "all of it"},
    "thu_ep": {"EEG data": ""},  # 30 s
    "bci2022": {"TrainSet": ""},  # from a code for its start, whose delay to the picture is not published
}
_LAST_OF_CLASS = (3, 6, 9, 12, 16, 19, 22, 25, 28)


def label_of(clip: int) -> int:
    """Class of a clip, numbered from 1."""
    return next(label for label, last in enumerate(_LAST_OF_CLASS) if clip <= last)


def stimulus_of(clip: int) -> str:
    """Id of a clip, numbered from 1."""
    return f"video{clip:02d}"
