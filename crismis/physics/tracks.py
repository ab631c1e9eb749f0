"""Deposited energy and geometry of every event: length, angles, path, dE/dx, LET, deep end."""

import math

import numpy as np
from astropy import units as u

from .. import silicon
from ..ccddata import CosmicRayCCDData, Flag
from ..detectors import electrons_per_unit, get_detector
from ..events import Footprints, measure
from ..headers import Facts

__all__ = ["measure_tracks"]

_LET_PER_KEV_UM = 10.0 / (1e3 * silicon.DENSITY)
"""MeV cm2/mg in one keV/um of silicon: 10 MeV/cm over the density in mg/cm3."""

_STRAGGLING = 0.35
"""Relative scatter of the charge in one pixel of a track, for the errors of its geometry."""

_SHORT = 8.0
"""Tracks up to this many pixels are measured by moments, longer ones by their ends."""

_EDGE_ERROR = 0.6
"""Scatter in pixels of a length between half levels (measured on simulated tracks)."""


def measure_tracks(ccd, *, detector=None):
    r"""Measure deposited energy and track geometry of every event.

    Parameters
    ----------
    ccd : `~crismis.CosmicRayCCDData`
        With ``.segmentation`` and ``.events`` from `crismis.categorize_cosmicrays`. The image
        before repair is measured, and repaired pixels give the background under an event.
    detector : `~crismis.Detector`, optional
        Gives pitch, thickness and temperature; otherwise found from the header.

    Returns
    -------
    `~crismis.CosmicRayCCDData`
        A copy whose ``.events`` has these columns more; NaN where a fact is missing, geometry
        also for events whose charge is less than three times its error.

        ``deposited_charge``, ``deposited_charge_error`` (electron)
            Sum above the local background over the event and the pixels that touch it, which
            hold the wings of the charge cloud. The error is the noise of the surroundings,
            which holds read noise and the Poisson noise of the scene; collected charge itself
            has none.
        ``deposited_energy``, ``deposited_energy_error`` (keV)
            Charge times the mean energy per electron-hole pair at the detector's temperature
            (`crismis.silicon.pair_energy`); the error adds Fano's scatter.
        ``track_length``, ``track_length_error`` (pix)
            Projected length. Up to 8 pixels it is :math:`\sqrt{12(\lambda_1-\lambda_2)}`
            from the charge-weighted principal variances: a uniform line of length L has the
            variance :math:`L^2/12` along itself, and diffusion and pixels widen both axes
            alike, so that their difference is free of them. Longer tracks, whose variances
            delta rays dominate, are measured between the points at which the charge per
            length falls to half of its level inside: diffusion is symmetric about these.
        ``azimuth`` (0 to 180), ``azimuth_error`` (deg)
            Of the track in the image plane, counter-clockwise from the x axis.
        ``inclination`` (deg)
            :math:`\arctan(L/t)` from the normal of the detector of thickness t, for a
            particle that went through.
        ``path_length`` (um)
            :math:`\sqrt{L^2+t^2}` through the detector.
        ``dedx`` (keV / um) and ``let`` (MeV cm2 / mg)
            Deposited energy per path, and the same over the density of silicon.
        ``width_start``, ``width_end`` (pix)
            Rms width of the charge across the track in its two end thirds, the start being the
            end with the smaller x (smaller y for vertical tracks); NaN for tracks shorter than
            5 pixels.
        ``deep_end_x``, ``deep_end_y`` (pix)
            The wider end, where charge was made farthest from the gates and diffused most: the
            entry of a particle in a back-illuminated device that came through its window. NaN
            where the widths of the ends differ by less than twice their error.

    Raises
    ------
    ValueError
        If there are no events.

    References
    ----------
    Miles et al. 2021, ApJ 918, 86 (charge and moments of hits); Groom 2002, Experimental
    Astronomy 14, 45 (tracks in thick CCDs widen with depth).

    Examples
    --------
    >>> import numpy as np
    >>> import crismis
    >>> from crismis.physics import measure_tracks
    >>> ccd = crismis.simulate_exposure("HST/WFPC2/PC", 300, shape=(128, 128), seed=1)
    >>> found = crismis.categorize_cosmicrays(crismis.cosmicray_learned(ccd))
    >>> events = measure_tracks(found).events
    >>> events["deposited_energy"].unit, events["inclination"].unit
    (Unit("keV"), Unit("deg"))
    """
    if ccd.events is None:
        raise ValueError("events are not set: run crismis.categorize_cosmicrays first")
    detector = detector or get_detector(ccd)
    out = CosmicRayCCDData(ccd)
    out.events = ccd.events.copy()
    columns = _measure(ccd) if len(out.events) else _empty()
    columns |= _silicon_columns(columns, ccd, detector)
    for name, (values, unit) in columns.items():
        out.events[name] = values * unit
    return out


