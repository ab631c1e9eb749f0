# Licensed under a 3-clause BSD style license - see LICENSE.rst
import numpy as np
import pytest

from crismis.identify.noise import estimate_noise, measure_boxes


def planet(rng, shape=(400, 400), peak=6000.0):
    """A disc with limb darkening and albedo marks, in electrons."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    r2 = ((y - 200) ** 2 + (x - 180) ** 2) / 150.0**2
    marks = 1 + 0.1 * np.sin(x / 17) * np.cos(y / 23)
    return 30 + peak * np.sqrt(np.clip(1 - r2, 0, 1)) * marks


@pytest.mark.parametrize(
    ("gain", "readnoise", "peak"), [(4.0, 12.0, 6000), (30.0, 40.0, 6000), (1.5, 5.0, 300)]
)
def test_noise_of_a_planet_is_estimated_to_ten_percent(gain, readnoise, peak):
    rng = np.random.default_rng(5)
    scene = planet(rng, peak=peak)
    data = np.round((rng.poisson(scene) + rng.normal(0, readnoise, scene.shape)) / gain)
    model = estimate_noise(data)
    for level in (30, 0.3 * peak, 0.8 * peak):
        truth = np.sqrt((level + readnoise**2) / gain**2 + 1 / 12)
        assert model.sigma(level / gain) == pytest.approx(truth, rel=0.1)


def test_eight_bit_frames():
    gain, levels = 200.0, np.array([10000, 30000])
    truth = np.sqrt((levels + 60**2) / gain**2 + 1 / 12)
    found = []
    for seed in range(6, 11):
        rng = np.random.default_rng(seed)
        scene = planet(rng, peak=40000.0)
        data = np.round((rng.poisson(scene) + rng.normal(0, 60, scene.shape)) / gain)
        model = estimate_noise(np.clip(data, 0, 255).astype(np.uint8))
        found.append(model.sigma(levels / gain))
    np.testing.assert_allclose(np.median(found, axis=0), truth, rtol=0.1)


def test_hits_do_not_raise_the_noise():
    rng = np.random.default_rng(7)
    data = rng.normal(100, 8, (300, 300))
    rows, columns = rng.integers(0, 300, (2, 1800))
    data[rows, columns] += rng.uniform(50, 5000, 1800)
    assert estimate_noise(data).sigma(100) == pytest.approx(8, rel=0.1)


def test_flat_sky_tells_no_gain():
    data = np.random.default_rng(8).normal(100, 8, (256, 256))
    model = estimate_noise(data)
    assert model.sigma(100) == pytest.approx(8, rel=0.05)


def test_bad_pixels_do_not_count():
    rng = np.random.default_rng(9)
    data = rng.normal(100, 8, (256, 256))
    data[::2, :128] = np.nan
    data[:, 200:] = 1e6
    bad = np.zeros(data.shape, bool)
    bad[:, 200:] = True
    assert estimate_noise(data, bad).sigma(100) == pytest.approx(8, rel=0.1)


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (3, 3)])
def test_tiny_and_constant_images_give_positive_noise(shape):
    assert estimate_noise(np.full(shape, 7.0)).sigma(7) > 0
    assert estimate_noise(np.full(shape, np.nan)).sigma(7) > 0


def test_threads_do_not_matter():
    data = np.random.default_rng(1).normal(0, 1, (700, 300)).astype(np.float32)
    bad = np.zeros(data.shape, bool)
    for one, three in zip(measure_boxes(data, bad, 1), measure_boxes(data, bad, 3), strict=True):
        assert np.array_equal(one, three)
