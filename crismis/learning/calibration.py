# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Turn logits into probabilities by a rising, piecewise linear map fitted to held-out fields."""

import numpy as np

from ..identify import _kernels

__all__ = ["fit_table"]

_KNOTS = np.array([-12.0, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12])


def fit_table(logits, samples):
    """Fit the calibration.

    Parameters
    ----------
    logits : ndarray
        Of the samples.
    samples : `crismis.learning.dataset.Samples`
        With weights that make them stand for whole fields.

    Returns
    -------
    ndarray
        float32, the calibrated logit at evenly spaced logits from -16 to 16; never falling,
        so that the order of pixels is kept.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.learning.calibration import fit_table
    >>> from crismis.learning.dataset import Samples
    >>> rng = np.random.default_rng(1)
    >>> logits = rng.normal(0, 3, 2000)
    >>> labels = (rng.random(2000) < 1 / (1 + np.exp(-logits))).astype("u1")
    >>> samples = Samples(np.zeros((2000, 1)), np.zeros((1, 1)), np.zeros(2000, int), labels,
    ...                   np.ones(2000, "f4"))
    >>> bool((np.diff(fit_table(logits, samples)) >= 0).all())
    True
    """
    from scipy.optimize import minimize

    z = np.clip(np.asarray(logits, dtype=float), -16, 16)
    hit = samples.labels == 1
    weight = samples.weights / samples.weights.sum()
    # Value at z = start + sum of slopes times the part of z in each interval.
    low, width = _KNOTS[:-1], np.diff(_KNOTS)
    part = np.clip(z[:, None] - low, 0, width)
    part[:, 0] += np.minimum(z - low[0], 0)
    part[:, -1] += np.maximum(z - _KNOTS[-1], 0)

    def cost(parameters):
        slopes = np.exp(parameters[1:])
        value = parameters[0] + part @ slopes
        p = 1 / (1 + np.exp(-value))
        loss = (weight * np.logaddexp(0, np.where(hit, -value, value))).sum()
        error = weight * (p - hit)
        gradient = np.concatenate([[error.sum()], (error @ part) * slopes])
        prior = 1e-5 * parameters[1:]
        return loss + (prior * parameters[1:]).sum() / 2, gradient + np.append(0, prior)

    begin = np.append(_KNOTS[0], np.zeros(len(low)))
    best = minimize(cost, begin, jac=True, method="L-BFGS-B").x
    grid = np.linspace(-16, 16, _kernels.KNOTS)
    part = np.clip(grid[:, None] - low, 0, width)
    part[:, 0] += np.minimum(grid - low[0], 0)
    part[:, -1] += np.maximum(grid - _KNOTS[-1], 0)
    table = best[0] + part @ np.maximum(np.exp(best[1:]), 0.05)
    # float32 probabilities cannot tell logits above 16 from one another.
    table = np.where(table > 12, 12 + 3 * np.tanh((table - 12) / 8), table)
    return table.astype(np.float32)
