"""Straight prongs around points of an image: where they point, how long and bright they are."""

from dataclasses import dataclass

import numpy as np

__all__ = ["Prongs", "find_prongs", "propose_vertices"]

MOST = 6
"""Prongs described per vertex, the strongest."""

_N_ANGLES = 72
_ANGLES = np.arange(_N_ANGLES) * (2 * np.pi / _N_ANGLES)
_RADII = np.arange(1.5, 14.01, 0.5)
"""Rays start this many pixels from the vertex, outside the blob where prongs overlap."""

_REACH = 4.0
"""Rays that stay bright this far are prongs."""

_DIP = 0.65
"""Between two prongs the rays are fainter than this fraction of the fainter one."""

_END = 0.25
"""A prong ends where it is fainter than this fraction of its level near the vertex."""

_FEWEST_AROUND = 10
"""Fewest hit pixels among 5 x 5 around a vertex: prongs of one pixel's width make seven."""

_PAD = 20
_CHUNK = 400
_COARSE = 36


@dataclass(frozen=True)
class Prongs:
    """Prongs at n vertices, the brightest first; absent ones have ``length`` 0.

    Parameters
    ----------
    angle : ndarray, shape (n, `MOST`)
        Direction in radians from the columns' axis.
    length : ndarray, shape (n, `MOST`)
        Distance of its end from the vertex in pixels.
    level : ndarray, shape (n, `MOST`)
        Mean along the ridge, in units of the image.
    contrast : ndarray, shape (n, `MOST`)
        Outer half of the ridge over what lies two pixels beside it.
    gradient : ndarray, shape (n, `MOST`)
        Outer over inner half of the ridge.
    miss : ndarray, shape (n, `MOST`)
        Distance in pixels at which the straight line through the ridge misses the vertex.
    wiggle : ndarray, shape (n, `MOST`)
        Rms distance in pixels of the ridge from that line.
    turn : ndarray, shape (n, `MOST`)
        Radians by which the prong that continues it best deviates from its straight
        continuation through the vertex; pi for a prong alone.
    partner : ndarray of int, shape (n, `MOST`)
        Index of that prong.
    """

    angle: np.ndarray
    length: np.ndarray
    level: np.ndarray
    contrast: np.ndarray
    gradient: np.ndarray
    miss: np.ndarray
    wiggle: np.ndarray
    turn: np.ndarray
    partner: np.ndarray

    @property
    def present(self):
        """Which prongs there are, shape (n, `MOST`)."""
        return self.length > 0


def propose_vertices(image, hits, floor, *, fewest=3):
    """Pixels from which at least so many rays stay bright for four pixels.

    Parameters
    ----------
    image : ndarray
        Excess over the background, 0 outside hits.
    hits : ndarray of bool
        Pixels to try.
    floor : float
        Faintest ray.
    fewest : int
        Number of rays that dips separate.

    Returns
    -------
    y, x : ndarray of int
        Local maxima of the number and brightness of such rays.
    """
    from scipy import ndimage

    crowd = ndimage.uniform_filter(hits.astype(np.float32), 5, mode="constant")
    y, x = np.nonzero(hits & (25 * crowd > _FEWEST_AROUND - 0.5))
    padded = np.pad(image.astype(np.float32), _PAD)
    angles = np.arange(_COARSE) * (2 * np.pi / _COARSE)
    radii = np.arange(1.5, _REACH + 0.01, 0.625)
    score = np.zeros(image.shape, np.float32)
    for part in _chunks(len(y), 4000):
        weakest = None
        for radius in radii:
            ring = _sample(padded, y[part, None], x[part, None], angles, radius)
            weakest = ring if weakest is None else np.minimum(weakest, ring)
        peak = _peaks(weakest, 4) & (weakest > floor)
        strength = np.where(peak, np.log(np.maximum(weakest, floor) / floor) + 1.0, 0.0).sum(axis=1)
        score[y[part], x[part]] = np.where(peak.sum(axis=1) >= fewest, strength, 0.0)
    best = (score > 0) & (score == ndimage.maximum_filter(score, 3))
    return np.nonzero(best)


