"""The archive's two tables as a Parquet dataset: atomic parts, replacement, reading with units."""

import json
import os
from functools import cached_property
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
_PART_EVENTS = 4_000_000
_PART_EXPOSURES = 20_000
_SMALL_PARTS = 32
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
    >>> from crismis import Catalog
    >>> catalog = Catalog("out")  # doctest: +SKIP
    >>> bright = catalog.select(
    ...     "events",
    ...     columns=["date", "energy"],
    ...     where=[("category", "==", "track"), ("energy", ">", "100 keV")],
    ... )  # doctest: +SKIP
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
        import pyarrow.dataset as ds

        schema = arrow_schema(_known_table(table))
        files = [str(part[table]) for part in self._parts.values()]
        if files:
            _check_version(files[-1])
        return ds.dataset(files, schema=schema, format="parquet")

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
        import pyarrow as pa

        paths = set(exposures["path"].to_pylist())
        stale = {}
        for path in paths & self.known.keys():
            stale.setdefault(self.known[path].part, set()).add(path)
        rewritten = [self._without(part, gone) for part, gone in sorted(stale.items())]
        fresh = self._next_part()
        merged = [
            pa.concat_tables([new, *(old[i] for old in rewritten)])
            for i, new in enumerate((exposures, events))
        ]
        self._change({fresh: merged}, remove=sorted(stale))
        self._learn(merged[0], fresh)
        small = [p for p in self._parts() if self._is_small(p)]
        if len(small) >= _SMALL_PARTS:
            self.compact(small)

    def compact(self, parts=None):
        """Merge small parts into one.

        Parameters
        ----------
        parts : sequence of str, optional
            All small parts by default.
        """
        import pyarrow as pa

        parts = [p for p in self._parts() if self._is_small(p)] if parts is None else parts
        if len(parts) < 2:
            return
        merged = [pa.concat_tables([self._read(table, part) for part in parts]) for table in TABLES]
        fresh = self._next_part()
        self._change({fresh: merged}, remove=parts)
        self._learn(merged[0], fresh)

    def _without(self, part, paths):
        import pyarrow as pa
        import pyarrow.compute as pc

        exposures, events = (self._read(table, part) for table in TABLES)
        gone = pc.is_in(exposures["path"], value_set=pa.array(sorted(paths)))
        ids = exposures.filter(gone)["exposure_id"].combine_chunks()
        lost = pc.is_in(events["exposure_id"], value_set=ids)
        return exposures.filter(pc.invert(gone)), events.filter(pc.invert(lost))

    def _change(self, add, remove):
        try:
            for part, tables in add.items():
                for table, content in zip(TABLES, tables, strict=True):
                    _write_part(content, self._staging / table / part)
            _write_durably(
                self._staging / "commit.json",
                json.dumps({"add": list(add), "remove": list(remove)}).encode(),
            )
        except OSError as error:
            self._discard()
            raise CatalogError(
                f"{self.path}: cannot write the catalog ({error.strerror or error}); "
                "make room or permit writing, then run again: nothing written so far is lost"
            ) from error
        self._carry_through()

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

    def _next_part(self):
        last = self._parts()[-1:] or ["part-00000000.parquet"]
        return f"part-{int(last[0][5:13]) + 1:08d}.parquet"

    def _read(self, table, part, columns=None):
        import pyarrow.dataset as ds

        file = str(self.path / table / part)
        part = ds.dataset([file], schema=arrow_schema(table), format="parquet")
        return part.to_table(columns=None if columns is None else list(columns))

    def _is_small(self, part):
        import pyarrow.parquet as pq

        rows = [pq.read_metadata(self.path / table / part).num_rows for table in TABLES]
        return rows[0] < _PART_EXPOSURES // 2 and rows[1] < _PART_EVENTS // 2

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


def _sum_by(table, by):
    counted = table.group_by(by).aggregate([("n", "sum")])
    return counted.rename_columns([*by, "n"])


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
        elif pa.types.is_string(field.type):
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
    values = array.to_numpy(zero_copy_only=False).astype("datetime64[us]")
    missing = np.isnat(values)
    known = np.where(missing, np.datetime64("2000-01-01", "us"), values)
    times = Time(known, format="datetime64", scale="utc")
    if missing.any():
        times[missing] = np.ma.masked
    return times


def _strings(array):
    encoded = array.dictionary_encode()
    words = np.array([*encoded.dictionary.to_pylist(), ""], dtype=str)
    codes = encoded.indices.fill_null(len(words) - 1).to_numpy(zero_copy_only=False)
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
