"""One self-contained HTML file that tells what a catalog holds; it needs no network."""

import base64
import io
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.table import vstack
from astropy.time import Time

from .. import __version__
from ..physics import rates
from ..survey import Catalog
from ..taxonomy import PARTICLES, Category
from ._axes import categories_of, column_of
from .gallery import cut_stamps, energy_text
from .images import image_norm
from .palette import CATEGORY_COLORS
from .spectra import plot_rates, plot_spectrum

__all__ = ["unusual_events", "write_report"]
__doctest_requires__ = {"write_report": ["jinja2"]}

_MOST_EVENTS = 1_000_000
_MOST_ROWS = 5000
_MOST_BINS = 300
_STAMP_IMAGES = 24
_EVENT_COLUMNS = [
    "exposure_id", "label", "x_centroid", "y_centroid", "bbox_xmin", "bbox_xmax", "bbox_ymin",
    "bbox_ymax", "n_pixels", "charge", "energy", "length", "width", "anisotropy", "size_sigma",
    "category", "category_probability", "flags",
]  # fmt: skip
_UNUSUAL = ("charge", "length", "width", "n_pixels")
_SPECTRA = {
    "energy": "Deposited energy",
    "charge": "Charge",
    "length": "Length",
    "size_sigma": "Size",
    "anisotropy": "Shape: 0 round, 1 a line",
}


def write_report(
    catalog,
    path,
    *,
    title="Cosmic-ray hits",
    per_category=8,
    n_unusual=12,
    n_overlays=12,
):
    """Write what a catalog holds as one HTML file.

    The file has a summary, a table of exposures that sorts and filters, cut-outs of each
    category, spectra and rates, the most unusual events, pictures of the busiest exposures and
    the provenance. It loads nothing, works from a mail attachment, and is readable without
    JavaScript.

    Parameters
    ----------
    catalog : `~crismis.Catalog` or path-like
        The catalog, or the output folder of `crismis.run`.
    path : path-like
        The file to write.
    title : str
        Heading of the report.
    per_category : int
        Cut-outs of each category.
    n_unusual : int
        How many of the most unusual events to show.
    n_overlays : int
        How many exposures to show as pictures, those with most events first.

    Returns
    -------
    path : `~pathlib.Path`

    Raises
    ------
    ImportError
        If Jinja2 is not installed.
    CatalogError
        If there is no catalog.

    Notes
    -----
    Cut-outs come from the cleaned images of the run, else from the input files; where neither
    can be read, the report says so and shows numbers only. From catalogs of more than a million
    events every n-th one is taken for spectra and the search for unusual ones, which the report
    says too.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import crismis
    >>> from crismis.view import write_report
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> ccd = crismis.simulate_exposure("HST/WFPC2/PC", 600, shape=(64, 64), seed=1)
    >>> ccd.write(folder / "a.fits")
    >>> _ = crismis.run([folder / "a.fits"], folder / "out")
    >>> path = write_report(folder / "out", folder / "report.html")
    >>> path.stat().st_size > 10_000
    True
    """
    template = _template()
    if not isinstance(catalog, Catalog):
        catalog = Catalog(catalog)
    exposures = catalog.exposures
    events, step = _sample(catalog, exposures)
    unusual, reasons = unusual_events(events, n_unusual)
    chosen = _gallery_rows(events, per_category)
    shown = np.unique(np.concatenate((chosen, unusual)))
    stamps, missing = _stamps(catalog, exposures, events, shown)
    page = template.render(
        title=str(title),
        version=__version__,
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        folder=str(catalog.path.parent),
        summary=_summary(exposures),
        counts=_counts(exposures),
        rows=_exposure_rows(exposures[:_MOST_ROWS]),
        n_exposures=len(exposures),
        most_rows=_MOST_ROWS,
        instruments=sorted({_text(name) for name in exposures["instrument"]} - {""}),
        gallery=_gallery_cards(events, chosen, stamps, exposures),
        unusual=_unusual_cards(events, unusual, reasons, stamps, exposures),
        missing=missing,
        step=step,
        figures=_figures(events, exposures),
        overlays=_overlays(catalog, exposures, n_overlays),
        provenance=_provenance(exposures),
        colors={str(name): color for name, color in CATEGORY_COLORS.items()},
    )
    path = Path(path)
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(page, encoding="utf-8", errors="backslashreplace")
    partial.replace(path)
    return path


