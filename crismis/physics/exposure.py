"""What one exposure says of the particle flux: live area, live time, hits per cm2 per s."""

import math
from dataclasses import asdict, dataclass

import numpy as np
from astropy import units as u

from ..ccddata import Flag
from ..detectors import get_detector
from ..headers import Facts
from ..identify.blank import blank_parts
from ..taxonomy import PARTICLES, Category
from .intervals import poisson_rate

__all__ = ["ExposureRate", "exposure_rate", "live_area", "live_time"]

_EXTENDED = (Category.HEAVY_TRACK, Category.BLOB, Category.SPALLATION_STAR)


@dataclass(frozen=True)
class ExposureRate:
    """Particle rate of one exposure; NaN with a reason where a fact is missing.

    Parameters
    ----------
    n_hits : int
        Events that are particles (artefacts and ``unknown`` left out).
    counts : dict of str to int
        Events per category.
    live_area : float
        cm2.
    live_time : float
        Seconds.
    rate, rate_lower, rate_upper : float
        Hits per cm2 per second and the ends of the 68.3 % interval.
    lost_fraction : float
        Fraction of the live pixels that hits spoiled.
    primecrs, extncrs : float
        Hits per 1000 pixels per second, and extended hits (heavy tracks, blobs, spallation
        stars) per 10^6 pixels per second: the units of the JWST pipeline's keywords PRIMECRS
        and EXTNCRS, which count primary hits and extended ones (snowballs, showers).
    reason : str
        Why a value is NaN; empty when all are known.

    Examples
    --------
    >>> import crismis
    >>> from crismis.physics import exposure_rate
    >>> ccd = crismis.simulate_exposure("HST/WFPC2/PC", 300, shape=(128, 128), seed=1)
    >>> found = crismis.categorize_cosmicrays(crismis.cosmicray_learned(ccd))
    >>> rate = exposure_rate(found)
    >>> bool(rate.rate_lower < rate.rate < rate.rate_upper), rate.reason
    (True, '')
    """

    n_hits: int
    counts: dict
    live_area: float
    live_time: float
    rate: float
    rate_lower: float
    rate_upper: float
    lost_fraction: float
    primecrs: float
    extncrs: float
    reason: str = ""

    def to_header(self):
        """Return the FITS keywords of the rate, each with a comment; NaN ones left out."""
        cards = {
            "CRNHITS": (self.n_hits, "particle hits"),
            "CRLIVEA": (self.live_area, "[cm2] live area"),
            "CRLIVET": (self.live_time, "[s] live time"),
            "CRFLUX": (self.rate, "[cm-2 s-1] hit rate"),
            "CRFLUXLO": (self.rate_lower, "[cm-2 s-1] lower end, 68.3 %"),
            "CRFLUXHI": (self.rate_upper, "[cm-2 s-1] upper end, 68.3 %"),
            "CRLOST": (self.lost_fraction, "fraction of live pixels hit"),
            "PRIMECRS": (self.primecrs, "hits per 1000 pixels per second"),
            "EXTNCRS": (self.extncrs, "extended hits per 1e6 pixels per second"),
        }
        return {key: card for key, card in cards.items() if not math.isnan(card[0])}

    def as_dict(self):
        """Return the fields as a plain dictionary."""
        return asdict(self)


def live_pixels(ccd, detector=None, sources=None):
    """Return the boolean image of pixels that could have shown a hit.

    Masked pixels that are no hits, saturated ones, non-finite ones, overscan and parts without
    data are out, and those on sources where these are given or to be found.
    """
    live = np.isfinite(ccd.data) if ccd.data.dtype.kind == "f" else np.ones(ccd.shape, bool)
    hits = ccd.hits
    if ccd.mask is not None:
        live &= ~np.asarray(ccd.mask, bool) | hits
    live &= ~(((ccd.flags & Flag.SATURATED) != 0) & ~hits)
    for section in _overscan(ccd):
        live[section] = False
    blank = blank_parts(ccd.original)
    if blank is not None:
        live &= ~blank
    if sources is not None and sources is not False:
        live &= ~_on_sources(ccd, sources)
    detector = detector or get_detector(ccd)
    return live if detector is None else live & detector.live(ccd.shape)


def _on_sources(ccd, sources):
    from ..events import find_sources

    if sources is True:
        bad = None if ccd.mask is None else np.asarray(ccd.mask, bool) & ~ccd.hits
        return find_sources(ccd.original, ccd.hits, bad)
    plane = np.asarray(sources, bool)
    if plane.shape != ccd.shape:
        raise ValueError(f"sources have shape {plane.shape}, but the data have shape {ccd.shape}")
    return plane


def live_area(ccd, detector=None, *, sources=None):
    """Area of the pixels that could have shown a hit.

    Parameters
    ----------
    ccd : `~crismis.CosmicRayCCDData`
        With flags.
    detector : `~crismis.Detector`, optional
        Otherwise found from the header.
    sources : bool or ndarray of bool, optional
        Pixels of stars and galaxies to take out, where hits are harder to find; True finds
        them (`crismis.events.find_sources`), by default they count as live.

    Returns
    -------
    float
        cm2; NaN if the pixel pitch is not known.

    Examples
    --------
    >>> import crismis
    >>> from crismis.physics import live_area
    >>> ccd = crismis.simulate_exposure("HST/WFPC2/PC", 300, shape=(100, 100), seed=1)
    >>> found = crismis.cosmicray_learned(ccd)
    >>> print(f"{live_area(found):.4f} cm2 of {100 * 100 * (15e-4) ** 2:.4f}")
    0.0225 cm2 of 0.0225
    """
    detector = detector or get_detector(ccd)
    if detector is None:
        return math.nan
    return float(live_pixels(ccd, detector, sources).sum() * detector.pixel_area)


