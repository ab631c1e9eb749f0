"""Sources are found around, not because of, hits."""

import numpy as np

from crismis.events import find_sources


def field(seed=1):
    return np.random.default_rng(seed).normal(100, 5, (120, 150))


def test_star_under_a_hit_is_found_by_its_wings():
    image = field()
    rows, columns = np.indices(image.shape)
    image += 3000 * np.exp(-((rows - 60) ** 2 + (columns - 70) ** 2) / (2 * 2.5**2))
    hits = np.zeros(image.shape, bool)
    hits[58:63, 68:73] = True
    assert find_sources(image, hits)[60, 66]


def test_hits_alone_are_no_sources():
    image, rng = field(), np.random.default_rng(2)
    hits = np.zeros(image.shape, bool)
    hits[rng.integers(0, 120, 200), rng.integers(0, 150, 200)] = True
    image[hits] += 1e4
    assert find_sources(image, hits).mean() < 0.01


def test_nan_and_masked_pixels_are_no_sources():
    image = field()
    image[30:40, 30:40] = np.nan
    image[80:84, 80:84] = 1e5
    bad = image > 5e4
    assert not find_sources(image, np.zeros_like(bad), bad)[25:90, 25:90].any()


def test_tiny_and_empty_images():
    assert not find_sources(np.ones((5, 300)), np.zeros((5, 300), bool)).any()
    assert not find_sources(np.full((40, 40), np.nan), np.zeros((40, 40), bool)).any()
