"""True categories follow the deposit's geometry, not the particle's name."""

import numpy as np

from crismis import Category, Detector
from crismis.simulate import SPECIES, Beam, Inner, along, lines, simulate_stamps

THICK = Detector("thick", pitch=10.0, thickness=100.0, diffusion=4.0)


def shares(particles, n=400):
    _, truth = simulate_stamps(THICK, n, particles=particles, seed=6)
    names, counts = np.unique(truth["category"], return_counts=True)
    return {Category(name): count / n for name, count in zip(names, counts, strict=True)}


def muons(direction):
    return Beam(SPECIES["muon"], lines([4000.0]), direction)


def test_muon_end_on_is_a_spot():
    assert shares(muons(along(0, 0, 1)))[Category.SPOT] > 0.9


def test_inclined_muon_is_a_track():
    assert shares(muons(along(2, 1, 1)))[Category.TRACK] > 0.9


def test_stopping_electrons_are_worms():
    electrons = shares(Inner(SPECIES["electron"], lines([0.15])))
    assert electrons[Category.WORM] > 0.4
    assert electrons[Category.WORM] > electrons[Category.TRACK]


def test_slow_electrons_and_x_rays_are_spots():
    assert shares("xray").get(Category.SPOT, 0) > 0.95
    assert shares(Inner(SPECIES["electron"], lines([0.02])))[Category.SPOT] > 0.95


def test_alphas_are_blobs_or_short_heavy_tracks():
    found = shares("alpha", 150)
    assert found[Category.BLOB] > 0.5
    assert found[Category.BLOB] + found.get(Category.HEAVY_TRACK, 0) > 0.95


def test_inclined_iron_is_a_heavy_track():
    iron = Beam(SPECIES["iron"], lines([56 * 400.0]), along(3, 0, 1))
    assert shares(iron, 30)[Category.HEAVY_TRACK] > 0.9


def test_delta_rays_leave_spurs():
    helium = Beam(SPECIES["helium"], lines([4 * 3000.0]), along(2, 1, 1))
    assert 0.02 < shares(helium)[Category.DELTA_RAY_TRACK] < 0.4


def test_spallation_makes_stars_where_three_prongs_can_be_told_apart():
    assert shares("spallation", 150)[Category.SPALLATION_STAR] > 0.3


def test_what_nobody_sees_has_no_name():
    _, truth = simulate_stamps(THICK, 20, particles="xray", seed=1, visible=1e6)
    assert set(truth["category"]) == {Category.UNKNOWN}
