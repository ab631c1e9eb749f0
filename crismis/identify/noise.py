# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Level and noise of an image: by gain and read noise where known, from the pixels where not."""

import itertools
from dataclasses import dataclass

import numpy as np

from ._kernels import box_statistics
from .threads import run_tasks

__all__ = ["NoiseModel", "estimate_noise", "measure_boxes"]

BOX = 32


@dataclass(frozen=True)
class NoiseModel:
    """Pixel variance as a straight line of the level above a pedestal.

    Parameters
    ----------
    floor : float
        Variance at the pedestal, in squared data units.
    slope : float
        Variance per data unit above it, the inverse of the gain; 0 where the image does not
        show it.
    pedestal : float
        Level without light, in data units.

    Examples
    --------
    >>> from crismis.identify.noise import NoiseModel
    >>> float(NoiseModel(floor=25.0, slope=1.0).sigma(144.0))
    13.0
    """

    floor: float
    slope: float
    pedestal: float = 0.0

    @property
    def gain(self):
        """Electrons per data unit; NaN where the image does not tell."""
        return 1 / self.slope if self.slope > 0 else np.nan

    @property
    def readnoise(self):
        """Noise at the pedestal in electrons; NaN where the gain is unknown."""
        return float(np.sqrt(self.floor)) * self.gain

    def sigma(self, level):
        """Standard deviation of a pixel at a given level."""
        light = np.maximum(np.asarray(level) - self.pedestal, 0)
        return np.sqrt(self.floor + self.slope * light)


def measure_boxes(data, bad, n_threads=1):
    """Level and pixel-to-pixel noise of an image in boxes of about 32 x 32 pixels.

    Parameters
    ----------
    data : ndarray
        Image, float32, C-contiguous.
    bad : ndarray
        Pixels to leave out, bool.
    n_threads : int

    Returns
    -------
    level, noise, core : ndarray
        float32 meshes; NaN where less than a quarter of a box is good. The noise is the robust
        scatter of second differences along rows, so a smooth scene does not count; its core
        is that of the quietest 40 %, which hits and warm pixels hardly reach.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.identify.noise import measure_boxes
    >>> image = np.random.default_rng(1).normal(100, 10, (128, 128)).astype("f4")
    >>> level, noise, core = measure_boxes(image, np.zeros(image.shape, bool))
    >>> level.shape, bool(abs(np.median(noise) - 10) < 1)
    ((4, 4), True)
    """
    mesh = tuple(max(1, round(n / BOX)) for n in data.shape)
    level, noise, core = (np.empty(mesh, dtype=np.float32) for _ in range(3))
    step = 8
    run_tasks(
        lambda first: box_statistics(
            data, bad.view(np.uint8), level, noise, core, first, min(first + step, mesh[0])
        ),
        range(0, mesh[0], step),
        n_threads,
    )
    return level, noise, core


def estimate_noise(data, bad=None, *, boxes=None):
    """Estimate the noise of an image whose gain or read noise is unknown.

    The scatter of neighbouring pixels is measured in boxes; over the levels that occur, the
    lower envelope of the variance, where the scene is smooth, is fitted by a line.

    Parameters
    ----------
    data : ndarray
        Image, 2-D, in any unit.
    bad : ndarray, optional
        Pixels to leave out, bool.
    boxes : tuple of ndarray, optional
        What `measure_boxes` returned, if at hand.

    Returns
    -------
    NoiseModel

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.identify.noise import estimate_noise
    >>> rng = np.random.default_rng(1)
    >>> light = np.linspace(100, 5000, 256) * np.ones((256, 1))
    >>> data = np.round(rng.poisson(light) / 4 + rng.normal(0, 3, light.shape))
    >>> model = estimate_noise(data)
    >>> bool(abs(model.sigma(500) / np.sqrt(500 / 4 + 9) - 1) < 0.1)
    True
    """
    if boxes is None:
        data = np.ascontiguousarray(data, dtype=np.float32)
        missing = ~np.isfinite(data)
        bad = missing if bad is None else missing | bad
        boxes = measure_boxes(data, bad)
    level, noise = (np.asarray(b, dtype=float).ravel() for b in boxes[:2])
    good = np.isfinite(level) & np.isfinite(noise)
    if not good.any():
        return NoiseModel(1.0, 0.0)
    level, variance = level[good], noise[good] ** 2
    centre, lower, weight = _lower_envelope(level, variance)
    pedestal = float(centre[0])
    least = 1e-6 * max(abs(pedestal), 1.0) ** 2 if lower.max() == 0 else 1e-3 * lower.max()
    floor, slope = _fit_line(centre - pedestal, lower, weight)
    if floor <= 0:
        floor = max(min(lower[0], lower.min() if lower.min() > 0 else lower[0]), least)
    # Rounding to whole numbers hides noise below a third of a step.
    whole = bool(np.all(np.mod(level, 1) == 0)) or _is_whole(level)
    return NoiseModel(max(floor, 1 / 12 if whole else 1e-12, least * 1e-3), slope, pedestal)


def _is_whole(level):
    return bool(np.mean(np.mod(level * 2, 1) == 0) > 0.5)


def _lower_envelope(level, variance):
    """Low quartile of the variance in bins of level, for boxes that are mostly smooth."""
    order = np.argsort(level)
    level, variance = level[order], variance[order]
    bins = int(np.clip(len(level) // 16, 1, 16))
    edges = np.linspace(0, len(level), bins + 1).astype(int)
    centre = np.array([level[a:b].mean() for a, b in itertools.pairwise(edges)])
    quantile = 35 if len(level) >= 16 else 50
    lower = np.array([np.percentile(variance[a:b], quantile) for a, b in itertools.pairwise(edges)])
    return centre, lower, np.diff(edges).astype(float)


def _fit_line(x, y, weight):
    """Line with non-negative slope through most of the points, relative residuals, robust."""
    if len(x) < 3 or x[-1] - x[0] <= 0:
        return float(np.median(y)), 0.0
    w = weight / np.maximum(y, 1e-3 * y.max() + 1e-30) ** 2
    floor = slope = 0.0
    for _ in range(8):
        sw, sx, sy = w.sum(), (w * x).sum(), (w * y).sum()
        determinant = sw * (w * x * x).sum() - sx**2
        if determinant <= 0:
            return float(np.median(y)), 0.0
        slope = (sw * (w * x * y).sum() - sx * sy) / determinant
        floor = (sy - slope * sx) / sw
        model = np.maximum(floor + slope * x, 1e-3 * y.max() + 1e-30)
        residual = (y - model) / model
        # Scenes only ever add scatter: points above the line count less.
        w = weight / model**2 / (1 + np.maximum(residual, 0) ** 2 * 25)
    if slope <= 0:
        return float(np.median(y)), 0.0
    return float(floor), float(slope)
