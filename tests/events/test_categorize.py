"""Categorization of images: contract, flags, units and bad input."""

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import CCDData

from crismis import CosmicRayCCDData, Flag, categorize_cosmicrays
from crismis.events import EventFlag


def image_with_line(unit="electron", **meta):
    rng = np.random.default_rng(1)
    data = 50 + rng.normal(0, 3, (40, 50)).astype(np.float32)
    hits = np.zeros(data.shape, bool)
    hits[20, 10:30] = True
    data[hits] += 500
    return CCDData(data, unit=unit, meta=meta), hits


def image_with_track():
    """A straight slanted track of uneven charge, a Gaussian across."""
    rng = np.random.default_rng(6)
    data = 50 + rng.normal(0, 3, (50, 60))
    rows, columns = np.indices(data.shape)
    along = (columns - 30) * np.cos(0.5) + (rows - 25) * np.sin(0.5)
    across = (rows - 25) * np.cos(0.5) - (columns - 30) * np.sin(0.5)
    track = np.exp(-0.5 * (across / 0.6) ** 2) * (np.abs(along) < 12)
    track *= 400 * rng.gamma(8, 1 / 8, data.shape)
    return CCDData((data + track).astype(np.float32), unit="electron"), track > 10


def test_a_straight_slanted_line_is_a_track():
    ccd, hits = image_with_track()
    event = categorize_cosmicrays(ccd, crmask=hits).events[0]
    assert event["category"] == "track"
    assert event["orientation"].to_value("rad") == pytest.approx(0.5, abs=0.05)


def test_charge_energy_and_position_of_a_line():
    ccd, hits = image_with_line()
    event = categorize_cosmicrays(ccd, crmask=hits).events[0]
    assert event["charge"].to_value("electron") == pytest.approx(20 * 500, rel=0.01)
    assert event["energy"].to_value("keV") == pytest.approx(10 * 3.65, rel=0.02)
    assert event["x_centroid"].to_value("pix") == pytest.approx(19.5, abs=0.1)
    assert event["length"].to_value("pix") == pytest.approx(20, abs=0.1)


def test_adu_become_electrons_by_the_header():
    ccd, hits = image_with_line("adu", CRGAIN=2.0)
    charge = categorize_cosmicrays(ccd, crmask=hits).events["charge"]
    assert charge.unit == u.electron
    assert charge[0].value == pytest.approx(2 * 20 * 500, rel=0.01)


def test_unknown_gain_leaves_the_unit_and_no_energy():
    ccd, hits = image_with_line("DN")
    events = categorize_cosmicrays(ccd, crmask=hits).events
    assert events["charge"].unit == u.DN
    assert np.isnan(events["energy"][0].value)


def test_only_hits_are_segmented_not_other_masked_pixels():
    ccd, hits = image_with_line()
    flags = np.where(hits, np.uint8(Flag.HIT), np.uint8(0))
    mask = hits.copy()
    mask[5, 5] = True
    out = categorize_cosmicrays(CosmicRayCCDData(ccd, flags=flags, mask=mask))
    assert len(out.events) == 1
    assert out.segmentation.n_labels == 1


def test_input_is_untouched():
    ccd, hits = image_with_line()
    before = ccd.data.copy()
    categorize_cosmicrays(ccd, crmask=hits)
    np.testing.assert_array_equal(ccd.data, before)


def test_no_hits_give_an_empty_table_with_units():
    ccd, hits = image_with_line()
    out = categorize_cosmicrays(ccd, crmask=np.zeros_like(hits))
    assert len(out.events) == 0
    assert out.events["length"].unit == u.pix
    assert out.segmentation is None


def test_plain_ccddata_needs_crmask():
    ccd, _ = image_with_line()
    with pytest.raises(ValueError, match="crmask"):
        categorize_cosmicrays(ccd)


def test_array_is_refused():
    with pytest.raises(TypeError, match="CCDData"):
        categorize_cosmicrays(np.zeros((4, 4)))


def test_flags_tell_edges_masked_neighbours_and_saturation():
    ccd, _ = image_with_line()
    flags = np.zeros(ccd.data.shape, np.uint8)
    flags[0, 3] = flags[10, 10] = Flag.HIT
    flags[30, 30] = Flag.HIT | Flag.SATURATED
    mask = flags > 0
    mask[11, 11] = True
    events = categorize_cosmicrays(CosmicRayCCDData(ccd, flags=flags, mask=mask)).events
    assert list(events["flags"]) == [
        EventFlag.EDGE,
        EventFlag.BESIDE_MASKED,
        EventFlag.SATURATED,
    ]


