"""One file through all steps: read, identify, categorize, products, rows of the catalog."""

import hashlib
import json
import os
import socket
import threading
import time
import warnings
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatch
from importlib.resources import files
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.time import Time

from .. import __version__
from ..detectors import get_detector
from ..errors import IngestError
from ..headers import Facts
from ..network import load_model
from ..taxonomy import Category
from .products import as_text, identity, write_cleaned, write_overlay
from .schema import TABLES, arrow_schema

__all__ = ["Settings", "error_row", "process_file", "to_arrow"]


@dataclass(frozen=True)
class Settings:
    """Everything that shapes the result of an image.

    Parameters
    ----------
    method : {"learned", "lacosmic"}
        How hits are identified.
    options : dict
        Keywords for `crismis.cosmicray_learned` or `crismis.cosmicray_lacosmic`.
    classifier : optional
        For `crismis.categorize_cosmicrays`.
    cleaned : bool
        Write the cleaned image.
    overlay : callable, optional
        Draws a picture; called with the image and the file to write.
    """

    method: str = "learned"
    options: dict = field(default_factory=dict)
    classifier: object = None
    cleaned: bool = True
    overlay: object = None

    def stamp(self):
        """Return the columns of the catalog that tell how a result came about.

        Returns
        -------
        dict of str to str
            ``method``, ``model``, ``classifier``, ``software`` and ``settings``, a digest that
            differs wherever results may differ.
        """
        names = {
            "method": self.method,
            "model": self._model(),
            "classifier": _shipped("categorize-*.crm")
            if self.classifier is None
            else _fingerprint_of(self.classifier),
            "software": __version__,
        }
        options = {k: v for k, v in self.options.items() if k not in ("n_threads", "model")}
        text = json.dumps(names | options, sort_keys=True, default=_fingerprint_of)
        return names | {"settings": hashlib.sha256(text.encode()).hexdigest()[:16]}

    def _model(self):
        if self.method != "learned":
            return None
        model = self.options.get("model")
        if model is None:
            return _shipped("identify-*.crm")
        if isinstance(model, str) and not model.endswith(".crm"):
            return _shipped(f"identify-{model}.crm")
        return _fingerprint_of(Path(model) if isinstance(model, str) else model)


def process_file(path, stem, output, settings, stamp, expected=None):
    """Do all images of a file.

    Parameters
    ----------
    path : str
        The input.
    stem : str
        Stem of the names of its products.
    output : str
        Output folder, or "" for no products.
    settings : `Settings`
    stamp : dict
        Their stamp, made once for all files.
    expected : str, optional
        Checksum for which the catalog is up to date: nothing is done if the file has it.

    Returns
    -------
    (pyarrow.Table, pyarrow.Table) or None
        Rows of ``exposures`` and ``events``; `None` if there is nothing to do.
    """
    from ..ingest import read_all

    start = time.perf_counter()
    row = {"path": path, **stamp}
    try:
        row |= _fingerprint(path)
        if expected is not None and row["checksum"] == expected:
            return None
        with _Notes() as notes:
            images = list(read_all(path))
    except Exception as error:
        return to_arrow([error_row(row, _say(error))], [])
    reading = (time.perf_counter() - start) / max(len(images), 1)
    rows, events = [], []
    for index in range(len(images)):
        place = row | {"image": index, "notes": "\n".join(notes), "read_time": reading}
        suffix = f"_crismis{index + 1 if len(images) > 1 else ''}"
        names = {
            "cleaned": f"cleaned/{stem}{suffix}.fits" if settings.cleaned and output else None,
            "overlay": f"overlays/{stem}{suffix}.png" if settings.overlay and output else None,
        }
        ccd, images[index] = images[index], None
        try:
            exposure, found = _process_image(ccd, place, names, output, settings)
        except Exception as error:
            rows.append(error_row(place, _say(error)))
        else:
            rows.append(exposure)
            events.append(found)
    return to_arrow(rows, events)


