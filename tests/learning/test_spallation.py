"""Frames with stars are labelled by their truth, and the ranking learns from them."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from typer.testing import CliRunner

from crismis import Detector
from crismis.cli.app import app, load_commands
from crismis.learning.spallation import (
    HELD_OUT_SEED,
    StarFrames,
    fit_ranking,
    simulate_stars,
    star_frame,
    true_hits,
)
from crismis.network import save_model
from crismis.physics.spallation import STAR_FEATURES, star_probability

load_commands()


def test_frames_have_the_share_of_hit_pixels_asked_for():
    slab = Detector("slab", pitch=20.0, thickness=100.0, gain=1.0, readnoise=5.0, diffusion=5.0)
    image = star_frame(slab, hit_share=0.02, stars=0.0, seed=3)
    assert_allclose(true_hits(image).mean(), 0.02, rtol=0.25)
    assert "spallation" not in set(image.truth["events"]["kind"])


def test_seeds_of_evaluation_are_held_out():
    with pytest.raises(ValueError, match="held out"):
        simulate_stars(5, seed=HELD_OUT_SEED - 2)
    with pytest.raises(ValueError, match="held out"):
        simulate_stars(1, seed=HELD_OUT_SEED + 100)


def test_the_command_refuses_held_out_seeds_with_a_message(tmp_path):
    command = ["train", "spallation", "--seed", str(HELD_OUT_SEED), "-o", str(tmp_path / "x.crm")]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1
    assert "held out for evaluation" in result.output
    assert not (tmp_path / "x.crm").exists()


def made_up(n_frames, rng):
    """Vertices that are stars where their first feature is large."""
    parts = []
    for number in range(n_frames):
        features = rng.normal(size=(200, len(STAR_FEATURES))).astype(np.float32)
        star = features[:, 0] > 1.2
        y, x = rng.integers(0, 1024, (2, 200))
        parts.append(StarFrames(features, y, x, star, np.full(200, number), 5000))
    return StarFrames.join(parts)


def test_the_ranking_learns_what_stars_look_like(tmp_path):
    rng = np.random.default_rng(2)
    arrays, card = fit_ranking(made_up(12, rng))
    save_model(tmp_path / "stars.crm", arrays, card)
    test = made_up(4, rng)
    probability, least = star_probability(test.features, tmp_path / "stars.crm")
    assert least == card["least_probability"]
    assert np.mean(probability[test.star] > least) > 0.8
    assert np.mean(probability[~test.star] > least) < 0.01


def test_too_few_frames_are_refused():
    with pytest.raises(ValueError, match="simulate more frames"):
        fit_ranking(made_up(2, np.random.default_rng(1)))
