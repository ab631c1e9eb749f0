# Licensed under a 3-clause BSD style license - see LICENSE.rst
import numpy as np
import pytest

from crismis.identify.weights import _in_pairs


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_whole_weights_fill_their_bits_and_no_sum_overflows(size):
    weights = size * np.random.default_rng(1).normal(size=(100, 20))
    weights[:, 3] = 0
    whole, worth = _in_pairs(weights, 8192)
    back = (whole * worth[:, None].astype(float)).transpose(0, 2, 1).reshape(weights.shape)
    assert abs(back - weights).max() < 1e-3 * abs(weights).max()
    sums = abs(whole.astype(np.int64)).sum(axis=(0, 2)) * 8192
    assert sums[3] == 0
    assert (np.delete(sums, 3) > 2**30).all()
    assert (sums < 2**31).all()


def test_a_layer_may_have_no_units():
    whole, worth = _in_pairs(np.zeros((100, 0)), 8192)
    assert whole.shape == (50, 0, 2)
    assert worth.shape == (0,)
