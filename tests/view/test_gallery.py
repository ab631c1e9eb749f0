"""Galleries: which events are cut out, where, and what is written beneath."""

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable
from photutils.segmentation import SegmentationImage

from crismis import CosmicRayCCDData, Flag
from crismis.view import cut_stamps, plot_gallery
from crismis.view.gallery import energy_text


@pytest.fixture
def ccd():
    data = np.arange(60.0 * 70).reshape(60, 70)
    labels = np.zeros(data.shape, np.int32)
    labels[20, 30:33] = 1
    labels[40, 10] = 2
    labels[1, 1] = 3
    events = QTable(
        {
            "label": [1, 2, 3],
            "x_centroid": [31.0, 10.0, 1.0] * u.pix,
            "y_centroid": [20.0, 40.0, 1.0] * u.pix,
            "category": ["track", "spot", "spot"],
            "charge": [900, 50, 70] * u.electron,
            "energy": [3.3, np.nan, 0.25] * u.keV,
        }
    )
    return CosmicRayCCDData(
        data, unit="electron", segmentation=SegmentationImage(labels), events=events
    )


def test_stamps_are_centred_on_the_event_and_know_its_pixels(ccd):
    (stamp,) = cut_stamps(ccd, categories=["track"], size=16)
    assert stamp.origin == (12, 23)
    np.testing.assert_array_equal(stamp.data, ccd.data[12:28, 23:39])
    assert np.argwhere(stamp.inside).tolist() == [[8, 7], [8, 8], [8, 9]]
    assert stamp.energy == 3.3 * u.keV


def test_a_repaired_image_shows_its_events_before_repair(ccd):
    hit = ccd.segmentation.data > 0
    before = ccd.data.copy()
    ccd.flags = np.where(hit, Flag.HIT | Flag.REPAIRED, 0).astype(np.uint8)
    ccd.replaced = before[hit]
    ccd.data[hit] = 0
    (stamp,) = cut_stamps(ccd, categories=["track"], size=16)
    np.testing.assert_array_equal(stamp.data, before[12:28, 23:39])


def test_the_brightest_come_first_and_categories_in_their_order(ccd):
    stamps = cut_stamps(ccd)
    assert [(stamp.category, stamp.label) for stamp in stamps] == [
        ("spot", 3),
        ("spot", 2),
        ("track", 1),
    ]
    assert [stamp.label for stamp in cut_stamps(ccd, per_category=1)] == [3, 1]


def test_outside_the_image_there_is_nothing(ccd):
    stamp = cut_stamps(ccd, size=16)[0]
    assert np.isnan(stamp.data[:7]).all()
    assert stamp.data[8, 8] == ccd.data[1, 1]


def test_charge_stands_in_for_an_unknown_energy(ccd):
    assert cut_stamps(ccd)[1].energy == 50 * u.electron


def test_gallery_has_one_image_per_event_and_a_scale_bar(ax, ccd):
    gallery = plot_gallery(ccd, ax, pitch=15)
    texts = [text.get_text() for text in gallery.texts]
    assert len(gallery.images) == 3
    assert "3.30 keV" in texts or "3.3 keV" in texts
    assert "250 eV" in texts
    assert any(text.endswith("µm") for text in texts)
    length = np.ptp(gallery.scale.get_xdata())
    assert f"{length:g} pixels = {15 * length:g} µm" in texts


def test_gallery_takes_stamps_of_many_images(ax, ccd):
    gallery = plot_gallery(cut_stamps(ccd, size=16) + cut_stamps(ccd, size=24), ax)
    assert len(gallery.images) == 6


@pytest.mark.parametrize("events", [None, QTable({"label": np.zeros(0, int)})])
def test_gallery_of_nothing_says_so(ax, events):
    gallery = plot_gallery(np.ones((9, 9)), ax, events=events)
    assert gallery.texts[0].get_text() == "no events"


@pytest.mark.parametrize(
    ("quantity", "text"),
    [
        (534 * u.MeV, "534 MeV"),
        (0.0123 * u.MeV, "12.3 keV"),
        (3.2e6 * u.electron, "3.20e+06 e⁻"),
        (150 * u.adu, "150 adu"),
        (np.nan * u.keV, ""),
        (None, ""),
    ],
)
def test_energies_are_written_with_three_digits(quantity, text):
    assert energy_text(quantity) == text
