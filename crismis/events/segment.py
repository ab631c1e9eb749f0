"""From pixels to events: hysteresis, connected labels, broken and crossing tracks."""

import numpy as np
from scipy import ndimage

from .footprints import Footprints

__all__ = ["bridge_gaps", "segment", "split_crossings"]

LARGEST_GAP = 4.0
"""Clear pixels that a broken track may have between two pieces."""
SMALLEST_GUIDE = 5.0
"""Length in pixels from which a piece has a direction that others are joined along."""
SMALLEST_ARM = 2.5
"""Pixels by which both crossing tracks must go on beyond their crossing."""
SMALLEST_ANGLE = np.deg2rad(15)
"""Angle between tracks from which a crossing can be told from a bend."""

EIGHT = np.ones((3, 3), dtype=bool)
"""Pixels that touch at a side or a corner belong together."""


def segment(probability, *, seed=0.5, grow=0.2, within=None, bridge=True, deblend=True):
    """Join hit pixels to events.

    An event is an 8-connected set of pixels with a probability of at least ``grow`` that
    holds at least one pixel with a probability of at least ``seed``. Pieces of one broken
    track become one event and crossing tracks two.

    Parameters
    ----------
    probability : ndarray, shape (ny, nx)
        Probability that a pixel was hit; a boolean image of hits is accepted.
    seed, grow : float
        Thresholds of the hysteresis, ``0 < grow <= seed <= 1``.
    within : ndarray of bool, shape (ny, nx), optional
        Pixels that may belong to events at all; by default every pixel.
    bridge : bool
        Join pieces that lie on one straight line with gaps of at most 4 pixels
        (`bridge_gaps`).
    deblend : bool
        Cut events that are two straight tracks crossing (`split_crossings`).

    Returns
    -------
    ndarray of int32, shape (ny, nx)
        Label of the event of each pixel, 1 to the number of events, 0 for none.

    Raises
    ------
    ValueError
        If the image is not two-dimensional or the thresholds are in disorder.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.events import segment
    >>> segment(np.array([[0.9, 0.3, 0.0, 0.4]]))
    array([[1, 1, 0, 0]], dtype=int32)
    """
    probability = np.asarray(probability)
    if probability.ndim != 2:
        raise ValueError(f"events are found in 2-D images, got {probability.ndim} dimensions")
    if not 0 < grow <= seed <= 1:
        raise ValueError(f"wanted 0 < grow <= seed <= 1, got grow={grow}, seed={seed}")
    candidates = probability >= grow
    if within is not None:
        candidates &= within
    labels, count = ndimage.label(candidates, structure=EIGHT, output=np.int32)
    kept = np.zeros(count + 1, dtype=bool)
    kept[labels[candidates & (probability >= seed)]] = True
    kept[0] = False
    labels = np.where(kept, np.cumsum(kept), 0).astype(np.int32)[labels]
    if deblend:
        labels = split_crossings(labels)
    if bridge:
        labels = bridge_gaps(labels)
    return labels


def bridge_gaps(labels):
    """Give pieces of one broken track one label.

    A piece at least 5 pixels long and three times as long as wide guides: a second piece is
    joined if the gap to it is at most 4 pixels and no longer than the guide, and if all of it
    lies beyond the guide's end within 1 pixel (plus half the guide's width) of its axis,
    which may turn by 0.05 pixel per pixel.

    Parameters
    ----------
    labels : ndarray of int, shape (ny, nx)

    Returns
    -------
    ndarray of int32, shape (ny, nx)

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.events import bridge_gaps
    >>> bridge_gaps(np.array([[1, 1, 1, 1, 1, 1, 0, 0, 2, 2, 2]])).max()
    np.int32(1)
    """
    pieces = Footprints.from_labels(labels)
    if len(pieces) < 2:
        return np.asarray(labels, dtype=np.int32)
    axis = _Axes.of(pieces)
    guides = np.flatnonzero((axis.length >= SMALLEST_GUIDE) & (axis.length >= 3 * axis.width))
    pairs = _neighbours(pieces, axis, guides)
    joined = pairs[[_continues(pieces, axis, guide, other) for guide, other in pairs]]
    return _merge(labels, pieces, joined)


