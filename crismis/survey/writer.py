"""Writing the catalog: atomic parts, replacement of rows, merging of small parts."""

import json
import os
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from ..errors import CatalogError
from .schema import TABLES, arrow_schema, check_version

__all__ = ["ROW_GROUP", "CatalogWriter", "Known", "live_parts"]

ROW_GROUP = 1 << 17
"""Rows that are read at once."""

_LARGE = 2_000_000
_EVENTS_PER_EXPOSURE = 100
_SMALL_PARTS = 32


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
            check_version(self.path / "exposures" / part)
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


def live_parts(path):
    """List the files of a catalog, a change that was decided but not carried through included.

    Parameters
    ----------
    path : pathlib.Path
        The folder ``catalog``.

    Returns
    -------
    dict of str to dict of str to pathlib.Path
        Part -> table -> file.
    """
    commit = _pending(path)
    names = {p.name for p in (path / "exposures").glob("part-*.parquet")}
    live = {}
    for name in sorted((names | set(commit["add"])) - set(commit["remove"])):
        live[name] = {}
        for table in TABLES:
            staged = path / ".staging" / table / name
            live[name][table] = staged if staged.exists() else path / table / name
    return live


def _pending(path):
    try:
        return json.loads((path / ".staging" / "commit.json").read_bytes())
    except FileNotFoundError:
        return {"add": [], "remove": []}


def _write_part(table, file):
    import pyarrow as pa
    import pyarrow.parquet as pq

    strings = [field.name for field in table.schema if pa.types.is_string(field.type)]
    pq.write_table(
        table,
        file,
        compression="zstd",
        use_dictionary=strings,
        row_group_size=ROW_GROUP,
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
