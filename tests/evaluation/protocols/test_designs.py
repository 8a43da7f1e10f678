"""Designs in which a protocol could only be wrong."""

import numpy as np
import pytest

from mdjpt_hf.errors import SplitError
from mdjpt_hf.evaluation.protocols import honest
from mdjpt_hf.evaluation.protocols.designs import check_votes, lonely_classes
from mdjpt_hf.evaluation.protocols.pool import Pool


def rest_and_task(subjects):
    """Two trials of each subject, three windows each."""
    who, what = (np.repeat(part, 3) for part in np.divmod(np.arange(2 * subjects), 2))
    names = [np.array([f"c/{number}" for number in column]) for column in (who, what)]
    trial, order = 2 * who + what, np.arange(6 * subjects)
    return Pool((), "label", ("rest", "task"), np.repeat("c", len(order)), *names, trial, trial, what, order)


def test_neighbours_of_which_none_can_be_right_are_refused():
    """One person, rest and task once each: all windows that may vote are of the other class, and the score is 0."""
    with pytest.raises(SplitError, match="c has a single trial of every class"):
        check_votes(honest("zero-shot", exclude="trial"), rest_and_task(1), "c")
    with pytest.raises(SplitError, match="c has a single stimulus of every class"):
        check_votes(honest("zero-shot", exclude="stimulus"), rest_and_task(5), "c")
    check_votes(honest("zero-shot", exclude="trial"), rest_and_task(2), "c")
    check_votes(honest("few-shot"), rest_and_task(1), "c")
    assert lonely_classes(rest_and_task(2)) == ["rest", "task"]