def unusual_events(events, number=12):
    """Find the events that differ most from the others.

    The logarithm of each of charge, length, width and number of pixels is compared with its
    median, in units of its scatter (1.4826 times the median absolute deviation); the largest
    deviation towards more counts. A rare category adds the square root of twice the natural
    logarithm of how rare it is, which is about the deviation of an equally rare value of a
    normal distribution.

    Parameters
    ----------
    events : `~astropy.table.Table`
        One row per event. Artefacts and unknown events do not count.
    number : int
        At most so many.

    Returns
    -------
    rows : ndarray of int
        Rows of the table, the most unusual first.
    reasons : list of str
        What is unusual about each.

    Examples
    --------
    >>> from astropy.table import Table
    >>> from crismis.view import unusual_events
    >>> events = Table({"length": [3.0, 4, 3, 5, 4, 90], "category": ["track"] * 6})
    >>> unusual_events(events, 1)
    (array([5]), ['length, 8.2 times the scatter above the median'])
    """
    names = categories_of(events)
    particles = np.isin(names, [str(name) for name in PARTICLES])
    score, reason = np.full(len(events), -np.inf), np.zeros(len(events), int)
    columns = [name for name in _UNUSUAL if name in events.colnames]
    for place, column in enumerate(columns):
        values = column_of(events, column)[0]
        usable = particles & np.isfinite(values) & (values > 0)
        if not usable.any():
            continue
        logarithm = np.log(values[usable])
        middle = np.median(logarithm)
        scatter = max(1.4826 * np.median(np.abs(logarithm - middle)), 0.1)
        deviation = np.full(len(events), -np.inf)
        deviation[usable] = (logarithm - middle) / scatter
        reason = np.where(deviation > score, place, reason)
        score = np.maximum(score, deviation)
    rarity = np.zeros(len(events))
    for name in set(names[particles].tolist()):
        share = np.count_nonzero(names == name) / np.count_nonzero(particles)
        rarity[names == name] = np.sqrt(-2 * np.log(share))
    total = np.where(np.isfinite(score), score + rarity, -np.inf)
    rows = np.argsort(-total, kind="stable")[:number]
    rows = rows[np.isfinite(total[rows])]
    reasons = [
        f"{columns[reason[row]].replace('_', ' ')}, "
        f"{score[row]:.1f} times the scatter above the median"
        for row in rows
    ]
    return rows, reasons


def _template():
    try:
        import jinja2
    except ImportError:
        raise ImportError(
            'the report is made by Jinja2; install it with pip install "crismis[report]"'
        ) from None
    loader = jinja2.PackageLoader("crismis.view", "templates")
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True)
    return environment.get_template("report.html")


