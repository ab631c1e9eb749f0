"""Images: events outlined on them, before and after repair, and the probability of a hit."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from astropy.nddata import CCDData
from astropy.visualization import (
    AsinhStretch,
    AsymmetricPercentileInterval,
    ImageNormalize,
    LinearStretch,
)

from ..taxonomy import Category
from ._axes import axes_for, categories_of, data_of, labels_of
from .palette import CATEGORY_COLORS, is_broken

__all__ = [
    "Overlay",
    "image_norm",
    "plot_before_after",
    "plot_image",
    "plot_overlay",
    "plot_probability",
    "write_overlay",
]

_SAMPLE = 1_000_000
_DPI = 100
_TALLEST = 3  # height of a picture in widths
_HIT_COLOR = "#D55E00"
_RANK = {str(category): rank for rank, category in enumerate(Category)}


@dataclass
class Overlay:
    """What `plot_overlay` drew.

    Parameters
    ----------
    image : `~matplotlib.image.AxesImage`
        The image below.
    outlines : dict of str to `~matplotlib.patches.PathPatch`
        One patch per category, round all its events.
    legend : `~matplotlib.legend.Legend` or None
        The legend, where one was wanted and there was something to explain.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.table import Table
    >>> from crismis.view import plot_overlay
    >>> labels = np.zeros((40, 60), int)
    >>> labels[10, 5:25] = 1
    >>> events = Table({"label": [1], "category": ["track"]})
    >>> overlay = plot_overlay(100.0 * labels, events=events, segmentation=labels)
    >>> list(overlay.outlines)
    ['track']
    """

    image: object
    outlines: dict = field(default_factory=dict)
    legend: object = None


def image_norm(data, *, interval=None, stretch=None):
    """Choose how pixel values become shades of grey.

    Parameters
    ----------
    data : ndarray or `~astropy.nddata.CCDData`
        The image, in any unit. NaN and infinite pixels are left out.
    interval : `~astropy.visualization.BaseInterval`, optional
        How to choose the limits; default the percentiles 1 and 99.7.
    stretch : `~astropy.visualization.BaseStretch`, optional
        Default asinh, which shows faint and bright structure at once; linear for images of
        8 bits, whose encoding is usually stretched already.

    Returns
    -------
    norm : `~astropy.visualization.ImageNormalize`

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.view import image_norm
    >>> norm = image_norm(np.arange(1001.0)[np.newaxis])
    >>> round(float(norm.vmin)), round(float(norm.vmax))
    (10, 997)
    """
    values = data_of(data)
    sample = _sample(values)
    if interval is None:
        interval = AsymmetricPercentileInterval(1, 99.7)
    if stretch is None:
        stretch = LinearStretch() if values.dtype.itemsize == 1 else AsinhStretch(0.1)
    low, high = (float(limit) for limit in interval.get_limits(sample)) if sample.size else (0, 1)
    if not low < high:
        low, high = (float(sample.min()), float(sample.max())) if sample.size else (0.0, 1.0)
    if not low < high:
        high = low + 1
    return ImageNormalize(vmin=low, vmax=high, stretch=stretch, clip=False)


def plot_image(ccd, ax=None, *, norm=None, cmap="gray", max_size=2000, **kwargs):
    """Draw an image with its first row below, rebinned where it has more pixels than a screen.

    Parameters
    ----------
    ccd : `~astropy.nddata.CCDData` or 2-D ndarray
        The image, in any unit.
    ax : `~matplotlib.axes.Axes`, optional
        Axes to draw on, `~astropy.visualization.wcsaxes.WCSAxes` included; default the
        current ones, new ones with sky coordinates where the image has any.
    norm : `~matplotlib.colors.Normalize`, optional
        Default that of `image_norm`, brighter by as much as rebinning brightens the image.
    cmap : str or `~matplotlib.colors.Colormap`
        Colour map.
    max_size : int
        Longest side, in pixels, that is drawn unbinned. Longer ones are rebinned by a whole
        factor; the brightest pixel of each block stays, so that no hit is lost. Axes keep
        counting unbinned pixels.
    **kwargs
        Passed on to `matplotlib.axes.Axes.imshow`.

    Returns
    -------
    image : `~matplotlib.image.AxesImage`

    Examples
    --------
    .. plot::
       :include-source:

       >>> import numpy as np
       >>> from crismis.view import plot_image
       >>> y, x = np.mgrid[:64, :64]
       >>> _ = plot_image(1e4 * np.exp(-((x - 40) ** 2 + (y - 20) ** 2) / 8))
    """
    data = data_of(ccd)
    ax = axes_for(ax, getattr(ccd, "wcs", None))
    factor = _factor(data.shape, max_size)
    drawn = _brightest(data, factor)
    kwargs.setdefault("interpolation", "nearest" if max(data.shape) <= 512 else "antialiased")
    return ax.imshow(
        drawn,
        norm=_norm(data, drawn) if norm is None else norm,
        cmap=cmap,
        origin="lower",
        extent=_extent(data.shape, factor),
        **kwargs,
    )


def plot_overlay(
    ccd,
    ax=None,
    *,
    events=None,
    segmentation=None,
    categories=None,
    margin=None,
    linewidth=1.0,
    legend=True,
    norm=None,
    cmap="gray",
    max_size=2000,
):
    """Draw an image with every event outlined in the colour of its category.

    Parameters
    ----------
    ccd : `~crismis.CosmicRayCCDData`, `~astropy.nddata.CCDData` or 2-D ndarray
        The image; one that was repaired is drawn as it was before. Its own events and segmentation
        are used unless others are given. An image that was searched but not categorized has its
        hits outlined as ``"hit"``.
    ax : `~matplotlib.axes.Axes`, optional
        Axes to draw on, `~astropy.visualization.wcsaxes.WCSAxes` included; default the
        current ones, new ones with sky coordinates where the image has any.
    events : `~astropy.table.Table`, optional
        One row per event with columns ``label`` and ``category``.
    segmentation : `~photutils.segmentation.SegmentationImage` or 2-D ndarray of int, optional
        Label of the event that a pixel belongs to, 0 for none.
    categories : iterable of str, optional
        Outline only these.
    margin : int, optional
        Distance of an outline from its event, in drawn pixels; default 0 for small or crowded
        images and more for large ones, so that an outline does not cover a small event.
    linewidth : float
        In points.
    legend : bool
        Whether to explain the colours beside the image, with the number of events of each.
    norm, cmap, max_size
        As for `plot_image`.

    Returns
    -------
    overlay : `Overlay`
        The image, one patch per category and the legend.

    Notes
    -----
    Colours are those of `CATEGORY_COLORS`; artefacts have a broken outline. Time and memory
    depend on ``max_size``, hardly on the size of the image.

    Examples
    --------
    .. plot::
       :include-source:

       >>> import numpy as np
       >>> from astropy.table import Table
       >>> from crismis.view import plot_overlay
       >>> labels = np.zeros((40, 60), int)
       >>> labels[10, 5:25] = 1
       >>> labels[25:28, 40:43] = 2
       >>> image = np.random.default_rng(1).normal(100, 5, labels.shape) + 300 * (labels > 0)
       >>> events = Table({"label": [1, 2], "category": ["track", "spot"]})
       >>> _ = plot_overlay(image, events=events, segmentation=labels)
    """
    data = data_of(getattr(ccd, "original", ccd))
    ax = axes_for(ax, getattr(ccd, "wcs", None))
    image = plot_image(data, ax, norm=norm, cmap=cmap, max_size=max_size)
    if events is None:
        events = getattr(ccd, "events", None)
    labels, names = _labelled(ccd, data.shape, events, segmentation)
    if labels is None:
        return Overlay(image)
    factor = _factor(data.shape, max_size)
    labels = _largest(labels, factor)
    if margin is None:
        apart = np.sqrt(labels.size / max(len(names) - 1, 1))
        margin = round(min(max(labels.shape) / 350, apart / 8))
    if margin:
        from scipy.ndimage import maximum_filter

        labels = maximum_filter(labels, size=2 * margin + 1)
    wanted = set(names) if categories is None else {str(name) for name in categories}
    counts = Counter() if events is None else Counter(categories_of(events).tolist())
    outlines = {
        name: _add_outline(image.axes, path, name, counts[name], linewidth)
        for name, path in _outline_paths(labels, names, factor)
        if name in wanted
    }
    return Overlay(image, outlines, _add_legend(image.axes, outlines) if legend else None)


def write_overlay(ccd, path, *, width=1200, title="", format=None, **kwargs):
    """Write the picture of `plot_overlay` to a file, safely from any thread.

    Parameters
    ----------
    ccd : `~crismis.CosmicRayCCDData`
        The image with its events.
    path : path-like
        The file; its ending says the format (``.png``, ``.jpg``, ``.pdf``, ...).
    width : int
        Width of the picture in pixels.
    title : str
        Written above the image.
    format : str, optional
        Such as ``"png"``, for a file whose ending does not say it.
    **kwargs
        Passed on to `plot_overlay`.

    Returns
    -------
    path : `~pathlib.Path`

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from crismis.view import write_overlay
    >>> folder = tempfile.TemporaryDirectory()
    >>> write_overlay(np.ones((32, 32)), folder.name + "/overlay.png").name
    'overlay.png'
    >>> folder.cleanup()
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / _DPI, width / _DPI), dpi=_DPI)
    FigureCanvasAgg(figure)
    ax = figure.add_axes((0, 0, 1, 1))
    ax.tick_params(labelsize=8)
    kwargs.setdefault("max_size", width)
    overlay = plot_overlay(ccd, ax, **kwargs)
    _fit(figure, ax, overlay.legend, bool(title))
    ax.set_title(title, fontsize=10, loc="left")
    figure.savefig(path, format=format)
    return Path(path)


