"""Diffusion, blooming and trails."""

import numpy as np
import pytest

from crismis.silicon import PAIR_ENERGY
from crismis.simulate import Diffusion, Primaries, Volume, bloom, deposit, trail_charge


def test_drift_width_grows_with_the_root_of_depth():
    law = Diffusion(6.0, 200.0, near=0.0)
    depth = np.array([10.0, 50.0, 200.0])
    np.testing.assert_allclose(law.width(depth), 6.0 * np.sqrt(depth / 200.0))


def test_field_free_layer_is_where_width_grows_most():
    law = Diffusion(6.0, 12.0, depleted=6.0)
    width = law.width([0.0, 6.0, 12.0])
    assert width[2] == pytest.approx(6.0)
    assert width[2] - width[1] > width[1] - width[0]


def point_deposit(volume, energy, depth, x=123.0, y=121.0):
    """Release an energy in MeV at one place."""
    photon = Primaries(
        np.array([0]),
        np.array([[x, y, depth]]),
        np.array([[0.0, 0.0, 1.0]]),
        np.array([energy]),
        np.ones(1),
        np.zeros(1),
    )
    return deposit(photon, volume, np.array([3], dtype=np.uint64))[0]


@pytest.mark.parametrize("depth", [5.0, 40.0, 95.0])
def test_simulated_cloud_has_the_width_of_its_depth(depth):
    law = Diffusion(8.0, 100.0)
    volume = Volume((61, 61), (4.0, 4.0), 100.0, law, repulsion=0.0)
    prints = point_deposit(volume, 0.5, depth)
    x = (prints.columns + 0.5) * 4.0
    mean = np.average(x, weights=prints.charge)
    variance = np.average((x - mean) ** 2, weights=prints.charge)
    assert mean == pytest.approx(123.0, abs=0.05)
    # Gaussian cut at four sigma, and the pixel's own width.
    assert np.sqrt(variance - 4.0**2 / 12) == pytest.approx(law.width(depth), rel=0.02)


def widths(energy, repulsion):
    volume = Volume((301, 301), (1.0, 1.0), 100.0, Diffusion(4.0, 100.0), repulsion=repulsion)
    prints = point_deposit(volume, energy, 100.0, 150.5, 150.5)
    variance = np.average((prints.columns - 150.0) ** 2, weights=prints.charge)
    return np.sqrt(variance - 1 / 12), prints


def test_repulsion_leaves_few_electrons_alone():
    assert widths(5e-4, 0.008)[0] == pytest.approx(widths(5e-4, 0.0)[0], rel=0.03)


@pytest.mark.parametrize("energy", [0.006, 0.1, 2.0])
def test_repulsion_follows_the_growth_of_a_gaussian_ball(energy):
    # d(s2)/dv = 1 + g / s, integrated step by step.
    g = energy * 1e6 / PAIR_ENERGY * 0.008 / (6 * np.sqrt(np.pi))
    square, step = 0.25, (16 - 0.25) / 20000
    for _ in range(20000):
        square += step * (1 + g / np.sqrt(square))
    assert widths(energy, 0.008)[0] == pytest.approx(np.sqrt(square), rel=0.08)


def test_dense_deposits_become_even_discs():
    _, prints = widths(2.3, 0.008)
    distance = np.hypot(prints.columns - 150.0, prints.rows - 150.0)
    radius = np.sqrt(2.5 * np.average(distance**2, weights=prints.charge))
    inner = prints.charge[distance < 0.4 * radius]
    assert inner.min() > 0.7 * inner.max()
    assert prints.charge[distance < 1.4 * radius].sum() > 0.999 * prints.charge.sum()


def test_bloom_keeps_charge_and_caps_it():
    image = np.zeros((50, 3))
    image[25, 1] = 1e6
    image[10, 2] = 5e4
    out = bloom(image, 8e4)
    assert out.max() == pytest.approx(8e4)
    np.testing.assert_allclose(out.sum(axis=0), image.sum(axis=0))
    assert np.count_nonzero(out[:, 1]) == pytest.approx(1e6 / 8e4, abs=1)
    assert out[10, 2] == 5e4


@pytest.mark.parametrize("readout_row", [0, -1])
def test_trail_points_away_from_readout_and_keeps_charge(readout_row):
    image = np.zeros((300, 2))
    image[150, 0] = 1000.0
    out = trail_charge(image, 1e-3, 2.0, readout_row=readout_row)
    assert out.sum() == pytest.approx(1000.0, rel=1e-6)
    behind = slice(151, None) if readout_row == 0 else slice(None, 150)
    assert out[behind, 0].sum() == pytest.approx(150.0, rel=0.02)


def test_negative_diffusion_is_refused():
    with pytest.raises(ValueError, match="far must not be negative"):
        Diffusion(-1.0, 10.0)