def _sample(catalog, exposures):
    total = int(np.sum(_integers(exposures, "n_events")))
    step = max(1, -(-total // _MOST_EVENTS))
    parts, passed = [], 0
    for part in catalog.iterate("events", columns=_EVENT_COLUMNS):
        parts.append(part[-passed % step :: step])
        passed += len(part)
    return (vstack(parts) if parts else catalog.select("events", columns=_EVENT_COLUMNS)), step


def _gallery_rows(events, per_category):
    """Rows to show of each category: the brightest, then ever fainter ones down to the median."""
    names = categories_of(events)
    charge = np.nan_to_num(column_of(events, "charge")[0])
    rows = []
    for name in Category:
        members = np.flatnonzero(names == str(name))
        order = members[np.argsort(-charge[members], kind="stable")]
        if len(order) > per_category:
            ranks = np.geomspace(1, len(order) / 2, per_category).astype(int) - 1
            order = order[np.maximum(ranks, np.arange(per_category))]
        rows.extend(order)
    return np.array(rows, dtype=int)


def _stamps(catalog, exposures, events, rows):
    """Cut-outs by row of the events, and how many could not be made."""
    owner = np.asarray(events["exposure_id"])[rows] if len(rows) else np.zeros(0, int)
    place = {int(value): row for row, value in enumerate(np.asarray(exposures["exposure_id"]))}
    identities, number = np.unique(owner, return_counts=True)
    # Few files with many of the wanted events are quicker to open than many with one each.
    wanted = identities[np.argsort(-number, kind="stable")][:_STAMP_IMAGES]
    stamps = {}
    for identity in wanted:
        image = _open(catalog, exposures[place[int(identity)]])
        if image is None:
            continue
        mine = rows[owner == identity]
        for row in mine:
            (stamps[int(row)],) = cut_stamps(
                image, events[row : row + 1], size=_stamp_size(events, row), per_category=1
            )
    return stamps, len(rows) - len(stamps)


_BOX = ("xmin", "xmax", "ymin", "ymax")


def _stamp_size(events, row):
    box = [float(column_of(events[row : row + 1], f"bbox_{name}")[0][0]) for name in _BOX]
    if not np.isfinite(box).all():
        return 24
    return int(np.clip(max(box[1] - box[0], box[3] - box[2]) + 9, 20, 96))


def _open(catalog, exposure):
    """Pixels of an exposure before repair, from the run's product or the input; `None` if gone."""
    from ..ccddata import CosmicRayCCDData
    from ..ingest import read_all

    cleaned = _text(exposure["cleaned"])
    try:
        if cleaned:
            return CosmicRayCCDData.read(catalog.path.parent / cleaned).original
        return read_all(_text(exposure["path"]))[int(exposure["image"])]
    except (OSError, ValueError, IndexError, KeyError):
        return None


def _name(exposure):
    """Name of the file, and which of its images where it is not the first."""
    file = Path(_text(exposure["path"])).name
    return f"{file} [{exposure['image']}]" if exposure["image"] else file


def _summary(exposures):
    good = np.asarray(exposures["status"], str) == "ok"
    done = exposures[good]
    particles = sum(int(np.sum(_integers(done, f"n_{name}"))) for name in PARTICLES)
    seconds = float(np.nansum(_numbers(done, "exposure_time")))
    dates = _known_dates(done)
    rows = [
        ("Exposures", f"{len(exposures):,}"),
        ("of these failed", f"{np.count_nonzero(~good):,}"),
        ("Instruments", f"{len({_text(name) for name in done['instrument']} - {''})}"),
        ("Events", f"{int(np.sum(_integers(done, 'n_events'))):,}"),
        ("of these particles", f"{particles:,}"),
        ("Total exposure time", energy_text(u.Quantity(seconds, "s"))),
    ]
    if dates:
        rows.append(("From", dates[0]))
        rows.append(("to", dates[1]))
    return rows


def _known_dates(exposures):
    days = sorted({date[:10] for date in _dates(exposures)} - {""})
    return (days[0], days[-1]) if days else None


def _counts(exposures):
    good = exposures[np.asarray(exposures["status"], str) == "ok"]
    counts = [(str(name), int(np.sum(_integers(good, f"n_{name}")))) for name in Category]
    most = max((count for _, count in counts), default=0)
    return [(name, f"{count:,}", round(100 * count / most, 1)) for name, count in counts if count]


def _exposure_rows(exposures):
    columns = {
        name: [_text(value) for value in exposures[name]]
        for name in ("path", "extension", "instrument", "target", "status", "error", "notes",
                     "rate_reason")
    }  # fmt: skip
    dates = _dates(exposures)
    seconds = _numbers(exposures, "exposure_time")
    lost = 100 * _numbers(exposures, "lost_fraction")
    rate = [_numbers(exposures, f"rate{end}") for end in ("", "_lower", "_upper")]
    events = _integers(exposures, "n_events")
    return [
        {
            "file": _name(exposures[row]),
            "path": columns["path"][row],
            "instrument": columns["instrument"][row],
            "target": columns["target"][row],
            "date": dates[row][:19],
            "seconds": _short(seconds[row]),
            "events": int(events[row]),
            "lost": _short(lost[row]),
            "rate": _short(rate[0][row]),
            "interval": f"{_short(rate[1][row])} to {_short(rate[2][row])}"
            if np.isfinite(rate[0][row])
            else "",
            "reason": columns["rate_reason"][row],
            "status": columns["status"][row],
            "error": columns["error"][row] or columns["notes"][row],
        }
        for row in range(len(exposures))
    ]


def _gallery_cards(events, rows, stamps, exposures):
    names = categories_of(events)
    cards = {}
    for row in rows:
        if int(row) in stamps:
            card = _card(events, row, stamps, exposures)
            cards.setdefault(str(names[row]), []).append(card)
    return list(cards.items())


def _unusual_cards(events, rows, reasons, stamps, exposures):
    names = categories_of(events)
    return [
        _card(events, row, stamps, exposures)
        | {"category": str(names[row]).replace("_", " "), "reason": reason}
        for row, reason in zip(rows, reasons, strict=True)
    ]


def _card(events, row, stamps, exposures):
    place = np.flatnonzero(np.asarray(exposures["exposure_id"]) == events["exposure_id"][row])
    event = events[row : row + 1]
    x, y, length = (column_of(event, name)[0][0] for name in ("x_centroid", "y_centroid", "length"))
    energies = [
        u.Quantity(*(part[0] if np.ndim(part) else part for part in column_of(event, name)))
        for name in ("energy", "charge")
    ]
    stamp = stamps.get(int(row))
    return {
        "picture": None if stamp is None else _png(stamp),
        "side": 0 if stamp is None else stamp.data.shape[0],
        "energy": next((text for q in energies if (text := energy_text(q))), "energy unknown"),
        "length": _short(length),
        "where": f"({x:.0f}, {y:.0f})",
        "file": _name(exposures[place[0]]) if place.size else "",
    }


def _png(stamp):
    from PIL import Image

    norm = image_norm(stamp.data)
    own = stamp.data[stamp.data.shape[0] // 2 - 2 :][:5]
    if np.isfinite(own).any() and np.nanmax(own) > norm.vmin:
        norm.vmax = float(np.nanmax(own))
    scaled = np.nan_to_num(np.ma.getdata(norm(np.nan_to_num(stamp.data, nan=norm.vmin))))
    pixels = (255 * np.clip(scaled, 0, 1)).astype(np.uint8)[::-1]
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return _data_url("image/png", buffer.getvalue())


def _figures(events, exposures):
    figures = []
    for column, caption in _SPECTRA.items():
        if np.isfinite(column_of(events, column)[0]).any():
            particles = np.isin(categories_of(events), [str(name) for name in PARTICLES])
            figures.append(_figure(f"{caption} of particle events", plot_spectrum,
                                   events[particles], column))  # fmt: skip
    try:
        table = _binned_rates(exposures)
    except ValueError as error:
        return figures, f"No rate against time: {error}."
    figures.append(_figure("Rate against time, circles are outliers", plot_rates, table))
    return figures, ""


def _binned_rates(exposures):
    for by in ("exposure", "day", "week", "month", "year"):
        table = rates(exposures, by=by)
        if len(table) <= _MOST_BINS:
            break
    return table


def _figure(caption, function, table, *args):
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 3.4), layout="constrained")
    canvas = FigureCanvasSVG(figure)
    function(table, *args, figure.add_subplot())
    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "crismis"}):
        canvas.print_svg(buffer, metadata={"Date": None})
    return caption, _data_url("image/svg+xml", buffer.getvalue())


