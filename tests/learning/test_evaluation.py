# Licensed under a 3-clause BSD style license - see LICENSE.rst
import json

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import average_precision_score, roc_curve

from crismis.learning.evaluation import (
    average_precision,
    block_bootstrap,
    calibration_error,
    operating_point,
)


@pytest.fixture
def frame():
    """Scores with many ties, 3 % hits and some pixels that do not count."""
    rng = np.random.default_rng(5)
    truth = np.where(rng.random((200, 210)) < 0.03, 1, 0)
    score = np.round(rng.normal(2.0 * truth, 1), 1)
    truth[rng.random(truth.shape) < 0.1] = 2
    return score, truth


@pytest.mark.parametrize("rate", [0, 1e-4, 1e-3, 0.05, 0.5, 1])
def test_operating_point_is_the_best_point_of_the_roc_curve_within_the_rate(frame, rate):
    score, truth = frame
    counts = truth < 2
    fpr, tpr, thresholds = roc_curve(truth[counts], score[counts], drop_intermediate=False)
    best = np.flatnonzero(fpr <= rate)[-1]
    point = operating_point(score, truth, rate)
    assert point.true_positive_rate == pytest.approx(tpr[best])
    assert point.false_positive_rate == pytest.approx(fpr[best])
    assert point.threshold == thresholds[best]


def test_clean_pixels_that_share_the_highest_score_are_not_split():
    score = np.ones(1000)
    truth = np.arange(1000) < 100
    point = operating_point(score, truth, 0.01)
    assert (point.true_positive_rate, point.false_positive_rate) == (0, 0)
    assert point.threshold == np.inf


def test_average_precision_is_that_of_scikit_learn(frame):
    score, truth = frame
    counts = truth < 2
    expected = average_precision_score(truth[counts], score[counts])
    assert average_precision(score, truth) == pytest.approx(expected)


def test_calibration_table_is_that_of_scikit_learn():
    rng = np.random.default_rng(2)
    probability = rng.random(30_000)
    truth = (rng.random(30_000) < probability**2).astype(int)
    error, table = calibration_error(probability, truth, floor=0.0)
    hits, mean = calibration_curve(truth, probability, n_bins=15, strategy="quantile")
    np.testing.assert_allclose(table[:, 0], mean, atol=1e-4)
    np.testing.assert_allclose(table[:, 1], hits, atol=1e-3)
    assert error == pytest.approx(np.mean(np.abs(hits - mean)), abs=1e-3)
    assert error == pytest.approx(1 / 6, abs=0.01)


def test_probabilities_that_mean_what_they_say_have_no_calibration_error():
    rng = np.random.default_rng(3)
    probability = rng.random(200_000) ** 4
    truth = rng.random(200_000) < probability
    error, _ = calibration_error(probability, truth)
    assert error < 0.005


def test_no_pixel_above_the_floor_gives_nan():
    error, table = calibration_error([0.0, 0.005], [0, 1])
    assert np.isnan(error)
    assert table.shape == (0, 3)


def test_bootstrap_scatters_round_the_rate_as_much_as_new_images_do():
    def make(seed):
        rng = np.random.default_rng(seed)
        truth = np.kron(rng.random((64, 64)) < 0.05, np.ones((4, 4), int))
        score = rng.normal(3.0 * truth, 1) + np.kron(rng.normal(size=(64, 64)), np.ones((4, 4)))
        return score, truth

    fresh = [operating_point(*make(s), 1e-2).true_positive_rate for s in range(60)]
    draws = block_bootstrap(*make(0), 1e-2, block=16, draws=200)
    assert draws.mean() == pytest.approx(fresh[0], abs=0.03)
    assert draws.std() == pytest.approx(np.std(fresh), rel=0.4)


@pytest.mark.parametrize(
    ("score", "truth", "message"),
    [
        ([1.0, 2.0], [1], "shape"),
        ([1.0, 2.0], [1, 1], "no clean pixel"),
        ([1.0, 2.0], [0, 2], "no hit pixel"),
        ([np.nan, 2.0], [0, 1], "clean pixel is NaN"),
    ],
)
def test_bad_input_is_named(score, truth, message):
    with pytest.raises(ValueError, match=message):
        operating_point(score, truth, 0.1)


def test_evaluate_prints_the_figures_of_a_frame(tmp_path):
    from astropy.io import fits
    from typer.testing import CliRunner

    from crismis.cli.app import app, load_commands

    load_commands()
    rng = np.random.default_rng(4)
    image = rng.poisson(60, (128, 128)) + rng.normal(0, 5, (128, 128))
    truth = np.zeros(image.shape, np.uint8)
    for row in range(10, 120, 10):
        image[row, 30:35] += 900
        truth[row, 30:35] = 1
    primary = fits.PrimaryHDU()
    primary.header["GAIN"], primary.header["RDNOISE"] = 1.0, 5.0
    sci = fits.ImageHDU(image.astype(np.float32), name="SCI")
    path = tmp_path / "frame.fits"
    fits.HDUList([primary, sci, fits.ImageHDU(truth, name="TRUTH")]).writeto(path)
    result = CliRunner().invoke(app, ["evaluate", str(path), "--json"])
    assert result.exit_code == 0, result.output
    (row,) = json.loads(result.output)
    assert row["frame"] == "frame.fits"
    assert row["average_precision"] > 0.99
    missing = CliRunner().invoke(app, ["evaluate", str(tmp_path / "none.fits")])
    assert missing.exit_code == 1
