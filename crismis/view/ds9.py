"""DS9 region files: one region per event, its category as colour and tag."""

from pathlib import Path

import numpy as np

from ._axes import categories_of, column_of
from .palette import CATEGORY_COLORS

__all__ = ["events_to_regions", "write_catalog_regions", "write_regions"]
__doctest_requires__ = {"*": ["regions"]}


def events_to_regions(events, *, wcs=None):
    """Turn events into regions of astropy-regions.

    An event becomes an ellipse along its long axis where ``length``, ``width`` and
    ``orientation`` are known, else the box round its pixels, else a circle of three pixels.

    Parameters
    ----------
    events : `~crismis.CosmicRayCCDData` or `~astropy.table.Table`
        An image with events, or the table: columns ``x_centroid`` and ``y_centroid`` (pixels,
        the first at 0), and those named above.
    wcs : `~astropy.wcs.WCS`, optional
        Give regions in sky coordinates; default pixel regions, which DS9 shows in place on the
        image itself.

    Returns
    -------
    regions : `~regions.Regions`
        ``meta["tag"]`` and ``visual["color"]`` say the category, ``meta["text"]`` the label.

    Raises
    ------
    ImportError
        If astropy-regions is not installed.

    Examples
    --------
    >>> from astropy.table import Table
    >>> from crismis.view import events_to_regions
    >>> events = Table({"label": [7], "x_centroid": [30.0], "y_centroid": [12.0],
    ...                 "category": ["worm"]})
    >>> region, = events_to_regions(events)
    >>> region.meta["tag"], region.visual["color"]
    (['worm'], '#E69F00')
    """
    regions = _package()
    events = getattr(events, "events", events)
    if events is None or not len(events):
        return regions.Regions([])
    names = categories_of(events)
    values = {
        name: column_of(events, name, unit)[0]
        for name, unit in _COLUMNS.items()
        if name in events.colnames
    }
    labels = events["label"] if "label" in events.colnames else np.arange(1, len(events) + 1)
    shapes = []
    for row, name in enumerate(names):
        own = {column: value[row] for column, value in values.items()}
        if not np.isfinite([own["x_centroid"], own["y_centroid"]]).all():
            continue
        shape = _shape(regions, own)
        shape.meta["tag"] = [str(name)]
        shape.meta["text"] = str(int(labels[row]))
        shape.visual["color"] = CATEGORY_COLORS.get(str(name), "#D55E00")
        shapes.append(shape if wcs is None else shape.to_sky(wcs))
    return regions.Regions(shapes)


def write_regions(events, path, *, wcs=None, overwrite=True):
    """Write events as a region file that DS9 opens over the image.

    Parameters
    ----------
    events, wcs
        As for `events_to_regions`.
    path : path-like
        The file, by convention ``*.reg``.
    overwrite : bool
        Whether to replace an existing file.

    Returns
    -------
    path : `~pathlib.Path`

    Raises
    ------
    OSError
        If the file exists and ``overwrite`` is false.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from astropy.table import Table
    >>> from crismis.view import write_regions
    >>> events = Table({"label": [7], "x_centroid": [30.0], "y_centroid": [12.0],
    ...                 "category": ["worm"]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     text = write_regions(events, Path(folder) / "image.reg").read_text()
    >>> print(text)  # doctest: +ELLIPSIS
    # Region file format: DS9 astropy/regions
    global ...color=#E69F00...
    image
    circle(31.0000,13.0000,3.0000) # tag={worm}
    <BLANKLINE>
    """
    path = Path(path)
    shapes = events_to_regions(events, wcs=wcs)
    if len(shapes):
        shapes.write(path, format="ds9", precision=4, overwrite=overwrite)
    elif path.exists() and not overwrite:
        raise OSError(f"{path} exists; pass overwrite=True to replace it")
    else:
        path.write_text("# Region file format: DS9 astropy/regions\n", encoding="ascii")
    return path


def write_catalog_regions(catalog):
    """Write one region file for each exposure of a catalog that has events.

    Parameters
    ----------
    catalog : `~crismis.Catalog` or path-like
        The catalog, or the output folder of `crismis.run`.

    Returns
    -------
    paths : list of `~pathlib.Path`
        ``OUT/regions/NAME.reg``, named as the other products of the exposure are.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import crismis
    >>> from crismis.view import write_catalog_regions
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> ccd = crismis.simulate_exposure("HST/WFPC2/PC", 600, shape=(64, 64), seed=1)
    >>> ccd.write(folder / "a.fits")
    >>> _ = crismis.run([folder / "a.fits"], folder / "out")
    >>> [path.name for path in write_catalog_regions(folder / "out")]
    ['a_crismis.reg']
    """
    from ..survey import Catalog

    if not isinstance(catalog, Catalog):
        catalog = Catalog(catalog)
    folder = catalog.path.parent / "regions"
    paths = []
    for exposure in catalog.exposures:
        if np.ma.is_masked(exposure["n_events"]) or not exposure["n_events"]:
            continue
        identity = exposure["exposure_id"]
        events = catalog.select("events", where={"exposure_id": identity})
        products = [exposure[name] for name in ("cleaned", "overlay")]
        named = [Path(str(name)).stem for name in products if not np.ma.is_masked(name) and name]
        folder.mkdir(exist_ok=True)
        paths.append(write_regions(events, folder / f"{(named or [f'{identity:016x}'])[0]}.reg"))
    return paths


_COLUMNS = {
    "x_centroid": "pix",
    "y_centroid": "pix",
    "length": "pix",
    "width": "pix",
    "orientation": "deg",
    "bbox_xmin": "pix",
    "bbox_xmax": "pix",
    "bbox_ymin": "pix",
    "bbox_ymax": "pix",
}


def _package():
    try:
        import regions
    except ImportError:
        raise ImportError(
            'regions are made by astropy-regions; install it with pip install "crismis[report]"'
        ) from None
    return regions


def _shape(regions, own):
    from astropy import units as u

    center = regions.PixCoord(own["x_centroid"], own["y_centroid"])
    axes = [own.get(name, np.nan) for name in ("length", "width", "orientation")]
    if np.isfinite(axes).all():
        length, width, angle = axes
        # Two pixels more than the event, so that the outline does not cover it.
        return regions.EllipsePixelRegion(center, length + 2, width + 2, angle * u.deg)
    box = [own.get(f"bbox_{name}", np.nan) for name in ("xmin", "xmax", "ymin", "ymax")]
    if np.isfinite(box).all():
        x0, x1, y0, y1 = box
        middle = regions.PixCoord((x0 + x1) / 2, (y0 + y1) / 2)
        return regions.RectanglePixelRegion(middle, x1 - x0 + 3, y1 - y0 + 3)
    return regions.CirclePixelRegion(center, 3)
