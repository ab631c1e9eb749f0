"""Writing the catalog: all or nothing, replacement, merging."""

import pytest

from crismis import Catalog
from crismis.errors import CatalogError
from crismis.survey.writer import CatalogWriter

from .conftest import events_of, exposures_of, fill


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
    from crismis.survey import writer as module

    # A part of one exposure and three events weighs 103.
    monkeypatch.setattr(module, "_LARGE", 350)
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