class _Axes:
    """Middle, direction and size of pieces, every pixel counting the same."""

    def __init__(self, y, x, cosine, sine, length, width):
        self.y, self.x, self.cosine, self.sine = y, x, cosine, sine
        self.length, self.width = length, width

    @classmethod
    def of(cls, pieces):
        n = pieces.n_pixels
        y, x = pieces.sum(pieces.y) / n, pieces.sum(pieces.x) / n
        dy, dx = pieces.y - pieces.spread(y), pieces.x - pieces.spread(x)
        xx, yy, xy = (pieces.sum(product) for product in (dx * dx, dy * dy, dx * dy))
        angle = 0.5 * np.arctan2(2 * xy, xx - yy)
        cosine, sine = np.cos(angle), np.sin(angle)
        along = dx * pieces.spread(cosine) + dy * pieces.spread(sine)
        across = dy * pieces.spread(cosine) - dx * pieces.spread(sine)
        return cls(
            y,
            x,
            cosine,
            sine,
            pieces.max(along) - pieces.min(along) + 1,
            pieces.max(across) - pieces.min(across) + 1,
        )

    def project(self, piece, y, x):
        """Place along and across the axis of a piece."""
        dy, dx = y - self.y[piece], x - self.x[piece]
        cosine, sine = self.cosine[piece], self.sine[piece]
        return dx * cosine + dy * sine, dy * cosine - dx * sine


def _neighbours(pieces, axis, guides):
    """Pairs (guide, other piece) where the other has a pixel near an end of the guide."""
    from scipy.spatial import cKDTree

    if len(guides) == 0:
        return np.zeros((0, 2), dtype=int)
    reach = LARGEST_GAP + 2
    half = axis.length[guides] / 2
    ends = [
        (
            axis.y[guides] + side * half * axis.sine[guides],
            axis.x[guides] + side * half * axis.cosine[guides],
        )
        for side in (-1, 1)
    ]
    ends = np.hstack(ends).T
    owner = pieces.spread(np.arange(len(pieces)))
    near = cKDTree(np.column_stack([pieces.y, pieces.x])).query_ball_point(ends, reach)
    guide = np.repeat(np.tile(guides, 2), [len(n) for n in near])
    other = owner[np.concatenate([*map(np.asarray, near), []]).astype(int)]
    pairs = np.unique(np.column_stack([guide, other]), axis=0)
    return pairs[pairs[:, 0] != pairs[:, 1]]


def _continues(pieces, axis, guide, other):
    own = slice(pieces.starts[other], pieces.starts[other + 1])
    along, across = axis.project(guide, pieces.y[own], pieces.x[own])
    end = axis.length[guide] / 2
    gap = np.abs(along).min() - end - 0.5
    beyond = (along > 0).all() or (along < 0).all()
    allowed = 0.5 + axis.width[guide] / 2 + 0.05 * (np.abs(along) - end)
    return beyond and -1.5 < gap <= min(LARGEST_GAP, end) and (np.abs(across) <= allowed).all()


def _merge(labels, pieces, pairs):
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(pieces)
    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    _, group = connected_components(links, directed=False)
    _, first = np.unique(group, return_index=True)
    numbers = np.empty(len(first), dtype=np.int32)
    numbers[np.argsort(first)] = np.arange(1, len(first) + 1)
    table = np.zeros(int(pieces.labels[-1]) + 1, dtype=np.int32)
    table[pieces.labels] = numbers[group]
    return table[labels]


def split_crossings(labels):
    """Cut events that are two straight tracks crossing into two.

    The ends of two crossing segments are the corners of a convex quadrilateral whose
    diagonals they are. An event is cut if the largest quadrilateral in its convex hull has
    diagonals that cross at 15 degrees or more, go on for 2.5 pixels beyond the crossing, are
    covered by the event's pixels, and have nearly all of these pixels close by.

    Parameters
    ----------
    labels : ndarray of int, shape (ny, nx)

    Returns
    -------
    ndarray of int32, shape (ny, nx)
        The second track of each crossing gets a new label.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.events import split_crossings
    >>> cross = np.eye(15, dtype=int) | np.eye(15, dtype=int)[::-1]
    >>> np.unique(split_crossings(cross))
    array([0, 1, 2], dtype=int32)
    """
    labels = np.array(labels, dtype=np.int32)
    events = Footprints.from_labels(labels)
    axis = _Axes.of(events) if len(events) else None
    fresh = int(labels.max(initial=0))
    for event in np.flatnonzero(_may_cross(events, axis)):
        own = slice(events.starts[event], events.starts[event + 1])
        y, x = events.y[own], events.x[own]
        second = _second_track(y, x)
        if second is not None:
            fresh += 1
            labels[y[second], x[second]] = fresh
    return labels


