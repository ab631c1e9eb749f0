"""CosmicRayCCDData keeps its planes and events wherever a CCDData goes."""

import warnings

import ccdproc
import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData, StdDevUncertainty
from astropy.table import QTable
from astropy.wcs import WCS
from photutils.segmentation import SegmentationImage

from crismis import CosmicRayCCDData, Flag


@pytest.fixture
def image():
    rng = np.random.default_rng(7)
    labels = np.zeros((30, 40), np.int32)
    labels[5:7, 8:12] = 1
    labels[20, 30:36] = 2
    labels[28:, 1] = 3
    hit = labels > 0
    events = QTable(
        {
            "label": np.array([1, 2, 3]),
            "x_centroid": [9.5, 32.5, 1.0] * u.pix,
            "y_centroid": [5.5, 20.0, 28.5] * u.pix,
            "bbox_xmin": [8, 30, 1],
            "bbox_xmax": [11, 35, 1],
            "bbox_ymin": [5, 20, 28],
            "bbox_ymax": [6, 20, 29],
            "charge": [100.0, 200.0, np.nan] * u.electron,
            "surface": [1.0, 2.0, 3.0] * u.DN / u.s,
            "category": ["spot", "track", "worm"],
            "flags": np.array([0, 4, 16], np.uint8),
        }
    )
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
    wcs.wcs.crpix, wcs.wcs.crval, wcs.wcs.cdelt = (20, 15), (10, 20), (-1e-4, 1e-4)
    data = rng.normal(100, 5, labels.shape).astype(np.float32)
    return CosmicRayCCDData(
        data,
        unit="electron",
        wcs=wcs,
        mask=hit,
        uncertainty=StdDevUncertainty(np.full(data.shape, 5, np.float32)),
        meta=fits.Header([("EXPTIME", 10.0), ("CRDETEC", "none")]),
        probability=hit * 0.9,
        flags=hit * np.uint8(Flag.HIT | Flag.REPAIRED),
        segmentation=SegmentationImage(labels),
        events=events,
        replaced=np.arange(16, dtype=np.float32),
        truth={"deposit": hit * np.float32(7), "events": events["label", "x_centroid"], "seed": 3},
    )


def same_table(one, two):
    assert one.colnames == two.colnames
    for name in one.colnames:
        assert one[name].dtype == two[name].dtype
        assert getattr(one[name], "unit", None) == getattr(two[name], "unit", None)
        np.testing.assert_array_equal(one[name], two[name])


def test_fits_round_trip_brings_all_back(image, tmp_path):
    image.write(tmp_path / "out.fits")
    back = CosmicRayCCDData.read(tmp_path / "out.fits")
    assert isinstance(back, CosmicRayCCDData)
    assert back.unit == u.electron
    np.testing.assert_array_equal(back.data, image.data)
    np.testing.assert_array_equal(back.mask, image.mask)
    np.testing.assert_array_equal(back.uncertainty.array, image.uncertainty.array)
    np.testing.assert_array_equal(back.probability, image.probability)
    assert back.probability.dtype == np.float32
    np.testing.assert_array_equal(back.flags, image.flags)
    np.testing.assert_array_equal(back.segmentation.data, image.segmentation.data)
    np.testing.assert_array_equal(back.original, image.original)
    same_table(back.events, image.events)
    np.testing.assert_array_equal(back.truth["deposit"], image.truth["deposit"])
    same_table(back.truth["events"], image.truth["events"])
    assert back.truth["seed"] == 3
    np.testing.assert_allclose(back.wcs.wcs.crval, image.wcs.wcs.crval)
    assert back.meta["EXPTIME"] == 10.0


def test_fits_file_has_the_promised_extensions_and_units_as_text(image, tmp_path):
    image.write(tmp_path / "out.fits")
    with fits.open(tmp_path / "out.fits") as hdus:
        names = [hdu.name for hdu in hdus]
        assert {"MASK", "UNCERT", "CRPROB", "CRFLAGS", "CRSEG", "CREVENTS", "CRTRUTH"} <= set(names)
        header = hdus["CREVENTS"].header
        units = {header[f"TTYPE{n}"]: header.get(f"TUNIT{n}") for n in range(1, 12)}
        assert units["charge"] == "electron"
        assert units["surface"] == "DN / s"
        hdus.verify("exception")


def test_plain_ccddata_reads_our_file_and_we_read_plain_files(image, tmp_path):
    image.write(tmp_path / "out.fits")
    plain = CCDData.read(tmp_path / "out.fits")
    np.testing.assert_array_equal(plain.data, image.data)
    np.testing.assert_array_equal(plain.mask, image.mask)
    CCDData(np.ones((3, 3)), unit="adu").write(tmp_path / "plain.fits")
    ours = CosmicRayCCDData.read(tmp_path / "plain.fits")
    assert ours.events is None
    assert ours.truth is None
    assert ours.unit == u.adu


def test_an_image_without_events_makes_the_round_trip(tmp_path):
    events = QTable({"label": np.zeros(0, int), "charge": np.zeros(0) * u.electron})
    ccd = CosmicRayCCDData(np.ones((4, 4)), unit="DN", events=events)
    ccd.write(tmp_path / "out.fits")
    back = CosmicRayCCDData.read(tmp_path / "out.fits")
    assert len(back.events) == 0
    assert back.events["charge"].unit == u.electron
    assert back.flags is None