def error_row(row, error):
    """Return the row of an image without result."""
    done = datetime.now(UTC).replace(tzinfo=None)
    row = {"image": 0, **row, "status": "error", "error": error}
    row["exposure_id"] = identity(row["path"], row["image"])
    return row | {"finished": done, "host": socket.gethostname()}


def to_arrow(rows, events):
    """Turn rows and columns of events into tables of the catalog's schema.

    Parameters
    ----------
    rows : list of dict
    events : list of dict of str to ndarray

    Returns
    -------
    exposures, events : pyarrow.Table
    """
    import pyarrow as pa

    rows = [{k: as_text(v) if isinstance(v, str) else v for k, v in row.items()} for row in rows]
    exposures = pa.Table.from_pylist(rows, schema=arrow_schema("exposures"))
    schema = arrow_schema("events")
    tables = [
        pa.table([_arrow_column(c, f, len(c["label"])) for f in schema], schema=schema)
        for c in events
    ]
    return exposures, pa.concat_tables(tables) if tables else schema.empty_table()


def _process_image(ccd, row, names, output, settings):
    from ..events import categorize_cosmicrays
    from ..physics import exposure_rate, measure_tracks

    clock = [time.perf_counter()]
    with _Notes() as notes:
        detector = get_detector(settings.options.get("detector") or ccd)
        found = _identify(ccd, settings, detector)
        clock.append(time.perf_counter())
        found = categorize_cosmicrays(found, classifier=settings.classifier)
        found = measure_tracks(found, detector=detector)
        rate = exposure_rate(found, detector=detector)
        found.meta.update(rate.to_header())
        clock.append(time.perf_counter())
        if names["cleaned"]:
            write_cleaned(found, Path(output, names["cleaned"]), row["path"])
        if names["overlay"]:
            write_overlay(settings.overlay, found, Path(output, names["overlay"]))
        clock.append(time.perf_counter())
        row = row | names | _describe_image(ccd, found, detector) | _describe_rate(rate)
    spent = np.diff(clock)
    row |= {
        "exposure_id": identity(row["path"], row["image"]),
        "status": "ok",
        "notes": "\n".join(filter(None, [row["notes"], *notes])) or None,
        "identify_time": spent[0],
        "categorize_time": spent[1],
        "write_time": spent[2],
        "finished": datetime.now(UTC).replace(tzinfo=None),
        "host": socket.gethostname(),
    }
    return row, _event_columns(found.events, row)


def _identify(ccd, settings, detector):
    from ..identify import cosmicray_lacosmic, cosmicray_learned

    if settings.method == "learned":
        return cosmicray_learned(ccd, **settings.options)
    facts = Facts.from_header(ccd.meta)
    options = {
        name: number
        for name in ("gain", "readnoise")
        if (number := _known(getattr(facts, name), detector and getattr(detector, name)))
    } | {k: v for k, v in settings.options.items() if k != "detector"}
    found = cosmicray_lacosmic(ccd, **options)
    if "gain" not in options:  # then L.A.Cosmic assumed one, which is no calibration
        found.meta.pop("CRGAIN", None)
    return found


def _describe_image(ccd, found, detector):
    facts = Facts.from_header(ccd.meta)
    masked = ~np.isfinite(ccd.data)
    if ccd.mask is not None:
        masked |= np.asarray(ccd.mask, bool)
    charge = found.events["charge"]
    return {
        "extension": _extension(ccd.meta),
        "instrument": facts.instrument,
        "detector": detector.name if detector else facts.detector,
        "target": facts.target,
        "filter": facts.filter,
        "product": facts.product,
        "date": _date(facts.date),
        "exposure_time": facts.exposure_time,
        "temperature": facts.temperature,
        "gain": _known(facts.gain, detector and detector.gain),
        "readnoise": _known(facts.readnoise, detector and detector.readnoise),
        "unit": str(ccd.unit),
        "rows": ccd.data.shape[0],
        "columns": ccd.data.shape[1],
        "pixel_area": _known(detector and detector.pixel_area),
        "masked_fraction": np.count_nonzero(masked) / masked.size,
        "n_events": len(found.events),
        "n_hit_pixels": np.count_nonzero(found.hits),
        "charge": float(np.sum(charge.value)) if charge.unit == u.electron else None,
    }