def _measure(ccd):
    scale, unit = electrons_per_unit(ccd)
    image = ccd.original.astype(np.float64) * scale
    labels = np.asarray(ccd.segmentation.data)
    bad = _bad(ccd, labels)
    around = measure(labels, image, bad=bad)
    pixels, excess = _apertures(ccd, image, labels, bad, scale, around)
    noise = pixels.spread(around["noise"])
    known = unit == u.electron
    variance = noise**2
    charge = pixels.sum(excess)
    charge_error = np.sqrt(pixels.sum(variance))
    geometry = _geometry(pixels, excess, variance)
    if not known:
        charge, charge_error = np.full_like(charge, np.nan), np.full_like(charge, np.nan)
    return {
        "deposited_charge": (charge, u.electron),
        "deposited_charge_error": (charge_error, u.electron),
        **geometry,
    }


def _bad(ccd, labels):
    bad = ~np.isfinite(ccd.original)
    if ccd.mask is not None:
        bad |= np.asarray(ccd.mask, bool) & (labels == 0)
    return bad


def _apertures(ccd, image, labels, bad, scale, around):
    """Pixels of each event and the ring that touches it, and their excess over background."""
    events = Footprints.from_labels(labels)
    excess = event_excess(ccd, events, image, scale, around["background"])
    excess[bad[events.y, events.x]] = 0.0
    y, x, owner = _ring(events, excess, labels, bad)
    ring_excess = image[y, x] - around["background"][owner]
    owners = np.concatenate([np.repeat(np.arange(len(events)), events.n_pixels), owner])
    order = np.argsort(owners, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=len(events)))])
    pixels = Footprints(
        labels=events.labels,
        starts=starts,
        y=np.concatenate([events.y, y])[order],
        x=np.concatenate([events.x, x])[order],
    )
    return pixels, np.concatenate([excess, ring_excess])[order]


def event_excess(ccd, events, image, scale, background):
    """Excess of each pixel of the events: over what repair put there, else over the background."""
    excess = image[events.y, events.x] - events.spread(background)
    if ccd.flags is not None and ccd.replaced is not None:
        repaired = (ccd.flags[events.y, events.x] & Flag.REPAIRED) != 0
        under = ccd.data[events.y, events.x].astype(float) * scale
        excess = np.where(repaired, image[events.y, events.x] - under, excess)
    return excess


def _ring(events, excess, labels, bad):
    """Unlabelled pixels touching an event; one between two belongs to the brighter neighbour."""
    ny, nx = labels.shape
    owner = np.repeat(np.arange(len(events)), events.n_pixels)
    found = []
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            y, x = events.y + dy, events.x + dx
            inside = (y >= 0) & (y < ny) & (x >= 0) & (x < nx)
            inside[inside] = (labels[y[inside], x[inside]] == 0) & ~bad[y[inside], x[inside]]
            flat = y[inside].astype(np.int64) * nx + x[inside]
            found.append((flat, owner[inside], excess[inside]))
    flat, owner, strength = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.lexsort((-strength, flat))
    flat, owner = flat[order], owner[order]
    first = np.flatnonzero(np.diff(flat, prepend=-1))
    y, x = np.divmod(flat[first], nx)
    return y, x, owner[first]


