"""Cut-outs of events, gathered by category in one picture with a scale and their energies."""

from dataclasses import dataclass, field

import numpy as np
from astropy import units as u

from ..taxonomy import Category
from ._axes import axes_for, categories_of, column_of, data_of, labels_of, say_empty
from .images import image_norm
from .palette import CATEGORY_COLORS

__all__ = ["Gallery", "Stamp", "cut_stamps", "plot_gallery"]

_ORDER = [str(category) for category in Category]


@dataclass
class Stamp:
    """A cut-out round one event.

    Parameters
    ----------
    data : 2-D ndarray
        Pixel values in the image's unit; NaN outside the image.
    inside : 2-D ndarray of bool
        Pixels that belong to the event.
    category : str
        What the event is.
    label : int
        Its label in the image.
    energy : `~astropy.units.Quantity` or None
        Deposited energy where it is known, else the charge where that is known.
    origin : tuple of int
        Row and column of the image at the lower left pixel of the cut-out.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.view import Stamp
    >>> stamp = Stamp(np.eye(9) * 100, np.eye(9, dtype=bool), "track", 1)
    >>> stamp.category, int(stamp.inside.sum())
    ('track', 9)
    """

    data: np.ndarray
    inside: np.ndarray
    category: str
    label: int
    energy: object = None
    origin: tuple = (0, 0)


@dataclass
class Gallery:
    """What `plot_gallery` drew.

    Parameters
    ----------
    images : list of `~matplotlib.image.AxesImage`
        One per cut-out.
    texts : list of `~matplotlib.text.Text`
        Names of the categories, energies and the length of the scale bar.
    scale : `~matplotlib.lines.Line2D` or None
        The scale bar.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.view import Stamp, plot_gallery
    >>> stamp = Stamp(np.eye(9) * 100, np.eye(9, dtype=bool), "track", 1)
    >>> gallery = plot_gallery([stamp])
    >>> len(gallery.images)
    1
    """

    images: list = field(default_factory=list)
    texts: list = field(default_factory=list)
    scale: object = None


def cut_stamps(ccd, events=None, *, size=None, categories=None, per_category=8, sort_by="charge"):
    """Cut the most telling events of each category out of an image.

    Parameters
    ----------
    ccd : `~crismis.CosmicRayCCDData`
        The image, shown as it was before repair. Its own events are used unless others are given.
    events : `~astropy.table.Table`, optional
        One row per event with columns ``label``, ``x_centroid`` and ``y_centroid`` (pixels).
    size : int, optional
        Side of the cut-outs in pixels; default so large that nine of ten events fit in,
        from 16 to 64.
    categories : iterable of str, optional
        Only these.
    per_category : int
        At most so many events of each category.
    sort_by : str
        The column whose largest values come first; events keep their order where the table has
        no such column.

    Returns
    -------
    stamps : list of `Stamp`
        In the order of `~crismis.taxonomy.Category`.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.table import Table
    >>> from crismis.view import cut_stamps
    >>> events = Table({"label": [1], "x_centroid": [3.0], "y_centroid": [20.0],
    ...                 "category": ["spot"]})
    >>> stamp, = cut_stamps(np.ones((40, 40)), events, size=16)
    >>> stamp.category, stamp.data.shape, stamp.origin
    ('spot', (16, 16), (12, -5))
    """
    events = getattr(ccd, "events", None) if events is None else events
    if events is None or not len(events):
        return []
    names = categories_of(events)
    wanted = _ORDER if categories is None else [str(name) for name in categories]
    brightness = (
        column_of(events, sort_by)[0] if sort_by in events.colnames else np.zeros(len(names))
    )
    brightest = np.argsort(-np.nan_to_num(brightness, nan=-np.inf), kind="stable")
    chosen = [row for name in wanted for row in brightest[names[brightest] == name][:per_category]]
    size = _common_size(events) if size is None else size
    data, segmentation = data_of(getattr(ccd, "original", ccd)), getattr(ccd, "segmentation", None)
    return [_cut(data, segmentation, events, row, names[row], size) for row in chosen]


def plot_gallery(
    ccd,
    ax=None,
    *,
    events=None,
    categories=None,
    per_category=8,
    size=None,
    sort_by="charge",
    pitch=None,
    cmap="gray",
):
    """Draw cut-outs of the events of each category, one row per category, all to one scale.

    Parameters
    ----------
    ccd : `~crismis.CosmicRayCCDData` or list of `Stamp`
        The image with its events, or cut-outs from any number of images.
    ax : `~matplotlib.axes.Axes`, optional
        Axes to draw on; default the current ones.
    events, categories, per_category, size, sort_by
        As for `cut_stamps`.
    pitch : float, optional
        Pixel pitch in micrometres, for the scale bar; default that of the image's detector.
    cmap : str or `~matplotlib.colors.Colormap`
        Colour map. Each cut-out has its own limits, for energies differ a thousandfold.

    Returns
    -------
    gallery : `Gallery`

    Examples
    --------
    .. plot::
       :include-source:

       >>> import numpy as np
       >>> from astropy.table import Table
       >>> from crismis.view import plot_gallery
       >>> image = np.random.default_rng(1).normal(0, 5, (64, 64))
       >>> image[20, 10:30] += 300
       >>> image[50:53, 40:43] += 900
       >>> events = Table({"label": [1, 2], "category": ["track", "spot"],
       ...                 "x_centroid": [20.0, 41.0], "y_centroid": [20.0, 51.0]})
       >>> _ = plot_gallery(image, events=events)
    """
    ax = axes_for(ax)
    if isinstance(ccd, list):
        stamps = ccd
    else:
        stamps = cut_stamps(
            ccd,
            events,
            size=size,
            categories=categories,
            per_category=per_category,
            sort_by=sort_by,
        )
        pitch = _pitch_of(ccd) if pitch is None else pitch
    ax.set_axis_off()
    if not stamps:
        return Gallery(texts=[say_empty(ax, "no events")])
    rows = {}
    for stamp in stamps:
        rows.setdefault(stamp.category, []).append(stamp)
    side = max(max(stamp.data.shape) for stamp in stamps)
    width, height = side * 1.08, side * 1.32
    gallery = Gallery()
    for row, (name, members) in enumerate(rows.items()):
        below = -row * height
        gallery.texts.append(
            ax.text(-0.12 * side, below + side / 2, name.replace("_", " "), ha="right", va="center")
        )
        for column, stamp in enumerate(members):
            gallery.images.append(_draw(ax, stamp, column * width, below, cmap))
            gallery.texts.append(
                ax.text(
                    column * width + side / 2,
                    below - 0.2 * side,
                    energy_text(stamp.energy),
                    ha="center",
                    va="baseline",
                    fontsize="x-small",
                )
            )
    columns = max(len(members) for members in rows.values())
    foot = -(len(rows) - 1) * height - 0.4 * side
    gallery.scale, text = _draw_scale(ax, side, foot, pitch)
    gallery.texts.append(text)
    ax.set(xlim=(-0.1 * side, columns * width), ylim=(foot - 0.3 * side, 1.05 * side))
    ax.set_aspect("equal")
    return gallery


