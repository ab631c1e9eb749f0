"""The public step: hits in, segmentation and a table of named events out."""

from enum import IntFlag

import numpy as np
from astropy import units as u
from astropy.nddata import CCDData
from astropy.table import QTable

from ..ccddata import CosmicRayCCDData, Flag
from ..detectors import electrons_per_unit, get_detector
from ..headers import Facts
from ..silicon import pair_energy
from .classify import THRESHOLD, decide, get_classifier
from .features import describe, relative_stopping
from .measure import measure_events
from .segment import EIGHT, segment
from .sources import find_sources

__all__ = ["EventFlag", "categorize_cosmicrays"]

_UNITS = {
    "x_centroid": u.pix,
    "y_centroid": u.pix,
    "orientation": u.deg,
    "length": u.pix,
    "width": u.pix,
    "size_sigma": u.pix,
    "curvature": 1 / u.pix,
    "energy": u.keV,
}
_CHARGES = ("charge", "peak", "background", "noise")
_ORDER = [
    "label",
    "x_centroid",
    "y_centroid",
    "bbox_xmin",
    "bbox_xmax",
    "bbox_ymin",
    "bbox_ymax",
    "orientation",
    "elongation",
    "n_pixels",
    "charge",
    "peak",
    "energy",
    "length",
    "width",
    "size_sigma",
    "anisotropy",
    "probability",
    "category",
    "category_probability",
    "flags",
    "curvature",
    "straightness",
    "n_branches",
    "n_prongs",
    "skewness",
    "kurtosis",
    "background",
    "noise",
]


class EventFlag(IntFlag):
    """Bits of the column ``flags`` of events; those of `~crismis.Flag` keep their value.

    Examples
    --------
    >>> from crismis.events import EventFlag
    >>> EventFlag.SATURATED in EventFlag(EventFlag.SATURATED | EventFlag.EDGE)
    True
    """

    SATURATED = Flag.SATURATED
    """A pixel is at or above the saturation level: the charge is a lower limit."""
    LOW_CONFIDENCE = Flag.LOW_CONFIDENCE
    """A pixel has this flag."""
    EDGE = Flag.EDGE
    """The event touches an edge of the image: part of it may be missing."""
    BESIDE_MASKED = 32
    """The event touches a masked or non-finite pixel: part of it may be missing."""
    ON_SOURCE = 64
    """The event overlaps a star, galaxy or other source."""
    NOT_COUNTS = 128
    """The image's values are not proportional to charge, as in display values or companded or
    lossily compressed data (header keyword ``CRCOUNTS``): energies are NaN."""


def categorize_cosmicrays(ccd, *, crmask=None, classifier=None, sources=None):
    """Join the hits of an image to events, measure them and name their category.

    Parameters
    ----------
    ccd : `~crismis.CosmicRayCCDData` or `~astropy.nddata.CCDData`
        The image. Only pixels whose flags hold ``HIT`` are used, never other masked pixels.
    crmask : ndarray of bool, optional
        The hits; needed for a plain `~astropy.nddata.CCDData`, replaces the flags otherwise.
    classifier : path-like, `EventClassifier` or estimator, optional
        A model file, or anything with ``predict_proba`` and ``classes_`` that was fitted on
        `describe`; by default the model shipped with crismis.
    sources : ndarray of bool or `~photutils.segmentation.SegmentationImage`, optional
        Pixels of stars, galaxies and the like, for the flag ``ON_SOURCE``; by default
        `find_sources` finds them.

    Returns
    -------
    `~crismis.CosmicRayCCDData`
        A copy with ``segmentation`` (`None` without hits) and ``events``. The charge and the
        peak of events are above the local background, in electrons where the gain is known,
        else in the unit of the data; ``energy`` is NaN where the gain is unknown or the values
        are not proportional to charge (flag ``NOT_COUNTS``).

    Raises
    ------
    TypeError
        If ``ccd`` is no `~astropy.nddata.CCDData`.
    ValueError
        If there are no hits to use or a plane has another shape.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.nddata import CCDData
    >>> import crismis
    >>> rng = np.random.default_rng(1)
    >>> data = rng.normal(50, 3, (64, 64))
    >>> hits = np.zeros(data.shape, bool)
    >>> row = np.arange(20, 40)
    >>> hits[row, row + 10] = hits[row, row + 11] = True
    >>> data[hits] += rng.gamma(2, 200, 40)
    >>> found = crismis.categorize_cosmicrays(CCDData(data, unit="electron"), crmask=hits)
    >>> print(found.events["category"][0], found.events["n_pixels"][0])
    track 40
    """
    from photutils.segmentation import SegmentationImage

    if not isinstance(ccd, CCDData):
        raise TypeError(f"ccd must be a CCDData, got {type(ccd).__name__}; wrap it with a unit")
    out = CosmicRayCCDData(ccd.copy())
    hits = _hits(out, crmask)
    labels = segment(hits, within=hits)
    out.segmentation = SegmentationImage(labels) if labels.any() else None
    out.events = _table(out, labels, classifier, sources)
    return out


