"""Search for spallation stars: several straight prongs of differing brightness from one vertex."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.table import QTable

from ..detectors import electrons_per_unit

__all__ = ["find_spallation", "search_catalog"]

_ANGLES = np.arange(180) * (2 * np.pi / 180)
_STEP = 0.5
_FIRST = 1.5
"""Rays start this many pixels from the vertex, outside the blob where prongs overlap."""

_NEAR = 1.5
"""Tracks this many pixels from a point pass through it."""

_SHORTEST = 5.0
"""Shortest prong in pixels."""

_DIP = 0.65
"""Two neighbouring prongs are distinct if rays between them are shorter than this fraction."""

_SIDE = 2.0
_CONTRAST = 1.5
"""A prong's outer half outshines what lies this many pixels beside it by this factor."""

_COLLINEAR = np.deg2rad(15)
_BRIGHTNESS_RATIO = 4.0
"""Opposite prongs that agree so well are one particle that went through."""


@dataclass(frozen=True)
class _Star:
    y: float
    x: float
    angles: np.ndarray
    lengths: np.ndarray
    brightness: np.ndarray
    lines: np.ndarray


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

    Examples
    --------
    >>> import crismis
    >>> from crismis.physics import find_spallation
    >>> ccd = crismis.simulate_exposure("HST/WFPC2/PC", 300, shape=(256, 256), seed=1, n_events=3,
    ...                                 particles={"spallation": 1.0})
    >>> hits = ccd.truth["deposit"] > 20
    >>> found = crismis.categorize_cosmicrays(ccd, crmask=hits)
    >>> candidates = find_spallation(found)
    >>> candidates.colnames[:4]
    ['labels', 'x_vertex', 'y_vertex', 'n_prongs']
    """
    from scipy import ndimage

    if ccd.events is None:
        raise ValueError("events are not set: run crismis.categorize_cosmicrays first")
    scale, unit = electrons_per_unit(ccd)
    rows = []
    if ccd.segmentation is not None:
        labels = np.asarray(ccd.segmentation.data)
        image = ccd.original * scale
        crowd = _Crowd(ccd)
        groups, _ = ndimage.label(labels > 0, structure=np.ones((3, 3)))
        for number, box in enumerate(ndimage.find_objects(groups), start=1):
            mask = groups[box] == number
            if not _roomy(mask):
                continue
            excess = image[box] - _level(image, groups, box)
            star = _best_star(mask, excess, min_lines)
            if star is not None:
                rows.append(_row(star, mask, excess, labels[box], box, crowd))
    table = _table(rows, unit)
    return table[np.argsort(table["chance_probability"], kind="stable")]


def search_catalog(catalog, *, min_lines=3, most=48, half_width=16):
    """Search every cleaned image of a catalog for spallation stars.

    Parameters
    ----------
    catalog : `~crismis.Catalog` or path-like
        Output of `crismis.run` with cleaned images.
    min_lines : int, optional
        As for `find_spallation`.
    most : int, optional
        Number of cut-outs to return.
    half_width : int, optional
        Cut-outs reach this many pixels to each side of the vertex.

    Returns
    -------
    table : `~astropy.table.QTable`
        Candidates of all images as `find_spallation` describes them, most convincing first,
        with the input's ``path`` and the ``cleaned`` image they are on.
    stamps : list of ndarray
        Cut-outs of the first ``most`` candidates, before repair, in the unit of their image.

    Raises
    ------
    CatalogError
        If the catalog cannot be read or no cleaned images were written.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import crismis
    >>> from crismis.physics import search_catalog
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> ccd = crismis.simulate_exposure("HST/WFPC2/PC", 300, shape=(64, 64), seed=1)
    >>> ccd.write(folder / "a.fits")
    >>> _ = crismis.run([folder / "a.fits"], folder / "out")
    >>> table, stamps = search_catalog(folder / "out")
    >>> len(table) >= len(stamps)
    True
    """
    from astropy.table import vstack

    from ..ccddata import CosmicRayCCDData
    from ..errors import CatalogError

    if not hasattr(catalog, "exposures"):
        from ..survey import Catalog  # a convenience: a catalog by its folder

        catalog = Catalog(catalog)
    found = []
    for row in catalog.exposures:
        name = str(row["cleaned"])
        image = Path(catalog.path).parent / name
        if name in ("", "--", "None") or not image.is_file():
            continue
        ccd = CosmicRayCCDData.read(image)
        table = find_spallation(ccd, min_lines=min_lines)
        table["path"], table["cleaned"] = str(row["path"]), name
        table["stamp"] = np.empty(len(table), dtype=object)
        for i, candidate in enumerate(table):
            y = round(candidate["y_vertex"].value)
            x = round(candidate["x_vertex"].value)
            rows = slice(max(y - half_width, 0), y + half_width + 1)
            columns = slice(max(x - half_width, 0), x + half_width + 1)
            table["stamp"][i] = ccd.original[rows, columns].copy()
        found.append(table)
    if not found:
        raise CatalogError(f"{catalog.path}: no cleaned images; run without --no-cleaned")
    table = vstack(found, metadata_conflicts="silent")
    table = table[np.argsort(table["chance_probability"], kind="stable")]
    stamps = list(table["stamp"][:most])
    table.remove_column("stamp")
    return table, stamps


def _roomy(mask):
    return mask.sum() >= 12 and min(mask.shape) >= 5


def _best_star(mask, image, min_lines):
    """The star at the vertex that explains most as prongs, if it has enough lines."""
    stars = [_prongs(mask, image, y, x) for y, x in _vertices(mask, image)]
    best = max(stars, key=lambda star: (len(star.angles), star.lengths.sum()))
    return best if len(best.lines) >= min_lines else None


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
    on = _sample(mask, y, x, radius, 0.0) > 0
    # A ray may miss one sample: a slanted line of one pixel's width is a staircase.
    on[:, 1:-1] |= on[:, :-2] & on[:, 2:]
    alive = np.logical_and.accumulate(on, axis=1)
    length = np.where(alive.any(axis=1), _FIRST + _STEP * alive.sum(axis=1), 0.0)
    peaks = _peaks(length)
    outer = alive[peaks] & (radius > length[peaks, None] / 2)
    count = np.maximum(outer.sum(axis=1), 1)
    ridge, left, right = (
        (_sample(image, y, x, radius, offset, peaks) * outer).sum(axis=1) / count
        for offset in (0.0, _SIDE, -_SIDE)
    )
    distinct = ridge > _CONTRAST * np.maximum(left, right)
    peaks, ridge = peaks[distinct], ridge[distinct]
    lines = _lines(_ANGLES[peaks], ridge)
    return _Star(float(y), float(x), _ANGLES[peaks], length[peaks], ridge, lines)


def _sample(plane, y, x, radius, offset, rays=slice(None)):
    """Values along rays from a point, shifted sideways; 0 outside the plane."""
    sine, cosine = np.sin(_ANGLES[rays])[:, None], np.cos(_ANGLES[rays])[:, None]
    rows = np.rint(y + radius * sine + offset * cosine).astype(int)
    cols = np.rint(x + radius * cosine - offset * sine).astype(int)
    inside = (rows >= 0) & (rows < plane.shape[0]) & (cols >= 0) & (cols < plane.shape[1])
    values = np.zeros(inside.shape)
    values[inside] = plane[rows[inside], cols[inside]]
    return values


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


def _lines(angles, brightness):
    """Brightness of each line: a prong, or an opposite pair of like brightness."""
    left = list(np.argsort(brightness))
    lines = []
    while left:
        p = left.pop()
        lines.append(brightness[p])
        for q in reversed(left):
            turn = np.abs((angles[p] - angles[q]) % (2 * np.pi) - np.pi)
            if turn < _COLLINEAR and brightness[p] < _BRIGHTNESS_RATIO * brightness[q]:
                left.remove(q)
                break
    return np.array(lines)


def _level(image, groups, box):
    grown = tuple(slice(max(s.start - 4, 0), s.stop + 4) for s in box)
    outside = image[grown][(groups[grown] == 0) & np.isfinite(image[grown])]
    return float(np.median(outside)) if outside.size else 0.0


def _row(star, mask, excess, labels, box, crowd):
    y, x = np.indices(mask.shape)
    near = mask & (np.hypot(y - star.y, x - star.x) <= 1.5)
    order = np.argsort(star.angles)
    return {
        "labels": ",".join(str(n) for n in np.unique(labels[mask])),
        "x_vertex": box[1].start + star.x,
        "y_vertex": box[0].start + star.y,
        "n_prongs": len(star.angles),
        "n_lines": len(star.lines),
        "prong_angles": ",".join(f"{a:.0f}" for a in np.rad2deg(star.angles[order])),
        "longest_prong": star.lengths.max(),
        "brightness_ratio": star.brightness.max() / max(star.brightness.min(), 1e-300),
        "vertex_charge": excess[near].sum(),
        "charge": excess[mask].sum(),
        "chance_probability": crowd.chance(star.lines),
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


class _Crowd:
    """How often unrelated tracks of given brightness pass a point of this image."""

    def __init__(self, ccd):
        length = u.Quantity(ccd.events["length"]).to_value(u.pix)
        charge = np.nan_to_num(np.asarray(u.Quantity(ccd.events["charge"]).value, float))
        order = np.argsort(charge / length)
        self.brightness = (charge / length)[order]
        area = 2 * _NEAR * length[order] + np.pi * _NEAR**2
        self.passing = np.append(np.cumsum(area[::-1])[::-1], 0.0) / ccd.data.size

    def chance(self, lines):
        """Probability that tracks at least as bright as all lines but the brightest meet there."""
        others = np.sort(lines)[::-1][1:]
        mean = self.passing[np.searchsorted(self.brightness, others)]
        return float(np.prod(np.minimum(-np.expm1(-mean), 1.0)))