def plot_before_after(before, after, axes=None, *, norm=None, cmap="gray", max_size=2000):
    """Draw an image before and after repair, side by side in the same greys.

    Parameters
    ----------
    before, after : `~astropy.nddata.CCDData` or 2-D ndarray
        Two images of the same shape.
    axes : pair of `~matplotlib.axes.Axes`, optional
        Default two new ones in the current figure, which zoom together.
    norm, cmap, max_size
        As for `plot_image`; the norm is chosen from ``after``.

    Returns
    -------
    images : pair of `~matplotlib.image.AxesImage`

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    .. plot::
       :include-source:

       >>> import numpy as np
       >>> from crismis.view import plot_before_after
       >>> after = np.random.default_rng(1).normal(100, 5, (40, 40))
       >>> before = after.copy()
       >>> before[20, 5:30] += 400
       >>> _ = plot_before_after(before, after)
    """
    if data_of(before).shape != data_of(after).shape:
        raise ValueError(
            f"before has shape {data_of(before).shape}, but after has shape {data_of(after).shape}"
        )
    if axes is None:
        import matplotlib.pyplot as plt

        axes = plt.gcf().subplots(1, 2, sharex=True, sharey=True)
    left, right = axes
    last = plot_image(after, right, norm=norm, cmap=cmap, max_size=max_size)
    first = plot_image(before, left, norm=last.norm, cmap=cmap, max_size=max_size)
    left.set_title("before")
    right.set_title("after")
    return first, last


