"""Events: draw particles, fly them, and write down the truth of each."""

from dataclasses import replace

import numpy as np
from astropy import units as u
from astropy.table import QTable

from .categories import count_prongs, extreme_of_events, measure_shapes, true_categories
from .particles import mixture
from .transport import Primaries, deposit

__all__ = ["draw_events"]

_FIELDS = ("position", "direction", "energy", "mass", "charge")


def draw_events(particles, n, volume, rng, *, visible=30.0, target=None):
    """Simulate events in bare silicon.

    Parameters
    ----------
    particles : str, kind, mapping or sequence
        See `mixture`.
    n : int
        Number of events.
    volume : Volume
        The silicon.
    rng : `~numpy.random.Generator`
        Source of all randomness.
    visible : float
        Electrons above which a pixel counts as visible for the true category.
    target : tuple of int, optional
        Pixels (rows, columns) in the middle that all events enter; by default the whole face.

    Returns
    -------
    Footprints
        Electrons per pixel of each event.
    `~astropy.table.QTable`
        The truth, one row per event: ``label`` (from 1), ``kind``, ``category``, ``energy``
        (kinetic, of the first particle), ``x_entry``, ``y_entry`` (pixels) and ``z_entry``
        (depth) where it entered or was born, ``inclination`` (from the normal) and
        ``azimuth`` (from the columns' axis) of its direction, ``path_length``, ``deposited``,
        ``delta_reach``, ``prongs`` and, of these, ``visible_prongs`` (``count_prongs``),
        ``charge``, ``n_pixels``, ``n_visible``, ``x_centroid``, ``y_centroid``,
        ``bbox_xmin`` ..., ``length`` and ``width`` of the visible pixels (the pixel of entry
        where none is visible).

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.simulate import Diffusion, Volume, draw_events
    >>> slab = Volume((200, 200), (15.0, 15.0), 14.0, Diffusion(4.0, 14.0))
    >>> prints, truth = draw_events("proton-minimum", 50, slab, np.random.default_rng(1))
    >>> len(prints), len(truth), truth["path_length"].unit
    (50, 50, Unit("um"))
    """
    kinds = mixture(particles)
    shares = np.array([share for _, share in kinds.values()])
    chosen = rng.choice(shares.size, n, p=shares)
    aim = volume if target is None else replace(volume, shape=tuple(target))
    rows, columns = np.subtract(volume.shape, aim.shape) // 2 * volume.pitch
    parts = []
    for i, (kind, _) in enumerate(kinds.values()):
        events = np.nonzero(chosen == i)[0]
        if events.size:
            drawn = kind.draw(events.size, aim, rng)
            drawn.position[:, :2] += columns, rows
            parts.append((events[drawn.event], drawn))
    primaries = _gather(parts)
    seeds = rng.integers(0, 2**63, n, dtype=np.uint64)
    prints, traces = deposit(primaries, volume, seeds)
    names = np.array(list(kinds))[chosen]
    return prints, _truth(prints, primaries, traces, volume, names, visible)


def _gather(parts):
    if not parts:
        empty = np.empty(0)
        return Primaries(np.empty(0, int), np.empty((0, 3)), np.empty((0, 3)), empty, empty, empty)
    event = np.concatenate([events for events, _ in parts])
    order = np.argsort(event, kind="stable")
    columns = [np.concatenate([getattr(p, name) for _, p in parts])[order] for name in _FIELDS]
    return Primaries(event[order], *columns)


def _truth(prints, primaries, traces, volume, names, visible):
    n = len(prints)
    seen = prints.above(visible)
    shapes = measure_shapes(seen)
    first = np.searchsorted(primaries.event, np.arange(n))
    position, direction = primaries.position[first], primaries.direction[first]
    rows, columns = volume.pitch
    pixel = u.pix
    x, y = position[:, 0] / columns - 0.5, position[:, 1] / rows - 0.5
    blank = shapes.n_pixels == 0
    return QTable(
        {
            "label": np.arange(1, n + 1),
            "kind": names.astype(str),
            "category": true_categories(seen, primaries, traces, volume),
            "energy": primaries.energy[first] * u.MeV,
            "x_entry": x * pixel,
            "y_entry": y * pixel,
            "z_entry": position[:, 2] * u.um,
            "inclination": np.rad2deg(np.arccos(np.abs(direction[:, 2]))) * u.deg,
            "azimuth": np.rad2deg(np.arctan2(direction[:, 1], direction[:, 0])) * u.deg,
            "path_length": np.bincount(primaries.event, traces.path, n) * u.um,
            "deposited": np.bincount(primaries.event, traces.deposited, n) / 1e3 * u.keV,
            "delta_reach": traces.delta_reach[first] * u.um,
            "prongs": np.bincount(primaries.event, minlength=n),
            "visible_prongs": count_prongs(primaries, traces, n, volume),
            "charge": prints.total * u.electron,
            "n_pixels": prints.n_pixels,
            "n_visible": shapes.n_pixels,
            "x_centroid": np.where(blank, x, shapes.x) * pixel,
            "y_centroid": np.where(blank, y, shapes.y) * pixel,
            **_boxes(seen, np.rint(x), np.rint(y)),
            "length": shapes.length * pixel,
            "width": shapes.width * pixel,
        }
    )


def _boxes(seen, x, y):
    """Bounding boxes of the visible pixels, or the given pixels where there are none."""
    blank = seen.n_pixels == 0
    return {
        f"bbox_{axis}{end}": np.where(
            blank, instead, extreme_of_events(values, seen.offsets, ufunc)
        ).astype(int)
        for axis, values, instead in (("x", seen.columns, x), ("y", seen.rows, y))
        for end, ufunc in (("min", np.minimum), ("max", np.maximum))
    }
