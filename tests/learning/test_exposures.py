# Licensed under a 3-clause BSD style license - see LICENSE.rst
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from crismis.learning import cut_tracks, find_shift, truth_from_exposures


def scene_of_stars(rng, shape=(200, 180), width=1.6):
    light = np.zeros(shape)
    light[rng.integers(5, shape[0] - 5, 60), rng.integers(5, shape[1] - 5, 60)] = 20000
    return 80 + gaussian_filter(light, width)


def expose(scene, rng, readnoise=4.0):
    return rng.poisson(scene) + rng.normal(0, readnoise, scene.shape)


def test_hits_of_a_pair_are_found_in_the_right_exposure():
    rng = np.random.default_rng(3)
    scene = scene_of_stars(rng)
    pair = [expose(scene, rng), expose(scene, rng)]
    pair[0][50, 40:48] += 400
    pair[1][120:126, 90] += 700
    first, second = truth_from_exposures(pair, readnoise=4.0, shifts=[(0, 0), (0, 0)])
    assert (first[50, 40:48] == 1).all()
    assert (second[120:126, 90] == 1).all()
    assert (first[120:126, 90] == 2).all()
    assert (first == 1).sum() <= 12
    assert (second == 1).sum() <= 12


def test_tracks_cut_from_a_pair_hold_the_charge_of_the_hits_and_nothing_of_the_scene():
    rng = np.random.default_rng(8)
    scene = scene_of_stars(rng)
    pair = [expose(scene, rng), expose(1.5 * scene, rng)]
    pair[0][50, 40:48] += 400
    pair[1][120:126, 90] += 700
    tracks = cut_tracks(*pair, readnoise=4.0, scales=(1.0, 1.5))
    assert [track.shape for track in tracks] == [(1, 8), (6, 1)]
    assert tracks[0].sum() == pytest.approx(8 * 400, abs=5 * np.sqrt(8 * (2 * 500 + 50)))
    assert tracks[1].sum() == pytest.approx(6 * 700, abs=5 * np.sqrt(6 * (4 * 800 + 50)))


def test_shifts_are_measured():
    rng = np.random.default_rng(4)
    scene = scene_of_stars(rng)
    moved = np.roll(scene, (5, -7), (0, 1))
    assert find_shift(expose(scene, rng), expose(moved, rng)) == pytest.approx((5, -7), abs=0.3)


def test_stars_and_hot_pixels_of_dithered_exposures_are_no_hits():
    rng = np.random.default_rng(5)
    scene = scene_of_stars(rng)
    exposures = [expose(np.roll(scene, s, (0, 1)), rng) for s in ((0, 0), (6, 3), (-4, 8))]
    for exposure in exposures:
        exposure[77, 60] += 900
    exposures[2][30:36, 100] += 800
    labels = truth_from_exposures(exposures, readnoise=4.0)
    assert (labels[2][30:36, 100] == 1).all()
    assert all(label[77, 60] == 2 for label in labels)
    assert sum((label == 1).sum() for label in labels) <= 15


def test_a_change_of_seeing_makes_stars_undecidable_not_hit():
    rng = np.random.default_rng(6)
    sharp = scene_of_stars(np.random.default_rng(7), width=1.6)
    blurred = scene_of_stars(np.random.default_rng(7), width=1.7)
    labels = truth_from_exposures(
        [expose(sharp, rng), expose(blurred, rng)],
        readnoise=4.0,
        shifts=[(0, 0), (0, 0)],
        seeing=0.4,
    )
    assert (labels[0] == 1).sum() == 0


def test_one_exposure_is_refused():
    with pytest.raises(ValueError, match="two exposures"):
        truth_from_exposures([np.ones((9, 9))], readnoise=1.0)
