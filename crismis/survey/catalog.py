"""The archive's two tables as a Parquet dataset: atomic parts, replacement, reading with units."""

import json
import os
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy import units as u
from astropy.table import Column, MaskedColumn, QTable
from astropy.time import Time

from ..errors import CatalogError
from .schema import SCHEMA_VERSION, TABLES, arrow_schema

__all__ = ["Catalog", "CatalogWriter", "Known"]

_ROW_GROUP = 1 << 17
_LARGE = 2_000_000
_EVENTS_PER_EXPOSURE = 100
_SMALL_PARTS = 32
_WORDS = {"category", "instrument", "detector", "filter", "status", "method"}
_OPERATORS = {
    "==": "__eq__",
    "!=": "__ne__",
    "<": "__lt__",
    "<=": "__le__",
    ">": "__gt__",
    ">=": "__ge__",
    "in": "isin",
}


class Catalog:
    """The tables of a finished or running archive, read without loading all of it.

    Parameters
    ----------
    path : path-like
        Output folder of `crismis.run`, or the folder ``catalog`` inside it.

    Raises
    ------
    CatalogError
        If there is no catalog, or it was made by a newer crismis.

    Notes
    -----
    The files are plain Parquet: ``OUT/catalog/exposures/*.parquet`` and
    ``OUT/catalog/events/*.parquet`` open in pandas, polars and DuckDB as they are. Unit and
    meaning of a column are metadata of its Arrow field.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import crismis
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> ccd = crismis.simulate_exposure("HST/WFPC2/PC", 600, shape=(64, 64), seed=1)
    >>> ccd.write(folder / "a.fits")
    >>> _ = crismis.run([folder / "a.fits"], folder / "out")
    >>> catalog = crismis.Catalog(folder / "out")
    >>> bright = catalog.select(
    ...     "events",
    ...     columns=["date", "energy"],
    ...     where=[("category", "==", "track"), ("energy", ">", "1 keV")],
    ... )
    >>> bright.colnames
    ['date', 'energy']
    """

    def __init__(self, path):
        self.path = _catalog_folder(Path(path))
        if not (self.path / "exposures").is_dir():
            raise CatalogError(f"{path}: there is no catalog; make one with crismis run -o {path}")
        self._parts = _live_parts(self.path)

    def __repr__(self):
        return f"<Catalog {self.path}: {len(self._parts)} parts, schema {SCHEMA_VERSION}>"

    @cached_property
    def exposures(self):
        """One row per image (`~astropy.table.QTable`)."""
        return self.select("exposures")

    @property
    def events(self):
        """One row per event (`~astropy.table.QTable`), all of them; see `select`, `iterate`."""
        return self.select("events")

    def dataset(self, table):
        """Return a table as `pyarrow.dataset.Dataset`, for SQL engines and own queries.

        Parameters
        ----------
        table : {"exposures", "events"}
        """
        import pyarrow as pa
        import pyarrow.dataset as ds

        schema = arrow_schema(_known_table(table))
        files = [str(part[table]) for part in self._parts.values()]
        if files:
            _check_version(files[-1])
        words = _WORDS & set(schema.names)
        for name in words:
            index = schema.get_field_index(name)
            coded = pa.dictionary(pa.int32(), pa.string())
            schema = schema.set(index, schema.field(index).with_type(coded))
        layout = ds.ParquetFileFormat(read_options=ds.ParquetReadOptions(dictionary_columns=words))
        return ds.dataset(files, schema=schema, format=layout)

    def select(self, table, *, columns=None, where=None):
        """Read the rows that satisfy all conditions, and only the columns asked for.

        Parameters
        ----------
        table : {"exposures", "events"}
        columns : sequence of str, optional
            All columns by default.
        where : dict, sequence of (column, operator, value), or pyarrow Expression, optional
            Operators are ``== != < <= > >= in``; a dictionary gives values to be equal to. A
            value may be a `~astropy.units.Quantity` or a text such as ``"100 keV"`` where the
            column has a unit, a `~astropy.time.Time` or ISO text for dates. Conditions are
            pushed down to the files.

        Returns
        -------
        `~astropy.table.QTable`
            Numbers that are missing are NaN or masked, dates are `~astropy.time.Time`.

        Raises
        ------
        CatalogError
            If a table, column or operator does not exist, or a unit does not fit.
        """
        scanner = self._scanner(table, columns, where)
        return _to_qtable(scanner.to_table())

    def iterate(self, table, *, columns=None, where=None, rows=_ROW_GROUP):
        """Yield tables of at most ``rows`` rows each, in bounded memory.

        Parameters are those of `select`.

        Yields
        ------
        `~astropy.table.QTable`
        """
        import pyarrow as pa

        for batch in self._scanner(table, columns, where, rows=rows).to_batches():
            if batch.num_rows:
                yield _to_qtable(pa.Table.from_batches([batch]))

    def count(self, table, *, by, where=None):
        """Count rows by the values of columns, in bounded memory.

        Parameters
        ----------
        table : {"exposures", "events"}
        by : sequence of str
            Columns; ``"day"`` is the date without its time.
        where
            As for `select`.

        Returns
        -------
        `~astropy.table.QTable`
            The columns of ``by``, sorted, and ``n``.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        by = [by] if isinstance(by, str) else list(by)
        columns = ["date" if name == "day" else name for name in by]
        partial = []
        for batch in self._scanner(table, columns, where, rows=1 << 20).to_batches():
            if not batch.num_rows:
                continue
            arrays = [
                pc.floor_temporal(batch["date"], unit="day") if name == "day" else batch[name]
                for name in by
            ]
            chunk = pa.Table.from_arrays(
                [*arrays, pa.array(np.ones(batch.num_rows, np.int64))], names=[*by, "n"]
            )
            partial.append(_sum_by(chunk, by))
            if len(partial) >= 64:
                partial = [_sum_by(pa.concat_tables(partial), by)]
        if not partial:
            return QTable({name: [] for name in [*by, "n"]})
        total = _sum_by(pa.concat_tables(partial), by)
        return _to_qtable(total.sort_by([(name, "ascending") for name in by]))

    def export(self, folder, *, tables=("exposures", "events")):
        """Write the tables as ECSV, for people and programs without Parquet.

        Parameters
        ----------
        folder : path-like
            Receives ``exposures.ecsv`` and ``events.ecsv``.
        tables : sequence of str

        Returns
        -------
        list of pathlib.Path
        """
        written = []
        for table in tables:
            target = Path(folder) / f"{table}.ecsv"
            partial = target.with_name(f".{target.name}.part")
            self.select(table).write(partial, format="ascii.ecsv", overwrite=True)
            partial.replace(target)
            written.append(target)
        return written

    def _scanner(self, table, columns, where, rows=1 << 20):
        schema = arrow_schema(_known_table(table))
        for name in columns or ():
            _field(schema, name)
        return self.dataset(table).scanner(
            columns=list(columns) if columns is not None else None,
            filter=_expression(schema, where),
            batch_size=rows,
            batch_readahead=4,
            fragment_readahead=1,
        )


class Known(NamedTuple):
    """What the catalog holds of one input file."""

    ok: bool
    checksum: str
    size: int
    modified: int
    settings: str
    product: str
    part: str


class CatalogWriter:
    """Appends and replaces exposures, all or nothing, whatever kills the process.

    New parts are staged in ``.staging``; renaming ``commit.json`` into place decides: from then
    on the change is carried through, at the latest when the catalog is opened again; before, it
    never happened.

    Parameters
    ----------
    path : path-like
        The folder ``catalog``; made if missing. The caller holds the lock of the output.
    """

    def __init__(self, path):
        self.path = Path(path)
        self._staging = self.path / ".staging"
        for table in TABLES:
            (self.path / table).mkdir(parents=True, exist_ok=True)
            (self._staging / table).mkdir(parents=True, exist_ok=True)
        self._carry_through()
        self.known = self._read_known()

    def commit(self, exposures, events):
        """Add the rows of whole input files, replacing what is known of these files.

        Parameters
        ----------
        exposures, events : pyarrow.Table
            With the columns of `arrow_schema`.
        """
        stale = {}
        for path in set(exposures["path"].to_pylist()) & self.known.keys():
            stale.setdefault(self.known[path].part, set()).add(path)
        kept = (self._without(part, paths) for part, paths in sorted(stale.items()))
        self._replace(stale, chain([(exposures, events)], kept))
        if len(self._parts()) >= _SMALL_PARTS:
            small = self._small_parts()
            if len(small) >= _SMALL_PARTS:
                self._merge(small)

    def compact(self):
        """Merge small parts into large ones."""
        self._merge(self._small_parts())

    def _merge(self, parts):
        import pyarrow as pa

        for group in _groups(parts):
            merged = [
                pa.concat_tables([self._read(table, part) for part in group]) for table in TABLES
            ]
            self._replace(group, [merged])

    def _small_parts(self):
        """Part -> weight of those that had better be merged."""
        weights = {part: self._weight(part) for part in self._parts()}
        return {part: weight for part, weight in weights.items() if weight < _LARGE // 2}

    def _weight(self, part):
        import pyarrow.parquet as pq

        exposures, events = (
            pq.read_metadata(self.path / table / part).num_rows for table in TABLES
        )
        return events + _EVENTS_PER_EXPOSURE * exposures

    def _without(self, part, paths):
        import pyarrow as pa
        import pyarrow.compute as pc

        exposures, events = (self._read(table, part) for table in TABLES)
        gone = pc.is_in(exposures["path"], value_set=pa.array(sorted(paths)))
        ids = exposures.filter(gone)["exposure_id"].combine_chunks()
        lost = pc.is_in(events["exposure_id"], value_set=ids)
        return exposures.filter(pc.invert(gone)), events.filter(pc.invert(lost))

    def _replace(self, old, contents):
        """Put new parts in the place of old ones; contents are taken one at a time."""
        fresh = {}
        try:
            for number, tables in enumerate(contents, start=self._last_number() + 1):
                if not tables[0].num_rows:
                    continue
                part = f"part-{number:08d}.parquet"
                for table, content in zip(TABLES, tables, strict=True):
                    _write_part(content, self._staging / table / part)
                fresh[part] = tables[0].select(_KNOWN_COLUMNS)
            _write_durably(
                self._staging / "commit.json",
                json.dumps({"add": list(fresh), "remove": sorted(old)}).encode(),
            )
        except OSError as error:
            self._discard()
            raise CatalogError(
                f"{self.path}: cannot write the catalog ({error.strerror or error}); "
                "make room or permit writing, then run again: nothing written so far is lost"
            ) from error
        self._carry_through()
        for part, exposures in fresh.items():
            self._learn(exposures, part)

    def _carry_through(self):
        commit = _pending(self.path)
        for part in commit["remove"]:
            for table in reversed(TABLES):
                (self.path / table / part).unlink(missing_ok=True)
        for part in commit["add"]:
            for table in reversed(TABLES):
                staged = self._staging / table / part
                if staged.exists():
                    staged.replace(self.path / table / part)
        for table in TABLES:
            _sync_folder(self.path / table)
        (self._staging / "commit.json").unlink(missing_ok=True)
        self._discard()

    def _discard(self):
        for left in self._staging.rglob("*"):
            if left.is_file():
                left.unlink()

    def _parts(self):
        return sorted(p.name for p in (self.path / "exposures").glob("part-*.parquet"))

    def _last_number(self):
        return max((int(part[5:13]) for part in self._parts()), default=0)

    def _read(self, table, part, columns=None):
        import pyarrow.dataset as ds

        file = str(self.path / table / part)
        part = ds.dataset([file], schema=arrow_schema(table), format="parquet")
        return part.to_table(columns=None if columns is None else list(columns))

    def _read_known(self):
        self.known = {}
        for part in self._parts():
            _check_version(self.path / "exposures" / part)
            self._learn(self._read("exposures", part, _KNOWN_COLUMNS), part)
        return self.known

    def _learn(self, exposures, part):
        columns = [exposures[name].to_pylist() for name in _KNOWN_COLUMNS]
        fresh = {}
        for path, status, checksum, size, modified, settings, cleaned, overlay in zip(
            *columns, strict=True
        ):
            before = fresh.get(path)
            fresh[path] = Known(
                ok=status == "ok" and (before is None or before.ok),
                checksum=checksum or "",
                size=-1 if size is None else size,
                modified=-1 if modified is None else modified,
                settings=settings or "",
                product=cleaned or overlay or (before.product if before else ""),
                part=part,
            )
        self.known.update(fresh)


_KNOWN_COLUMNS = (
    "path",
    "status",
    "checksum",
    "size",
    "modified",
    "settings",
    "cleaned",
    "overlay",
)


def _catalog_folder(path):
    return path if (path / "exposures").is_dir() else path / "catalog"


def _pending(path):
    try:
        return json.loads((path / ".staging" / "commit.json").read_bytes())
    except FileNotFoundError:
        return {"add": [], "remove": []}


def _live_parts(path):
    """Part -> file per table, a change that was decided but not carried through included."""
    commit = _pending(path)
    names = {p.name for p in (path / "exposures").glob("part-*.parquet")}
    live = {}
    for name in sorted((names | set(commit["add"])) - set(commit["remove"])):
        live[name] = {}
        for table in TABLES:
            staged = path / ".staging" / table / name
            live[name][table] = staged if staged.exists() else path / table / name
    return live


def _check_version(file):
    import pyarrow.parquet as pq

    metadata = pq.read_schema(file).metadata or {}
    version = int(metadata.get(b"crismis_schema", 0))
    if not 1 <= version <= SCHEMA_VERSION:
        raise CatalogError(
            f"{file}: catalog schema {version}, this crismis reads up to {SCHEMA_VERSION}; "
            "use the version of crismis that wrote it, or a newer one"
        )


def _write_part(table, file):
    import pyarrow as pa
    import pyarrow.parquet as pq

    strings = [field.name for field in table.schema if pa.types.is_string(field.type)]
    pq.write_table(
        table,
        file,
        compression="zstd",
        use_dictionary=strings,
        row_group_size=_ROW_GROUP,
    )
    _sync(file)


def _write_durably(file, content):
    partial = file.with_name(file.name + ".part")
    partial.write_bytes(content)
    _sync(partial)
    partial.replace(file)
    _sync_folder(file.parent)


def _sync(file):
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder):
    if os.name == "posix":
        _sync(folder)


def _groups(weights):
    """Yield neighbouring parts that together make a large one."""
    group, total = [], 0
    for part, weight in [*weights.items(), (None, _LARGE + 1)]:
        if total + weight > _LARGE:
            if len(group) > 1:
                yield group
            group, total = [], 0
        group.append(part)
        total += weight


def _sum_by(table, by):
    counted = table.group_by(by).aggregate([("n", "sum")]).rename_columns([*by, "n"])
    return counted.cast(_spelled_out(counted.schema))


def _spelled_out(schema):
    """The schema with words as text, which tables of different dictionaries share."""
    import pyarrow as pa

    return pa.schema(
        [f.with_type(pa.string()) if pa.types.is_dictionary(f.type) else f for f in schema]
    )


def _known_table(table):
    if table not in TABLES:
        raise CatalogError(f"there is no table {table!r}; the tables are {', '.join(TABLES)}")
    return table


def _field(schema, name):
    if name not in schema.names:
        raise CatalogError(f"there is no column {name!r}; there are {', '.join(schema.names)}")
    return schema.field(name)


def _expression(schema, where):
    import pyarrow.compute as pc

    if where is None or isinstance(where, pc.Expression):
        return where
    if isinstance(where, dict):
        where = [(name, "==", value) for name, value in where.items()]
    expression = None
    for name, operator, value in where:
        field = _field(schema, name)
        if operator not in _OPERATORS:
            raise CatalogError(f"no operator {operator!r}; there are {' '.join(_OPERATORS)}")
        value = [_plain(field, v) for v in value] if operator == "in" else _plain(field, value)
        condition = getattr(pc.field(name), _OPERATORS[operator])(value)
        expression = condition if expression is None else expression & condition
    return expression


def _plain(field, value):
    """Turn a value with a unit or a time into what Arrow compares the column with."""
    import pyarrow as pa

    unit = _unit(field)
    if pa.types.is_timestamp(field.type):
        return pa.scalar(np.datetime64(Time(value).utc.isot, "us"), field.type)
    if pa.types.is_string(field.type):
        return str(value)
    if isinstance(value, str) or hasattr(value, "unit"):
        try:
            value = u.Quantity(value).to_value(unit or u.dimensionless_unscaled)
        except (TypeError, ValueError, u.UnitsError) as error:
            raise CatalogError(f"{field.name!r} is in {unit or 'no unit'}: {error}") from None
    if pa.types.is_integer(field.type) and isinstance(value, int | np.integer):
        return pa.scalar(int(value), field.type)  # a float cannot hold every identity
    return pa.scalar(float(value))


def _unit(field):
    text = (field.metadata or {}).get(b"unit", b"").decode()
    return u.Unit(text.replace("DN", "adu")) if text else None


def _to_qtable(table):
    import pyarrow as pa

    columns = {}
    for field in table.schema:
        array = table[field.name].combine_chunks()
        unit = _unit(field)
        if pa.types.is_timestamp(field.type):
            columns[field.name] = _times(array)
        elif pa.types.is_string(field.type) or pa.types.is_dictionary(field.type):
            columns[field.name] = _strings(array)
        elif pa.types.is_floating(field.type):
            values = np.asarray(array.to_numpy(zero_copy_only=False), field.type.to_pandas_dtype())
            columns[field.name] = values * unit if unit else values
        else:
            columns[field.name] = _integers(array, unit)
    result = QTable(columns, copy=False)
    for field in table.schema:
        meaning = (field.metadata or {}).get(b"description", b"").decode()
        result[field.name].info.description = meaning or None
    return result


def _times(array):
    """Dates as Time, by way of the calendar: much faster than by way of text."""
    values = array.to_numpy(zero_copy_only=False).astype("datetime64[us]")
    missing = np.isnat(values)
    values = np.where(missing, np.datetime64("2000-01-01", "us"), values)
    day, month = values.astype("datetime64[D]"), values.astype("datetime64[M]")
    year = values.astype("datetime64[Y]")
    seconds = (values - day).astype(np.int64) * 1e-6
    calendar = {
        "year": year.astype(int) + 1970,
        "month": (month - year).astype(int) + 1,
        "day": (day - month).astype(int) + 1,
        "hour": (seconds // 3600).astype(int),
        "minute": (seconds // 60 % 60).astype(int),
        "second": seconds % 60,
    }
    times = Time(calendar, format="ymdhms", scale="utc")
    times.format = "isot"
    if missing.any():
        times[missing] = np.ma.masked
    return times


def _strings(array):
    import pyarrow as pa

    coded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
    words = np.array([*coded.dictionary.to_pylist(), ""], dtype=str)
    codes = coded.indices.fill_null(len(words) - 1).to_numpy(zero_copy_only=False)
    values = words[codes]
    if array.null_count:
        return MaskedColumn(values, mask=array.is_null().to_numpy(zero_copy_only=False))
    return Column(values)


def _integers(array, unit):
    if array.null_count:
        values = array.fill_null(0).to_numpy(zero_copy_only=False)
        mask = array.is_null().to_numpy(zero_copy_only=False)
        return MaskedColumn(values, mask=mask, unit=unit)
    return Column(array.to_numpy(zero_copy_only=False), unit=unit)
