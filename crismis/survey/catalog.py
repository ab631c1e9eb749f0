"""Reading the archive's two tables: conditions and columns pushed down, units, bounded memory."""

from functools import cached_property
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.table import Column, MaskedColumn, QTable
from astropy.time import Time

from ..errors import CatalogError
from .schema import SCHEMA_VERSION, TABLES, arrow_schema, check_version
from .writer import ROW_GROUP, live_parts

__all__ = ["Catalog"]

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

    def __repr__(self):
        return f"<Catalog {self.path}: {len(live_parts(self.path))} parts, schema {SCHEMA_VERSION}>"

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
        files = [str(part[table]) for part in live_parts(self.path).values()]
        if files:
            check_version(files[-1])
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

    def iterate(self, table, *, columns=None, where=None, rows=ROW_GROUP):
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


def _catalog_folder(path):
    return path if (path / "exposures").is_dir() else path / "catalog"


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