def _geometry(pixels, excess, variance):
    total = pixels.sum(excess)
    # The moments of an event that hardly stands out of the noise mean nothing.
    sure = total > 3 * np.sqrt(pixels.sum(variance))
    weight = np.where(pixels.spread(sure), excess / pixels.spread(np.where(sure, total, 1.0)), 0.0)
    x0, y0 = pixels.min(pixels.x), pixels.min(pixels.y)
    x = pixels.x - pixels.spread(x0).astype(float)
    y = pixels.y - pixels.spread(y0).astype(float)
    x -= pixels.spread(pixels.sum(weight * x))
    y -= pixels.spread(pixels.sum(weight * y))
    xx, yy, xy = (pixels.sum(weight * product) for product in (x * x, y * y, x * y))
    difference = np.hypot(xx - yy, 2 * xy)
    angle = 0.5 * np.arctan2(2 * xy, xx - yy)
    diagonal = np.hypot(pixels.max(x) - pixels.min(x), pixels.max(y) - pixels.min(y))
    length = np.minimum(np.sqrt(12 * difference), diagonal)
    cosine, sine = np.cos(angle), np.sin(angle)
    along = x * pixels.spread(cosine) + y * pixels.spread(sine)
    across = y * pixels.spread(cosine) - x * pixels.spread(sine)
    ends = _half_level_ends(pixels, excess, along, length)
    length = np.where(length > _SHORT, ends[1] - ends[0], length)
    # A pixel's charge scatters by noise and by straggling; both move the moments.
    scatter = variance + (_STRAGGLING * np.maximum(excess, 0.0)) ** 2
    relative = scatter / pixels.spread(np.where(sure, total, np.inf)) ** 2
    spread = along**2 - across**2 - pixels.spread(difference)
    length_error = 6 * np.sqrt(pixels.sum(relative * spread**2)) / np.maximum(length, 1e-9)
    turn = np.sqrt(pixels.sum(relative * (along * across) ** 2)) / np.maximum(difference, 1e-9)
    azimuth_error = np.minimum(np.rad2deg(turn), 90.0)
    nothing = ~sure
    for column in (length, length_error, azimuth_error):
        column[nothing] = np.nan
    azimuth = np.where(sure, np.rad2deg(angle) % 180.0, np.nan)
    length_error = np.where(length > _SHORT, np.minimum(length_error, _EDGE_ERROR), length_error)
    widths = _ends(pixels, excess, variance, along, across, length)
    flip = cosine + 1e-9 * sine < 0
    start, end = (
        np.where(flip, widths["high"], widths["low"]),
        np.where(flip, widths["low"], widths["high"]),
    )
    deep = np.sign(widths["high"] - widths["low"])
    deep = np.where(np.abs(widths["high"] - widths["low"]) > 2 * widths["error"], deep, np.nan)
    x_mean = x0 + pixels.sum(weight * (pixels.x - pixels.spread(x0)))
    y_mean = y0 + pixels.sum(weight * (pixels.y - pixels.spread(y0)))
    return {
        "track_length": (length, u.pix),
        "track_length_error": (length_error, u.pix),
        "azimuth": (azimuth, u.deg),
        "azimuth_error": (azimuth_error, u.deg),
        "width_start": (start, u.pix),
        "width_end": (end, u.pix),
        "deep_end_x": (x_mean + deep * length / 2 * cosine, u.pix),
        "deep_end_y": (y_mean + deep * length / 2 * sine, u.pix),
    }


