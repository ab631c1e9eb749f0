# Licensed under a 3-clause BSD style license - see LICENSE.rst
import numpy as np
import pytest


@pytest.fixture
def fields(real_data, monkeypatch):
    monkeypatch.setenv("CRISMIS_DATA", str(real_data))
    import fields

    return fields


def test_stars_keep_their_flux_and_width(fields):
    rng = np.random.default_rng(1)
    image, table = fields.moffat_stars((801, 801), np.array([1e6]), 6.0, rng)
    x, y = table[0, :2]
    profile = image[round(y), round(x) - 40 : round(x) + 41]
    r = np.hypot(np.arange(-40, 41) + round(x) - x, round(y) - y)
    expected = (1 + (r / 3) ** 2 * (2**0.4 - 1)) ** -2.5
    assert table[0, 3] == image.max()
    np.testing.assert_allclose(profile / profile.max(), expected / expected.max(), atol=0.02)
    assert image.sum() == pytest.approx(1e6, rel=0.02)


def test_pixel_integration_agrees_with_brute_force(fields):
    cells = fields._moffat(10.3, 20.8, 3, 1.0, 2.5, nodes=5)
    n = 200
    fine = (np.arange(7 * n) + 0.5) / n - 0.5
    x, y = fine + 10 - 3 - 10.3, fine + 21 - 3 - 20.8
    brute = (1 + x**2 + y[:, None] ** 2) ** -2.5
    np.testing.assert_allclose(cells, brute.reshape(7, n, 7, n).mean(axis=(1, 3)), atol=1e-5)


def test_galaxies_keep_their_flux(fields):
    rng = np.random.default_rng(3)
    image = fields.sersic_galaxies((512, 512), np.full(30, 1000.0), 2.2, rng)
    assert image.min() >= 0
    assert image.sum() == pytest.approx(30_000, rel=0.15)


def test_field_says_where_its_hits_are(fields):
    field = fields.make_field("mixed", 2.2, seed=4, size=256)
    residual = field.data - field.scene
    sigma = np.sqrt(field.scene + 25)
    clean = (residual / sigma)[field.truth == 0]
    assert abs(clean.mean()) < 0.02
    assert clean.std() == pytest.approx(1, abs=0.02)
    assert ((field.deposit > 3 * sigma) == (field.truth == 1)).all()
    assert 0.002 < np.mean(field.truth == 1) < 0.03
    again = fields.make_field("mixed", 2.2, seed=4, size=256)
    np.testing.assert_array_equal(field.data, again.data)


def test_star_field_has_stars_from_the_faintest_to_the_full_well_and_no_hit(fields):
    field = fields.star_field(1.5, 0, n_stars=300, size=512)
    peak = field.stars[:, 3]
    ratio = peak / np.sqrt(peak + 85)
    assert 5 <= ratio.min() < 6
    assert 0.5 * fields.FULL_WELL < peak.max() <= fields.FULL_WELL
    assert not field.truth.any()


def test_held_out_footprints_are_those_of_odd_index(fields, real_data):
    with np.load(real_data / "tracks" / "itl_footprints.npz") as archive:
        shapes = archive["shapes"]
    assert [f.shape for f in fields.footprints()] == [tuple(s) for s in shapes[1::2]]