def _overlays(catalog, exposures, number):
    busiest = np.argsort(-_integers(exposures, "n_events"), kind="stable")[:number]
    pictures = []
    for row in busiest:
        name = _text(exposures["overlay"][row])
        picture = _jpeg(catalog.path.parent / name) if name else None
        if picture is not None:
            events = int(_integers(exposures, "n_events")[row])
            pictures.append((f"{_name(exposures[row])}: {events:,} events", picture))
    return pictures


def _jpeg(path):
    from PIL import Image

    try:
        with Image.open(path) as picture:
            picture = picture.convert("RGB")
    except OSError:
        return None
    picture.thumbnail((1000, 1000))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=80)
    return _data_url("image/jpeg", buffer.getvalue())


def _provenance(exposures):
    rows = []
    for name in ("software", "method", "model", "classifier", "settings"):
        values, counts = np.unique([_text(v) for v in exposures[name]], return_counts=True)
        rows += [
            (name, value, f"{count:,}")
            for value, count in zip(values.tolist(), counts, strict=True)
            if value
        ]
    return rows


def _data_url(kind, content):
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _text(value):
    return "" if value is None or np.ma.is_masked(value) else str(value)


def _dates(exposures):
    dates = exposures["date"]
    if not len(exposures) or not isinstance(dates, Time):
        return [""] * len(exposures)
    texts = np.char.replace(np.asarray(dates.unmasked.utc.isot), "T", " ")
    return np.where(np.asarray(dates.mask), "", texts).tolist()


def _numbers(table, name):
    return column_of(table, name)[0]


def _integers(table, name):
    return np.nan_to_num(column_of(table, name)[0]).astype(np.int64)


def _short(value):
    return f"{value:.4g}" if np.isfinite(value) else ""