def _half_level_ends(pixels, excess, along, length):
    """Where along each track the charge per length rises to, and falls from, half its level."""
    reach = np.ceil(np.where(np.isfinite(length), length, 0.0) / 2 + 4).astype(np.int64)
    first = np.concatenate([[0], np.cumsum(2 * reach + 2)])
    starts, size = first[:-1], first[-1]
    place = np.clip(along, -pixels.spread(reach), pixels.spread(reach)) + pixels.spread(reach)
    low = np.floor(place).astype(np.int64)
    bins = pixels.spread(starts) + low
    part = place - low
    profile = np.bincount(bins, excess * (1 - part), size) + np.bincount(
        bins + 1, excess * part, size
    )
    position = np.arange(size) - np.repeat(starts + reach, 2 * reach + 2)
    inner = np.abs(position) < np.repeat(np.maximum(length / 2 - 1, 0.6), 2 * reach + 2)
    n_inner = np.add.reduceat(inner, starts)
    level = np.add.reduceat(np.where(inner, profile, 0.0), starts) / n_inner
    # Delta rays stand above the level; clipping keeps them from lifting it.
    clipped = np.minimum(profile, np.repeat(1.5 * level, 2 * reach + 2))
    level = np.add.reduceat(np.where(inner, clipped, 0.0), starts) / n_inner
    half = np.maximum(level / 2, 1e-300)
    above = profile >= np.repeat(half, 2 * reach + 2)
    index = np.arange(size)
    head = np.minimum.reduceat(np.where(above, index, size - 2), starts)
    tail = np.maximum.reduceat(np.where(above, index, 1), starts)
    head, tail = np.maximum(head, starts + 1), np.minimum(tail, first[1:] - 2)
    rise = (half - profile[head - 1]) / np.maximum(profile[head] - profile[head - 1], 1e-300)
    fall = (half - profile[tail + 1]) / np.maximum(profile[tail] - profile[tail + 1], 1e-300)
    return position[head] - 1 + np.clip(rise, 0, 1), position[tail] + 1 - np.clip(fall, 0, 1)


def _ends(pixels, excess, variance, along, across, length):
    """Rms width across the track in its first and last third, and the error of their difference."""
    reach = pixels.spread(length / 2)
    out, errors = {}, []
    for name, side in (("low", -1), ("high", 1)):
        chosen = (side * along > reach / 3) & (side * along <= reach + 0.5)
        charge = np.where(chosen, excess, 0.0)
        total = pixels.sum(charge)
        good = (total > 0) & (length >= 5)
        norm = pixels.spread(np.where(good, total, 1.0))
        centre = pixels.sum(charge * across / norm)
        offset = across - pixels.spread(centre)
        second = pixels.sum(charge * offset**2 / norm)
        noise = np.where(chosen, variance, 0.0) * ((offset**2 - pixels.spread(second)) / norm) ** 2
        good &= second > 0
        width = np.where(good, np.sqrt(np.where(good, second, 1.0)), np.nan)
        out[name] = width
        errors.append(np.sqrt(pixels.sum(noise)) / (2 * width))
    out["error"] = np.hypot(*errors)
    return out


def _empty():
    names = {
        "deposited_charge": u.electron,
        "deposited_charge_error": u.electron,
        "track_length": u.pix,
        "track_length_error": u.pix,
        "azimuth": u.deg,
        "azimuth_error": u.deg,
        "width_start": u.pix,
        "width_end": u.pix,
        "deep_end_x": u.pix,
        "deep_end_y": u.pix,
    }
    return {name: (np.empty(0), unit) for name, unit in names.items()}


def _silicon_columns(columns, ccd, detector):
    """Energy, path and angles, which need facts about the silicon."""
    temperature = Facts.from_header(ccd.meta).temperature
    if temperature is None and detector is not None:
        temperature = detector.temperature
    pair = silicon.pair_energy(temperature) / 1e3
    energy = columns["deposited_charge"][0] * pair
    fano = silicon.FANO_FACTOR * np.maximum(columns["deposited_charge"][0], 0.0)
    error = np.sqrt(columns["deposited_charge_error"][0] ** 2 + fano) * pair
    pitch = math.nan if detector is None else detector.pitch
    thickness = math.nan if detector is None else detector.thickness
    length = columns["track_length"][0]
    azimuth = np.deg2rad(columns["azimuth"][0])
    rows, cols = (1, 1) if detector is None else detector.binning
    projected = length * pitch * np.hypot(cols * np.cos(azimuth), rows * np.sin(azimuth))
    path = np.hypot(projected, thickness)
    dedx = energy / path
    return {
        "deposited_energy": (energy, u.keV),
        "deposited_energy_error": (error, u.keV),
        "inclination": (np.rad2deg(np.arctan2(projected, thickness)), u.deg),
        "path_length": (path, u.um),
        "dedx": (dedx, u.keV / u.um),
        "let": (dedx * _LET_PER_KEV_UM, u.MeV * u.cm**2 / u.mg),
    }