def _hits(ccd, crmask):
    if crmask is None:
        if ccd.flags is None:
            raise ValueError(
                "the image carries no hits: give crmask=, or run cosmicray_learned first"
            )
        return ccd.hits
    crmask = np.asarray(crmask, dtype=bool)
    if crmask.shape != ccd.data.shape:
        raise ValueError(
            f"crmask has shape {crmask.shape}, but the data have shape {ccd.data.shape}"
        )
    flags = np.zeros(ccd.data.shape, np.uint8) if ccd.flags is None else ccd.flags
    ccd.flags = np.where(crmask, flags | Flag.HIT, flags & ~np.uint8(Flag.HIT))
    return crmask


def _table(ccd, labels, classifier, sources):
    hits = labels > 0
    masked = np.zeros(labels.shape, bool) if ccd.mask is None else np.asarray(ccd.mask, bool)
    image = ccd.original
    bad = masked & ~hits | ~np.isfinite(image)
    events = measure_events(labels, image, bad=bad, probability=ccd.probability)
    columns = events.columns
    scale, unit = electrons_per_unit(ccd)
    known = unit == u.electron
    columns |= _name(events, ccd, scale if known else np.nan, classifier)
    for name in _CHARGES:
        columns[name] = columns[name] * scale
    columns["energy"] = columns["charge"] * (_pair_energy(ccd) if known else np.nan)
    if sources is None:
        sources = find_sources(image, hits, bad)
    columns["flags"] = _flags(ccd, events.pixels, labels.shape, bad, _plane(sources, labels.shape))
    table = QTable({name: columns[name] for name in _ORDER})
    for name, column_unit in _UNITS.items():
        table[name].unit = column_unit
    for name in _CHARGES:
        table[name].unit = unit
    return table


def _plane(sources, shape):
    plane = (sources if isinstance(sources, np.ndarray) else sources.data) != 0
    if plane.shape != shape:
        raise ValueError(f"sources have shape {plane.shape}, but the data have shape {shape}")
    return plane


def _name(events, ccd, scale, classifier):
    """Category and its probability for each event."""
    classifier = get_classifier(classifier)
    stopping = relative_stopping(events.columns, scale, get_detector(ccd))
    features = describe(events, stopping)
    probability = classifier.predict_proba(features) if len(features) else features
    unknown_below = getattr(classifier, "unknown_below", THRESHOLD)
    category, most = decide(probability, classifier.classes_, unknown_below)
    return {"category": category, "category_probability": most}


def _pair_energy(ccd):
    """Energy per electron-hole pair in keV at the temperature of the detector."""
    return float(pair_energy(Facts.from_header(ccd.meta).temperature)) / 1e3


def _flags(ccd, pixels, shape, bad, sources):
    from scipy import ndimage

    counts = Facts.from_header(ccd.meta).counts
    flags = np.full(len(pixels), 0 if counts else EventFlag.NOT_COUNTS, dtype=np.int32)
    if ccd.flags is not None:
        for bit in (Flag.SATURATED, Flag.LOW_CONFIDENCE):
            flags += int(bit) * pixels.any((ccd.flags[pixels.y, pixels.x] & bit) != 0)
    ny, nx = shape
    edge = (pixels.y == 0) | (pixels.x == 0) | (pixels.y == ny - 1) | (pixels.x == nx - 1)
    beside = ndimage.binary_dilation(bad, structure=EIGHT)[pixels.y, pixels.x]
    flags += int(EventFlag.EDGE) * pixels.any(edge)
    flags += int(EventFlag.BESIDE_MASKED) * pixels.any(beside)
    flags += int(EventFlag.ON_SOURCE) * pixels.any(sources[pixels.y, pixels.x])
    return flags
