"""The true category of an event: what an observer would call the deposit that it left.

The rules look at the pixels above a visibility threshold, because a particle seen end-on
looks like a spot whatever it is.
"""

import numpy as np

from ..taxonomy import Category

__all__ = ["Shapes", "count_prongs", "measure_shapes", "true_categories"]

_SPOT_LENGTH = 2.0
_DENSE = 600.0
_BRIGHT = 30_000.0
_ELONGATED = 2.0
_STRAYING = 0.55
_GENTLE_STRAYING = 0.3
_DETOUR = 1.15
_SPUR = 2.5
_SPUR_TRACK = 5.0
_PRONG = 3.0
_PRONG_ANGLE = np.deg2rad(25.0)


class Shapes:
    """Geometry of the visible pixels of events; one array element per event.

    Attributes
    ----------
    n_pixels : ndarray of int
        Visible pixels.
    x, y : ndarray
        Charge-weighted centre in pixels.
    charge, peak : ndarray
        Electrons in the visible pixels, and in the brightest.
    angle : ndarray
        Direction of the longest extent, radians from the columns' axis.
    length, width : ndarray
        Extent in pixels along and across that direction, pixel size included.
    rms_length, rms_width : ndarray
        Charge-weighted standard deviation along and across the axis in pixels.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.simulate import Footprints, measure_shapes
    >>> shapes = measure_shapes(Footprints.from_images([np.ones((1, 7)), np.ones((3, 3))]))
    >>> shapes.n_pixels
    array([7, 9])
    """

    def __init__(self, **columns):
        self.__dict__.update(columns)


def measure_shapes(prints):
    """Measure the visible pixels of events.

    Parameters
    ----------
    prints : Footprints
        Visible pixels only (`Footprints.above`).

    Returns
    -------
    Shapes

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.simulate import Footprints, measure_shapes
    >>> shapes = measure_shapes(Footprints.from_images([np.ones((1, 7))]))
    >>> float(shapes.length[0]), float(shapes.width[0])
    (7.0, 1.0)
    """
    n, label = len(prints), prints.label
    count = prints.n_pixels
    weight = prints.charge.astype(float)
    total = np.bincount(label, weight, n)
    with np.errstate(invalid="ignore"):
        x = np.bincount(label, weight * prints.columns, n) / total
        y = np.bincount(label, weight * prints.rows, n) / total
    dx, dy = prints.columns - x[label], prints.rows - y[label]
    xx = np.bincount(label, weight * dx * dx, n)
    yy = np.bincount(label, weight * dy * dy, n)
    xy = np.bincount(label, weight * dx * dy, n)
    angle = 0.5 * np.arctan2(2 * xy, xx - yy)
    along = dx * np.cos(angle)[label] + dy * np.sin(angle)[label]
    across = dy * np.cos(angle)[label] - dx * np.sin(angle)[label]
    with np.errstate(invalid="ignore"):
        rms_length = np.sqrt(np.bincount(label, weight * along**2, n) / total)
        rms_width = np.sqrt(np.bincount(label, weight * across**2, n) / total)
    return Shapes(
        n_pixels=count,
        x=x,
        y=y,
        charge=total,
        peak=extreme_of_events(weight, prints.offsets, np.maximum),
        angle=angle,
        length=_extent(along, prints.offsets),
        width=_extent(across, prints.offsets),
        rms_length=rms_length,
        rms_width=rms_width,
    )


def extreme_of_events(values, offsets, ufunc):
    """Reduce each event's values by a ufunc such as `numpy.maximum`; 0 for events without any."""
    result = np.zeros(offsets.size - 1)
    filled = np.diff(offsets) > 0
    if filled.any():
        result[filled] = ufunc.reduceat(values, offsets[:-1][filled])
    return result


def _extent(values, offsets):
    highest = extreme_of_events(values, offsets, np.maximum)
    lowest = extreme_of_events(values, offsets, np.minimum)
    return np.where(np.diff(offsets) > 0, highest - lowest + 1, 0.0)


