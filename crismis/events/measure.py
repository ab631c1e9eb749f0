"""Morphology of all events at once: moments, sizes, charge and curvature as columns."""

from dataclasses import dataclass

import numpy as np

from ._kernels import (
    LEVEL_FEATURES,
    LEVELS,
    SHORTEST_BRANCH,
    level_descriptors,
    ring_statistics,
)
from .footprints import Footprints

__all__ = ["measure"]

N_LEVELS = len(LEVELS)
RING = (1, 4)
"""Local background: pixels farther than 1 and not farther than 4 pixels from the event."""


def measure(labels, data, *, bad=None, probability=None):
    """Measure every event of a label image.

    Parameters
    ----------
    labels : `~photutils.segmentation.SegmentationImage` or ndarray of int, shape (ny, nx)
        Label of the event that each pixel belongs to, 0 for none.
    data : ndarray, shape (ny, nx)
        The image, in any unit.
    bad : ndarray of bool, shape (ny, nx), optional
        Pixels that must not be used; non-finite pixels never are.
    probability : ndarray, shape (ny, nx), optional
        Probability that a pixel was hit.

    Returns
    -------
    dict of str to ndarray, each of shape (n_events,)
        ``label``; ``x_centroid``, ``y_centroid``, ``bbox_xmin``, ``bbox_xmax``,
        ``bbox_ymin``, ``bbox_ymax``, ``orientation`` (degrees, counter-clockwise from
        the x axis) and ``elongation`` as `photutils.segmentation.SourceCatalog` defines
        them, thin events as its version 3.0 does (1/12 is added to their variances);

        ``n_pixels``; ``charge``, the sum of the data above ``background``; ``peak``, its
        largest pixel above ``background``;

        ``length``, ``width``: sides of the box along and across the orientation that
        encloses the pixels, corners included, in pixels;

        ``size_sigma`` = sqrt((Ixx + Iyy) / 2) in pixels and ``anisotropy`` =
        sqrt(((Ixx - Iyy)^2 + 4 Ixy^2) / (Ixx + Iyy)^2) from the raw second central moments
        [1]_, 0 for one pixel;

        ``curvature``: of the charge-weighted parabola through the event, 1 / pixel;
        ``skewness`` (absolute: the sign of the direction has no meaning) and ``kurtosis`` of
        the charge along the orientation, 0 and 1.8 for an even line;
        ``straightness``: distance of the ends over the length of the way between them, through
        the centres of charge of layers 1.5 pixels thick; ``n_branches``: ways that leave it, at
        most three, and end more than 2 pixels outside its edge, which is half as many pixels
        away as the event has per pixel of the way; ``n_prongs``: ends of the skeleton, 2 for a
        plain track, 0 for one or two pixels;

        ``probability``: mean over the pixels, NaN without probabilities;

        ``background``, ``noise``: median and 1.4826 x median absolute deviation of the
        pixels around the event; ``halo``: median excess of the pixels that touch it;
        ``ring_tail``: ninth decile less median of the pixels around; ``ring_slope``: mean of
        their excess times their direction, large beside an edge of brightness.

    Raises
    ------
    ValueError
        If the shapes differ.

    Notes
    -----
    Moments are weighted by the charge above the background, negative values taken as zero;
    an event without any positive pixel gets equal weights.

    References
    ----------
    .. [1] Miles, N. D. et al. 2021, ApJ 918, 86, https://doi.org/10.3847/1538-4357/abfa9b

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.events import measure
    >>> data = np.zeros((20, 20))
    >>> data[10, 5:15] = 100.0
    >>> event = measure((data > 50).astype(int), data)
    >>> float(event["charge"][0]), float(event["length"][0]), float(event["anisotropy"][0])
    (1000.0, 10.0, 1.0)
    """
    return measure_events(labels, data, bad=bad, probability=probability, n_levels=1).columns


@dataclass(frozen=True)
class Events:
    """Measured events: pixels, charge above background of each, shape by level, signs of
    crossing particles, columns.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.events import measure_events
    >>> data = np.zeros((20, 20))
    >>> data[10, 5:15] = 100.0
    >>> events = measure_events((data > 50).astype(int), data)
    >>> events.excess.sum(), events.pixels.sum(events.excess)
    (np.float64(1000.0), array([1000.]))
    """

    pixels: Footprints
    excess: np.ndarray
    levels: np.ndarray
    crossings: np.ndarray
    columns: dict


def measure_events(labels, data, *, bad=None, probability=None, n_levels=N_LEVELS):
    """Measure as `measure` does and keep the pixels, for descriptions that need them.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.events import measure_events
    >>> data = np.zeros((20, 20))
    >>> data[10, 5:15] = 100.0
    >>> events = measure_events((data > 50).astype(int), data)
    >>> events.columns["charge"]
    array([1000.])
    """
    labels = labels if isinstance(labels, np.ndarray) else labels.data
    labels = np.ascontiguousarray(labels, dtype=np.int32)
    data = np.asarray(data)
    for name, plane in (("data", data), ("bad", bad), ("probability", probability)):
        if plane is not None and np.shape(plane) != labels.shape:
            raise ValueError(
                f"{name} has shape {np.shape(plane)}, but the labels have shape {labels.shape}"
            )
    values = np.ascontiguousarray(data, dtype=np.float32)
    unusable = ~np.isfinite(values)
    if bad is not None:
        unusable |= bad
    pixels = Footprints.from_labels(labels)
    around = _surroundings(pixels, values, labels, unusable)
    excess = data[pixels.y, pixels.x].astype(float) - pixels.spread(around["background"])
    excess[unusable[pixels.y, pixels.x]] = 0.0
    levels, crossings = level_descriptors(
        excess.astype(np.float32), pixels.y, pixels.x, pixels.starts, n_levels
    )
    columns = measure_footprints(pixels, excess) | _skeleton(pixels, levels[:, 0])
    columns["probability"] = _mean_probability(pixels, probability)
    return Events(pixels, excess, levels, crossings, columns | around)