def test_copy_shares_nothing(image):
    copy = image.copy()
    for part in ("data", "mask", "probability", "flags", "replaced"):
        assert not np.shares_memory(getattr(copy, part), getattr(image, part))
    copy.events["label"][0] = 99
    copy.truth["deposit"][:] = 0
    assert image.events["label"][0] == 1
    assert image.truth["deposit"].any()
    assert not np.shares_memory(copy.segmentation.data, image.segmentation.data)


def test_slicing_cuts_planes_and_moves_events(image):
    cut = image[4:25, 9:33]
    np.testing.assert_array_equal(cut.probability, image.probability[4:25, 9:33])
    np.testing.assert_array_equal(cut.flags, image.flags[4:25, 9:33])
    np.testing.assert_array_equal(cut.segmentation.data, image.segmentation.data[4:25, 9:33])
    np.testing.assert_array_equal(cut.original, image.original[4:25, 9:33])
    np.testing.assert_array_equal(cut.truth["deposit"], image.truth["deposit"][4:25, 9:33])
    assert list(cut.events["label"]) == [1, 2]
    np.testing.assert_allclose(cut.events["x_centroid"].value, [0.5, 23.5])
    np.testing.assert_allclose(cut.events["y_centroid"].value, [1.5, 16.0])
    assert list(cut.events["bbox_xmin"]) == [-1, 21]
    assert list(cut.events["flags"]) == [Flag.EDGE, Flag.SATURATED | Flag.EDGE]
    assert list(image.events["flags"]) == [0, 4, 16]


def test_an_event_inside_the_slice_is_not_flagged(image):
    assert list(image[:10].events["flags"]) == [0]


@pytest.mark.parametrize("item", [np.s_[::2, ::2], np.s_[::-1]])
def test_a_stepped_slice_drops_the_events_but_keeps_the_planes(image, item):
    image.wcs = None
    cut = image[item]
    np.testing.assert_array_equal(cut.probability, image.probability[item])
    np.testing.assert_array_equal(cut.flags, image.flags[item])
    assert cut.events is None


def test_a_row_keeps_its_planes(image):
    image.wcs = None
    row = image[5]
    np.testing.assert_array_equal(row.flags, image.flags[5])
    assert row.segmentation is None


def test_a_pixel_keeps_its_values(image):
    image.wcs = None
    for row, column in (*np.argwhere(image.flags & Flag.REPAIRED)[:2], (0, 0)):
        pixel = image[row, column]
        assert pixel.data == image.data[row, column]
        assert pixel.flags == image.flags[row, column]
        assert pixel.original == image.original[row, column]
        assert pixel.events is None


def test_trim_image_cuts_everything_alike(image):
    trimmed = ccdproc.trim_image(image, fits_section="[10:33, 5:25]")
    expected = image[4:25, 9:33]
    np.testing.assert_array_equal(trimmed.flags, expected.flags)
    same_table(trimmed.events, expected.events)
    assert not np.shares_memory(trimmed.flags, image.flags)


def test_arithmetic_keeps_the_left_operands_planes(image):
    other = CosmicRayCCDData(np.full(image.shape, 2.0), unit="electron")
    for result in (
        image.subtract(other),
        image.add(3 * u.electron),
        image.multiply(2),
        image.divide(np.full(image.shape, 2.0)),
    ):
        np.testing.assert_array_equal(result.flags, image.flags)
        np.testing.assert_array_equal(result.probability, image.probability)
        same_table(result.events, image.events)
        assert not np.shares_memory(result.flags, image.flags)
    np.testing.assert_allclose(
        image.multiply(2).original, 2 * image.original.astype(float), rtol=1e-6
    )
    np.testing.assert_allclose(image.subtract(other).original, image.original - 2, rtol=1e-6)


def test_a_plain_left_operand_stays_plain(image):
    plain = CCDData(np.ones(image.shape), unit="electron")
    assert type(plain.subtract(image)) is CCDData


def test_ccdproc_steps_keep_planes(image):
    corrected = ccdproc.subtract_bias(image, CCDData(np.ones(image.shape), unit="electron"))
    assert isinstance(corrected, CosmicRayCCDData)
    np.testing.assert_array_equal(corrected.flags, image.flags)
    flat = ccdproc.flat_correct(image, CCDData(np.ones(image.shape), unit=u.one))
    np.testing.assert_array_equal(flat.flags, image.flags)


def test_a_plane_of_another_shape_is_refused(image):
    with pytest.raises(ValueError, match=r"flags has shape \(3, 3\)"):
        image.flags = np.zeros((3, 3))


def test_a_date_of_observation_is_no_reason_to_warn(tmp_path):
    image = CosmicRayCCDData(np.ones((4, 5)), unit="adu", meta={"DATE-OBS": "2011-07-20"})
    image.write(tmp_path / "dated.fits")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        CosmicRayCCDData.read(tmp_path / "dated.fits")
    assert not caught
