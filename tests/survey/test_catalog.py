"""The Parquet catalog: schema, atomic parts, replacement, reading."""

import numpy as np
import pyarrow as pa
import pytest
from astropy import units as u
from astropy.time import Time

from crismis import Catalog
from crismis.errors import CatalogError
from crismis.survey.catalog import CatalogWriter
from crismis.survey.schema import SCHEMA_VERSION, TABLES, arrow_schema

from .test_schema import VERSIONS

DAY = np.datetime64("2011-07-26T10:00", "us")


def exposures_of(paths, **columns):
    n = len(paths)
    known = {
        "exposure_id": [hash(path) & 0xFFFF for path in paths],
        "path": paths,
        "image": [0] * n,
        "status": ["ok"] * n,
        "date": DAY + np.arange(n) * np.timedelta64(12, "h"),
        "live_area": [2.0] * n,
    } | columns
    return table_of("exposures", n, known)


def events_of(exposures, per_exposure=3, **columns):
    ids = np.repeat(exposures["exposure_id"].to_numpy(), per_exposure)
    n = len(ids)
    known = {
        "exposure_id": ids,
        "date": np.repeat(exposures["date"].to_numpy(), per_exposure),
        "label": np.tile(np.arange(1, per_exposure + 1), exposures.num_rows),
        "energy": np.arange(n, dtype=np.float32),
        "category": np.resize(["spot", "track", "worm"], n),
    } | columns
    return table_of("events", n, known)


def table_of(name, n, known):
    schema = arrow_schema(name)
    return pa.table(
        [
            pa.array(known[f.name], f.type) if f.name in known else pa.nulls(n, f.type)
            for f in schema
        ],
        schema=schema,
    )


def fill(folder, *batches):
    writer = CatalogWriter(folder / "catalog")
    for paths in batches:
        exposures = exposures_of(paths)
        writer.commit(exposures, events_of(exposures))
    return writer


def test_reads_back_with_units_times_and_masked_values(tmp_path):
    fill(tmp_path, ["/a", "/b"])
    catalog = Catalog(tmp_path)
    table = catalog.exposures
    assert table["live_area"].unit == u.cm**2
    np.testing.assert_array_equal(table["live_area"].value, [2, 2])
    assert table["date"][1] == Time("2011-07-26T22:00:00")
    assert np.isnan(table["exposure_time"].value).all()
    assert table["rows"].mask.all()
    assert table["error"].mask.all()
    events = catalog.events
    assert events["energy"].unit == u.keV
    assert list(events["category"][:3]) == ["spot", "track", "worm"]
    assert table["live_area"].info.description == "area in which hits count"


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ([("category", "==", "track")], [1, 4]),
        ([("energy", ">", 3 * u.keV)], [4, 5]),
        ([("energy", ">=", "4000 eV")], [4, 5]),
        ([("category", "in", ["spot", "worm"]), ("energy", "<", 3)], [0, 2]),
        ([("date", ">", Time("2011-07-26T12:00"))], [3, 4, 5]),
        ([("date", "<=", "2011-07-26T10:00")], [0, 1, 2]),
        ({"category": "worm"}, [2, 5]),
        (None, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_selects_by_conditions_with_units(tmp_path, where, expected):
    fill(tmp_path, ["/a", "/b"])
    table = Catalog(tmp_path).select("events", columns=["energy"], where=where)
    assert table.colnames == ["energy"]
    np.testing.assert_array_equal(table["energy"].value, expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"where": [("energy", ">", 3 * u.m)]}, "'energy' is in keV"),
        ({"where": [("energy", "~", 3)]}, "operator '~'"),
        ({"where": [("colour", "==", 3)]}, "column 'colour'"),
        ({"columns": ["colour"]}, "column 'colour'"),
    ],
)
def test_wrong_conditions_are_named(tmp_path, arguments, message):
    fill(tmp_path, ["/a"])
    with pytest.raises(CatalogError, match=message):
        Catalog(tmp_path).select("events", **arguments)


def test_wrong_table_is_named(tmp_path):
    fill(tmp_path, ["/a"])
    with pytest.raises(CatalogError, match="exposures, events"):
        Catalog(tmp_path).select("stars")


def test_iterates_in_pieces_that_together_are_everything(tmp_path):
    fill(tmp_path, [f"/{i}" for i in range(40)])
    catalog = Catalog(tmp_path)
    pieces = list(catalog.iterate("events", rows=50))
    assert max(map(len, pieces)) <= 50
    energies = np.concatenate([piece["energy"].value for piece in pieces])
    np.testing.assert_array_equal(energies, catalog.events["energy"].value)