def energy_text(quantity):
    """Write an energy or charge with three digits and a handy unit, ``""`` for an unknown one."""
    if quantity is None or not np.isfinite(getattr(quantity, "value", quantity)):
        return ""
    quantity = u.Quantity(quantity)
    if quantity.unit.is_equivalent(u.eV):
        for unit in (u.GeV, u.MeV, u.keV, u.eV):
            if abs(quantity.to_value(unit)) >= 1:
                break
        quantity = quantity.to(unit)
    return f"{_three_digits(quantity.value)} {quantity.unit.to_string('unicode')}".strip()


def _three_digits(value):
    if abs(value) >= 1e5:
        return f"{value:.2e}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _common_size(events):
    names = ("bbox_xmin", "bbox_xmax", "bbox_ymin", "bbox_ymax")
    if not all(name in events.colnames for name in names):
        return 24
    x0, x1, y0, y1 = (column_of(events, name)[0] for name in names)
    longest = np.nanpercentile(np.maximum(x1 - x0, y1 - y0) + 1, 90)
    return int(np.clip(np.ceil(longest) + 6, 16, 64))


def _cut(data, segmentation, events, row, name, size):
    x, y = (column_of(events, axis)[0][row] for axis in ("x_centroid", "y_centroid"))
    origin = tuple(int(np.floor(center + 0.5)) - size // 2 for center in (y, x))
    image = _window(data, origin, size, np.nan).astype(np.float32)
    label = int(events["label"][row]) if "label" in events.colnames else row + 1
    if segmentation is None:
        inside = np.zeros(image.shape, bool)
    else:
        inside = _window(labels_of(segmentation), origin, size, 0) == label
    return Stamp(image, inside, str(name), label, _energy(events, row), origin)


def _window(data, origin, size, fill):
    dtype = data.dtype if fill == 0 else np.result_type(data.dtype, np.float32)
    window = np.full((size, size), fill, dtype=dtype)
    (top, left), (rows, columns) = origin, data.shape
    y0, y1 = max(top, 0), min(top + size, rows)
    x0, x1 = max(left, 0), min(left + size, columns)
    if y0 < y1 and x0 < x1:
        window[y0 - top : y1 - top, x0 - left : x1 - left] = data[y0:y1, x0:x1]
    return window


def _energy(events, row):
    for name in ("energy", "charge"):
        if name in events.colnames:
            values, unit = column_of(events, name)
            if np.isfinite(values[row]):
                return u.Quantity(values[row], unit)
    return None


def _pitch_of(ccd):
    from ..detectors import get_detector

    if not hasattr(ccd, "meta"):
        return None
    detector = get_detector(ccd)
    return detector.pitch * detector.binning[1] if detector is not None else None


def _draw(ax, stamp, left, below, cmap):
    from matplotlib.patches import Rectangle

    rows, columns = stamp.data.shape
    color = CATEGORY_COLORS.get(stamp.category, CATEGORY_COLORS[Category.UNKNOWN])
    frame = (left, left + columns, below, below + rows)
    ax.add_artist(
        Rectangle((left, below), columns, rows, facecolor="none", edgecolor=color, linewidth=2.5)
    )
    # Limits from the event itself, so that a bright neighbour does not drown a faint event.
    own = stamp.data[stamp.inside]
    norm = image_norm(stamp.data)
    if own.size and np.isfinite(own).any() and np.nanmax(own) > norm.vmin:
        norm.vmax = float(np.nanmax(own))
    return ax.imshow(
        stamp.data, norm=norm, cmap=cmap, origin="lower", extent=frame, interpolation="nearest"
    )


def _draw_scale(ax, side, foot, pitch):
    length = next(n for n in (50, 20, 10, 5, 2, 1) if n <= side / 2 or n == 1)
    (line,) = ax.plot([0, length], [foot, foot], color="0.2", linewidth=2)
    text = f"{length} pixels"
    if pitch is not None and np.isfinite(pitch):
        text += f" = {length * pitch:g} µm"
    return line, ax.text(length + 0.06 * side, foot, text, va="center", fontsize="small")
