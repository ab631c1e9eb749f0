# Licensed under a 3-clause BSD style license - see LICENSE.rst
import numpy as np
import pytest
from scipy.special import expit, logit

from crismis.identify.odds import shift_odds


@pytest.mark.parametrize("shift", [-3.0, -0.1, 0.0, 3.0])
def test_log_odds_are_shifted(shift):
    probability = np.linspace(0.001, 0.999, 99)
    np.testing.assert_allclose(
        shift_odds(probability, shift), expit(logit(probability) + shift), rtol=1e-6
    )


def test_what_is_certain_stays():
    certain = np.array([0, 1], np.float32)
    for shift in (-3, 3):
        np.testing.assert_array_equal(shift_odds(certain, shift), certain)


def test_the_order_stays():
    probability = np.sort(np.random.default_rng(1).beta(0.1, 0.1, 10_000)).astype(np.float32)
    assert (np.diff(shift_odds(probability, 0.3)) >= 0).all()


def test_each_may_be_shifted_by_its_own():
    shifted = shift_odds(np.full(2, 0.5, np.float32), np.log([1, 3]))
    np.testing.assert_allclose(shifted, [0.5, 0.75])
    assert shifted.dtype == np.float32
