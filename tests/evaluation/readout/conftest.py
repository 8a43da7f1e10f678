"""Windows without signals, for heads that see features alone."""

from collections.abc import Callable

import numpy as np
import pytest

from mdjpt_hf.evaluation.protocols import Pool


@pytest.fixture(scope="session")
def make_pool() -> Callable[[Callable[[int, int], int]], Pool]:
    """8 subjects x 6 stimuli (3 classes), and as many windows of each as a function of both numbers says."""

    def make(windows: Callable[[int, int], int]) -> Pool:
        grid = np.array([(s, k, w) for s in range(8) for k in range(6) for w in range(windows(s, k))])
        return Pool(
            parts=(),
            target="label",
            classes=("a", "b", "c"),
            corpus=np.full(len(grid), "one"),
            subject=np.array([f"one/s{s}" for s in grid[:, 0]]),
            stimulus=np.array([f"one/k{k}" for k in grid[:, 1]]),
            trial=grid[:, 0] * 6 + grid[:, 1],
            recording=grid[:, 0],
            label=grid[:, 1] % 3,
            order=np.arange(len(grid)),
        )

    return make
