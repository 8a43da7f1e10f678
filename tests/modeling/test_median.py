"""The quick median is numpy's, to the bit."""

import numpy as np
import pytest

from mdjpt_hf.modeling.median_mdjpt import median


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int32])
@pytest.mark.parametrize("shape", [(1,), (2,), (7,), (8,), (3, 999), (3, 1000), (2, 3, 10)])
def test_it_is_numpys(dtype, shape):
    values = (100 * np.random.default_rng(0).standard_normal(shape)).astype(dtype)
    found, wanted = median(values), np.median(values, axis=-1)
    assert found.dtype == wanted.dtype
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("count", [5, 6, 1000, 1001])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_told_as_numpy_tells_it(count, bad):
    values = np.random.default_rng(1).standard_normal((2, count)).astype(np.float32)
    values[0, 3] = bad
    np.testing.assert_array_equal(median(values), np.median(values, axis=-1))


def test_the_values_themselves_stay_as_they_are():
    values = np.arange(10.0)[::-1].copy()
    assert median(values) == 4.5
    assert values.tolist() == list(range(9, -1, -1))