def live_time(ccd, detector=None):
    """Mean time during which a pixel gathered hits: exposure plus the wait for readout.

    Parameters
    ----------
    ccd : `~astropy.nddata.CCDData`
        Its header gives the exposure time.
    detector : `~crismis.Detector`, optional
        Gives the mean wait for readout or storage; otherwise found from the header.

    Returns
    -------
    seconds : float
        NaN if the exposure time or the wait is not known.
    reason : str
        Why it is NaN, else empty.

    Examples
    --------
    >>> import crismis
    >>> from crismis.physics import live_time
    >>> ccd = crismis.simulate_exposure("HST/WFPC2/PC", 300, shape=(64, 64), seed=1)
    >>> live_time(ccd)
    (330.0, '')
    """
    detector = detector or get_detector(ccd)
    exposure = Facts.from_header(ccd.meta).exposure_time
    if exposure is None:
        return math.nan, "no exposure time in the header"
    if detector is None:
        return math.nan, "detector not known"
    if math.isnan(detector.readout_wait):
        return math.nan, f"readout wait of {detector.name} not known"
    return exposure + detector.readout_wait, ""


def exposure_rate(ccd, *, detector=None, completeness=None, sources=None):
    """Measure the particle rate of one exposure.

    Parameters
    ----------
    ccd : `~crismis.CosmicRayCCDData`
        With ``.flags`` and ``.events`` (run `crismis.categorize_cosmicrays` first).
    detector : `~crismis.Detector`, optional
        Otherwise found from the header.
    completeness : `~crismis.physics.Completeness`, optional
        Efficiency and purity to correct for; without it the rate is that of detected events.
    sources : bool or ndarray of bool, optional
        Pixels of stars and galaxies to leave out of the live area, with the events whose
        centre lies on them; True finds them (`crismis.events.find_sources`). By default they
        count as live, which is right with a ``completeness`` measured on the whole frame.

    Returns
    -------
    ExposureRate

    Raises
    ------
    ValueError
        If the events are missing.

    Examples
    --------
    >>> import crismis
    >>> from crismis.physics import exposure_rate
    >>> ccd = crismis.simulate_exposure("HST/WFPC2/PC", 300, rate=2.0, shape=(256, 256), seed=1)
    >>> found = crismis.categorize_cosmicrays(crismis.cosmicray_learned(ccd))
    >>> bool(1 < exposure_rate(found).rate < 3)
    True
    """
    if ccd.events is None:
        raise ValueError("events are not set: run crismis.categorize_cosmicrays first")
    detector = detector or get_detector(ccd)
    live = live_pixels(ccd, detector, sources)
    n_live = int(live.sum())
    area = n_live * detector.pixel_area if detector is not None else math.nan
    seconds, reason = live_time(ccd, detector)
    if math.isnan(area):
        reason = "; ".join(filter(None, ("pixel pitch not known", reason)))
    product = Facts.from_header(ccd.meta).product
    if product:
        area, reason = math.nan, f"no single exposure but a {product} product"
    category = np.asarray(ccd.events["category"], str)
    if sources is not None and sources is not False:
        category = category[_centres(ccd.events, live)]
    names, numbers = np.unique(category, return_counts=True)
    counts = dict(zip(names.tolist(), numbers.tolist(), strict=True))
    n_hits = sum(n for name, n in counts.items() if name in PARTICLES)
    corrections = completeness.corrections() if completeness is not None else {}
    rate, lower, upper = (float(v) for v in poisson_rate(n_hits, area * seconds, **corrections))
    n_extended = sum(counts.get(name, 0) for name in _EXTENDED)
    pixel_seconds = n_live * seconds if n_live and seconds > 0 else math.nan
    return ExposureRate(
        n_hits=n_hits,
        counts=counts,
        live_area=area,
        live_time=seconds,
        rate=rate,
        rate_lower=lower,
        rate_upper=upper,
        lost_fraction=float((ccd.hits & live).sum() / n_live) if n_live else math.nan,
        primecrs=1e3 * n_hits / pixel_seconds,
        extncrs=1e6 * n_extended / pixel_seconds,
        reason=reason,
    )


def _centres(events, live):
    """Whether the centre of each event lies on a live pixel."""
    y, x = (
        np.clip(np.rint(u.Quantity(events[f"{axis}_centroid"]).value).astype(int), 0, size - 1)
        for axis, size in zip("yx", live.shape, strict=True)
    )
    return live[y, x]


def _overscan(ccd):
    from ccdproc.utils.slices import slice_from_string

    for key in ("BIASSEC", "CROVERSC"):
        section = ccd.meta.get(key)
        if isinstance(section, str) and section.strip():
            try:
                yield slice_from_string(section, fits_convention=True)
            except ValueError:
                continue