def plot_probability(ccd, ax=None, *, threshold=None, cmap="cividis", max_size=2000, colorbar=True):
    """Draw the probability that each pixel was hit.

    Parameters
    ----------
    ccd : `~crismis.CosmicRayCCDData` or 2-D ndarray
        An image with ``probability``, or the probabilities themselves (0 to 1).
    ax : `~matplotlib.axes.Axes`, optional
        Axes to draw on; default the current ones.
    threshold : float, optional
        Outline the pixels at or above this probability.
    cmap, max_size
        As for `plot_image`.
    colorbar : bool
        Whether to add a scale beside the map.

    Returns
    -------
    image : `~matplotlib.image.AxesImage`

    Raises
    ------
    ValueError
        If the image has no probability.

    Examples
    --------
    .. plot::
       :include-source:

       >>> import numpy as np
       >>> from crismis.view import plot_probability
       >>> y, x = np.mgrid[:32, :32]
       >>> _ = plot_probability(np.exp(-((x - 9) ** 2 + (y - 20) ** 2) / 9), threshold=0.5)
    """
    from matplotlib.colors import Normalize

    probability = getattr(ccd, "probability", None)
    if probability is None:
        if isinstance(ccd, CCDData):
            raise ValueError("the image has no probability: run cosmicray_learned first")
        probability = np.asarray(ccd)
    ax = axes_for(ax, getattr(ccd, "wcs", None))
    image = plot_image(probability, ax, norm=Normalize(0, 1), cmap=cmap, max_size=max_size)
    if threshold is not None:
        hits = (probability >= threshold).astype(np.int32)
        factor = _factor(hits.shape, max_size)
        for name, path in _outline_paths(_largest(hits, factor), ["", "hit"], factor):
            _add_outline(ax, path, name, 0, 1.0)
    if colorbar:
        ax.figure.colorbar(image, ax=ax, label="probability of a hit")
    return image