def find_prongs(image, y, x, floor):
    """Trace the prongs that leave given points.

    Parameters
    ----------
    image : ndarray
        Excess over the background, 0 outside hits.
    y, x : ndarray, shape (n,)
        Points, in pixels.
    floor : float
        Faintest ray.

    Returns
    -------
    Prongs
    """
    padded = np.pad(image.astype(np.float32), _PAD)
    parts = [_trace(padded, y[part], x[part], floor) for part in _chunks(len(y), _CHUNK)]
    if not parts:
        empty = np.zeros((0, MOST))
        return Prongs(*[empty] * 8, empty.astype(int))
    return Prongs(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _chunks(n, size):
    return [slice(first, min(first + size, n)) for first in range(0, n, size)]


def _sample(padded, y, x, angle, radius, offset=0.0):
    """Bilinear values at polar places around points, shifted sideways; arguments broadcast."""
    sine, cosine = np.sin(angle).astype(np.float32), np.cos(angle).astype(np.float32)
    rows = y + radius * sine + offset * cosine + np.float32(_PAD)
    columns = x + radius * cosine - offset * sine + np.float32(_PAD)
    np.clip(rows, 0, padded.shape[0] - 2, out=rows)
    np.clip(columns, 0, padded.shape[1] - 2, out=columns)
    top, left = rows.astype(np.int32), columns.astype(np.int32)
    down, right = (rows - top).astype(np.float32), (columns - left).astype(np.float32)
    flat = padded.ravel()
    first = top.astype(np.int64) * padded.shape[1] + left
    upper = flat[first] * (1 - right) + flat[first + 1] * right
    first += padded.shape[1]
    lower = flat[first] * (1 - right) + flat[first + 1] * right
    return upper * (1 - down) + lower * down


def _peaks(strength, reach):
    """Local maxima on circles (axis 1), separated by dips from any higher value in reach."""
    peak = np.ones(strength.shape, bool)
    for way in (1, -1):
        lowest = strength.copy()
        blocked = np.zeros(strength.shape, bool)
        for step in range(1, reach + 1):
            other = np.roll(strength, way * step, axis=1)
            blocked |= (other > strength) | ((other == strength) & (way > 0))
            lowest = np.where(blocked, lowest, np.minimum(lowest, other))
        peak &= lowest < _DIP * strength
    return peak


def _trace(padded, y, x, floor):
    y, x = (np.asarray(v, np.float32)[:, None, None] for v in (y, x))
    rays = _sample(padded, y, x, _ANGLES[:, None], _RADII)
    near = np.sort(rays[:, :, _RADII <= _REACH], axis=2)[:, :, :2].mean(axis=2)
    peak = _peaks(near, _N_ANGLES // 2) & (near > floor)
    chosen = np.argsort(np.where(peak, -near, 0.0), axis=1, kind="stable")[:, :MOST]
    present = np.take_along_axis(peak, chosen, axis=1)
    angle = _ANGLES[chosen]
    # A ray may wander by one step, as the true vertex lies between pixels.
    wide = np.maximum(rays, np.maximum(np.roll(rays, 1, 1), np.roll(rays, -1, 1)))
    ridge = np.take_along_axis(wide, chosen[:, :, None], axis=1)
    faintest = np.maximum(_END * np.take_along_axis(near, chosen, axis=1), floor)
    alive = np.logical_and.accumulate(ridge > faintest[:, :, None], axis=2) & present[:, :, None]
    length = np.where(present, _RADII[0] + 0.5 * alive.sum(axis=2), 0.0)
    level = _mean(ridge, alive & (_RADII >= 2))
    half = (_RADII[0] + length[:, :, None]) / 2
    outer, inner = alive & (half <= _RADII), alive & (half > _RADII)
    bright = _mean(ridge, outer)
    sides = [_mean(_sample(padded, y, x, angle[:, :, None], _RADII, s), outer) for s in (-2, 2)]
    contrast = bright / np.maximum(np.maximum(*sides), 0.1 * floor)
    gradient = bright / np.maximum(_mean(ridge, inner), 1e-6)
    slope, miss, wiggle = _line(padded, y, x, angle, alive)
    angle = angle + np.arctan(slope)
    order = np.argsort(np.where(present, -level, 0.0), axis=1, kind="stable")
    columns = [angle, length, level, contrast, gradient, miss, wiggle]
    columns = [np.take_along_axis(c, order, axis=1) for c in columns]
    return [*columns, *_partners(columns[0], columns[1] > 0)]


def _mean(values, chosen):
    return (values * chosen).sum(axis=-1) / np.maximum(chosen.sum(axis=-1), 1)


def _line(padded, y, x, angle, alive):
    """Slope, distance from the vertex and scatter of the ridge's centre across each ray."""
    offsets = np.arange(-1.5, 1.51, 0.5, dtype=np.float32)
    across = _sample(
        padded, y[..., None], x[..., None], angle[:, :, None, None], _RADII[:, None], offsets
    )
    across = np.maximum(across, 0.0)
    total = across.sum(axis=-1)
    centre = (across * offsets).sum(axis=-1) / np.maximum(total, 1e-6)
    weight = (alive & (_RADII >= 2) & (_RADII <= 9)).astype(float)
    norm = np.maximum(weight.sum(axis=-1), 1)
    r_mean = (weight * _RADII).sum(axis=-1) / norm
    c_mean = (weight * centre).sum(axis=-1) / norm
    r, c = _RADII - r_mean[..., None], centre - c_mean[..., None]
    slope = (weight * r * c).sum(axis=-1) / np.maximum((weight * r * r).sum(axis=-1), 1e-6)
    scatter = np.sqrt((weight * (c - slope[..., None] * r) ** 2).sum(axis=-1) / norm)
    return slope, np.abs(c_mean - slope * r_mean), scatter


def _partners(angle, present):
    turn = np.abs((angle[:, :, None] - angle[:, None, :]) % (2 * np.pi) - np.pi)
    alone = ~(present[:, :, None] & present[:, None, :])
    turn = np.where(alone, np.pi, turn)
    return turn.min(axis=2), turn.argmin(axis=2)