def _may_cross(events, axis):
    if len(events) == 0:
        return np.zeros(0, dtype=bool)
    n = events.n_pixels
    sparse = n < 0.6 * axis.length * axis.width
    return (n >= 10) & (n <= 5000) & sparse & (axis.width >= 4)


def _second_track(y, x):
    """Pixels of the shorter of two crossing tracks, or `None` if they are no such thing."""
    corners = _largest_quadrilateral(y, x)
    if corners is None:
        return None
    a, b, c, d = corners
    first, second = (a, c), (b, d)
    lengths = [np.hypot(*(q - p)) for p, q in (first, second)]
    if min(lengths) < 2 * SMALLEST_ARM:
        return None
    if lengths[0] < lengths[1]:
        first, second = second, first
    cross = _crossing(*first, *second)
    if cross is None:
        return None
    tolerance = 0.8 + 0.5 * len(y) / sum(lengths)
    along_1, off_1 = _beside(y, x, *first)
    along_2, off_2 = _beside(y, x, *second)
    if np.mean(np.minimum(off_1, off_2) <= tolerance) < 0.97:
        return None
    if not (
        _covered(along_1, off_1, first, tolerance) and _covered(along_2, off_2, second, tolerance)
    ):
        return None
    return off_2 < off_1


def _largest_quadrilateral(y, x):
    """Corners, in order around it, of the largest quadrilateral in the convex hull."""
    from itertools import combinations

    hull = _hull(sorted(zip(x.tolist(), y.tolist(), strict=True)))
    if len(hull) < 4:
        return None
    points = np.array(hull, dtype=float)
    if len(points) > 20:
        points = points[np.linspace(0, len(points), 20, endpoint=False).astype(int)]
    four = np.array(list(combinations(range(len(points)), 4)))
    a, b, c, d = (points[four[:, k]] for k in range(4))
    u, v = c - a, d - b
    best = np.argmax(np.abs(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]))
    return points[four[best]]


def _hull(points):
    """Convex hull of sorted points by Andrew's monotone chain."""
    sides = []
    for ordered in (points, points[::-1]):
        chain = []
        for p in ordered:
            while len(chain) > 1 and (
                (chain[-1][0] - chain[-2][0]) * (p[1] - chain[-2][1])
                <= (chain[-1][1] - chain[-2][1]) * (p[0] - chain[-2][0])
            ):
                chain.pop()
            chain.append(p)
        sides += chain[:-1]
    return sides


def _crossing(a, c, b, d):
    """Where two segments cross, `None` if too flat an angle or too near an end."""
    u, v = c - a, d - b
    turn = u[0] * v[1] - u[1] * v[0]
    long_u, long_v = np.hypot(*u), np.hypot(*v)
    if abs(turn) < np.sin(SMALLEST_ANGLE) * long_u * long_v:
        return None
    w = b - a
    s = (w[0] * v[1] - w[1] * v[0]) / turn
    t = (w[0] * u[1] - w[1] * u[0]) / turn
    arms = (s * long_u, (1 - s) * long_u, t * long_v, (1 - t) * long_v)
    return a + s * u if min(arms) >= SMALLEST_ARM else None


def _beside(y, x, p, q):
    """Place along a segment in pixels and distance from its line."""
    u = (q - p) / np.hypot(*(q - p))
    dx, dy = x - p[0], y - p[1]
    return dx * u[0] + dy * u[1], np.abs(dx * u[1] - dy * u[0])


def _covered(along, off, segment, tolerance):
    length = np.hypot(*(segment[1] - segment[0]))
    bins = max(int(length / 1.5), 1)
    filled = np.unique(np.floor(along[off <= tolerance] / length * bins))
    return np.count_nonzero((filled >= 0) & (filled < bins)) >= 0.85 * bins