def test_event_covering_the_whole_image():
    ccd, hits = image_with_line()
    events = categorize_cosmicrays(ccd, crmask=np.ones_like(hits)).events
    assert len(events) == 1
    assert events["n_pixels"][0] == hits.size


def test_event_on_a_star_says_so():
    rng = np.random.default_rng(4)
    rows, columns = np.indices((80, 80))
    star = 900 * np.exp(-((rows - 40) ** 2 + (columns - 20) ** 2) / (2 * 2.0**2))
    data = (100 + star + rng.normal(0, 5, star.shape)).astype(np.float32)
    hits = np.zeros(data.shape, bool)
    hits[40, 18:23] = hits[40, 58:63] = True
    data[hits] += 2000
    events = categorize_cosmicrays(CCDData(data, unit="electron"), crmask=hits).events
    assert [bool(flag & EventFlag.ON_SOURCE) for flag in events["flags"]] == [True, False]


def test_given_sources_are_used():
    ccd, hits = image_with_line()
    events = categorize_cosmicrays(ccd, crmask=hits, sources=hits).events
    assert events["flags"][0] & EventFlag.ON_SOURCE
    with pytest.raises(ValueError, match="sources have shape"):
        categorize_cosmicrays(ccd, crmask=hits, sources=hits[:5])


def test_charge_is_measured_on_the_image_before_repair():
    ccd, hits = image_with_line()
    flags = np.where(hits, np.uint8(Flag.HIT | Flag.REPAIRED), np.uint8(0))
    repaired = CosmicRayCCDData(ccd, flags=flags, replaced=ccd.data[hits])
    repaired.data = np.where(hits, 50, ccd.data).astype(np.float32)
    charge = categorize_cosmicrays(repaired).events["charge"][0]
    assert charge.to_value("electron") == pytest.approx(20 * 500, rel=0.01)


@pytest.mark.parametrize("turn", range(8))
@pytest.mark.parametrize("make", [image_with_line, image_with_track])
def test_category_survives_turns_and_flips(turn, make):
    ccd, hits = make()
    reference = categorize_cosmicrays(ccd, crmask=hits).events[0]
    data, mask = (np.rot90(a.T if turn > 3 else a, turn % 4) for a in (ccd.data, hits))
    event = categorize_cosmicrays(CCDData(data.copy(), unit="electron"), crmask=mask).events[0]
    assert event["category"] == reference["category"]
    assert event["category_probability"] == pytest.approx(reference["category_probability"])


def test_one_pixel_events_are_measured():
    ccd, hits = image_with_line()
    hits[:] = False
    hits[10, 10] = True
    event = categorize_cosmicrays(ccd, crmask=hits).events[0]
    assert event["n_pixels"] == 1
    assert event["anisotropy"] == 0
    assert event["length"].value == 1


def test_nan_pixels_beside_and_inside_an_event():
    ccd, hits = image_with_line()
    ccd.data[20, 15] = ccd.data[21, 15] = np.nan
    event = categorize_cosmicrays(ccd, crmask=hits).events[0]
    assert event["charge"].value == pytest.approx(19 * 500, rel=0.01)
    assert event["flags"] & EventFlag.BESIDE_MASKED
    assert event["category"] != ""


def test_count_rate_becomes_electrons_by_the_exposure_time():
    ccd, hits = image_with_line("electron / s", CREXPTIM=10.0)
    charge = categorize_cosmicrays(ccd, crmask=hits).events["charge"]
    assert charge.unit == u.electron
    assert charge[0].value == pytest.approx(10 * 20 * 500, rel=0.01)


def test_a_scikit_learn_classifier_is_accepted():
    from sklearn.dummy import DummyClassifier

    from crismis.events import FEATURES

    own = DummyClassifier(strategy="prior").fit(
        np.zeros((4, len(FEATURES))), ["track"] * 3 + ["worm"]
    )
    ccd, hits = image_with_line()
    event = categorize_cosmicrays(ccd, crmask=hits, classifier=own).events[0]
    assert event["category"] == "track"
    assert event["category_probability"] == pytest.approx(0.75)