def test_counts_by_day_and_category(tmp_path):
    fill(tmp_path, [f"/{i}" for i in range(4)])
    counted = Catalog(tmp_path).count("events", by=["day", "category"])
    assert counted.colnames == ["day", "category", "n"]
    assert [t.strftime("%Y-%m-%d") for t in counted["day"]] == (
        ["2011-07-26"] * 3 + ["2011-07-27"] * 3
    )
    np.testing.assert_array_equal(counted["n"], [2] * 6)


def test_replaces_the_rows_of_a_file_and_keeps_the_others(tmp_path):
    writer = fill(tmp_path, ["/a", "/b"], ["/c"])
    fresh = exposures_of(["/b"], n_events=[7])
    writer.commit(fresh, events_of(fresh, per_exposure=7))
    catalog = Catalog(tmp_path)
    assert sorted(catalog.exposures["path"]) == ["/a", "/b", "/c"]
    assert len(catalog.events) == 3 + 7 + 3
    assert len(writer.known) == 3
    assert CatalogWriter(tmp_path / "catalog").known == writer.known


def test_merges_small_parts_and_loses_nothing(tmp_path):
    writer = fill(tmp_path, *([f"/{i}"] for i in range(50)))
    files = list((tmp_path / "catalog" / "events").glob("*.parquet"))
    assert len(files) < 32
    assert sorted(Catalog(tmp_path).exposures["path"]) == sorted(f"/{i}" for i in range(50))
    writer.compact()
    assert len(list((tmp_path / "catalog" / "events").glob("*.parquet"))) == 1
    assert len(Catalog(tmp_path).events) == 150
    assert len({row.part for row in writer.known.values()}) == 1


def test_large_parts_stay_and_small_ones_join_up_to_the_limit(tmp_path, monkeypatch):
    from crismis.survey import catalog

    # A part of one exposure and three events weighs 103.
    monkeypatch.setattr(catalog, "_LARGE", 350)
    writer = fill(tmp_path, *([f"/{i}"] for i in range(10)))
    writer.compact()
    assert len(list((tmp_path / "catalog" / "events").glob("*.parquet"))) == 4
    before = sorted((tmp_path / "catalog" / "events").glob("*.parquet"))
    writer.compact()
    assert sorted((tmp_path / "catalog" / "events").glob("*.parquet")) == before
    assert sorted(Catalog(tmp_path).exposures["path"]) == sorted(f"/{i}" for i in range(10))


def staged(folder):
    """A catalog whose replacement of /a was decided, and nothing of it carried through."""
    writer = fill(folder, ["/a", "/b"])
    carry_through, writer._carry_through = writer._carry_through, lambda: None
    fresh = exposures_of(["/a"])
    writer.commit(fresh, events_of(fresh, per_exposure=5))
    writer._carry_through = carry_through
    return writer


def expect_replaced(folder):
    catalog = Catalog(folder)
    assert sorted(catalog.exposures["path"]) == ["/a", "/b"]
    assert len(catalog.events) == 5 + 3


def test_change_killed_after_its_decision_is_seen_and_carried_through(tmp_path):
    staged(tmp_path)
    expect_replaced(tmp_path)
    CatalogWriter(tmp_path / "catalog")
    expect_replaced(tmp_path)
    assert not list((tmp_path / "catalog" / ".staging").rglob("*.*"))


