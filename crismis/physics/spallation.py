"""Search for spallation stars: several straight prongs of differing brightness from one vertex."""

from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.table import QTable

from ..detectors import electrons_per_unit
from ..errors import ModelError
from ..events import Footprints, measure
from ..events._kernels import Forest
from ..network import load_model
from .prongs import MOST, find_prongs, propose_vertices
from .tracks import event_excess

__all__ = ["STAR_FEATURES", "Vertices", "find_spallation", "find_vertices", "search_catalog"]

TASK = "spallation"
SHIPPED = "models/spallation-1.crm"

_NEAR = 1.5
"""Tracks this many pixels from a point pass through it or end in it."""

_COLLINEAR = np.deg2rad(15)
_BRIGHTNESS_RATIO = 3.0
"""Opposite prongs that agree so well are one particle that went through."""

_SHORTEST = 3.5
"""Prongs to be counted are this many pixels long."""

_APART = 5.0
"""Of vertices nearer to each other than this many pixels only the most convincing counts."""

_AROUND = 15
"""Half the side in pixels of the box whose share of hit pixels tells how crowded a place is."""

_CORE = 6.0
"""Radius in pixels within which the charge should lie on prongs."""

_PER_PRONG = (
    "length",
    "over_track",
    "over_noise",
    "contrast",
    "gradient",
    "miss",
    "wiggle",
    "turn",
    "partner_ratio",
)
STAR_FEATURES = (
    *(f"{name}_{i}" for i in range(1, MOST + 1) for name in _PER_PRONG),
    "n_prongs",
    "n_lines",
    "n_alone",
    "n_ends_10",
    "n_ends_25",
    "n_bright_2",
    "n_bright_4",
    "n_bright_8",
    "widest_gap",
    "vertex_over_prongs",
    "vertex_over_track",
    "core_unexplained",
    "core_pixels_unexplained",
    "log_chance",
    "log_chance_bright",
    "crowding",
    "hit_share",
    "track_over_noise",
    "tracks_per_pixel",
    "track_length",
)
"""What the ranking of spallation stars knows of a vertex, in this order."""


