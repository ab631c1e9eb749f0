"""Search for spallation stars: several straight prongs of differing brightness from one vertex."""

from dataclasses import dataclass

import numpy as np
from astropy import units as u
from astropy.table import QTable

from ..detectors import electrons_per_unit

__all__ = ["find_spallation"]

_ANGLES = np.arange(180) * (2 * np.pi / 180)
_STEP = 0.5
_FIRST = 1.5
"""Rays start this many pixels from the vertex, outside the blob where prongs overlap."""

_SHORTEST = 4.0
"""Shortest prong in pixels."""

_DIP = 0.65
"""Two neighbouring prongs are distinct if rays between them are shorter than this fraction."""

_COLLINEAR = np.deg2rad(20)
_BRIGHTNESS_RATIO = 2.0
"""Opposite prongs that agree so well are one particle that went through."""


@dataclass(frozen=True)
class _Star:
    y: float
    x: float
    angles: np.ndarray
    lengths: np.ndarray
    brightness: np.ndarray
    n_lines: int


def find_spallation(ccd, *, min_lines=3):
    r"""Rank events that look like a nuclear reaction in the detector.

    The definition is that of the SOHO/LASCO team: several straight prongs of differing
    brightness that meet at one vertex [1]_. Every connected group of hit pixels is tried with
    vertices at its densest pixels. Rays from a vertex run as long as they stay on hit pixels;
    prongs are the distinct long rays. Opposite prongs of like brightness are one particle that
    passed through, so that crossing tracks count as two lines; a candidate needs at least
    ``min_lines``.

    Parameters
    ----------
    ccd : `~crismis.CosmicRayCCDData`
        With ``.segmentation`` and ``.events``.
    min_lines : int, optional
        Fewest independent lines through the vertex.

    Returns
    -------
    `~astropy.table.QTable`
        Most convincing first: ``labels`` (of the events it is made of), ``x_vertex``,
        ``y_vertex`` (pix), ``n_prongs``, ``n_lines``, ``prong_angles`` (deg, comma-separated
        text), ``longest_prong`` (pix), ``brightness_ratio`` (brightest over faintest prong,
        per pixel), ``vertex_charge`` (within 1.5 pixels) and ``charge`` (electron where the
        gain is known, else the unit of the data), and ``chance_probability``: that so many
        unrelated tracks meet there by chance, a Poisson tail with mean
        :math:`\mu = n\,(2 r \bar{L} + \pi r^2)` for n tracks per pixel of mean length
        :math:`\bar{L}` and r = 1.5 pixels.

    Raises
    ------
    ValueError
        If there are no events.

    References
    ----------
    .. [1] Koutchmy, S., Tavabi, E. & Urtado, O. 2018, MNRAS 478, 1265 (cosmic-ray impacts on
       SOHO/LASCO).
    """
    from scipy import ndimage, stats

    if ccd.events is None:
        raise ValueError("events are not set: run crismis.categorize_cosmicrays first")
    scale, unit = electrons_per_unit(ccd)
    rows = []
    if ccd.segmentation is not None:
        labels = np.asarray(ccd.segmentation.data)
        image = ccd.original * scale
        groups, _ = ndimage.label(labels > 0, structure=np.ones((3, 3)))
        for number, box in enumerate(ndimage.find_objects(groups), start=1):
            mask = groups[box] == number
            star = _best_star(mask, image[box], min_lines) if _roomy(mask) else None
            if star is not None:
                around = _level(image, groups, box)
                rows.append(_row(star, mask, image[box] - around, labels[box], box))
    table = _table(rows, unit)
    if rows:
        mean = _line_density(ccd)
        table["chance_probability"] = stats.poisson.sf(table["n_lines"] - 2, mean)
        table.sort(["chance_probability", "charge"])
        table = table[np.lexsort((-table["charge"].value, table["chance_probability"]))]
    return table


def _roomy(mask):
    return mask.sum() >= 12 and min(mask.shape) >= 5


def _best_star(mask, image, min_lines):
    """The vertex with most lines, then with the longest prongs, or None."""
    best, merit = None, (min_lines, 0.0)
    for y, x in _vertices(mask, image):
        star = _prongs(mask, image, y, x)
        value = (star.n_lines, float(star.lengths.sum()))
        if value > merit:
            best, merit = star, value
    return best


def _vertices(mask, image):
    """Pixels where hits are densest and brightest: at most a dozen."""
    from scipy import ndimage

    crowd = ndimage.uniform_filter(mask.astype(float), 5, mode="constant")
    glow = ndimage.uniform_filter(np.where(mask, image - image[mask].min(), 0.0), 3)
    value = np.where(mask, crowd / crowd.max() + glow / max(glow.max(), 1e-300), -1.0)
    order = np.argsort(value, axis=None)[::-1][: min(12, int(mask.sum()))]
    return np.stack(np.unravel_index(order, mask.shape), axis=1)


