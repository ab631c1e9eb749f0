# Licensed under a 3-clause BSD style license - see LICENSE.rst
import numpy as np
import pytest


@pytest.fixture
def stars():
    import stars

    return stars


def test_star_counts_as_flagged_within_the_radius_only(stars):
    hits = np.zeros((40, 40), bool)
    hits[10, 12] = hits[30, 39] = True
    table = np.array([[10.0, 10.0], [9.4, 10.0], [39.0, 31.5], [39.0, 0.0]])
    np.testing.assert_array_equal(stars.flagged_stars(hits, table, 2.0), [True, False, True, False])


def test_bias_is_the_change_of_flux_above_the_sky(stars):
    data = np.full((41, 41), stars.fields.SKY)
    data[20, 20] += 1000.0
    cleaned = data.copy()
    cleaned[20, 20] -= 100.0
    bias = stars.photometric_bias(data, cleaned, np.array([[20.0, 20.0]]), 3.0)
    assert bias == pytest.approx(-0.1)


def test_single_bright_pixel_is_no_source_but_a_wide_patch_is(stars):
    data = np.random.default_rng(1).normal(100, 5, (60, 60))
    data[10, 10] += 5000
    data[30:36, 30:36] += 500
    found = stars.source_pixels(data)
    assert not found[5:16, 5:16].any()
    assert found[31:35, 31:35].all()


def test_star_has_a_core_and_a_hit_has_none(stars, monkeypatch):
    rng = np.random.default_rng(2)
    image, table = stars.fields.moffat_stars((60, 60), np.array([50_000.0]), 1.5, rng)
    data = image + rng.normal(0, 5, image.shape) + 60
    data[5, 5] += 20_000
    rows, columns = np.nonzero(stars.star_cores(data))
    assert (rows.item(), columns.item()) == (round(table[0, 1]), round(table[0, 0]))
