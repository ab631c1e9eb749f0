"""Stars are found and ranked by chance; crossing tracks are no stars."""

import numpy as np
import pytest

from crismis import CosmicRayCCDData, categorize_cosmicrays
from crismis.physics import find_spallation


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


def test_star_is_found_at_its_vertex():
    table = find_spallation(draw(STAR + LONELY))
    assert len(table) == 1
    assert table["n_prongs"][0] == 4
    assert abs(table["x_vertex"][0].value - 100) <= 1.5
    assert abs(table["y_vertex"][0].value - 100) <= 1.5
    angles = [float(a) for a in table["prong_angles"][0].split(",")]
    assert np.allclose(angles, [10, 95, 160, 250], atol=10)
    assert table["chance_probability"][0] < 0.01
    assert 3 < table["brightness_ratio"][0] < 8


@pytest.mark.parametrize("angle", [30, 60, 90])
def test_crossing_tracks_are_two_lines_and_no_star(angle):
    cross = [((80, 100), 0, 40, 500), ((100, 100), angle, 20, 500)]
    cross.append(((100, 100), angle + 180, 20, 500))
    assert len(find_spallation(draw(cross + LONELY))) == 0


def test_a_star_of_bright_prongs_ranks_before_a_faint_one():
    faint = [((50, 150), a, 12, 300) for a in (0, 100, 215)]
    table = find_spallation(draw(STAR + faint + LONELY))
    assert len(table) == 2
    assert table["x_vertex"][0].value > 90


def test_an_image_without_events_has_no_candidates():
    assert len(find_spallation(draw([]))) == 0


def test_events_are_needed():
    with pytest.raises(ValueError, match="categorize_cosmicrays"):
        find_spallation(CosmicRayCCDData(np.zeros((9, 9)), unit="adu"))
