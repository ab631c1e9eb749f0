"""Poisson intervals of rates, with the uncertainty of efficiency and purity folded in."""

import numpy as np

__all__ = ["poisson_rate", "poisson_significance"]


def poisson_rate(
    counts, exposure, *, efficiency=1.0, efficiency_error=0.0, purity=1.0, purity_error=0.0
):
    r"""Rate and its 68.3 % interval from a count.

    The rate is :math:`R = N p / (\epsilon A t)` for :math:`N` counts of which a fraction
    :math:`p` (purity) are real and that a fraction :math:`\epsilon` (efficiency) of the real
    ones make up. The interval of :math:`N` is the exact ``frequentist-confidence`` interval of
    `astropy.stats.poisson_conf_interval` (Maxwell 2011, arXiv:1102.0822); relative errors of
    efficiency and purity are added in quadrature to both of its arms.

    Parameters
    ----------
    counts : int or array_like of int
        Number of events.
    exposure : float or array_like
        Live area times live time, in whatever unit the rate shall be per. Zero or NaN gives
        NaN.
    efficiency, efficiency_error, purity, purity_error : float or array_like
        Fractions between 0 and 1 and their standard errors.

    Returns
    -------
    rate, lower, upper : ndarray
        Rate and the ends of its interval.

    Raises
    ------
    ValueError
        If a count is negative, or efficiency or purity lie outside (0, 1].

    Examples
    --------
    >>> from crismis.physics import poisson_rate
    >>> rate, lower, upper = poisson_rate(100, 50.0)
    >>> print(f"{rate:.2f} {lower:.2f} {upper:.2f}")
    2.00 1.80 2.22
    """
    from astropy.stats import poisson_conf_interval

    counts = np.asarray(counts)
    if np.any(counts < 0):
        raise ValueError("counts must not be negative")
    for name, value in (("efficiency", efficiency), ("purity", purity)):
        value = np.asarray(value, dtype=float)
        if np.any((value <= 0) | (value > 1)):
            raise ValueError(f"{name} must lie in (0, 1], got {value}")
    exposure = np.asarray(exposure, dtype=float)
    exposure = np.where(exposure > 0, exposure, np.nan)
    low, high = poisson_conf_interval(counts, interval="frequentist-confidence")
    scale = np.asarray(purity, float) / np.asarray(efficiency, float) / exposure
    systematic = np.hypot(
        np.asarray(efficiency_error, float) / efficiency, np.asarray(purity_error, float) / purity
    )
    rate = counts * scale
    lower = np.hypot((counts - low) * scale, rate * systematic)
    upper = np.hypot((high - counts) * scale, rate * systematic)
    return rate, np.maximum(rate - lower, 0.0), rate + upper


def poisson_significance(counts, expected, expected_error=0.0):
    r"""Significance, in Gaussian sigma, of a count above or below what is expected.

    The uncertainty of the expectation enters as a Gamma distribution of the Poisson mean with
    that mean and variance, so the count follows a negative binomial (Gamma-Poisson)
    distribution (Linnemann 2003, arXiv:physics/0312059). The two tails are mid-p values turned
    into sigma.

    Parameters
    ----------
    counts : int or array_like of int
        Observed.
    expected, expected_error : float or array_like
        Expected count and its standard error.

    Returns
    -------
    ndarray
        Positive for an excess, negative for a deficit, NaN where the expectation is not
        positive.

    Examples
    --------
    >>> from crismis.physics import poisson_significance
    >>> print(f"{poisson_significance(130, 100):.1f}")
    2.9
    """
    from scipy import stats

    counts, expected, error = np.broadcast_arrays(
        np.asarray(counts), np.asarray(expected, float), np.asarray(expected_error, float)
    )
    good = expected > 0
    mean = np.where(good, expected, 1.0)
    variance = np.maximum(np.where(good, error, 0.0) ** 2, 1e-9 * mean**2)
    shape = mean**2 / variance
    law = stats.nbinom(shape, shape / (shape + mean))
    excess = law.sf(counts) + 0.5 * law.pmf(counts)
    deficit = law.cdf(counts) - 0.5 * law.pmf(counts)
    sigma = np.where(excess < deficit, stats.norm.isf(excess), -stats.norm.isf(deficit))
    return np.where(good, sigma, np.nan)