def measure_footprints(pixels, excess):
    """Measure events given as `Footprints` with their charge above background per pixel."""
    bbox = {
        "bbox_xmin": pixels.min(pixels.x),
        "bbox_xmax": pixels.max(pixels.x),
        "bbox_ymin": pixels.min(pixels.y),
        "bbox_ymax": pixels.max(pixels.y),
    }
    x0, y0 = bbox["bbox_xmin"], bbox["bbox_ymin"]
    x = pixels.x - pixels.spread(x0).astype(float)
    y = pixels.y - pixels.spread(y0).astype(float)
    weight = _weights(pixels, excess)
    x_mean, y_mean = pixels.sum(weight * x), pixels.sum(weight * y)
    x -= pixels.spread(x_mean)
    y -= pixels.spread(y_mean)
    xx, yy, xy = (pixels.sum(weight * product) for product in (x * x, y * y, x * y))
    angle, elongation = _ellipse(xx, yy, xy)
    total = xx + yy
    with np.errstate(invalid="ignore", divide="ignore"):
        anisotropy = np.hypot(xx - yy, 2 * xy) / total
    cosine, sine = np.cos(angle), np.sin(angle)
    u = x * pixels.spread(cosine) + y * pixels.spread(sine)
    v = y * pixels.spread(cosine) - x * pixels.spread(sine)
    corner = np.abs(cosine) + np.abs(sine)
    return {
        "label": pixels.labels,
        "x_centroid": x0 + x_mean,
        "y_centroid": y0 + y_mean,
        **bbox,
        "orientation": np.rad2deg(angle) % 360,
        "elongation": elongation,
        "n_pixels": pixels.n_pixels,
        "charge": pixels.sum(excess),
        "peak": pixels.max(excess),
        "length": pixels.max(u) - pixels.min(u) + corner,
        "width": pixels.max(v) - pixels.min(v) + corner,
        "size_sigma": np.sqrt(total / 2),
        "anisotropy": np.where(total > 0, anisotropy, 0.0),
        **_along(pixels, weight, u, v),
    }


def _weights(pixels, excess):
    weight = np.maximum(excess, 0.0)
    total = pixels.sum(weight)
    weight = np.where(pixels.spread(total > 0), weight, 1.0)
    return weight / pixels.spread(pixels.sum(weight))


def _ellipse(xx, yy, xy):
    """Orientation (radians) and elongation with the treatment of thin events by photutils 3.0."""
    xx, yy = xx.copy(), yy.copy()
    thin = xx * yy - xy * xy < 1 / 144
    while thin.any():
        xx[thin] += 1 / 12
        yy[thin] += 1 / 12
        thin = xx * yy - xy * xy < 1 / 144
    half, difference = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    angle = 0.5 * np.arctan2(2 * xy, xx - yy)
    return angle, np.sqrt((half + difference) / (half - difference))


def _along(pixels, weight, u, v):
    """Curvature, skewness and kurtosis from the moments along the orientation."""
    u2 = weight * u * u
    m2, m3, m4 = pixels.sum(u2), pixels.sum(u2 * u), pixels.sum(u2 * u * u)
    lever = m4 * m2 - m2**3 - m3**2
    bend = 2 * np.abs(pixels.sum(u2 * v)) * m2
    usable = lever > 1e-9 * m4 * m2
    extended = np.where(m2 > 1e-9, m2, np.inf)
    return {
        "curvature": np.where(usable, bend / np.where(usable, lever, 1.0), 0.0),
        "skewness": np.abs(m3) / extended**1.5,
        "kurtosis": m4 / extended**2,
    }


def _skeleton(pixels, level):
    """Straightness and prongs of the way through each event."""
    branches = level[:, [LEVEL_FEATURES.index(f"branch_{k}") for k in (1, 2, 3)]]
    edge = level[:, [LEVEL_FEATURES.index("breadth")]] / 2
    n_branches = np.count_nonzero(branches > SHORTEST_BRANCH + edge, axis=1)
    return {
        "straightness": level[:, LEVEL_FEATURES.index("straightness")].astype(float),
        "n_branches": n_branches,
        "n_prongs": np.where(pixels.n_pixels > 2, n_branches + 2, 0),
    }


def _surroundings(pixels, values, labels, unusable):
    ring = ring_statistics(
        values, labels, unusable.view(np.uint8), pixels.y, pixels.x, pixels.starts, *RING
    ).astype(float)
    background, noise, halo, tail, slope = ring.T
    lonely = np.isnan(background)
    if lonely.any():
        background[lonely], noise[lonely] = _whole_image(values, labels, unusable)
    return {
        "background": background,
        "noise": noise,
        "halo": np.where(np.isnan(halo), 0.0, halo - background),
        "ring_tail": np.nan_to_num(tail),
        "ring_slope": np.nan_to_num(slope),
    }


def _whole_image(values, labels, unusable):
    """Median and spread of the image outside events; 0 where nothing is left."""
    outside = values[(labels == 0) & ~unusable]
    if outside.size == 0:
        return 0.0, 0.0
    centre = np.median(outside)
    return centre, 1.4826 * np.median(np.abs(outside - centre))


def _mean_probability(pixels, probability):
    if probability is None:
        return np.full(len(pixels), np.nan)
    values = np.asarray(probability)[pixels.y, pixels.x].astype(float)
    return pixels.sum(values) / np.maximum(pixels.n_pixels, 1)