class Vertices:
    """Points of an image from which straight prongs start.

    Attributes
    ----------
    y, x : ndarray of int, shape (n,)
        Places in pixels.
    prongs : `~crismis.physics.prongs.Prongs`
        What leaves them.
    counted, lines : ndarray of bool, shape (n, most)
        Which prongs are long enough to count, and which of these are a line of their own: the
        fainter of two that are one particle which passed through is not.
    vertex_charge : ndarray, shape (n,)
        Within 1.5 pixels, electrons where the gain is known, else data units.
    chance : ndarray, shape (n,)
        Probability that unrelated tracks meet there.
    features : ndarray of float32, shape (n, len(``STAR_FEATURES``))
    """

    def __init__(self, image, hits, floor, crowd):
        self.y, self.x = propose_vertices(image, hits, floor)
        self.prongs = find_prongs(image, self.y, self.x, floor)
        self.counted = self.prongs.length >= _SHORTEST
        self.through = self._through()
        self.lines = self.counted & ~(self.through & self._fainter())
        y, x, distance, values = self._core(image)
        self.vertex_charge = (values * (distance <= _NEAR)).sum(axis=1)
        logs = crowd.log_chances(self.prongs.level, self.lines, self.through)
        self.chance = np.exp(logs.sum(axis=1) - logs.min(axis=1, initial=0.0))
        self.features = self._describe(image, hits, floor, crowd, logs, (y, x, distance, values))

    def __len__(self):
        return len(self.y)

    def _partner(self, values):
        return np.take_along_axis(values, self.prongs.partner, axis=1)

    def _ratio(self):
        """Brightness over that of the best continuation, at least 1."""
        level = np.maximum(self.prongs.level, 1e-9)
        other = self._partner(level)
        return np.maximum(level, other) / np.minimum(level, other)

    def _through(self):
        mutual = self._partner(self.prongs.partner) == np.arange(MOST)
        alike = (self.prongs.turn < _COLLINEAR) & (self._ratio() < _BRIGHTNESS_RATIO)
        return mutual & alike & self.counted & self._partner(self.counted)

    def _fainter(self):
        return self.prongs.partner < np.arange(MOST)

    def _core(self, image):
        reach = int(_CORE)
        dy, dx = (v.ravel() for v in np.mgrid[-reach : reach + 1, -reach : reach + 1])
        values = np.pad(image, reach)[self.y[:, None] + dy + reach, self.x[:, None] + dx + reach]
        return dy, dx, np.hypot(dy, dx), np.maximum(values, 0.0)

    def _describe(self, image, hits, floor, crowd, logs, core):
        from scipy import ndimage

        p = self.prongs
        present = p.present
        level = np.maximum(p.level, 1e-9)
        over_track = level / crowd.typical
        per_prong = {
            "length": p.length,
            "over_track": np.log(over_track),
            "over_noise": np.log(level / floor),
            "contrast": np.log(np.clip(p.contrast, 0.1, 1e3)),
            "gradient": np.log(np.clip(p.gradient, 1e-2, 1e2)),
            "miss": p.miss,
            "wiggle": p.wiggle,
            "turn": p.turn,
            "partner_ratio": np.log(self._ratio()),
        }
        blank = {"over_track": -9.0, "over_noise": -9.0, "turn": np.pi}
        rows = [np.where(present, per_prong[name], blank.get(name, 0.0)) for name in _PER_PRONG]
        ends = [self.counted & (p.turn > np.deg2rad(a)) for a in (10, 25)]
        bright = [self.lines & (over_track > r) for r in (2, 4, 8)]
        unexplained = self._unexplained(core, floor)
        around = ndimage.uniform_filter(hits.astype(np.float32), 2 * _AROUND + 1)[self.y, self.x]
        sum_of_levels = np.where(present, level, 0.0).sum(axis=1)
        n = len(self)
        columns = [
            *np.stack(rows, axis=2).reshape(n, len(rows) * MOST).T,
            present.sum(axis=1),
            self.lines.sum(axis=1),
            (self.counted & ~self.through).sum(axis=1),
            *(e.sum(axis=1) for e in ends),
            *(b.sum(axis=1) for b in bright),
            _widest_gap(p.angle, present),
            self.vertex_charge / np.maximum(sum_of_levels, 1e-9),
            np.log(np.maximum(self.vertex_charge, floor) / crowd.typical),
            *unexplained,
            logs.sum(axis=1),
            logs.min(axis=1, initial=0.0),
            around,
            *(np.full(n, v) for v in (hits.mean(), np.log(crowd.typical / floor), crowd.density)),
            np.full(n, crowd.length),
        ]
        return np.ascontiguousarray(np.stack(columns, axis=1), dtype=np.float32)

    def _unexplained(self, core, floor):
        """Share of charge, and number of pixels, near the vertex that lie on no prong."""
        dy, dx, distance, values = core
        near = (distance <= _CORE) & (distance > _NEAR)
        explained = np.zeros(values.shape, bool)
        for i in range(MOST):
            sine, cosine = np.sin(self.prongs.angle[:, i]), np.cos(self.prongs.angle[:, i])
            along = dx * cosine[:, None] + dy * sine[:, None]
            across = dy * cosine[:, None] - dx * sine[:, None]
            inside = (along > 0) & (along < self.prongs.length[:, i, None] + 1)
            explained |= inside & (np.abs(across) < 1.3)
        left = near & ~explained
        total = (values * near).sum(axis=1)
        return (values * left).sum(axis=1) / np.maximum(total, 1e-9), (left & (values > floor)).sum(
            axis=1
        )


def _widest_gap(angle, present):
    """Largest angle between neighbouring prongs, radians."""
    angle = np.sort(np.where(present, angle % (2 * np.pi), np.inf), axis=1)
    n = present.sum(axis=1)
    first, last = angle[:, 0], np.take_along_axis(angle, np.maximum(n - 1, 0)[:, None], 1)[:, 0]
    known = np.where(np.isfinite(angle), angle, np.where(n > 0, last, 0.0)[:, None])
    around = np.where(n > 0, first + 2 * np.pi - last, 2 * np.pi)
    return np.maximum(np.diff(known, axis=1).max(axis=1), around)


def find_vertices(ccd):
    """Find and describe the points of an image from which straight prongs start.

    Parameters
    ----------
    ccd : `~crismis.CosmicRayCCDData`
        With ``.segmentation`` and ``.events``.

    Returns
    -------
    Vertices

    Raises
    ------
    ValueError
        If there are no events.
    """
    if ccd.events is None:
        raise ValueError("events are not set: run crismis.categorize_cosmicrays first")
    scale, _ = electrons_per_unit(ccd)
    image = np.nan_to_num(ccd.original.astype(np.float64) * scale, posinf=0.0, neginf=0.0)
    none = np.zeros(ccd.shape, np.int32)
    labels = none if ccd.segmentation is None else np.asarray(ccd.segmentation.data)
    return vertices_of(
        labels, image, lambda events, level: event_excess(ccd, events, image, scale, level)
    )


