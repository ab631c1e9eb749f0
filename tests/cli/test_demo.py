"""The demo does the main job and what it writes can be read again."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from crismis import Catalog, CosmicRayCCDData
from crismis.cli.app import app, load_commands

load_commands()


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    result = CliRunner().invoke(app, ["demo", "-o", str(folder), "--size", "256"])
    assert result.exit_code == 0, result.output
    assert "track" in result.output
    return folder


def test_demo_writes_cleaned_image_overlay_and_catalog(output):
    catalog = Catalog(output / "results")
    row = catalog.exposures[0]
    cleaned = CosmicRayCCDData.read(output / "results" / str(row["cleaned"]))
    assert len(cleaned.events) == row["n_events"] == len(catalog.events)
    assert (output / "results" / str(row["overlay"])).stat().st_size > 10_000


def test_demo_finds_most_of_what_it_simulated(output):
    truth = CosmicRayCCDData.read(output / "exposure.fits").truth["deposit"]
    row = Catalog(output / "results").exposures[0]
    hits = CosmicRayCCDData.read(output / "results" / str(row["cleaned"])).hits
    bright = truth > 10 * np.sqrt(60 + 25)
    assert hits[bright].mean() > 0.9


def test_rates_are_printed_as_a_table_and_as_json(output):
    catalog = str(output / "results")
    text = CliRunner().invoke(app, ["rates", catalog, "--by", "detector"])
    assert text.exit_code == 0, text.output
    assert "rate_lower" in text.output
    rows = json.loads(
        CliRunner().invoke(app, ["rates", catalog, "--by", "detector", "--json"]).output
    )
    assert rows[0]["rate_lower"] < rows[0]["rate"] < rows[0]["rate_upper"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--by", "fortnight"], "fortnight"), (["--where", "instrument"], "COLUMN=VALUE")],
)
def test_wrong_usage_of_rates_has_exit_code_two(output, arguments, message):
    result = CliRunner().invoke(app, ["rates", str(output / "results"), *arguments])
    assert result.exit_code == 2
    assert message in result.output


def test_spallation_writes_a_ranked_table(output, tmp_path):
    result = CliRunner().invoke(
        app, ["spallation", str(output / "results"), "-o", str(tmp_path / "stars")]
    )
    assert result.exit_code == 0, result.output
    assert (tmp_path / "stars" / "candidates.ecsv").is_file()
