# Licensed under a 3-clause BSD style license - see LICENSE.rst
import numpy as np
import pytest
from scipy.special import expit, logit

from crismis.identify.odds import shift_odds, stretch_odds


@pytest.mark.parametrize("shift", [-3.0, -0.1, 0.0, 3.0])
def test_log_odds_are_shifted(shift):
    probability = np.linspace(0.001, 0.999, 99)
    np.testing.assert_allclose(
        shift_odds(probability, shift), expit(logit(probability) + shift), rtol=1e-6
    )


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.4])
def test_log_odds_are_stretched(factor):
    probability = np.linspace(0.001, 0.999, 99)
    np.testing.assert_allclose(
        stretch_odds(probability, factor), expit(factor * logit(probability)), rtol=1e-6
    )


@pytest.mark.parametrize("change", [shift_odds, stretch_odds])
def test_what_is_certain_stays(change):
    certain = np.array([0, 1], np.float32)
    for by in (0.3, 3):
        np.testing.assert_array_equal(change(certain, by), certain)


@pytest.mark.parametrize("change", [shift_odds, stretch_odds])
def test_the_order_stays(change):
    probability = np.sort(np.random.default_rng(1).beta(0.1, 0.1, 10_000)).astype(np.float32)
    assert (np.diff(change(probability, 1.3)) >= 0).all()


def test_each_may_be_shifted_by_its_own():
    shifted = shift_odds(np.full(2, 0.5, np.float32), np.log([1, 3]))
    np.testing.assert_allclose(shifted, [0.5, 0.75])
    assert shifted.dtype == np.float32