def _labelled(ccd, shape, events, segmentation):
    """Label image, and the category of each label (index 0 is no event)."""
    if segmentation is None:
        segmentation = getattr(ccd, "segmentation", None)
    if segmentation is None:
        if not isinstance(ccd, CCDData) or ccd.flags is None:
            return None, None
        return ccd.hits.astype(np.int32), ["", "hit"]
    labels = labels_of(segmentation)
    if labels.shape != shape:
        raise ValueError(f"segmentation has shape {labels.shape}, but the image has shape {shape}")
    names = np.full(int(labels.max(initial=0)) + 1, str(Category.UNKNOWN), dtype="U32")
    if events is not None and len(events):
        rows = np.asarray(events["label"], dtype=int)
        known = (rows > 0) & (rows < len(names))
        names[rows[known]] = categories_of(events)[known]
    return labels, names


def _norm(data, drawn):
    """Limits of the image, moved with its median where only the brightest pixels are drawn."""
    norm = image_norm(data)
    if drawn is not data:
        shift = _median(drawn) - _median(data)
        norm.vmin, norm.vmax = norm.vmin + shift, norm.vmax + shift
    return norm


def _median(data):
    sample = _sample(data)
    return float(np.median(sample)) if sample.size else 0.0


def _sample(data):
    """Every so many finite pixels, enough to choose limits from."""
    step = max(1, int(np.ceil(np.sqrt(data.size / _SAMPLE))))
    sample = data[::step, ::step]
    return sample[np.isfinite(sample)]


