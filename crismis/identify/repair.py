"""Repair: replace hit pixels by an estimate of the undisturbed image, with its uncertainty."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np

from . import _repair

__all__ = ["METHODS", "Noise", "frame_noise", "repair", "repair_method"]

METHODS = ("interpolate", "median", "noise")
"""Names of the ways to repair a hit."""

_REACH = 12
_CHUNK = 1 << 14
_GROUNDS = (
    (1.2, 1.2, np.inf),
    (2.0, 2.0, np.inf),
    (3.0, 3.0, 1.5),
    (1.5, 15.0, np.inf),
    (15.0, 1.5, np.inf),
    (2.5, 12.0, 2.5),
    (12.0, 2.5, 2.5),
)
"""Correlation length along y and x (pixels) and smoothness (Matern's nu) of what may lie below a
hit: undersampled stars, stars, galaxies, and lines or traces of spectra, narrow and wide."""

_FACTORS = (1.0, 4.0)
"""Variance of the signal in units of the variance seen in excess of the noise."""

_FLAT = 2.0
"""Standard deviations by which the scatter must exceed the noise for the ground to be uneven."""


@dataclass(frozen=True)
class Noise:
    """Variance of a pixel's noise: ``floor + slope * expected value``.

    Parameters
    ----------
    slope, floor : float
        1 and the squared read noise for an image in electrons.

    Examples
    --------
    >>> from crismis.identify.repair import Noise
    >>> noise = Noise(slope=1.0, floor=25.0)
    >>> noise.floor + noise.slope * 100
    125.0
    """

    slope: float
    floor: float

    def __call__(self, value):
        """Return the variance at expected values."""
        return self.floor + self.slope * np.maximum(value, 0)


def repair(data, hits, bad, noise, method="interpolate", *, seed=0, n_threads=None):
    """Estimate the undisturbed image at the hits.

    Parameters
    ----------
    data : 2-D ndarray of float32
        The image; not modified.
    hits : ndarray of bool
        Pixels to replace.
    bad : ndarray of bool
        Other pixels whose values must not be used.
    noise : Noise
        Noise of the image.
    method : {"interpolate", "median", "noise"}
        See the Notes.
    seed : int, optional
        Of the noise that ``"noise"`` adds.
    n_threads : int, optional
        The result does not depend on it.

    Returns
    -------
    values, variance : 1-D ndarray
        At the hits in row-major order; the variance is that of the difference from the
        undisturbed, noiseless image.

    Notes
    -----
    ``"median"`` takes the median of the 24 nearest good pixels where these scatter no more than
    their noise; elsewhere medians along the row, the column and both diagonals, weighted by the
    inverse fourth power of the distance, and of these the mean, weighted by the inverse variance
    along each. ``"interpolate"`` takes the mean of the 48 nearest good pixels where these scatter
    no more than their noise. Elsewhere the 24 nearest predict the pixel by ordinary kriging on an
    asinh scale, with correlations of several lengths and directions averaged by their marginal
    likelihood. ``"noise"`` adds to that a normal deviate of the variance that a pixel there has, so
    that statistics of the cleaned image come out right.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.identify.repair import Noise, repair
    >>> image = np.full((32, 32), 100, "f4")
    >>> hits = np.zeros(image.shape, bool)
    >>> hits[16, 10:14] = True
    >>> image[hits] = 900
    >>> values, variance = repair(image, hits, np.zeros_like(hits), Noise(1.0, 25.0))
    >>> values.round()
    array([100., 100., 100., 100.])
    """
    method = repair_method(method, "interpolate")
    rows, columns = np.divmod(np.flatnonzero(hits), hits.shape[1])
    unusable = (hits | bad).view(np.uint8)
    values, variance, local = np.full((3, rows.size), np.nan)

    def work(start):
        part = slice(start, start + _CHUNK)
        where = (data, unusable, rows[part], columns[part], _offsets())
        model = (noise.slope, noise.floor)
        into = (values[part], variance[part], local[part])
        if method == "median":
            _repair.median(*where, _FLAT, *model, *into)
        else:
            _repair.interpolate(*where, _correlations(), np.array(_FACTORS), _FLAT, *model, *into)

    _map(work, range(0, rows.size, _CHUNK), n_threads)
    _fill_islands(data, unusable, noise, values, variance, local)
    if method == "noise":
        values += np.random.default_rng(seed).normal(size=values.size) * np.sqrt(local)
        variance += local
    return values, variance


def repair_method(repair, default):
    """Return the method that a ``repair`` argument names, `None` for none.

    Examples
    --------
    >>> from crismis.identify.repair import repair_method
    >>> repair_method(True, "interpolate"), repair_method("median", "interpolate")
    ('interpolate', 'median')
    """
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
    """Return the noise of a frame.

    Parameters
    ----------
    frame : `crismis.identify.inputs.Frame`

    Returns
    -------
    Noise
        On the scale of ``frame.electrons``: Poisson and read noise where these are known,
        else a constant taken from the image.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.identify.inputs import prepare
    >>> from crismis.identify.repair import frame_noise
    >>> frame_noise(prepare(np.full((32, 32), 50.0), gain=1.0, readnoise=5.0))
    Noise(slope=1.0, floor=25.0)
    """
    if not (np.isnan(frame.readnoise) or np.isnan(frame.gain)):
        return Noise(1.0, frame.readnoise**2)
    if frame.variance is not None:
        return Noise(0.0, float(np.median(frame.variance[~frame.bad])))
    good = frame.electrons[~frame.bad]
    return Noise(0.0, float(1.4826 * np.median(np.abs(good - np.median(good)))) ** 2)


def _map(work, starts, n_threads):
    if n_threads == 1 or len(starts) < 2:
        for start in starts:
            work(start)
        return
    with ThreadPoolExecutor(n_threads) as pool:
        for _ in pool.map(work, starts):
            pass


def _fill_islands(data, unusable, noise, values, variance, local):
    """Give hits that have no good pixel within reach the median of all good pixels."""
    lost = np.isnan(values)
    if not lost.any():
        return
    good = data[unusable == 0]
    values[lost] = np.median(good) if good.size else 0.0
    variance[lost] = np.var(good) if good.size else np.inf
    local[lost] = noise(values[lost])


@cache
def _offsets():
    """Offsets of the neighbours in order of distance."""
    y, x = np.mgrid[-_REACH : _REACH + 1, -_REACH : _REACH + 1]
    y, x = y.ravel(), x.ravel()
    order = np.argsort(y**2 + x**2, kind="stable")[1:]
    return np.ascontiguousarray(np.stack([y[order], x[order]], axis=1), np.int16)


@cache
def _correlations():
    """Correlation by distance along y and x for each kind of ground."""
    y, x = np.mgrid[: 2 * _REACH + 1, : 2 * _REACH + 1]
    return np.ascontiguousarray(
        [_matern(np.hypot(y / along_y, x / along_x), nu) for along_y, along_x, nu in _GROUNDS]
    )


def _matern(distance, nu):
    """Matern correlation; Rasmussen & Williams 2006, Gaussian Processes, section 4.2."""
    if nu == np.inf:
        return np.exp(-(distance**2) / 2)
    d = np.sqrt(2 * nu) * distance
    polynomial = {1.5: 1 + d, 2.5: 1 + d + d**2 / 3}
    return polynomial[nu] * np.exp(-d)
