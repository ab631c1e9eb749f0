"""Efficiency and purity of identification on a user's own frame, by injection and recovery."""

from dataclasses import dataclass, field

import numpy as np
from astropy import units as u
from astropy.table import QTable

from ..detectors import electrons_per_unit, get_detector
from ..headers import Facts
from ..taxonomy import PARTICLES

__all__ = ["Completeness", "completeness"]

_BINS = np.array([0, 100, 200, 500, 1000, 2000, 5000, 10_000, np.inf])


@dataclass(frozen=True)
class Completeness:
    """How many injected events were found, and how many found events are none.

    Parameters
    ----------
    efficiency, efficiency_error : float
        Detected particle events per injected event and its standard error. Events that merge
        lower it, events that break raise it, as they do the count on real frames.
    purity, purity_error : float
        Fraction of the events found on the frame itself that are real, one minus the number of
        false events on the repaired frame over the number found.
    n_injected, n_recovered, n_false : int
        The counts behind them, over all rounds.
    by_charge : `~astropy.table.QTable`
        ``charge_low``, ``charge_high`` (electron), ``n_injected``, ``n_recovered``,
        ``efficiency`` and the ends of its 68.3 % interval.

    Examples
    --------
    >>> import crismis
    >>> from crismis.physics import completeness
    >>> ccd = crismis.simulate_exposure("HST/WFPC2/PC", 900, shape=(128, 128), seed=1)
    >>> found = completeness(ccd, n_events=30, seed=1)
    >>> found.n_injected, bool(0.3 < found.efficiency <= 1.2)
    (30, True)
    """

    efficiency: float
    efficiency_error: float
    purity: float
    purity_error: float
    n_injected: int
    n_recovered: int
    n_false: int
    by_charge: QTable = field(repr=False, default=None)

    def corrections(self):
        """Return what `crismis.physics.poisson_rate` takes, as keyword arguments."""
        return {
            "efficiency": self.efficiency,
            "efficiency_error": self.efficiency_error,
            "purity": self.purity,
            "purity_error": self.purity_error,
        }


def completeness(
    ccd,
    *,
    detector=None,
    particles="space-minimum",
    n_events=500,
    identify=None,
    seed=None,
):
    """Measure efficiency and purity on a frame by injecting simulated events into it.

    The frame is identified and repaired once. False events are those found in a twin of the
    repaired frame that has the same scene and fresh noise: the scene is estimated by Lee's
    local-statistics filter [1]_, so that smooth parts are smoothed and stars stay, and noise is
    drawn from gain and read noise to make up what was smoothed away. Simulated events are
    then injected into the repaired frame, in as many rounds as keep their density near that of
    the frame's own hits, identified, categorized, and matched: an event found counts as
    recovered if it holds a pixel in which an injected event is the larger part of the charge.

    Parameters
    ----------
    ccd : `~astropy.nddata.CCDData`
        A frame of the user's, as read.
    detector : `~crismis.Detector`, optional
        Gives pitch, thickness and diffusion; otherwise found from the header.
    particles : str, kind, mapping or sequence, optional
        What flies, see `crismis.simulate.mixture`.
    n_events : int, optional
        Events to inject in total.
    identify : callable, optional
        Takes a CCDData and returns a `~crismis.CosmicRayCCDData`;
        `crismis.cosmicray_learned` with noise-filling repair by default.
    seed : int or `~numpy.random.Generator`, optional
        Source of all randomness.

    Returns
    -------
    Completeness

    Raises
    ------
    ValueError
        If the detector or the gain is not known, or ``n_events`` is not positive.

    References
    ----------
    .. [1] Lee, J.-S. 1980, IEEE Trans. Pattern Anal. Mach. Intell. 2, 165.

    Examples
    --------
    >>> import crismis
    >>> from crismis.physics import completeness
    >>> ccd = crismis.simulate_exposure("HST/WFPC2/PC", 900, shape=(128, 128), seed=1)
    >>> found = completeness(ccd, n_events=30, seed=1)
    >>> bool(0 <= found.purity <= 1), found.by_charge["n_injected"].sum()
    (True, np.int64(30))
    """
    from ..events import categorize_cosmicrays
    from ..identify import cosmicray_learned
    from ..simulate import detector_volume, draw_events, inject

    if n_events < 1:
        raise ValueError(f"n_events must be at least 1, got {n_events}")
    detector = detector or get_detector(ccd)
    if detector is None or not np.isfinite([detector.pitch, detector.thickness]).all():
        raise ValueError("pitch and thickness of the detector are not known: give detector=")
    scale, unit = electrons_per_unit(ccd, detector)
    if unit != u.electron:
        raise ValueError("the gain is not known: put it into the header or give detector=")
    if identify is None:

        def identify(image):
            return cosmicray_learned(image, repair="noise")

    rng = np.random.default_rng(seed)
    first = categorize_cosmicrays(identify(ccd))
    n_found = _count(first)
    base = _plain(first, ccd)
    n_false = _count(categorize_cosmicrays(identify(_twin(base, scale, detector, rng))))
    volume = detector_volume(detector, shape=ccd.data.shape)
    recovered, charges, found = 0, [], []
    left, per_round = n_events, max(n_found, 50)
    while left > 0:
        prints, truth = draw_events(particles, min(per_round, left), volume, rng)
        image = inject(base, prints, gain=scale)
        out = categorize_cosmicrays(identify(_plain(image, ccd)))
        matched, seen = _match(out, prints)
        recovered += matched
        charges.append(truth["charge"].to_value(u.electron))
        found.append(seen)
        left -= len(prints)
    return _summary(n_events, recovered, n_found, n_false, charges, found)


