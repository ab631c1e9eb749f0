"""Reading the catalog: conditions, units, older and newer ones, other readers."""

import numpy as np
import pytest
from astropy import units as u
from astropy.time import Time

from crismis import Catalog
from crismis.errors import CatalogError
from crismis.survey.schema import SCHEMA_VERSION, TABLES
from crismis.survey.writer import CatalogWriter

from .conftest import events_of, exposures_of, fill
from .test_schema import VERSIONS


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


def test_sees_what_is_written_while_it_is_open(tmp_path):
    writer = fill(tmp_path, ["/a"], ["/b"])
    catalog = Catalog(tmp_path)
    fresh = exposures_of(["/c"])
    writer.commit(fresh, events_of(fresh))
    writer.compact()
    assert len(catalog.events) == 9


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
