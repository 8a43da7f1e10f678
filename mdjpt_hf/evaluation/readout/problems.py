"""What a head is given: the windows to train on, their labels, and those to answer for."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np


class Problem(NamedTuple):
    """`train` and `asked` are numbers of windows, `label` `(train,)` their classes or ratings."""

    train: np.ndarray
    label: np.ndarray
    asked: np.ndarray


#: (problems, seed) -> of each `(candidates, asked, classes)`, or `(candidates, asked, 1)` ratings.
Head = Callable[[Sequence[Problem], int], list[np.ndarray]]
