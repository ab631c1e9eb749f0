"""Stars are found where their prongs meet and ranked; crossing tracks are no stars."""

import os
from importlib.resources import files

import numpy as np
import pytest

from crismis import CosmicRayCCDData, Detector, categorize_cosmicrays
from crismis.errors import ModelError
from crismis.learning.spallation import HELD_OUT_SEED, star_frame, true_hits
from crismis.network import load_model, save_model
from crismis.physics import find_spallation
from crismis.physics.prongs import find_prongs, propose_vertices
from crismis.physics.spallation import SHIPPED

SLAB = Detector("slab", pitch=13.5, thickness=100.0, gain=1.0, readnoise=5.0, diffusion=5.0)


def draw(lines, noise=3.0, seed=1):
    """Image with straight lines of one pixel's width, each ((x, y), angle, length, level)."""
    rng = np.random.default_rng(seed)
    image = np.zeros((200, 200))
    for (x, y), angle, length, level in lines:
        for r in np.arange(0, length, 0.25):
            column = int(np.rint(x + r * np.cos(np.deg2rad(angle))))
            row = int(np.rint(y + r * np.sin(np.deg2rad(angle))))
            image[row, column] = max(image[row, column], level)
    hits = image > 0
    ccd = CosmicRayCCDData(image + rng.normal(0, noise, image.shape), unit="electron")
    return categorize_cosmicrays(ccd, crmask=hits)


STAR = [((100, 100), a, 12, level) for a, level in [(10, 900), (95, 400), (160, 2000), (250, 700)]]
LONELY = [((20 + 30 * k, 30), 40, 10, 300) for k in range(5)]


def test_prongs_are_traced_from_the_vertex():
    image = np.where(draw(STAR).hits, draw(STAR).data, 0)
    y, x = propose_vertices(image, image > 0, 9.0)
    assert np.hypot(y - 100, x - 100).min() <= 1.5
    prongs = find_prongs(image, np.array([100]), np.array([100]), 9.0)
    assert prongs.present.sum() == 4
    angles = np.rad2deg(prongs.angle[0, :4]) % 360
    assert np.allclose(angles, [160, 10, 250, 95], atol=8)  # the brightest first
    assert np.allclose(prongs.length[0, :4], 12, atol=1.5)
    assert (np.diff(prongs.level[0, :4]) < 0).all()
    assert (prongs.miss[0, :4] < 0.7).all()
    assert np.allclose(np.rad2deg(prongs.turn[0, [0, 1]]), 30, atol=10)


def test_star_is_found_at_its_vertex():
    table = find_spallation(draw(STAR + LONELY), min_probability=0.0)
    assert len(table) == 1
    assert table["n_prongs"][0] == 4
    assert abs(table["x_vertex"][0].value - 100) <= 1.5
    assert abs(table["y_vertex"][0].value - 100) <= 1.5
    angles = [float(a) for a in table["prong_angles"][0].split(",")]
    assert np.allclose(angles, [10, 95, 160, 250], atol=10)
    assert table["chance_probability"][0] < 0.01
    assert 3 < table["brightness_ratio"][0] < 8
    assert 0 <= table["probability"][0] <= 1


@pytest.mark.parametrize("angle", [30, 60, 90])
def test_crossing_tracks_are_two_lines_and_no_star(angle):
    cross = [((80, 100), 0, 40, 500), ((100, 100), angle, 20, 500)]
    cross.append(((100, 100), angle + 180, 20, 500))
    assert len(find_spallation(draw(cross + LONELY), min_probability=0.0)) == 0


@pytest.fixture(scope="module")
def crowded():
    image = star_frame(SLAB, stars=0.05, seed=HELD_OUT_SEED + 100_000)
    return categorize_cosmicrays(image, crmask=true_hits(image))


def test_bright_stars_among_five_percent_hit_pixels_are_ranked_first(crowded):
    events = crowded.truth["events"]
    star = (events["visible_prongs"] >= 4) & (events["kind"] == "spallation")
    table = find_spallation(crowded, min_probability=0.0)
    assert len(table) > 50
    best = table[: star.sum() // 2]
    away = np.hypot(
        best["x_vertex"].value[:, None] - events["x_entry"].value[events["kind"] == "spallation"],
        best["y_vertex"].value[:, None] - events["y_entry"].value[events["kind"] == "spallation"],
    ).min(axis=1)
    assert np.mean(away < 4) >= 0.9
    assert (np.diff(table["probability"]) <= 0).all()


def test_the_least_probability_of_the_model_is_the_default(crowded):
    everything = find_spallation(crowded, min_probability=0.0)
    usual = find_spallation(crowded)
    assert 0 < len(usual) < len(everything)


def test_an_image_without_events_has_no_candidates():
    assert len(find_spallation(draw([]))) == 0


def test_events_are_needed():
    with pytest.raises(ValueError, match="categorize_cosmicrays"):
        find_spallation(CosmicRayCCDData(np.zeros((9, 9)), unit="adu"))


def test_a_model_for_other_features_is_refused(tmp_path):
    save_model(tmp_path / "odd.crm", {}, {"task": "spallation", "name": "odd", "features": ["one"]})
    with pytest.raises(ModelError, match="train it anew"):
        find_spallation(draw(STAR), model=tmp_path / "odd.crm")


def test_a_model_file_that_changed_is_read_anew(tmp_path):
    path = tmp_path / "own.crm"
    arrays, card = load_model(files("crismis").joinpath(SHIPPED))
    save_model(path, arrays, card | {"least_probability": 0.0})
    everything = find_spallation(draw(STAR), model=path)
    save_model(path, arrays, card | {"least_probability": 1.0})
    os.utime(path, ns=(0, 0))
    assert len(find_spallation(draw(STAR), model=path)) < len(everything)