def _prongs(mask, image, y, x):
    reach = int(np.hypot(*mask.shape)) + 2
    radius = np.arange(_FIRST, reach, _STEP)
    rows = np.rint(y + radius * np.sin(_ANGLES)[:, None]).astype(int)
    cols = np.rint(x + radius * np.cos(_ANGLES)[:, None]).astype(int)
    inside = (rows >= 0) & (rows < mask.shape[0]) & (cols >= 0) & (cols < mask.shape[1])
    on = np.zeros(inside.shape, bool)
    on[inside] = mask[rows[inside], cols[inside]]
    # A ray may miss one sample: a slanted line of one pixel's width is a staircase.
    bridged = on.copy()
    bridged[:, 1:-1] |= on[:, :-2] & on[:, 2:]
    alive = np.logical_and.accumulate(bridged, axis=1)
    length = np.where(alive.any(axis=1), _FIRST + _STEP * alive.sum(axis=1), 0.0)
    peaks = _peaks(length)
    brightness = np.array([image[rows[p][on[p] & alive[p]], cols[p][on[p] & alive[p]]].mean()
                           for p in peaks])  # fmt: skip
    return _Star(
        float(y), float(x), _ANGLES[peaks], length[peaks], brightness,
        _count_lines(_ANGLES[peaks], brightness),
    )  # fmt: skip


def _peaks(length):
    """Indices of distinct long rays: local maxima separated by dips, on the circle."""
    peaks = []
    for p in np.argsort(length)[::-1]:
        if length[p] < _SHORTEST:
            break
        if all(_separated(length, p, q) for q in peaks):
            peaks.append(int(p))
    return np.array(peaks, dtype=int)


def _separated(length, p, q):
    low, high = sorted((p, q))
    between = length[low : high + 1]
    around = np.concatenate([length[high:], length[: low + 1]])
    shortest = _DIP * min(length[p], length[q])
    return between.min() < shortest and around.min() < shortest


def _count_lines(angles, brightness):
    """Prongs, an opposite pair of like brightness counted once."""
    left = list(range(len(angles)))
    lines = 0
    while left:
        p = left.pop()
        lines += 1
        for q in left:
            turn = np.abs((angles[p] - angles[q]) % (2 * np.pi) - np.pi)
            low, high = sorted((brightness[p], brightness[q]))
            if turn < _COLLINEAR and high < _BRIGHTNESS_RATIO * max(low, 1e-300):
                left.remove(q)
                break
    return lines


def _level(image, groups, box):
    grown = tuple(slice(max(s.start - 4, 0), s.stop + 4) for s in box)
    outside = image[grown][(groups[grown] == 0) & np.isfinite(image[grown])]
    return float(np.median(outside)) if outside.size else 0.0


def _row(star, mask, excess, labels, box):
    y, x = np.indices(mask.shape)
    near = mask & (np.hypot(y - star.y, x - star.x) <= 1.5)
    order = np.argsort(star.angles)
    return {
        "labels": ",".join(str(n) for n in np.unique(labels[mask])),
        "x_vertex": box[1].start + star.x,
        "y_vertex": box[0].start + star.y,
        "n_prongs": len(star.angles),
        "n_lines": star.n_lines,
        "prong_angles": ",".join(f"{a:.0f}" for a in np.rad2deg(star.angles[order])),
        "longest_prong": star.lengths.max(),
        "brightness_ratio": star.brightness.max() / max(star.brightness.min(), 1e-300),
        "vertex_charge": excess[near].sum(),
        "charge": excess[mask].sum(),
    }


def _table(rows, unit):
    kinds = {
        "labels": str,
        "x_vertex": float,
        "y_vertex": float,
        "n_prongs": int,
        "n_lines": int,
        "prong_angles": str,
        "longest_prong": float,
        "brightness_ratio": float,
        "vertex_charge": float,
        "charge": float,
        "chance_probability": float,
    }
    table = QTable()
    for name, kind in kinds.items():
        table[name] = np.array([row.get(name, np.nan) for row in rows], dtype=kind)
    for name in ("x_vertex", "y_vertex", "longest_prong"):
        table[name] = table[name] * u.pix
    for name in ("vertex_charge", "charge"):
        table[name] = table[name] * unit
    return table


def _line_density(ccd):
    """Mean number of unrelated tracks within 1.5 pixels of a point."""
    length = u.Quantity(ccd.events["length"]).to_value(u.pix)
    density = len(length) / ccd.data.size
    return density * (2 * 1.5 * float(np.mean(length)) + np.pi * 1.5**2)
