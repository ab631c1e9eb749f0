"""Descriptions do not change under turns and flips, and say what they should."""

import numpy as np
import pytest
from crismis.events._kernels import CROSSING_FEATURES, LEVEL_FEATURES, level_descriptors

from crismis.events import FEATURES, describe, measure_events, relative_stopping, segment


def curled_image(seed, digital):
    """A wandering track with noise, in electrons or in 8 bits with many ties."""
    rng = np.random.default_rng(seed)
    image = rng.normal(0, 2, (40, 48))
    place, angle = np.array([15.0, 15.0]), rng.uniform(0, 6)
    for _ in range(60):
        angle += rng.normal(0, 0.25)
        place = np.clip(place + 0.4 * np.array([np.sin(angle), np.cos(angle)]), 3, 36)
        y, x = np.rint(place).astype(int)
        image[y, x] += 60
        image[y - 1 : y + 2, x] += 9
        image[y, x - 1 : x + 2] += 9
    return np.clip(np.rint(image), 0, 255).astype(np.float32) if digital else image


def described(image, threshold=8):
    image = np.ascontiguousarray(image)
    labels = segment(image > threshold, bridge=False, deblend=False)
    events = measure_events(labels, image)
    largest = np.argmax(events.columns["n_pixels"])
    return describe(events)[largest]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("digital", [False, True])
def test_equal_under_turns_and_flips(seed, digital):
    image = curled_image(seed, digital)
    reference = described(image)
    for turn in range(8):
        turned = np.rot90(image.T if turn > 3 else image, turn % 4)
        np.testing.assert_allclose(described(turned), reference, rtol=1e-4, atol=1e-4)


def level_of(image, level=0):
    y, x = (a.astype(np.int32) for a in np.nonzero(image))
    charge = image[y, x].astype(np.float32)
    levels, crossings = level_descriptors(charge, y, x, np.array([0, len(y)]), 3)
    return dict(
        zip(
            LEVEL_FEATURES + CROSSING_FEATURES,
            [*levels[0, level].tolist(), *crossings[0].tolist()],
            strict=True,
        )
    )


def test_straight_line_has_no_bend_and_no_branch():
    image = np.zeros((5, 30))
    image[2, 3:23] = 10
    line = level_of(image)
    assert np.exp(line["extent"]) == pytest.approx(20)
    assert line["straightness"] == pytest.approx(1)
    assert line["detour"] == pytest.approx(1)
    assert line["sagitta"] == pytest.approx(0, abs=1e-5)
    assert line["branch_1"] == 0


def test_tee_has_one_branch_at_its_middle():
    image = np.zeros((20, 30))
    image[2, 3:24] = image[2:10, 13] = 10
    tee = level_of(image)
    assert tee["branch_1"] == pytest.approx(7, abs=0.5)
    assert tee["branch_2"] == 0
    assert tee["branch_place"] == pytest.approx(0.5, abs=0.03)
    assert tee["branch_angle"] == pytest.approx(1, abs=0.1)


def test_way_through_a_tee_is_its_bar_and_the_stem_is_spare():
    image = np.zeros((20, 30))
    image[2, 3:24] = image[2:10, 13] = 10
    tee = level_of(image)
    assert np.expm1(tee["through"]) == pytest.approx(20, abs=1.1)
    assert tee["through_deviation"] < 0.2
    assert tee["spare_arm"] == pytest.approx(7, abs=0.8)
    assert tee["spare_distance"] == pytest.approx(7, abs=0.8)
    assert tee["stem"] == pytest.approx(10, abs=1)
    assert tee["branch_margin_1"] == pytest.approx(7 - 2 - tee["breadth"] / 2, abs=0.3)
    assert tee["branch_margin_2"] < 0


def test_way_through_is_found_where_the_longest_way_turns_off():
    image = np.zeros((40, 40))
    image[5, 2:22] = image[5:30, 15] = 10
    assert level_of(image)["through_deviation"] < 0.3


def test_arms_of_a_cross_leave_at_one_place_to_both_sides():
    image = np.zeros((30, 30))
    image[12, 2:27] = image[5:20, 14] = 10
    cross = level_of(image)
    assert cross["root_gap"] < 1
    assert cross["cross_deviation"] < 1
    assert cross["second_distance"] == pytest.approx(-7, abs=0.6)


def test_solidity_equals_that_of_the_hull_of_the_pixels():
    from skimage.measure import euler_number
    from skimage.morphology import convex_hull_image

    image = curled_image(3, digital=False) > 8
    shape = level_of(image.astype(float) * 10)
    hull = convex_hull_image(image)
    # scikit-image fills pixels whose middle is inside, so that its hull is a little smaller.
    assert shape["solidity"] == pytest.approx(image.sum() / hull.sum(), rel=0.1)
    ring = np.zeros((12, 12))
    ring[2:8, 2:9] = 1
    ring[4:6, 4:6] = 0
    assert np.expm1(level_of(ring)["holes"]) == pytest.approx(1 - euler_number(ring > 0, 2))
    assert np.expm1(level_of(ring)["holes"]) == pytest.approx(1)
    assert level_of(np.ones((3, 7)))["solidity"] == pytest.approx(1)


