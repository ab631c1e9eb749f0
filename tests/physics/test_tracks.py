"""Energy, length and angles of simulated tracks agree with the truth of their simulation."""

import numpy as np
import pytest
from astropy import units as u
from numpy.testing import assert_allclose

from crismis import CosmicRayCCDData, Detector, categorize_cosmicrays
from crismis.events import EventFlag
from crismis.physics import measure_tracks
from crismis.simulate import simulate_exposure

THICK = Detector(
    "thick", pitch=15.0, thickness=100.0, gain=1.0, readnoise=4.0, readout_wait=0.0, diffusion=6.0
)


@pytest.fixture(scope="module")
def muons():
    """Measured and true tables of isolated simulated muons, row by row."""
    image = simulate_exposure(
        THICK, 100, particles="muon", n_events=1200, shape=(2000, 2000), seed=3, unit="electron"
    )
    truth = image.truth["events"]
    found = categorize_cosmicrays(image, crmask=image.truth["deposit"] > 12)
    events = measure_tracks(found, detector=THICK).events
    labels = found.segmentation.data
    x, y = truth["x_centroid"].value, truth["y_centroid"].value
    whole = ~np.asarray(truth["blended"]) & (truth["n_visible"] > 0)
    whole &= (x > 6) & (y > 6) & (x < 1993) & (y < 1993)
    truth, x, y = truth[whole], x[whole], y[whole]
    place = labels[np.rint(y).astype(int), np.rint(x).astype(int)]
    one_to_one = np.bincount(place, minlength=labels.max() + 1)[place] == 1
    truth, place = truth[(place > 0) & one_to_one], place[(place > 0) & one_to_one]
    return events[np.searchsorted(events["label"], place)], truth


def bright(events):
    return events["deposited_charge"] > 20 * events["deposited_charge_error"]


def test_charge_is_unbiased_to_two_percent(muons):
    events, truth = muons
    ratio = (events["deposited_charge"] / truth["charge"]).to_value(u.one)[bright(events)]
    assert len(ratio) > 800
    assert_allclose(np.mean(ratio), 1.0, atol=0.02)
    assert_allclose(np.median(ratio), 1.0, atol=0.005)


def test_length_is_unbiased_to_half_a_pixel(muons):
    events, truth = muons
    true = (truth["path_length"] * np.sin(truth["inclination"])).to_value(u.um) / THICK.pitch
    long = bright(events) & (true > 2) & (true < 60)
    difference = events["track_length"].to_value(u.pix)[long] - true[long]
    assert abs(np.mean(difference)) < 0.5
    assert abs(np.median(difference)) < 0.3


def test_azimuth_is_good_to_three_degrees_from_five_pixels(muons):
    events, truth = muons
    long = bright(events) & (events["track_length"] >= 5 * u.pix)
    turn = (events["azimuth"] - truth["azimuth"])[long].to_value(u.deg)
    turn = (turn + 90) % 180 - 90
    assert abs(np.mean(turn)) < 0.5
    assert np.percentile(np.abs(turn), 68) < 3


def test_path_inclination_and_let_are_consistent(muons):
    events, truth = muons
    long = bright(events) & (events["track_length"] >= 5 * u.pix)
    path = (events["path_length"] / truth["path_length"]).to_value(u.one)[long]
    assert_allclose(np.median(path), 1.0, atol=0.03)
    assert_allclose(
        np.tan(events["inclination"]).value,
        events["track_length"].value * THICK.pitch / THICK.thickness,
        rtol=1e-5,
    )
    # 1 keV/um in silicon of 2.329 g/cm3 is 4.294e-3 MeV cm2/mg.
    assert_allclose(events["let"].value, events["dedx"].value * 4.2937e-3, rtol=1e-3)


