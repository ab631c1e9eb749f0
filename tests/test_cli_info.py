"""The commands ``crismis info`` and ``crismis detectors``."""

import json

import numpy as np
import pytest
from astropy.io import fits
from typer.testing import CliRunner

from crismis.cli import detectors, info  # noqa: F401
from crismis.cli.app import app


@pytest.fixture
def folder(tmp_path):
    header = fits.Header({"BUNIT": "electron", "EXPTIME": 5.0, "INSTRUME": "CAM"})
    fits.writeto(tmp_path / "a.fits", np.zeros((3, 4), np.float32), header)
    (tmp_path / "notes.txt").write_text("clouds")
    return tmp_path


def invoke(*words):
    return CliRunner().invoke(app, [str(w) for w in words])


def test_one_line_per_image(folder):
    result = invoke("info", folder)
    assert result.exit_code == 0
    line, skipped = result.output.splitlines()
    assert line.endswith("a.fits [PRIMARY]: 4 x 3 float32 electron, CAM, 5 s, 1 e-/DN")
    assert skipped.endswith("notes.txt: skipped, unknown format")


def test_json(folder):
    rows = [json.loads(line) for line in invoke("info", "--json", folder).output.splitlines()]
    assert rows[0]["shape"] == [3, 4]
    assert rows[0]["exposure_time"] == 5.0
    assert rows[1]["skipped"] == "unknown format"


def test_unreadable_file_sets_the_exit_code(folder):
    result = invoke("info", "--json", folder / "notes.txt")
    assert result.exit_code == 1
    assert json.loads(result.output)["error"].startswith("unknown format")


def test_table_of_detectors(tmp_path, monkeypatch):
    monkeypatch.setattr("crismis.detectors._USER", {})
    path = tmp_path / "mine.toml"
    path.write_text('["Mine"]\npitch = 9.0\n')
    result = invoke("detectors", "--add", path)
    assert result.exit_code == 0
    assert "HST/ACS/WFC" in result.output
    assert "Mine" in result.output


def test_one_detector_with_sources():
    assert "Handbook" in invoke("detectors", "hst/acs/wfc").output
    rows = json.loads(invoke("detectors", "--json", "hst/acs/wfc").output)
    assert rows[0]["pitch"] == 15.0
    assert rows[0]["thickness"] is None


def test_unknown_detector_is_wrong_usage():
    result = invoke("detectors", "nobody")
    assert result.exit_code == 2
    assert "no detector is named 'nobody'" in result.output
