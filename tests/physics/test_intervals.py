"""Intervals cover the truth as often as they claim, and significances match Gaussian limits."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from crismis.physics import poisson_rate, poisson_significance


def test_interval_of_a_large_count_is_its_square_root():
    rate, lower, upper = poisson_rate(10_000, 100.0)
    assert_allclose([rate, lower, upper], [100, 99, 101.0], atol=0.02)


def test_zero_counts_give_an_upper_limit():
    rate, lower, upper = poisson_rate(0, 1.0)
    assert rate == 0
    assert lower == 0
    assert_allclose(upper, 1.841, atol=1e-3)  # -ln of the one-sided 15.87 % tail


def test_efficiency_scales_the_rate_and_its_error_widens_the_interval():
    rate, lower, _ = poisson_rate(10_000, 1.0, efficiency=0.5, efficiency_error=0.05)
    assert rate == 20_000
    assert_allclose(rate - lower, 20_000 * np.hypot(0.01, 0.1), rtol=0.01)


def test_intervals_hold_the_truth_two_times_in_three():
    rng = np.random.default_rng(5)
    _, lower, upper = poisson_rate(rng.poisson(100, 4000), 10.0)
    inside = np.mean((lower <= 10) & (upper >= 10))
    assert 0.66 < inside < 0.74


@pytest.mark.parametrize("wrong", [{"efficiency": 0}, {"purity": 1.2}])
def test_fractions_outside_their_range_are_refused(wrong):
    with pytest.raises(ValueError, match=r"\(0, 1\]"):
        poisson_rate(5, 1.0, **wrong)


def test_negative_counts_are_refused():
    with pytest.raises(ValueError, match="negative"):
        poisson_rate(-1, 1.0)


def test_no_exposure_gives_nan():
    assert np.isnan(poisson_rate(3, 0.0)[0])


def test_significance_of_large_counts_is_gaussian():
    assert_allclose(poisson_significance(10_300, 10_000), 3.0, atol=0.05)
    assert_allclose(poisson_significance(9_700, 10_000), -3.0, atol=0.05)
    assert_allclose(poisson_significance(10_500, 10_000, 133.0), 3.0, atol=0.1)


def test_significance_without_expectation_is_nan():
    assert np.isnan(poisson_significance(3, 0.0))
