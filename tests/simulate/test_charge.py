"""Diffusion, blooming and trails."""

import numpy as np
import pytest

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


@pytest.mark.parametrize("depth", [5.0, 40.0, 95.0])
def test_simulated_cloud_has_the_width_of_its_depth(depth):
    law = Diffusion(8.0, 100.0)
    volume = Volume((61, 61), (4.0, 4.0), 100.0, law)
    photon = Primaries(
        np.array([0]),
        np.array([[123.0, 121.0, depth]]),
        np.array([[0.0, 0.0, 1.0]]),
        np.array([0.5]),
        np.ones(1),
        np.zeros(1),
    )
    prints, _ = deposit(photon, volume, np.array([3], dtype=np.uint64))
    x = (prints.columns + 0.5) * 4.0
    mean = np.average(x, weights=prints.charge)
    variance = np.average((x - mean) ** 2, weights=prints.charge)
    assert mean == pytest.approx(123.0, abs=0.05)
    # Gaussian cut at four sigma, and the pixel's own width.
    assert np.sqrt(variance - 4.0**2 / 12) == pytest.approx(law.width(depth), rel=0.02)


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