def vertices_of(labels, image, excess_of=None):
    """Describe the vertices of a label image.

    Parameters
    ----------
    labels : ndarray of int
        Label of the event that each pixel belongs to, 0 for none.
    image : ndarray
        Finite values, in electrons where the gain is known.
    excess_of : callable, optional
        Takes `~crismis.events.Footprints` and the background of each event; gives the excess
        of each of their pixels. By default the image above that background.

    Returns
    -------
    Vertices
    """
    around = measure(labels, image)
    events = Footprints.from_labels(labels)
    level = around["background"]
    if excess_of is None:
        values = image[events.y, events.x] - events.spread(level)
    else:
        values = excess_of(events, level)
    excess = np.zeros(labels.shape, np.float32)
    excess[events.y, events.x] = values
    noise = np.median(around["noise"]) if len(events) else 1.0
    floor = 3 * max(float(noise), 1e-6 * float(np.abs(excess).max()), 1e-9)
    crowd = _Crowd(around["charge"], around["length"], labels.shape)
    return Vertices(excess, labels > 0, floor, crowd)


def find_spallation(ccd, *, min_lines=3, min_probability=None, model=None):
    r"""Rank events that look like a nuclear reaction in the detector.

    The definition is that of the SOHO/LASCO team: several straight prongs of differing
    brightness that meet at one vertex [1]_. Every hit pixel from which three or more rays stay
    bright for four pixels is tried as a vertex. Its prongs are traced and described
    (``STAR_FEATURES``): length, brightness against the median track of the image and against the
    noise, contrast, by how much its straight line misses the vertex, how well another prong
    continues it. Boosted trees, trained on simulated frames of many detectors, make of these a
    probability. Opposite prongs of like brightness are one particle that passed through, so
    that crossing tracks count as two lines.

    Parameters
    ----------
    ccd : `~crismis.CosmicRayCCDData`
        With ``.segmentation`` and ``.events``.
    min_lines : int, optional
        Fewest independent lines through the vertex.
    min_probability : float, optional
        Least probability of a candidate; by default the one at which simulated frames with
        5 % hit pixels showed one false candidate per 10^4 events.
    model : path-like, optional
        Model file of ``crismis train spallation`` instead of the shipped one.

    Returns
    -------
    `~astropy.table.QTable`
        Most convincing first: ``labels`` (of the events it is made of), ``x_vertex``,
        ``y_vertex`` (pix), ``n_prongs``, ``n_lines``, ``prong_angles`` (deg, comma-separated
        text), ``longest_prong`` (pix), ``brightness_ratio`` (brightest over faintest prong,
        per pixel), ``vertex_charge`` (within 1.5 pixels) and ``charge`` (of its events;
        electron where the gain is known, else the unit of the data), ``probability``, and
        ``chance_probability``: that unrelated tracks meet the line that is rarest there. It is
        the product over the other lines of the Poisson probability :math:`1 - e^{-\mu}` that a
        track at least as bright passes within r = 1.5 pixels,
        :math:`\mu = \sum (2 r L_i + \pi r^2)/A`, or, for a prong that nothing continues, ends
        there, :math:`\mu = \sum 2 \pi r^2/A`, summed over such events of length
        :math:`L_i` in the area A of the image.

    Raises
    ------
    ValueError
        If there are no events.
    ModelError
        If the model file is none or was made for other features.

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
    vertices = find_vertices(ccd)
    probability, usual = star_probability(vertices.features, model)
    least = usual if min_probability is None else min_probability
    enough = (probability >= least) & (vertices.lines.sum(axis=1) >= min_lines)
    chosen = np.flatnonzero(enough)
    best = chosen[apart(vertices.y[chosen], vertices.x[chosen], probability[chosen])]
    _, unit = electrons_per_unit(ccd)
    return _table(ccd, vertices, probability, best, unit)


@cache
def _load(path, modified):
    arrays, card = load_model(path, TASK)
    if tuple(card["features"]) != STAR_FEATURES:
        raise ModelError(f"{path}: describes vertices by other features; train it anew")
    return Forest(arrays), arrays["start"], card


def star_probability(features, model=None):
    """Probability that vertices are spallation stars, and the least one of a candidate.

    Parameters
    ----------
    features : ndarray of float32, shape (n, len(``STAR_FEATURES``))
    model : path-like, optional

    Returns
    -------
    probability : ndarray, shape (n,)
    least : float
        From the model's card.
    """
    path = Path(str(files("crismis").joinpath(SHIPPED)) if model is None else model)
    forest, start, card = _load(path, path.stat().st_mtime_ns if path.is_file() else None)
    scores = forest.scores(features, 2) + start
    return 1 / (1 + np.exp(scores[:, 0] - scores[:, 1])), card["least_probability"]


def apart(y, x, probability):
    """Indices of vertices, most probable first, without those near a more probable one."""
    kept = []
    for i in np.argsort(-probability, kind="stable"):
        if not kept or np.hypot(y[i] - y[kept], x[i] - x[kept]).min() >= _APART:
            kept.append(i)
    return np.array(kept, dtype=int)


def _table(ccd, vertices, probability, chosen, unit):
    p, counted = vertices.prongs, vertices.counted
    table = QTable()
    labels = [_labels_at(ccd, vertices.y[i], vertices.x[i]) for i in chosen]
    table["labels"] = np.array([",".join(map(str, names)) for names in labels], dtype=str)
    table["x_vertex"] = vertices.x[chosen].astype(float) * u.pix
    table["y_vertex"] = vertices.y[chosen].astype(float) * u.pix
    table["n_prongs"] = counted[chosen].sum(axis=1)
    table["n_lines"] = vertices.lines[chosen].sum(axis=1)
    table["prong_angles"] = np.array([_angles(p.angle[i, counted[i]]) for i in chosen], dtype=str)
    table["longest_prong"] = p.length[chosen].max(axis=1, initial=0.0) * u.pix
    table["brightness_ratio"] = np.array([_contrast(p.level[i, counted[i]]) for i in chosen], float)
    table["vertex_charge"] = vertices.vertex_charge[chosen] * unit
    charge = np.nan_to_num(u.Quantity(ccd.events["charge"]).value)
    known = np.asarray(ccd.events["label"])
    table["charge"] = np.array([charge[np.isin(known, n)].sum() for n in labels], float) * unit
    table["probability"] = probability[chosen]
    table["chance_probability"] = vertices.chance[chosen]
    return table


def _labels_at(ccd, y, x):
    """Labels of the events within 1.5 pixels of a vertex."""
    box = np.s_[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
    return np.setdiff1d(np.asarray(ccd.segmentation.data)[box], [0])


def _angles(angles):
    return ",".join(f"{a:.0f}" for a in np.sort(np.rad2deg(angles) % 360))


def _contrast(levels):
    return levels.max() / max(levels.min(), 1e-300) if len(levels) else np.nan


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
    table = table[np.argsort(-table["probability"], kind="stable")]
    stamps = list(table["stamp"][:most])
    table.remove_column("stamp")
    return table, stamps


class _Crowd:
    """How often unrelated tracks of given brightness pass a point of this image or end in it."""

    def __init__(self, charge, length, shape):
        level = np.maximum(np.nan_to_num(charge), 1e-9) / np.maximum(length, 1.0)
        order = np.argsort(level)
        self.level = level[order]
        self.typical = float(np.median(level)) if len(level) else 1.0
        self.length = float(np.mean(length)) if len(length) else 0.0
        n_pixels = shape[0] * shape[1]
        self.density = len(level) / n_pixels
        disc = np.pi * _NEAR**2
        self.passing = self._brighter(2 * _NEAR * length[order] + disc) / n_pixels
        self.ending = self._brighter(np.full(len(level), 2 * disc)) / n_pixels

    @staticmethod
    def _brighter(area):
        return np.append(np.cumsum(area[::-1])[::-1], 0.0)

    def log_chances(self, level, lines, through):
        """Logarithm of the chance of each line of each vertex; 0 where there is none."""
        place = np.searchsorted(self.level, level)
        mean = np.where(through, self.passing[place], self.ending[place])
        # What is brighter than every event of the image is as rare as the image can tell.
        mean = np.maximum(mean, self.ending[-2] if len(self.level) else 1.0)
        return np.where(lines, np.log(-np.expm1(-mean)), 0.0)