def _count(ccd):
    return int(np.isin(np.asarray(ccd.events["category"], str), sorted(PARTICLES)).sum())


def _plain(ccd, like):
    """The image without what crismis added: data of the one, mask of the other."""
    out = like.copy()
    out.data = np.array(ccd.data, dtype=like.data.dtype)
    return out


def _twin(base, scale, detector, rng):
    """The same scene with fresh noise."""
    from scipy import ndimage

    data = np.nan_to_num(np.asarray(base.data, dtype=np.float64))
    mean = ndimage.uniform_filter(data, 5)
    variance = ndimage.uniform_filter((data - mean) ** 2, 5)
    readnoise = Facts.from_header(base.meta).readnoise or detector.readnoise
    if not np.isfinite(readnoise):
        # Sources only widen the distribution of local variances; its low quartile is noise.
        readnoise = np.sqrt(np.percentile(variance, 25)) * scale
        expected = np.full_like(mean, (readnoise / scale) ** 2)
    else:
        expected = (np.maximum(mean * scale, 0.0) + readnoise**2) / scale**2
    keep = np.clip(1 - expected / np.maximum(variance, 1e-300), 0.0, 1.0)
    noise = rng.standard_normal(data.shape) * np.sqrt(expected * (1 - keep**2))
    out = base.copy()
    out.data = (mean + keep * (data - mean) + noise).astype(base.data.dtype)
    return out


def _match(out, prints):
    """Number of distinct particle events that hold an injected one, and which were found."""
    seen = np.zeros(len(prints), bool)
    if out.segmentation is None:
        return 0, seen
    labels = np.asarray(out.segmentation.data)
    names = np.asarray(out.events["category"], str)
    particle = np.isin(names, sorted(PARTICLES))
    good = np.zeros(labels.max() + 1, bool)
    good[np.asarray(out.events["label"])[particle]] = True
    inside = prints.inside(labels.shape)
    label = labels[inside.rows, inside.columns]
    flat = inside.rows * labels.shape[1] + inside.columns
    # Of events that share a pixel, the one with most charge there owns it.
    order = np.lexsort((-inside.charge, flat))
    owner = np.zeros(flat.size, bool)
    owner[order[np.diff(flat[order], prepend=-1) != 0]] = True
    hit = owner & good[label]
    seen[inside.label[hit]] = True
    return len(np.unique(label[hit])), seen


def _summary(n_events, recovered, n_found, n_false, charges, found):
    from astropy.stats import binom_conf_interval

    efficiency = min(recovered / n_events, 1.0)
    n_false = min(n_false, n_found)
    purity = 1 - n_false / n_found if n_found else 1.0
    charges, found = np.concatenate(charges), np.concatenate(found)
    place = np.digitize(charges, _BINS) - 1
    injected = np.bincount(place, minlength=len(_BINS) - 1)
    seen = np.bincount(place, found, minlength=len(_BINS) - 1).astype(int)
    filled = injected > 0
    low, high = binom_conf_interval(seen[filled], injected[filled], interval="jeffreys")
    table = QTable(
        {
            "charge_low": _BINS[:-1][filled] * u.electron,
            "charge_high": _BINS[1:][filled] * u.electron,
            "n_injected": injected[filled],
            "n_recovered": seen[filled],
            "efficiency": seen[filled] / injected[filled],
            "efficiency_low": low,
            "efficiency_high": high,
        }
    )
    spread = max(efficiency * (1 - efficiency), 1 / n_events)
    return Completeness(
        efficiency=max(efficiency, 1 / n_events),
        efficiency_error=float(np.sqrt(spread / n_events)),
        purity=max(purity, 1 / max(n_found, 1)),
        purity_error=float(np.sqrt(max(n_false, 1)) / n_found) if n_found else 0.0,
        n_injected=n_events,
        n_recovered=recovered,
        n_false=n_false,
        by_charge=table,
    )