def true_categories(prints, primaries, traces, volume):
    """Name every event as an observer would who saw its deposit alone.

    Lengths and widths are of the visible charge after taking pixels and diffusion out in
    quadrature. The rules, first match wins:

    ``unknown``
        No visible pixel.
    ``spallation_star``
        Three or more prongs of one vertex whose projections are at least 3 pixels plus three
        times the diffusion long and 25 degrees apart.
    ``heavy_track``
        Dense (600 electrons per micrometre of path, six times minimum ionization) and bright
        (30,000 electrons), its charge spread at least twice as far (rms) along as across.
    ``blob``
        Dense and bright, but rounder.
    ``spot``
        Shorter than 2 pixels.
    ``delta_ray_track``
        The straight path of a nucleus or muon, 5 pixels or longer, with visible pixels farther
        from it than 2.5 pixels plus three times the diffusion.
    ``worm``
        The charge strays from a straight line by more than 0.55 pixel (rms), or by 0.3 pixel
        where the particle's way is 1.15 times as long as its chord.
    ``track``
        The rest.

    Parameters
    ----------
    prints : Footprints
        Visible pixels only.
    primaries : Primaries
        The particles of the events.
    traces : Traces
        What became of them.
    volume : Volume
        The silicon.

    Returns
    -------
    ndarray of str
        Names of `~crismis.Category`, one per event.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.simulate import Diffusion, Primaries, Volume, deposit, true_categories
    >>> slab = Volume((9, 30), (10.0, 10.0), 100.0, Diffusion(4.0, 100.0))
    >>> slanted = np.array([[2.0, 0.0, 1.0]]) / np.sqrt(5)
    >>> muon = Primaries(event=np.array([0]), position=np.array([[45.0, 45.0, 0.0]]),
    ...                  direction=slanted, energy=np.array([4000.0]),
    ...                  mass=np.array([105.658]), charge=np.array([1.0]))
    >>> prints, traces = deposit(muon, slab, np.array([7], dtype=np.uint64))
    >>> print(true_categories(prints.above(30), muon, traces, slab))
    ['track']
    """
    n = len(prints)
    shapes = measure_shapes(prints)
    first = np.searchsorted(primaries.event, np.arange(n))
    path = np.bincount(primaries.event, traces.path, n)
    blur = volume.diffusion.far / min(volume.pitch)
    spread = 1 / 12 + 0.5 * blur**2
    straying = np.sqrt(np.maximum(shapes.rms_width**2 - spread, 0))
    length = np.sqrt(12 * np.maximum(shapes.rms_length**2 - spread, 0))
    pitch = np.array(volume.pitch)[::-1]
    chord = np.hypot(*((traces.end[first, :2] - primaries.position[first, :2]) / pitch).T)
    arc = traces.arc[first] / min(volume.pitch)
    dense = (shapes.charge > _DENSE * np.maximum(path, 1.0)) & (path > 0)
    dense &= shapes.charge > _BRIGHT
    electron = (primaries.mass[first] < 1) & (primaries.charge[first] > 0)
    worm = straying > _STRAYING
    worm |= electron & (straying > _GENTLE_STRAYING) & (arc > _DETOUR * chord)
    spur = _spur(prints, primaries, first, volume) > _SPUR + 3 * blur
    category = np.full(n, Category.TRACK, dtype="U20")
    category[worm] = Category.WORM
    category[spur & ~electron & (chord > _SPUR_TRACK)] = Category.DELTA_RAY_TRACK
    category[length < _SPOT_LENGTH] = Category.SPOT
    elongated = shapes.rms_length >= _ELONGATED * shapes.rms_width
    category[dense & elongated] = Category.HEAVY_TRACK
    category[dense & ~elongated] = Category.BLOB
    category[count_prongs(primaries, traces, n, volume) >= 3] = Category.SPALLATION_STAR
    category[shapes.n_pixels == 0] = Category.UNKNOWN
    return category


def _spur(prints, primaries, first, volume):
    """Largest distance in pixels of a visible pixel from the line on which the event entered."""
    label = prints.label
    rows, columns = volume.pitch
    x = (prints.columns + 0.5) - (primaries.position[first, 0] / columns)[label]
    y = (prints.rows + 0.5) - (primaries.position[first, 1] / rows)[label]
    ux, uy = primaries.direction[first, 0] / columns, primaries.direction[first, 1] / rows
    across = np.maximum(np.hypot(ux, uy), 1e-12)
    distance = np.abs(x * (uy / across)[label] - y * (ux / across)[label])
    return extreme_of_events(distance, prints.offsets, np.maximum)


def count_prongs(primaries, traces, n, volume):
    """Count the prongs of each event that an eye can tell apart in projection.

    Parameters
    ----------
    primaries : Primaries
        The particles of the events.
    traces : Traces
        What became of them.
    n : int
        Number of events.
    volume : Volume
        The silicon.

    Returns
    -------
    ndarray of int
        Directions at least 25 degrees apart in which a particle's way through the silicon is,
        in projection, at least 3 pixels plus three times the diffusion long; 0 for events of
        fewer than three particles.

    Examples
    --------
    Four fragments in 200 micrometres of silicon, two of them 10 degrees apart:

    >>> import numpy as np
    >>> from crismis.simulate import Diffusion, Primaries, Volume, count_prongs, deposit
    >>> slab = Volume((60, 60), (10.0, 10.0), 200.0, Diffusion(4.0, 200.0))
    >>> angle = np.deg2rad([0, 10, 120, 240])
    >>> protons = Primaries(event=np.zeros(4, int), position=np.full((4, 3), [300.0, 300.0, 100.0]),
    ...                     direction=np.column_stack([np.cos(angle), np.sin(angle), 0 * angle]),
    ...                     energy=np.full(4, 20.0), mass=np.full(4, 938.272), charge=np.ones(4))
    >>> _, traces = deposit(protons, slab, np.array([3], dtype=np.uint64))
    >>> print(count_prongs(protons, traces, 1, slab))
    [3]
    """
    flat = (traces.end[:, :2] - primaries.position[:, :2]) / np.array(volume.pitch)[::-1]
    blur = volume.diffusion.far / min(volume.pitch)
    long = np.hypot(*flat.T) >= _PRONG + 3 * blur
    angle = np.arctan2(flat[:, 1], flat[:, 0])
    size = np.bincount(primaries.event, minlength=n)
    prongs = np.zeros(n, dtype=int)
    starts = np.searchsorted(primaries.event, np.arange(n))
    for event in np.nonzero(size > 2)[0]:
        mine = slice(starts[event], starts[event] + size[event])
        angles = np.sort(angle[mine][long[mine]])
        if angles.size > 2:
            gaps = np.diff(np.concatenate([angles, [angles[0] + 2 * np.pi]]))
            prongs[event] = np.count_nonzero(gaps > _PRONG_ANGLE)
    return prongs
