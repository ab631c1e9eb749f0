"""Two-dimensional spectra: lines survive, hits on them are found, known planes are used."""

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import CCDData

from crismis import cosmicray_lacosmic, cosmicray_learned

READNOISE = 4.0


def spectrum(seed=0, shape=(160, 240)):
    """Return the clean spectrum, its sky, and an exposure with hits, electrons."""
    rng = np.random.default_rng(seed)
    y, x = np.indices(shape)
    sky = np.full(shape, 30.0)
    for centre in rng.uniform(5, shape[1] - 5, 14):
        sky += 10 ** rng.uniform(2, 3.2) * np.exp(-((x - centre - 0.02 * y) ** 2) / (2 * 1.3**2))
    trace = np.exp(-((y - 80 - 0.02 * x) ** 2) / (2 * 2.0**2))
    lines = sum(2e3 * np.exp(-((x - c) ** 2) / (2 * 1.5**2)) for c in (40, 120, 200))
    clean = sky + trace * (300 + lines)
    hit = np.zeros(shape, bool)
    for row, column in zip(rng.integers(5, 150, 30), rng.integers(5, 230, 30), strict=True):
        steps = np.arange(rng.integers(2, 6))
        hit[row + steps // 2, column + steps] = True
    image = rng.poisson(clean) + rng.normal(0, READNOISE, shape)
    image[hit] += 2500
    return clean, sky, image.astype(np.float32), hit


def test_sky_lines_and_emission_lines_survive_and_hits_on_them_are_found():
    clean, _, image, hit = spectrum()
    out = cosmicray_learned(CCDData(image, unit="electron"), readnoise=READNOISE)
    assert out.hits[hit].mean() > 0.8
    false = out.hits & ~hit
    bright = clean > 200
    assert (false & bright).sum() / bright.sum() < 0.005
    np.testing.assert_allclose(
        np.median(out.data[hit] - clean[hit]), 0, atol=0.2 * np.sqrt(np.median(clean[hit]) + 16)
    )


@pytest.mark.parametrize(
    ("identify", "names"),
    [(cosmicray_learned, ("background", "variance")), (cosmicray_lacosmic, ("inbkg", "invar"))],
)
def test_background_and_variance_planes_are_accepted_in_every_form(identify, names):
    clean, sky, image, hit = spectrum(1)
    variance = (clean + READNOISE**2).astype(np.float32)
    gain = 2.0
    ccd = CCDData(image / gain, unit="adu")
    forms = (
        (sky / gain, variance / gain**2),
        (sky / gain * u.adu, variance / gain**2 * u.adu**2),
        (sky * u.electron, CCDData(variance, unit=u.electron**2)),
    )
    results = [
        identify(ccd, gain=gain, readnoise=READNOISE, **dict(zip(names, planes, strict=True))).hits
        for planes in forms
    ]
    assert results[0][hit].mean() > 0.85
    assert (results[0] & ~hit).sum() < 0.01 * hit.size
    for other in results[1:]:
        assert (other != results[0]).sum() <= 2


@pytest.mark.parametrize(
    ("identify", "name"), [(cosmicray_learned, "background"), (cosmicray_lacosmic, "inbkg")]
)
def test_a_plane_of_another_shape_or_unit_is_named(identify, name):
    _, _, image, _ = spectrum()
    ccd = CCDData(image, unit="electron")
    with pytest.raises(ValueError, match="background has shape"):
        identify(ccd, readnoise=READNOISE, **{name: np.ones((3, 3))})
    with pytest.raises(ValueError, match="background is in m"):
        identify(ccd, readnoise=READNOISE, **{name: np.ones(image.shape) * u.m})


def test_a_known_background_and_variance_need_no_gain():
    clean, sky, image, hit = spectrum(2)
    variance = clean + READNOISE**2
    out = cosmicray_learned(CCDData(image, unit="DN"), background=sky, variance=variance)
    assert out.hits[hit].mean() > 0.95
    assert (out.hits & ~hit).sum() < 10


def test_pixels_without_variance_are_left_out():
    _, _, image, _ = spectrum(3)
    variance = np.full(image.shape, 500.0)
    variance[20:25, 30:40] = np.inf
    out = cosmicray_lacosmic(CCDData(image, unit="electron"), readnoise=READNOISE, invar=variance)
    assert not out.hits[20:25, 30:40].any()
