# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Turn logits into probabilities, and find how much more is known of an image told its hits."""

import numpy as np

from ..identify import _kernels

__all__ = ["fit_slope", "fit_table"]

_ENOUGH = 20
_KNOTS = np.array([-12.0, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12])


def fit_table(logits, samples):
    """Fit the calibration: a rising, piecewise linear map, to held-out fields.

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


def fit_slope(samples):
    """Fit the slope of log odds within images, each of which has an intercept of its own.

    Parameters
    ----------
    samples : `crismis.learning.dataset.Samples`
        Of `crismis.learning.dataset.sample_probability`; images with fewer than 20 hits or clean
        pixels are left out, all others count alike.

    Returns
    -------
    float
        By how much the log odds of an image are to be stretched once its hits are told; 1 where
        no image serves.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.learning.calibration import fit_slope
    >>> from crismis.learning.dataset import Samples
    >>> rng = np.random.default_rng(1)
    >>> logits, image = rng.normal(0, 2, 40_000), np.arange(40_000) // 1000
    >>> true = 1.5 * logits + rng.normal(0, 2, 40)[image]
    >>> labels = (rng.random(40_000) < 1 / (1 + np.exp(-true))).astype("u1")
    >>> probability = (1 / (1 + np.exp(-logits)))[:, None]
    >>> samples = Samples(probability, np.zeros((40, 1)), image, labels, np.ones(40_000, "f4"))
    >>> round(fit_slope(samples), 1)
    1.5
    """
    from scipy.optimize import minimize
    from scipy.special import expit, logit

    hit = samples.labels == 1
    count = np.stack(
        [
            np.bincount(samples.field[part], minlength=len(samples.conditions))
            for part in (hit, ~hit)
        ]
    )
    serves = (count.min(axis=0) >= _ENOUGH)[samples.field]
    if not serves.any():
        return 1.0
    hit, (images, image) = hit[serves], np.unique(samples.field[serves], return_inverse=True)
    z = logit(np.clip(samples.inputs[serves, 0].astype(float), 1e-6, 1 - 1e-6))
    weight = 1 / np.bincount(image)[image]

    def cost(parameters):
        steep = np.exp(parameters[0]) * z
        value = steep + parameters[1:][image]
        loss = (weight * np.logaddexp(0, np.where(hit, -value, value))).sum()
        error = weight * (expit(value) - hit)
        gradient = np.append((error * steep).sum(), np.bincount(image, error))
        return loss, gradient

    begin = np.zeros(1 + len(images))
    return float(np.exp(minimize(cost, begin, jac=True, method="L-BFGS-B").x[0]))