@pytest.mark.parametrize("steps", range(1, 5))
def test_change_killed_while_it_is_carried_through_is_finished(tmp_path, steps, monkeypatch):
    from pathlib import Path

    writer = staged(tmp_path)
    left = [steps]

    class Killed(BaseException):
        pass

    def dying(method):
        def call(self, *args, **kwargs):
            if not left[0]:
                raise Killed
            left[0] -= 1
            return method(self, *args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", dying(Path.unlink))
        patch.setattr(Path, "replace", dying(Path.replace))
        with pytest.raises(Killed):
            writer._carry_through()
    expect_replaced(tmp_path)
    CatalogWriter(tmp_path / "catalog")
    expect_replaced(tmp_path)


def test_change_killed_before_its_decision_never_happened(tmp_path):
    fill(tmp_path, ["/a"])
    staging = tmp_path / "catalog" / ".staging"
    (staging / "events" / "part-00000002.parquet").write_bytes(b"half")
    (staging / "commit.json.part").write_text("{")
    writer = CatalogWriter(tmp_path / "catalog")
    assert set(writer.known) == {"/a"}
    assert not list(staging.rglob("*.*"))


def age(folder, version):
    """Turn the parts of a catalog into those of an older version."""
    import pyarrow.parquet as pq

    for table, columns in VERSIONS[version].items():
        for file in (folder / "catalog" / table).glob("*.parquet"):
            old = pq.read_table(file).select([name for name, *_ in columns])
            metadata = old.schema.metadata | {b"crismis_schema": version.encode()}
            pq.write_table(old.replace_schema_metadata(metadata), file)


@pytest.mark.parametrize("version", [v for v in VERSIONS if int(v) < SCHEMA_VERSION])
def test_older_catalog_opens_with_nulls_and_is_continued(tmp_path, version):
    fill(tmp_path, ["/a"], ["/b"])
    age(tmp_path, version)
    events = Catalog(tmp_path).events
    assert len(events) == 6
    assert events["n_prongs"].mask.all()
    assert np.isnan(events["straightness"]).all()
    np.testing.assert_array_equal(events["energy"].value, [0, 1, 2, 0, 1, 2])
    writer = CatalogWriter(tmp_path / "catalog")
    assert set(writer.known) == {"/a", "/b"}
    fresh = exposures_of(["/b"])
    writer.commit(fresh, events_of(fresh, n_prongs=[2, 3, 4]))
    for _ in range(2):
        events = Catalog(tmp_path).select("events", columns=["n_prongs"])
        assert sorted(events["n_prongs"].filled(-1)) == [-1, -1, -1, 2, 3, 4]
        assert len(Catalog(tmp_path).select("events", where=[("n_prongs", ">", 2)])) == 2
        writer.compact()


def test_newer_schema_is_refused(tmp_path):
    import pyarrow.parquet as pq

    fill(tmp_path, ["/a"])
    for table in TABLES:
        file = next((tmp_path / "catalog" / table).glob("*.parquet"))
        content = pq.ParquetFile(file).read()
        newer = content.schema.metadata | {b"crismis_schema": str(SCHEMA_VERSION + 1).encode()}
        pq.write_table(content.replace_schema_metadata(newer), file)
    with pytest.raises(CatalogError, match="newer"):
        Catalog(tmp_path).exposures  # noqa: B018
    with pytest.raises(CatalogError, match="newer"):
        CatalogWriter(tmp_path / "catalog")


def test_missing_catalog_names_the_remedy(tmp_path):
    with pytest.raises(CatalogError, match="crismis run"):
        Catalog(tmp_path)


def test_exports_ecsv(tmp_path):
    from astropy.table import QTable

    fill(tmp_path, ["/a", "/b"])
    catalog = Catalog(tmp_path)
    written = catalog.export(tmp_path)
    assert [file.name for file in written] == ["exposures.ecsv", "events.ecsv"]
    back = QTable.read(tmp_path / "events.ecsv")
    assert back["energy"].unit == u.keV
    np.testing.assert_array_equal(back["energy"], catalog.events["energy"])


class TestOtherReaders:
    """The files open as they are, in one call."""

    @pytest.fixture
    def folder(self, tmp_path):
        fill(tmp_path, ["/a", "/b"], ["/c"])
        return tmp_path / "catalog"

    def test_pandas(self, folder):
        pd = pytest.importorskip("pandas")
        frame = pd.read_parquet(folder / "events")
        assert len(frame) == 9
        assert (frame.category == "track").sum() == 3

    def test_polars(self, folder):
        pl = pytest.importorskip("polars")
        frame = pl.scan_parquet(folder / "events" / "*.parquet")
        assert frame.filter(pl.col("category") == "track").collect().height == 3

    def test_duckdb(self, folder):
        duckdb = pytest.importorskip("duckdb")
        counted = duckdb.sql(
            f"select path, count(*) from '{folder}/events/*.parquet' join "
            f"'{folder}/exposures/*.parquet' using (exposure_id) group by path order by path"
        ).fetchall()
        assert counted == [("/a", 3), ("/b", 3), ("/c", 3)]

    def test_units_are_field_metadata(self, folder):
        import pyarrow.parquet as pq

        field = pq.read_schema(next((folder / "events").iterdir())).field("energy")
        assert field.metadata[b"unit"] == b"keV"


def test_full_disk_leaves_the_catalog_as_it_was(tmp_path, monkeypatch):
    import errno

    import pyarrow.parquet as pq

    writer = fill(tmp_path, ["/a"])

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    fresh = exposures_of(["/a", "/b"])
    with pytest.raises(CatalogError, match="No space left on device"):
        writer.commit(fresh, events_of(fresh))
    assert list(Catalog(tmp_path).exposures["path"]) == ["/a"]