def rays(*angles, length=12):
    """Lines of unit charge that leave the middle of an image."""
    image = np.zeros((31, 31))
    for angle in np.deg2rad(angles):
        for step in np.linspace(0, length, 60):
            image[15 + round(step * np.sin(angle)), 15 + round(step * np.cos(angle))] = 1
    return image


def test_prongs_of_a_cross_are_opposite_and_those_of_a_star_are_not():
    cross, star = level_of(rays(20, 110, 200, 290)), level_of(rays(0, 120, 240))
    assert cross["root_prongs"] == cross["peak_prongs"] == 4
    assert cross["peak_opposite"] < 0.15
    assert cross["peak_second_opposite"] < 0.25
    assert star["peak_prongs"] == 3
    assert star["peak_opposite"] == pytest.approx(np.pi / 3, abs=0.25)
    assert star["peak_second_opposite"] > np.pi


def test_faint_line_goes_on_behind_a_bright_core():
    image = np.zeros((13, 40))
    image[6, 3:37] = 1
    image[4:9, 14:19] = 100
    knot = level_of(image)
    assert knot["core_height"] > 3
    assert knot["ends_unequal"] < 0.1
    assert np.expm1(knot["short_stub"]) == pytest.approx(10, abs=2.1)
    assert np.expm1(knot["long_stub"]) == pytest.approx(17, abs=2.1)
    assert knot["stub_deviation"] < 0.2
    assert knot["outer_pieces"] == 2
    assert knot["outer_deviation"] < 0.2
    plain = level_of(np.pad(np.ones((1, 30)), 4))
    assert plain["short_stub"] == plain["outer_pieces"] == 0


def test_peaks_are_counted():
    image = np.zeros((13, 40))
    image[6, 3:37] = 1
    image[6, 10], image[6, 30] = 100, 50
    knots = level_of(image)
    assert np.exp(knots["peaks"]) == pytest.approx(2)
    assert knots["second_peak"] == pytest.approx(0.5, abs=0.03)
    assert knots["second_peak_distance"] == pytest.approx(20 / 33, abs=0.05)


def test_ridge_tells_a_bright_knot():
    image = np.zeros((5, 30))
    image[2, 3:23] = 10
    even = level_of(image)
    image[2, 12] = 500
    knot = level_of(image)
    assert knot["ridge_peak"] > even["ridge_peak"] + 2


def test_right_angle_turns_by_a_quarter():
    image = np.zeros((30, 30))
    image[5, 5:21] = image[5:21, 20] = 10
    corner = level_of(image)
    assert corner["turn"] == pytest.approx(np.pi / 2, abs=0.2)
    assert corner["straightness"] == pytest.approx(np.sqrt(2) / 2, abs=0.05)


def test_arc_has_the_sagitta_of_its_circle():
    angle = np.linspace(-0.6, 0.6, 500)
    image = np.zeros((60, 80))
    image[
        np.rint(50 - 40 * np.cos(angle)).astype(int), np.rint(40 + 40 * np.sin(angle)).astype(int)
    ] = 1
    assert level_of(image)["deviation"] == pytest.approx(40 * (1 - np.cos(0.6)), rel=0.1)


def test_parts_of_a_broken_event_are_counted():
    image = np.zeros((5, 30))
    image[2, :10] = 10
    image[2, 14:20] = 5
    pieces = level_of(image)
    assert np.exp(pieces["parts"]) == pytest.approx(2)
    assert pieces["second_part"] == pytest.approx(0.3)


def test_scaling_the_charge_changes_nothing():
    image = curled_image(3, digital=False)
    np.testing.assert_allclose(described(7.5 * image, 60), described(image), atol=1e-3)


def test_no_events():
    events = measure_events(np.zeros((4, 4), int), np.zeros((4, 4)))
    assert describe(events).shape == (0, len(FEATURES))


def test_stopping_of_a_minimum_ionizing_particle():
    from crismis import Detector

    slab = Detector("slab", pitch=10.0, thickness=100.0)
    columns = {
        "charge": np.array([106.0 * 100]),
        "length": np.array([3.0]),
        "width": np.array([3.0]),
    }
    assert relative_stopping(columns, 1.0, slab)[0] == pytest.approx(1, rel=0.01)
    assert np.isnan(relative_stopping(columns, np.nan, slab)[0])
    assert np.isnan(relative_stopping(columns, 1.0, None)[0])
