"""Small helpers that the plotting functions share: axes, tables, messages."""

import numpy as np
from astropy import units as u
from astropy.nddata import NDData

__all__ = [
    "axes_for",
    "categories_of",
    "column_of",
    "data_of",
    "labels_of",
    "say_empty",
    "unit_label",
]


_SKY = {"pos.eq.ra": "right ascension", "pos.eq.dec": "declination"}


def axes_for(ax, wcs=None):
    """Return ``ax``, or the current axes, new ones with sky coordinates where there are any."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    figure = plt.gcf()
    if figure.axes:
        return plt.gca()
    if wcs is None or not wcs.has_celestial or wcs.naxis != 2:
        return figure.add_subplot()
    ax = figure.add_subplot(projection=wcs)
    for coordinate, kind in zip(ax.coords, wcs.world_axis_physical_types, strict=True):
        coordinate.set_axislabel(_SKY.get(kind, kind))
    return ax


def data_of(ccd):
    """Pixel values of a CCDData or of any 2-D array, without a copy."""
    data = np.asarray(ccd.data if isinstance(ccd, NDData) else ccd)
    if data.ndim != 2 or 0 in data.shape:
        raise ValueError(f"an image has two axes of at least one pixel, got shape {data.shape}")
    return data


def labels_of(segmentation):
    """Label image of a `~photutils.segmentation.SegmentationImage` or of an array."""
    is_array = isinstance(segmentation, np.ndarray)
    return segmentation if is_array else np.asarray(segmentation.data)


def say_empty(ax, message):
    """Write a message into axes that have nothing else to show and return the text."""
    return ax.text(
        0.5, 0.5, message, transform=ax.transAxes, ha="center", va="center", color="0.35"
    )


def categories_of(table, n_rows=None):
    """Category of each row as an array of text; ``"unknown"`` where the table has none."""
    if table is not None and "category" in table.colnames:
        column = np.ma.asarray(table["category"]).filled("unknown")
        names = np.array([str(value) for value in column], dtype="U32")
        names[names == ""] = "unknown"
        return names
    rows = len(table) if n_rows is None else n_rows
    return np.full(rows, "unknown", dtype="U32")


def column_of(table, name, unit=None):
    """Values of a column as float64, and their unit (`None` where it has none)."""
    if name not in table.colnames:
        raise KeyError(
            f"the table has no column {name!r}; its columns are {', '.join(table.colnames)}"
        )
    column = table[name]
    native = getattr(column, "unit", None)
    values = getattr(column, "value", column)
    values = np.ma.asarray(values).astype(float).filled(np.nan)
    if unit is None or native is None:
        return values, native
    return u.Quantity(values, native).to_value(unit), u.Unit(unit)


def unit_label(name, unit):
    """Axis label such as ``"energy (keV)"``."""
    text = name.replace("_", " ")
    if unit is None or unit == u.dimensionless_unscaled:
        return text
    return f"{text} ({u.Unit(unit).to_string('unicode')})"
