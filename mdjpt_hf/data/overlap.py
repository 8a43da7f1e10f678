"""Recordings that stand in two corpora: a copy under another name, or the same people's recordings given away twice."""

from mdjpt_hf.data.corpora import TrialSet


def recordings_in_common(one: TrialSet, other: TrialSet) -> int:
    """How many recordings two corpora share, by mean and standard deviation to the last bit: those of two never agree.

    What was cleaned otherwise is not known again.
    """
    first, second = (set(map(tuple, trials.scales.tolist())) for trials in (one, other))
    return len(first & second)
