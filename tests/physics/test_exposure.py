"""Live area, live time and the rate of one exposure, with reasons where a fact is missing."""

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable
from numpy.testing import assert_allclose

from crismis import CosmicRayCCDData, Detector, Flag, categorize_cosmicrays
from crismis.physics import exposure_rate, live_area, live_time

DETECTOR = Detector("d", pitch=20.0, thickness=15.0, readout_wait=50.0)


def frame(**header):
    flags = np.zeros((100, 100), np.uint8)
    flags[10, 10:14] = Flag.HIT
    flags[50] = Flag.SATURATED
    mask = flags != 0
    mask[:5] = True
    events = QTable({"category": ["track", "blob", "source"], "length": [4, 3, 2] * u.pix})
    return CosmicRayCCDData(
        np.ones((100, 100)), unit="adu", mask=mask, flags=flags, events=events, meta=header
    )


def test_live_area_leaves_out_masked_and_saturated_pixels_but_not_hits():
    assert_allclose(live_area(frame(), DETECTOR), (10_000 - 500 - 100) * (20e-4) ** 2)


def test_binned_pixels_are_larger():
    binned = DETECTOR.evolve(binning=(2, 3))
    assert_allclose(live_area(frame(), binned), 6 * live_area(frame(), DETECTOR))


def test_overscan_is_no_live_area():
    lower = live_area(frame(BIASSEC="[1:10,1:100]"), DETECTOR)
    assert_allclose(lower, 0.9 * live_area(frame(), DETECTOR))


def test_parts_without_data_are_no_live_area():
    padded = frame()
    padded.data[60:] = 0
    assert_allclose(live_area(padded, DETECTOR), (6000 - 500 - 100) * (20e-4) ** 2)


def test_overscan_of_the_detector_is_no_live_area():
    raw = DETECTOR.evolve(raw_shape=(100, 100), overscan=("[1:10,1:100]",))
    assert_allclose(live_area(frame(), raw), 0.9 * live_area(frame(), DETECTOR))


def test_live_time_adds_the_wait_for_readout():
    assert live_time(frame(EXPTIME=100.0), DETECTOR) == (150.0, "")


@pytest.mark.parametrize(
    ("header", "detector", "reason"),
    [
        ({}, DETECTOR, "exposure time"),
        ({"EXPTIME": 9.0}, None, "detector"),
        ({"EXPTIME": 9.0}, Detector("x"), "readout wait"),
    ],
)
def test_unknown_live_time_says_why(header, detector, reason):
    seconds, why = live_time(frame(**header), detector)
    assert np.isnan(seconds)
    assert reason in why


def test_rate_counts_particles_only():
    result = exposure_rate(frame(EXPTIME=100.0), detector=DETECTOR)
    assert result.n_hits == 2
    assert result.counts == {"track": 1, "blob": 1, "source": 1}
    assert_allclose(result.rate, 2 / (9400 * 4e-6 * 150))
    assert result.rate_lower < result.rate < result.rate_upper
    assert_allclose(result.lost_fraction, 4 / 9400)
    assert_allclose(result.primecrs, 1e3 * 2 / (9400 * 150))
    assert_allclose(result.extncrs, 1e6 * 1 / (9400 * 150))


def test_unknown_facts_give_nan_and_no_keyword():
    result = exposure_rate(frame())
    assert np.isnan(result.rate)
    assert "pixel pitch not known" in result.reason
    assert "CRRATE" not in result.to_header()
    assert result.to_header()["CRNHITS"][0] == 2


def test_stacked_products_give_no_rate():
    result = exposure_rate(frame(EXPTIME=100.0, CRPROD="stacked"), detector=DETECTOR)
    assert np.isnan(result.rate)
    assert "stacked" in result.reason


def test_events_are_needed():
    with pytest.raises(ValueError, match="categorize_cosmicrays"):
        exposure_rate(CosmicRayCCDData(np.zeros((9, 9)), unit="adu"))


def test_sources_and_the_events_on_them_can_be_left_out():
    ccd = frame(EXPTIME=100.0)
    ccd.events["x_centroid"] = [20.0, 60.0, 30.0] * u.pix
    ccd.events["y_centroid"] = [20.0, 60.0, 30.0] * u.pix
    sources = np.zeros(ccd.shape, bool)
    sources[55:65, 55:65] = True
    assert_allclose(live_area(ccd, DETECTOR, sources=sources), 9300 * 4e-6)
    result = exposure_rate(ccd, detector=DETECTOR, sources=sources)
    assert result.n_hits == 1
    assert_allclose(result.rate, 1 / (9300 * 4e-6 * 150))
    with pytest.raises(ValueError, match="sources have shape"):
        live_area(ccd, DETECTOR, sources=sources[1:])


def test_rate_is_the_same_with_and_without_the_pixels_on_stars():
    rng = np.random.default_rng(5)
    y, x = np.indices((256, 256))
    image = rng.normal(100, 10, y.shape)
    for row, column in rng.uniform(0, 256, (30, 2)):
        image += 4000 * np.exp(-((y - row) ** 2 + (x - column) ** 2) / 8)
    hits = np.zeros(image.shape, bool)
    hits[tuple(rng.integers(1, 255, (2, 400)))] = True
    image[hits] += 3000
    ccd = categorize_cosmicrays(CosmicRayCCDData(image, unit="electron"), crmask=hits)
    ccd.meta["EXPTIME"] = 100.0
    everywhere, off = (exposure_rate(ccd, detector=DETECTOR, sources=s) for s in (None, True))
    assert off.live_area < 0.95 * everywhere.live_area
    density = [sum(r.counts.values()) / r.live_area for r in (everywhere, off)]
    assert_allclose(density[1], density[0], rtol=0.05)