def _factor(shape, max_size):
    return max(1, -(-max(shape) // max_size))


def _extent(shape, factor):
    rows, columns = (-(-n // factor) * factor for n in shape)
    return -0.5, columns - 0.5, -0.5, rows - 0.5


def _brightest(data, factor):
    if factor == 1:
        return data
    return _reduce(data, factor, np.fmax if data.dtype.kind == "f" else np.maximum)


def _largest(labels, factor):
    return labels if factor == 1 else _reduce(labels, factor, np.maximum)


def _reduce(data, factor, function):
    reduced = np.array(data[::factor, ::factor])
    for row in range(factor):
        for column in range(factor):
            part = data[row::factor, column::factor]
            target = reduced[: part.shape[0], : part.shape[1]]
            function(target, part, out=target)
    return reduced


def _outline_paths(labels, names, factor):
    """Yield each category and the path round its events, in unbinned pixels."""
    from matplotlib.path import Path as Outline

    names, index = np.unique(np.asarray(names), return_inverse=True)
    order = sorted(range(len(names)), key=lambda number: _RANK.get(names[number], len(_RANK)))
    padded = np.pad(labels, 1)
    starts, ends, inside, outside = [], [], [], []
    for axis in (0, 1):
        before, after = (padded[:-1], padded[1:]) if axis == 0 else (padded[:, :-1], padded[:, 1:])
        row, column = np.nonzero(before != after)
        # Corner of the padded pixel, shifted to the edge between the two pixels.
        y, x = row - (0 if axis == 0 else 1), column - (0 if axis == 1 else 1)
        start = np.column_stack((x, y)) * factor - 0.5
        starts.append(start)
        ends.append(start + ((factor, 0) if axis == 0 else (0, factor)))
        inside.append(before[row, column])
        outside.append(after[row, column])
    starts, ends = np.concatenate(starts), np.concatenate(ends)
    inside, outside = np.concatenate(inside), np.concatenate(outside)
    even = (np.round((starts.sum(axis=1) + 1) / factor) % 2).astype(bool)
    for number in order:
        name = names[number]
        mine = ((inside > 0) & (index[inside] == number)) | (
            (outside > 0) & (index[outside] == number)
        )
        if not mine.any():
            continue
        if is_broken(name):
            mine &= even
        vertices = np.stack((starts[mine], ends[mine]), axis=1).reshape(-1, 2)
        codes = np.tile([Outline.MOVETO, Outline.LINETO], len(vertices) // 2)
        yield str(name), Outline(vertices, codes)


def _add_outline(ax, path, name, count, linewidth):
    from matplotlib.patches import PathPatch
    from matplotlib.patheffects import withStroke

    label = name.replace("_", " ") + (f" ({count})" if count else "")
    patch = PathPatch(
        path,
        facecolor="none",
        edgecolor=CATEGORY_COLORS.get(name, _HIT_COLOR),
        linewidth=linewidth,
        capstyle="projecting",
        label=label,
        path_effects=[withStroke(linewidth=linewidth + 0.8, foreground="black")],
    )
    # add_artist spares add_patch's search for the limits of a path of many thousand vertices.
    ax.add_artist(patch)
    return patch


def _fit(figure, ax, legend, titled):
    """Size the figure to its width, so that the image, its ticks and its legend just fit."""
    pad, width = 8, figure.bbox.width
    ticks = ax.get_tightbbox(bbox_extra_artists=[])
    beside = ticks if legend is None else legend.get_window_extent()
    left, below = ax.bbox.min - ticks.min + pad
    right = max(ticks.x1, beside.x1) - ax.bbox.x1 + pad
    above = 3 * pad if titled else pad
    room = max(width - left - right, 1)
    columns, rows = (abs(high - low) for low, high in (ax.get_xlim(), ax.get_ylim()))
    scale = min(room / columns, _TALLEST * width / rows)
    columns, rows = scale * columns, scale * rows
    total = above + max(rows + below, beside.height + pad)
    figure.set_size_inches(width / _DPI, total / _DPI)
    start, base = left + (room - columns) / 2, total - above - rows
    ax.set_position((start / width, base / total, columns / width, rows / total))


def _add_legend(ax, outlines):
    if not outlines:
        return None
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            [],
            [],
            color=patch.get_edgecolor(),
            linestyle=":" if is_broken(name) else "-",
            linewidth=2.5,
            label=patch.get_label(),
            path_effects=patch.get_path_effects(),
        )
        for name, patch in outlines.items()
    ]
    return ax.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0, frameon=False
    )
