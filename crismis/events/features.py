"""What the classifier sees of an event: numbers without scale, equal under rotation and flips."""

import numpy as np

from ..silicon import DENSITY, MINIMUM_STOPPING_POWER, PAIR_ENERGY
from ._kernels import CROSSING_FEATURES, LEVEL_FEATURES, LEVELS

__all__ = ["FEATURES", "describe", "relative_stopping"]

_SHAPE = (
    "log_pixels",
    "log_peak_snr",
    "log_mean_snr",
    "log_elongation",
    "long_side",
    "short_side",
    "fullest_line",
    "alignment",
    "fill",
    "skewness",
    "kurtosis",
    "peak_fraction",
    "second_fraction",
    "fourth_fraction",
    "halo_fraction",
    "halo_snr",
    "ring_tail_fraction",
    "ring_tail_snr",
    "ring_slope_fraction",
    "ring_slope_snr",
    "sky_snr",
    "stopping",
)

_LEVELLED = tuple(f"{name}@{level}" for level in LEVELS for name in LEVEL_FEATURES)

FEATURES = _SHAPE + _LEVELLED + CROSSING_FEATURES
"""Names of the columns of `describe`."""

SNR_CEILING = 3.0
"""Signal-to-noise ratios above 10 to this power are taken as equal."""


UNKNOWN_STOPPING = -3.0
"""Stands for the logarithm of an unknown `relative_stopping`."""


def relative_stopping(columns, electrons_per_unit, detector):
    """Charge per path length in units of what a minimum-ionizing particle leaves on average.

    Parameters
    ----------
    columns : dict of str to ndarray
        Result of `measure`.
    electrons_per_unit : float
        Electrons per unit of the charge, NaN if unknown.
    detector : `~crismis.Detector` or None
        Pitch, binning and thickness give the path: the hypotenuse of thickness and projected
        length.

    Returns
    -------
    ndarray, shape (n_events,)
        NaN where the gain, the pitch or the thickness is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis import get_detector
    >>> from crismis.events import measure, relative_stopping
    >>> data = np.zeros((20, 20))
    >>> data[10, 5:15] = 100.0
    >>> columns = measure((data > 50).astype(int), data)
    >>> relative_stopping(columns, 7.0, get_detector("HST/WFPC2/PC")).round(2)
    array([0.49])
    """
    if detector is None:
        return np.full(len(columns["charge"]), np.nan)
    pitch = detector.pitch * np.sqrt(np.prod(detector.binning))
    across = np.maximum(columns["length"] - columns["width"], 0.0) * pitch
    path = np.hypot(across, detector.thickness)
    minimum = MINIMUM_STOPPING_POWER * DENSITY * 1e2 / PAIR_ENERGY
    return columns["charge"] * electrons_per_unit / path / minimum


def describe(events, stopping=None):
    """Describe events for the classifier.

    Parameters
    ----------
    events : `Events`
        Result of `measure_events`.
    stopping : ndarray, shape (n_events,), optional
        Result of `relative_stopping`.

    Returns
    -------
    ndarray of float32, shape (n_events, len(FEATURES))
        In pixels and signal-to-noise ratios, so that they do not depend on the gain and
        little on the size of the pixels; equal for an event turned by 90 degrees or mirrored.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.events import FEATURES, describe, measure_events
    >>> data = np.random.default_rng(1).normal(0, 2, (20, 20))
    >>> data[10, 5:15] += 100.0
    >>> features = describe(measure_events((data > 50).astype(int), data))
    >>> features.shape == (1, len(FEATURES))
    True
    """
    if len(events.pixels) == 0:
        return np.zeros((0, len(FEATURES)), np.float32)
    shape = _shape(events.pixels, events.excess, events.columns)
    shape.append(_log_stopping(stopping, len(events.pixels)))
    shape = np.column_stack(shape).astype(np.float32)
    levels = events.levels.reshape(len(events.pixels), -1)
    # Rounded, so that the order of a sum cannot decide which way a tree sends a turned event.
    return np.round(np.hstack([shape, levels, events.crossings]), 4)


def _shape(pixels, excess, columns):
    n = columns["n_pixels"]
    tiny = np.finfo(np.float32).tiny
    peak = np.maximum(columns["peak"], tiny)
    charge = np.maximum(columns["charge"], peak)
    noise = np.maximum(columns["noise"], peak * 10**-SNR_CEILING)
    height = columns["bbox_ymax"] - columns["bbox_ymin"] + 1
    width = columns["bbox_xmax"] - columns["bbox_xmin"] + 1
    brightest = _brightest(pixels, excess, 4)
    return [
        np.log(n),
        np.log10(peak / noise),
        np.log10(charge / n / noise),
        np.log(columns["elongation"]),
        np.log(np.maximum(height, width)),
        np.log(np.minimum(height, width)),
        np.maximum(_fullest(pixels, pixels.y), _fullest(pixels, pixels.x)) / n,
        columns["anisotropy"] * np.abs(np.sin(2 * np.deg2rad(columns["orientation"]))),
        n / (columns["length"] * columns["width"]),
        columns["skewness"],
        columns["kurtosis"],
        peak / charge,
        brightest[:, 1] / peak,
        brightest[:, 3] / peak,
        np.clip(columns["halo"] / peak, -1, 1),
        _signed_log(columns["halo"] / noise),
        np.minimum(columns["ring_tail"] / peak, 1),
        np.log10(1 + columns["ring_tail"] / noise),
        np.minimum(columns["ring_slope"] / peak, 1),
        np.log10(1 + columns["ring_slope"] / noise),
        np.clip(np.log10(np.maximum(columns["background"], noise) / noise), 0, SNR_CEILING),
    ]


def _log_stopping(stopping, n_events):
    if stopping is None:
        return np.full(n_events, UNKNOWN_STOPPING)
    known = np.where(np.isfinite(stopping), np.clip(stopping, 0.01, 1e3), 10**UNKNOWN_STOPPING)
    return np.log10(known)


def _signed_log(values):
    return np.sign(values) * np.log10(1 + np.abs(values))


def _brightest(pixels, excess, count):
    """The largest values per event in decreasing order, 0 where there are fewer pixels."""
    order = np.lexsort((-excess, pixels.spread(np.arange(len(pixels)))))
    ranked = np.append(excess[order], 0.0)
    places = pixels.starts[:-1, None] + np.arange(count)
    return np.maximum(ranked[np.where(places < pixels.starts[1:, None], places, -1)], 0.0)


def _fullest(pixels, line):
    """Most pixels of an event in one row (or column)."""
    event = pixels.spread(np.arange(len(pixels), dtype=np.int64))
    keys, counts = np.unique(event << 32 | line, return_counts=True)
    fullest = np.zeros(len(pixels), dtype=np.int64)
    np.maximum.at(fullest, keys >> 32, counts)
    return fullest
