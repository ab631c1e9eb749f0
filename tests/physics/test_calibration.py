"""A wrong gain is recovered from the Landau peak of through-going particles."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from crismis import Detector, categorize_cosmicrays
from crismis.physics import calibrate_mip
from crismis.simulate import simulate_exposure

DETECTOR = Detector("slab", pitch=10.0, thickness=100.0, gain=1.0, readnoise=4.0, diffusion=6.0)


@pytest.fixture(scope="module")
def miscalibrated():
    image = simulate_exposure(
        DETECTOR, 100, particles="muon", n_events=800, shape=(1200, 1200), seed=12, gain=1.2
    )
    image.meta["CRGAIN"] = 1.0
    return categorize_cosmicrays(image, crmask=image.truth["deposit"] > 12)


def test_landau_peak_is_recovered_to_three_percent(miscalibrated):
    result = calibrate_mip(miscalibrated, detector=DETECTOR)
    assert result.n_tracks > 300
    assert_allclose(result.gain, 1.2, rtol=0.03)
    assert_allclose(result.scale, 1 / 1.2, atol=max(4 * result.scale_error, 0.02))


def test_thin_silicon_is_as_good():
    thin = Detector("thin", pitch=15.0, thickness=15.0, gain=1.0, readnoise=4.0, diffusion=4.0)
    image = simulate_exposure(
        thin, 100, particles="muon", n_events=800, shape=(800, 800), seed=100, gain=1.2
    )
    image.meta["CRGAIN"] = 1.0
    found = categorize_cosmicrays(image, crmask=image.truth["deposit"] > 12)
    result = calibrate_mip(found, detector=thin)
    assert result.n_tracks > 300
    assert_allclose(result.gain, 1.2, rtol=0.03)


def test_several_images_are_pooled(miscalibrated):
    one = calibrate_mip(miscalibrated, detector=DETECTOR, n_simulated=1500)
    two = calibrate_mip([miscalibrated, miscalibrated], detector=DETECTOR, n_simulated=1500)
    assert two.n_tracks == 2 * one.n_tracks
    assert_allclose(two.scale, one.scale, rtol=1e-6)


def test_facts_and_tracks_are_needed(miscalibrated):
    with pytest.raises(ValueError, match="thickness"):
        calibrate_mip(miscalibrated, detector=Detector("unknown"))
    empty = categorize_cosmicrays(miscalibrated, crmask=np.zeros(miscalibrated.shape, bool))
    with pytest.raises(ValueError, match="0 straight"):
        calibrate_mip(empty, detector=DETECTOR)
