"""Repair: replace hit pixels by an estimate of the undisturbed image, with its uncertainty."""

import numpy as np

__all__ = ["METHODS", "frame_noise", "repair", "repair_method"]

METHODS = ("interpolate", "median", "noise")
"""Names of the ways to repair a hit."""


def repair(data, hits, bad, noise, method="interpolate", *, seed=0):
    """Estimate the undisturbed image at the hits.

    Parameters
    ----------
    data : 2-D ndarray of float32
        The image; not modified.
    hits : ndarray of bool
        Pixels to replace.
    bad : ndarray of bool
        Other pixels whose values must not be used.
    noise : callable
        Variance of the noise that a pixel of the given expected value has.
    method : {"interpolate", "median", "noise"}
        ``"median"`` takes the median of the good pixels in the smallest centred square of at
        least 5 x 5 pixels that holds five of them.
    seed : int, optional
        Of the noise that ``"noise"`` adds.

    Returns
    -------
    values, variance : 1-D ndarray
        At the hits in row-major order; the variance about the undisturbed image.
    """
    repair_method(method, "interpolate")
    values, variance = _median(data, hits, bad, noise)
    if method == "noise":
        extra = noise(values)
        values = values + np.random.default_rng(seed).normal(size=values.size) * np.sqrt(extra)
        variance = variance + extra
    return values, variance


def repair_method(repair, default):
    """Return the method that a ``repair`` argument names, `None` for none."""
    if repair is None or repair is False:
        return None
    if repair is True:
        return default
    if repair not in METHODS:
        raise ValueError(
            f"repair must be True, False, None or one of {', '.join(METHODS)}, got {repair!r}"
        )
    return repair


def frame_noise(frame):
    """Return the variance of a pixel's noise as a function of its expected value.

    Parameters
    ----------
    frame : `crismis.identify.inputs.Frame`

    Returns
    -------
    callable
        On the scale of ``frame.electrons``: Poisson and read noise where these are known,
        else a constant taken from the image.
    """
    readnoise = frame.readnoise
    if np.isnan(readnoise) or np.isnan(frame.gain):
        good = frame.electrons[~frame.bad]
        constant = (1.4826 * np.median(np.abs(good - np.median(good)))) ** 2
        return lambda value: np.full(np.shape(value), constant)
    return lambda value: np.maximum(value, 0) + readnoise**2


def _median(data, hits, bad, noise):
    rows, columns = np.nonzero(hits)
    values = np.empty(rows.size)
    variance = np.empty(rows.size)
    left = np.arange(rows.size)
    reach = 2
    while left.size:
        window = _windows(data, hits, bad, rows[left], columns[left], reach)
        count = np.isfinite(window).sum(axis=1)
        done = count >= (5 if reach < max(data.shape) else 1)
        at = left[done]
        values[at] = np.nanmedian(window[done], axis=1)
        spread = np.nanvar(window[done], axis=1)
        variance[at] = np.maximum(spread, noise(values[at])) * (np.pi / 2) / count[done]
        left = left[~done]
        reach *= 2
    return values, variance


def _windows(data, hits, bad, rows, columns, reach):
    offsets = np.arange(-reach, reach + 1)
    y = rows[:, None, None] + offsets[:, None]
    x = columns[:, None, None] + offsets
    inside = (y >= 0) & (y < data.shape[0]) & (x >= 0) & (x < data.shape[1])
    y, x = np.broadcast_arrays(y.clip(0, data.shape[0] - 1), x.clip(0, data.shape[1] - 1))
    good = inside & ~hits[y, x] & ~bad[y, x]
    return np.where(good, data[y, x], np.nan).reshape(rows.size, -1)
