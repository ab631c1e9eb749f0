"""``crismis run`` and ``crismis status``: exit codes and what scripts read."""

import json

import pytest
from typer.testing import CliRunner

import crismis.cli.run
import crismis.cli.status  # noqa: F401
from crismis.cli import app


@pytest.fixture
def image(tmp_path):
    import numpy as np
    from astropy.io import fits

    data = np.random.default_rng(1).normal(100, 5, (48, 60)).astype(np.float32)
    data[20, 10:16] += 2000
    header = fits.Header({"BUNIT": "electron", "GAIN": 1.0, "RDNOISE": 5.0})
    fits.writeto(tmp_path / "a.fits", data, header)
    return tmp_path / "a.fits"


def invoke(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


def test_exit_codes_and_json(image, tmp_path):
    out = tmp_path / "out"
    common = ["-o", out, "--method", "lacosmic", "--workers", 0]
    done = invoke("run", image, *common, "--quiet", "--ecsv")
    assert (done.exit_code, done.stdout) == (0, "")
    assert (out / "overlays" / "a_crismis.png").is_file()
    assert (out / "exposures.ecsv").is_file()
    failed = invoke("run", image, tmp_path / "nothing.fits", *common, "--json")
    assert failed.exit_code == 1
    assert json.loads(failed.stdout)["resumed"] == 1
    state = invoke("status", out, "--json")
    assert json.loads(state.stdout)["failed"] == 1
    assert "1 with an error" in invoke("status", out).stdout


def test_what_the_person_waiting_sees(image, tmp_path):
    out = tmp_path / "out"
    missing = tmp_path / "nothing.fits"
    common = ["-o", out, "--method", "lacosmic", "--workers", 0, "--no-overlay"]
    shown = invoke("run", image, missing, *common)
    assert shown.exit_code == 1
    for part in ("2/2", "remaining", f"failed: {missing}"):
        assert part in shown.stderr
    for part in ("2 files: 1 done, 1 failed", "1 images", "Mpix/s", f"results in {out}"):
        assert part in shown.stdout
    assert f"{missing}: " in (out / "crismis.log").read_text()
    assert "finished at" in invoke("status", out).stdout
    quiet = invoke("run", image, missing, *common, "--quiet")
    assert quiet.stdout == ""
    assert quiet.stderr.strip().splitlines() == [quiet.stderr.strip()]


def test_time_limit_is_an_hour_unless_given(image, tmp_path, monkeypatch):
    import crismis.survey

    given = {}

    def run(paths, output, **options):
        given.update(options)
        return crismis.survey.Summary(str(output))

    monkeypatch.setattr(crismis.survey, "run", run)
    assert invoke("run", image, "-o", tmp_path / "out").exit_code == 0
    assert given["time_limit"] == 3600


def test_fitting_stars_is_another_setting(image, tmp_path):
    out = tmp_path / "out"
    common = ["run", image, "-o", out, "--workers", 0, "--no-overlay", "--json"]
    assert invoke(*common).exit_code == 0
    again = json.loads(invoke(*common, "--no-fit-stars").stdout)
    assert (again["resumed"], again["changed"]) == (1, 1)
    anew = json.loads(invoke(*common, "--no-fit-stars", "--update").stdout)
    assert (anew["done"], anew["resumed"]) == (1, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        ["--workers", -1],
        ["--method", "magic"],
        ["--nonsense"],
        ["--method", "lacosmic", "--fit-stars"],
    ],
)
def test_wrong_usage(image, tmp_path, wrong):
    assert invoke("run", image, "-o", tmp_path / "out", *wrong).exit_code == 2
