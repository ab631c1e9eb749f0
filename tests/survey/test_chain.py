"""One file through all steps: what identifies a result, rows and errors."""

import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from crismis.network import save_model
from crismis.survey.chain import Settings, _Notes, error_row, process_file, to_arrow
from crismis.survey.schema import arrow_schema

from .conftest import write_frame


def digest(**settings):
    return Settings(**settings).stamp()["settings"]


def test_settings_that_shape_the_result_shape_the_digest(tmp_path):
    for name, value in (("a", 1.0), ("b", 2.0)):
        save_model(tmp_path / f"{name}.crm", {"weights": np.array([value])}, {"name": "mine"})
    model = tmp_path / "a.crm"
    different = [
        digest(),
        digest(method="lacosmic"),
        digest(options={"threshold": 0.4}),
        digest(options={"model": str(model)}),
        digest(options={"model": str(tmp_path / "b.crm")}),
        digest(classifier=model),
        digest(options={"mask": np.zeros(3)}),
        digest(options={"mask": np.ones(3)}),
    ]
    assert len(set(different)) == len(different)
    assert digest(options={"model": str(model)}) == digest(options={"model": model})


def test_settings_that_do_not_shape_the_result_do_not():
    assert digest() == digest(cleaned=False) == digest(overlay=print)
    assert digest() == digest(options={"n_threads": 2})


def test_changed_content_of_a_model_changes_the_digest(tmp_path):
    model = tmp_path / "mine.crm"
    save_model(model, {"weights": np.array([1.0])}, {"name": "mine"})
    before = digest(options={"model": model})
    save_model(model, {"weights": np.array([2.0])}, {"name": "mine"})
    assert digest(options={"model": model}) != before


@pytest.fixture
def settings():
    return Settings("lacosmic", cleaned=False)


def test_rows_of_a_file(tmp_path, settings):
    write_frame(tmp_path / "f.fits", 1, FILTER="F606W")
    exposures, events = process_file(str(tmp_path / "f.fits"), "f", "", settings, settings.stamp())
    assert exposures.schema == arrow_schema("exposures")
    assert events.schema == arrow_schema("events")
    row = exposures.to_pylist()[0]
    assert (row["status"], row["filter"], row["instrument"]) == ("ok", "F606W", "TEST")
    assert (row["rows"], row["columns"], row["exposure_time"]) == (48, 60, 100.0)
    assert row["n_events"] == events.num_rows >= 3
    assert (row["cleaned"], row["overlay"]) == (None, None)
    assert set(events["exposure_id"].to_pylist()) == {row["exposure_id"]}


def test_nothing_to_do_where_the_checksum_is_as_expected(tmp_path, settings):
    write_frame(tmp_path / "f.fits", 1)
    arguments = (str(tmp_path / "f.fits"), "f", "", settings, settings.stamp())
    exposures, _ = process_file(*arguments)
    checksum = exposures["checksum"][0].as_py()
    assert process_file(*arguments, checksum) is None
    assert process_file(*arguments, "another") is not None


def test_file_that_is_no_image_is_an_error_row(tmp_path, settings):
    (tmp_path / "f.fits").write_text("clouds")
    exposures, events = process_file(str(tmp_path / "f.fits"), "f", "", settings, settings.stamp())
    row = exposures.to_pylist()[0]
    assert (row["status"], events.num_rows) == ("error", 0)
    assert row["error"]
    assert row["checksum"]


def test_text_that_is_not_valid_is_kept_readable():
    exposures, events = to_arrow([error_row({"path": "/f\udcff.fits"}, "bad \udcff")], [])
    assert exposures["path"].to_pylist() == ["/f\\udcff.fits"]
    assert exposures["error"].to_pylist() == ["bad \\udcff"]
    assert events.num_rows == 0


def test_threads_keep_their_warnings_apart_and_leave_the_filters_alone():
    def note(name):
        with _Notes() as found:
            time.sleep(0.02)
            warnings.warn(name, UserWarning, stacklevel=1)
            time.sleep(0.03 if name == "f0" else 0.01)
        return name, list(found)

    before = list(warnings.filters)

    with ThreadPoolExecutor(4) as pool:
        notes = list(pool.map(note, [f"f{i}" for i in range(8)]))
    assert all(found == [f"UserWarning: {name}"] for name, found in notes)
    assert list(warnings.filters) == before