def test_wide_end_is_the_deep_end():
    """A cone-shaped track: narrow at the left, wide at the right."""
    y, x = np.mgrid[:40, :80]
    width = 0.6 + 0.06 * np.clip(x - 15, 0, 50)
    image = 300 * np.exp(-0.5 * ((y - 20) / width) ** 2) / width * ((x >= 15) & (x < 65))
    rng = np.random.default_rng(1)
    ccd = CosmicRayCCDData(image + rng.normal(0, 2, image.shape), unit="electron")
    found = categorize_cosmicrays(ccd, crmask=image > 8)
    event = measure_tracks(found, detector=THICK).events[0]
    assert event["width_end"] > 1.5 * event["width_start"]
    assert_allclose(event["deep_end_x"].value, 64.5, atol=2)
    assert_allclose(event["deep_end_y"].value, 20, atol=1)


def test_repaired_image_gives_the_same_charge():
    rng = np.random.default_rng(2)
    image = rng.normal(100, 3, (60, 60)).astype(np.float32)
    image[30, 20:30] += 800
    hits = np.zeros(image.shape, bool)
    hits[30, 20:30] = True
    cleaned = np.where(hits, 100, image).astype(np.float32)
    flags = np.where(hits, 3, 0).astype(np.uint8)
    ccd = CosmicRayCCDData(cleaned, unit="electron", flags=flags, replaced=image[hits])
    event = measure_tracks(categorize_cosmicrays(ccd), detector=THICK).events[0]
    assert_allclose(event["deposited_charge"].value, 8000, atol=4 * 3 * np.sqrt(36))


def test_unknown_facts_give_nan_not_guesses():
    image = np.zeros((30, 30))
    image[10, 5:15] = 100
    ccd = CosmicRayCCDData(image, unit="adu")
    event = measure_tracks(categorize_cosmicrays(ccd, crmask=image > 50)).events[0]
    assert np.isnan(event["deposited_energy"])
    assert np.isnan(event["path_length"])
    assert_allclose(event["track_length"].value, 10, atol=0.3)


@pytest.mark.parametrize("unit", ["adu", "electron"])
def test_values_that_are_no_counts_have_no_energy(unit):
    image = np.zeros((30, 30))
    image[10, 5:15] = 100
    ccd = CosmicRayCCDData(image, unit=unit, meta={"CRGAIN": 2.0, "CRCOUNTS": False})
    events = measure_tracks(categorize_cosmicrays(ccd, crmask=image > 50), detector=THICK).events
    energies = ["energy", "deposited_charge", "deposited_energy", "dedx", "let"]
    energies += ["deposited_charge_error", "deposited_energy_error"]
    assert all(np.isnan(events[name][0]) for name in energies)
    assert events["charge"].unit != u.electron
    assert events["flags"][0] & EventFlag.NOT_COUNTS
    assert_allclose(events["track_length"][0].value, 10, atol=0.3)


def test_without_hits_the_columns_are_empty():
    ccd = CosmicRayCCDData(np.zeros((30, 30)), unit="adu")
    out = measure_tracks(categorize_cosmicrays(ccd, crmask=np.zeros((30, 30), bool)))
    assert len(out.events) == 0
    assert out.events["let"].unit == u.MeV * u.cm**2 / u.mg


def test_events_are_needed():
    with pytest.raises(ValueError, match="categorize_cosmicrays"):
        measure_tracks(CosmicRayCCDData(np.zeros((9, 9)), unit="adu"))


def test_events_without_charge_have_no_geometry():
    """Hits whose values average to nothing, as false ones on a noisy scene do."""
    rng = np.random.default_rng(4)
    image = rng.normal(1000, 30, (100, 100))
    hits = np.zeros(image.shape, bool)
    hits[10:90:10, 10:90:4] = hits[10:90:10, 11:90:4] = True
    ccd = categorize_cosmicrays(CosmicRayCCDData(image, unit="electron"), crmask=hits)
    events = measure_tracks(ccd, detector=THICK).events
    faint = events["deposited_charge"] < 3 * events["deposited_charge_error"]
    assert faint.sum() > 100
    assert np.isnan(events["track_length"][faint]).all()
