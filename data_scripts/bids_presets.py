"""Rules of BIDS studies that anybody can download, found by reading their tables and descriptions.

What no table and no description settles is left out here, and asked for when a trial needs it.
"""

from typing import Any

from mdjpt_hf.data_scripts.tsinghua_clips import NUM_CLIPS, STIMULUS_SET, stimulus_of

#: Where ds003004 was told apart by its paper (Onton & Makeig 2009): fifteen emotions, in the ways they may be spelt.
_IMAGINED = (
    "anger|awe|compassion|content(ment)?|disgust|excite(ment|d)?|fear|frustrat(ion|ed)|grief|happ(y|iness)"
    "|jealous(y)?|joy|love|relief|sad(ness)?"
)

#: Name -> fields of `BIDSRules`.
RULES: dict[str, dict[str, Any]] = {
    # DENS, OpenNeuro ds003751. Times count samples at 250 Hz: a baseline of 80 s is 20,000 long, a clip of 60 s 15,125.
    # Sensors of the net have no names of places. `beh` lists clips as files (`13.m4v`); liking has five steps.
    "dens": {
        "stimulus": "label",
        "label": "-",
        "keep": {"trial_type": "stm"},
        "pattern": r"(.+)_\d+",
        "duration": 60.0,
        "onset_unit": "samples",
        "montage": "GSN-HydroCel-129",
        "behaviour": "stimuliName",
        "behaviour_pattern": r"(.+?)(\.\w+)?",
        "ratings": {
            "valence": ["valence", 1, 9],
            "arousal": ["arousal", 1, 9],
            "dominance": ["dominance", 1, 9],
            "liking": ["liking", 1, 5],
        },
    },
    # FACED as BIDS, NEMAR nm000112: the durations stated are those of the clips; ratings reach from 0 to 7.
    "faced": {
        "stimulus": "video_index",
        "label": "emotion_label",
        "keep": {"video_index": r"\d+"},
        "stimuli": {str(clip): stimulus_of(clip) for clip in range(1, NUM_CLIPS + 1)},
        "stimulus_set": STIMULUS_SET,
        "ratings": {"valence": ["Valence", 0, 7], "arousal": ["Arousal", 0, 7], "liking": ["Liking", 0, 7]},
    },
    # ds002721, music. Every line states 20 s. Clips last 12 s by the paper and 20 s by one place of the README, and the
    # first question comes 16 s after the music began: 12 s are music either way. events.json lists clips as 301 to 360,
    # and the tables have codes up to 657 in the same places: which of them are clips has to be said with `named_by`.
    # Questions are numbered there, not named: their answers are not read.
    "ds002721": {
        "stimulus": "trial_type",
        "label": "-",
        "keep": {"trial_type": "788"},
        "named_by": r"30[1-9]|3[1-5]\d|360",
        "duration": 12.0,
    },
    # ds003004, imagined emotions: a word on entry, `exit` at the end, 128 and more sensors known by position alone.
    "ds003004": {
        "stimulus": "value",
        "label": "value",
        "keep": {"value": f"(?i:{_IMAGINED})"},
        "until": "(?i:exit)",
        "unaligned": "emotions were imagined, each at one's own pace",
    },
}
#: Other names of the same, such as their numbers.
ALIASES = {"ds003751": "dens", "nm000112": "faced", "ds005540": "emoeeg-mc", "emoeeg_mc": "emoeeg-mc"}
#: Studies that are read by a reader of their own, and why.
OWN_READERS = {
    "emoeeg-mc": (
        "EmoEEG-MC has no events.tsv: what was shown stands in annotations that mean something else for each person",
        "Use `mdjpt data prepare emoeeg_mc --source FOLDER`",
    )
}
