"""The command ``crismis simulate``."""

import json

import pytest
from typer.testing import CliRunner

from crismis import CosmicRayCCDData
from crismis.cli import app
from crismis.cli.simulate import simulate  # noqa: F401 (registers the command)

SMALL = ["simulate", "--shape", "64", "80", "--thickness", "13", "--seed", "1"]


def run(*arguments):
    return CliRunner().invoke(app, [*SMALL, *map(str, arguments)])


def test_file_holds_the_truth(tmp_path):
    path = tmp_path / "sim.fits"
    result = run("-o", path, "--rate", 20, "--scene", "field", "--json")
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    image = CosmicRayCCDData.read(path)
    assert image.shape == (64, 80)
    assert len(image.truth["events"]) == summary["events"] > 20
    assert image.truth["deposit"].sum() > 0
    assert set(image.truth["pixels"].colnames) == {"label", "x", "y", "charge"}


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--particles", "axion"), "unknown particle"),
        (("--exposure", "0"), "exposure must be positive"),
        (("--scene", "disco"), "unknown scene"),
        (("--detector", "Kodak"), "no detector is named"),
        (("--thickness", "-3"), "thickness must be positive"),
        (("--particles", "muon=x"), "must be a number"),
    ],
)
def test_bad_input_is_wrong_usage(tmp_path, option, message):
    result = run("-o", tmp_path / "x.fits", *option)
    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("│", " ").split())


def test_existing_file_is_kept(tmp_path):
    path = tmp_path / "sim.fits"
    path.write_text("mine")
    assert run("-o", path).exit_code == 2
    assert path.read_text() == "mine"


def test_mixture_on_the_command_line(tmp_path):
    path = tmp_path / "sim.fits"
    result = run("-o", path, "--particles", "muon=3,alpha=1", "--rate", 30, "--overwrite")
    assert result.exit_code == 0, result.output
    kinds = set(CosmicRayCCDData.read(path).truth["events"]["kind"])
    assert kinds == {"muon", "alpha"}