def _describe_rate(rate):
    return {
        **{f"n_{category}": rate.counts.get(category, 0) for category in Category},
        **{name: _known(getattr(rate, name)) for name in _RATE},
        "rate_reason": rate.reason or None,
    }


_RATE = ("live_area", "live_time", "rate", "rate_lower", "rate_upper", "lost_fraction")


def _event_columns(events, row):
    columns = {name: events[name] for name in events.colnames}
    if events["charge"].unit != u.electron:
        columns |= {f"{name}_dn": events[name].value for name in ("charge", "peak")}
    constant = {name: row[name] for name in ("exposure_id", "date", "instrument")}
    return columns | constant


_UNITS = {name: unit for name, _, unit, _ in TABLES["events"]}


def _arrow_column(columns, field, n):
    import pyarrow as pa

    values = columns.get(field.name)
    if values is None:
        return pa.nulls(n, field.type)
    if np.ndim(values) == 0:
        return pa.repeat(pa.scalar(values, field.type), n)
    if isinstance(values, u.Quantity) and values.unit != u.dimensionless_unscaled:
        if not values.unit.is_equivalent(_UNITS[field.name]):  # electrons of an unknown gain
            return pa.nulls(n, field.type)
        values = values.to_value(_UNITS[field.name])
    values = np.asarray(values)
    if values.dtype.kind == "f":
        return pa.array(values, from_pandas=True).cast(field.type)
    return pa.array(values).cast(field.type)


def _fingerprint(path):
    try:
        before = os.stat(path)
        with open(path, "rb") as stream:
            checksum = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise IngestError(path, f"cannot be read: {error.strerror or error}") from error
    return {"checksum": checksum, "size": before.st_size, "modified": before.st_mtime_ns}


# What is done with warnings is a state of the whole process: threads that changed it side by side
# would file each other's warnings and leave it changed.
_one_at_a_time = threading.RLock()


class _Notes(list):
    """Texts of the warnings given inside a with statement, each once; one thread at a time."""

    def __enter__(self):
        _one_at_a_time.acquire()
        self._catch = warnings.catch_warnings(record=True)
        self._caught = self._catch.__enter__()
        warnings.simplefilter("always")
        return self

    def __exit__(self, *exception):
        self._catch.__exit__(*exception)
        _one_at_a_time.release()
        self.extend(dict.fromkeys(f"{w.category.__name__}: {w.message}" for w in self._caught))


def _say(error):
    """Put an error in one line; the path is in the row already."""
    if isinstance(error, IngestError):
        return error.reason + (f" ({error.remedy})" if error.remedy else "")
    return " ".join(f"{type(error).__name__}: {error}".split())


def _extension(meta):
    name, version = meta.get("EXTNAME"), meta.get("EXTVER")
    return ",".join(str(part) for part in (name, version) if part not in (None, "")) or None


def _date(text):
    if not text:
        return None
    try:
        return Time(text, scale="utc").datetime
    except ValueError:
        return None


def _known(*numbers):
    return next((float(x) for x in numbers if x is not None and np.isfinite(x)), None)


def _shipped(pattern):
    """Name the shipped models of a pattern by a digest of their content."""
    folder = files("crismis").joinpath("models")
    names = sorted(f.name for f in folder.iterdir() if fnmatch(f.name, pattern))
    digest = hashlib.sha256(b"".join(folder.joinpath(name).read_bytes() for name in names))
    return f"shipped {digest.hexdigest()[:16]}" if names else None


def _fingerprint_of(thing):
    """Name an object by its content: a model file, a fitted classifier, an array, a constant."""
    if isinstance(thing, os.PathLike):
        card = load_model(thing)[1]
        return f"{card.get('name', Path(thing).stem)} {card['checksum'][:16]}"
    from joblib import hash as content_of

    return f"{type(thing).__qualname__} {content_of(thing)[:16]}"
