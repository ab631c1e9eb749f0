"""What users of other packages complained of does not happen, with either function."""

import warnings

import astroscrappy
import ccdproc
import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData, StdDevUncertainty, VarianceUncertainty
from astropy.nddata.nduncertainty import InverseVariance
from astropy.utils.exceptions import AstropyUserWarning

import crismis
from crismis import CosmicRayCCDData, Flag, cosmicray_lacosmic, cosmicray_learned
from crismis.identify.inputs import prepare
from crismis.identify.masks import dilate

READNOISE = 5.0
both = pytest.mark.parametrize(
    "identify", [cosmicray_learned, cosmicray_lacosmic], ids=["learned", "lacosmic"]
)


def scene(shape=(90, 100), seed=0):
    """Sky and a few well-sampled stars, electrons."""
    rng = np.random.default_rng(seed)
    y, x = np.indices(shape)
    image = np.full(shape, 100.0)
    for _ in range(6):
        cy, cx = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        image += 10 ** rng.uniform(2, 3.5) * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * 1.5**2))
    return image


def exposure(shape=(90, 100), seed=0, charge=1500):
    """An exposure in electrons and where 20 tracks of four pixels hit it."""
    rng = np.random.default_rng(seed + 1)
    image = scene(shape, seed)
    hit = np.zeros(shape, bool)
    for row, column in zip(
        rng.integers(8, shape[0] - 8, 20), rng.integers(8, shape[1] - 12, 20), strict=True
    ):
        hit[row, column : column + 4] = True
    image = rng.poisson(image) + rng.normal(0, READNOISE, shape) + charge * hit
    return image.astype(np.float32), hit


def ccd_of(image, unit="electron", **kwargs):
    return CCDData(image.copy(), unit=unit, **kwargs)


def found(out, hit):
    """Fraction of the hit pixels that was found."""
    return (out.hits & hit).sum() / hit.sum()


class TestUnitsAndGain:
    @both
    @pytest.mark.parametrize("unit", ["adu", "DN", "ct", "electron", "", "electron/s", "DN/s"])
    def test_any_unit_comes_back(self, identify, unit):
        image, hit = exposure()
        gain = None if unit.startswith("electron") else 2.0
        factor = (gain or 1.0) * (50.0 if unit.endswith("/s") else 1.0)
        ccd = ccd_of((image / factor).astype(np.float32), unit, meta={"EXPTIME": 50.0})
        out = identify(ccd, gain=gain, readnoise=READNOISE)
        assert out.unit == u.Unit(unit)
        assert out.data.dtype == np.float32
        assert found(out, hit) > 0.9
        untouched = ~out.hits
        np.testing.assert_array_equal(out.data[untouched], ccd.data[untouched])

    @both
    @pytest.mark.parametrize("dtype", ["f4", "f8", "i2", "u2", "i4", ">f4", ">i2", "<u2"])
    def test_any_dtype_comes_back_where_ccdproc_gives_float32(self, identify, dtype):
        image, hit = exposure()
        data = np.clip(image, 0, 30000).astype(dtype)
        out = identify(ccd_of(data, "adu"), gain=1.0, readnoise=READNOISE)
        assert out.data.dtype == np.dtype(dtype).newbyteorder("=")
        assert found(out, hit) > 0.9
        cleaned, _ = identify(data, gain=1.0, readnoise=READNOISE)
        assert cleaned.dtype == np.dtype(dtype).newbyteorder("=")
        if dtype == "f8":
            theirs = ccdproc.cosmicray_lacosmic(ccd_of(data, "adu"), readnoise=READNOISE)
            assert theirs.data.dtype == np.float32

    @both
    def test_gain_is_never_applied_silently_and_uncertainty_follows_where_ccdprocs_does_not(
        self, identify
    ):
        image, _ = exposure()
        sigma = StdDevUncertainty(np.full(image.shape, 5.0))
        ccd = ccd_of(image / 2, "adu", uncertainty=sigma)
        out = identify(ccd, gain=2.0, readnoise=READNOISE)
        assert out.unit == u.adu
        keep = ~out.hits
        np.testing.assert_array_equal(out.uncertainty.array[keep], 5.0)
        asked = identify(ccd, gain=2.0, readnoise=READNOISE, gain_apply=True)
        assert asked.unit == u.electron
        np.testing.assert_allclose(asked.data[keep], 2 * ccd.data[keep])
        np.testing.assert_allclose(asked.uncertainty.array[keep], 10.0)
        theirs = ccdproc.cosmicray_lacosmic(ccd, gain=2.0, readnoise=READNOISE)
        assert theirs.unit == u.electron
        np.testing.assert_array_equal(theirs.uncertainty.array[keep], 5.0)

    @both
    @pytest.mark.parametrize("kind", [StdDevUncertainty, VarianceUncertainty, InverseVariance])
    def test_the_kind_of_uncertainty_is_kept(self, identify, kind):
        image, _ = exposure()
        ccd = ccd_of(image / 2, "adu", uncertainty=kind(np.full(image.shape, 4.0)))
        out = identify(ccd, gain=2.0, readnoise=READNOISE, gain_apply=True)
        assert type(out.uncertainty) is kind
        power = {StdDevUncertainty: 1, VarianceUncertainty: 2, InverseVariance: -2}[kind]
        np.testing.assert_allclose(out.uncertainty.array[~out.hits], 4.0 * 2.0**power)

    @both
    @pytest.mark.parametrize(
        ("gain", "readnoise"),
        [
            (2.0 * u.electron / u.adu, READNOISE * u.electron),
            (2.0, READNOISE / 2 * u.adu),
            (np.float32(2.0), np.int64(5)),
            ("EGAIN", "RDNOISE"),
            (ccdproc.Keyword("EGAIN", unit=u.electron / u.adu), ccdproc.Keyword("RDNOISE")),
            (2.0 * u.electron / u.DN, 5),
        ],
    )
    def test_numbers_quantities_and_keywords_mean_the_same(self, identify, gain, readnoise):
        image, _ = exposure()
        ccd = ccd_of(image / 2, "adu", meta={"EGAIN": 2.0, "RDNOISE": READNOISE})
        expected = identify(ccd, gain=2.0, readnoise=READNOISE)
        out = identify(ccd, gain=gain, readnoise=readnoise)
        np.testing.assert_array_equal(out.flags, expected.flags)

    def test_header_or_detector_give_gain_and_readnoise(self):
        image, _ = exposure()
        expected = cosmicray_learned(ccd_of(image / 2, "adu"), gain=2.0, readnoise=READNOISE)
        header = {"EGAIN": 2.0, "RDNOISE": READNOISE}
        out = cosmicray_learned(ccd_of(image / 2, "adu", meta=header))
        np.testing.assert_array_equal(out.flags, expected.flags)
        mine = crismis.Detector("mine", gain=2.0, readnoise=READNOISE)
        out = cosmicray_learned(ccd_of(image / 2, "adu"), detector=mine)
        np.testing.assert_array_equal(out.hits, expected.hits)

    def test_unknown_gain_gives_one_warning_and_still_works(self):
        image, hit = exposure()
        with pytest.warns(
            AstropyUserWarning, match="gain and readnoise of the image: unknown"
        ) as w:
            out = cosmicray_learned(ccd_of(image / 2, "adu"))
        assert len(w) == 1
        assert w[0].filename == __file__
        assert found(out, hit) > 0.9

    @both
    def test_data_in_electrons_need_no_gain_and_a_gain_for_them_is_warned_of(self, identify):
        image, _ = exposure()
        with pytest.warns(AstropyUserWarning, match="in electron already"):
            identify(ccd_of(image), gain=2.0, readnoise=READNOISE)
        with pytest.raises(ValueError, match="leave gain out"):
            identify(ccd_of(image), gain=2.0 * u.electron / u.adu, readnoise=READNOISE)

    @both
    @pytest.mark.parametrize(
        ("kwargs", "message"),
        [
            ({"gain": "NOGAIN"}, "header has no such keyword"),
            ({"gain": 2 * u.m}, "does not turn adu into electrons"),
            ({"gain": -1.0}, "gain must be positive"),
            ({"readnoise": -1.0}, "readnoise must not be negative"),
            ({"readnoise": 3 * u.m}, "readnoise is in m"),
            ({"mask": np.zeros((3, 3), bool)}, "mask has shape"),
            ({"repair": "magic"}, "repair must be True, False, None or one of"),
            ({"grow": -1.0}, "radius must not be negative"),
            ({"detector": "no such"}, "no detector is named"),
        ],
    )
    def test_wrong_arguments_are_named(self, identify, kwargs, message):
        image, _ = exposure()
        kwargs = {"gain": 1.0, "readnoise": READNOISE} | kwargs
        with pytest.raises((ValueError, KeyError), match=message):
            identify(ccd_of(image, "adu"), **kwargs)

    @both
    def test_a_rate_without_exposure_time_is_refused(self, identify):
        image, hit = exposure()
        ccd = ccd_of(image / 10, "electron/s")
        with pytest.raises(ValueError, match="exposure time is unknown: pass exposure_time="):
            identify(ccd, readnoise=READNOISE)
        out = identify(ccd, readnoise=READNOISE, exposure_time=10 * u.s)
        assert found(out, hit) > 0.9


class TestInput:
    @both
    @pytest.mark.parametrize(
        ("image", "error", "message"),
        [
            (np.ones(5), ValueError, "1 dimensions"),
            (np.ones((2, 5, 5)), ValueError, "3 dimensions"),
            (np.ones((0, 5)), ValueError, "empty"),
            (np.full((5, 5), np.nan), ValueError, "every pixel is masked or not finite"),
            (np.ma.masked_all((5, 5)), ValueError, "every pixel is masked"),
            (np.ones((5, 5), complex), TypeError, "real numbers"),
            ([[1.0, 2.0]], TypeError, "expected a CCDData or a numpy array, got list"),
        ],
    )
    def test_what_cannot_be_judged_is_named(self, identify, image, error, message):
        with pytest.raises(error, match=message):
            identify(image, gain=1.0, readnoise=READNOISE)

    @both
    def test_the_input_is_untouched(self, identify):
        image, _ = exposure()
        header = fits.Header({"OBJECT": "M 1"})
        ccd = ccd_of(
            image,
            mask=np.zeros(image.shape, bool),
            uncertainty=StdDevUncertainty(np.ones(image.shape)),
            meta=header,
        )
        before = ccd.copy()
        out = identify(ccd, gain=1.0, readnoise=READNOISE, grow=1)
        out.data[:] = 0
        out.mask[:] = True
        out.uncertainty.array[:] = 0
        out.meta["OBJECT"] = "changed"
        np.testing.assert_array_equal(ccd.data, before.data)
        np.testing.assert_array_equal(ccd.mask, before.mask)
        np.testing.assert_array_equal(ccd.uncertainty.array, before.uncertainty.array)
        assert dict(ccd.meta) == {"OBJECT": "M 1"}

    @both
    def test_layouts_of_memory_do_not_matter(self, identify, tmp_path):
        image, _ = exposure()
        expected = identify(image, gain=1.0, readnoise=READNOISE)[1]
        wide = np.zeros((90, 200), np.float32)
        wide[:, ::2] = image
        frozen = image.copy()
        frozen.flags.writeable = False
        np.save(tmp_path / "image.npy", image)
        fits.writeto(tmp_path / "image.fits", image)
        mapped = np.load(tmp_path / "image.npy", mmap_mode="r")
        with fits.open(tmp_path / "image.fits", memmap=True) as hdus:
            for array in (
                image.astype(">f4"),
                np.asfortranarray(image),
                wide[:, ::2],
                image[::-1, ::-1].copy()[::-1, ::-1],
                frozen,
                mapped,
                hdus[0].data,
                image.astype(np.float64),
            ):
                _, mask = identify(array, gain=1.0, readnoise=READNOISE)
                np.testing.assert_array_equal(mask, expected)

    @both
    def test_arrays_give_cleaned_and_mask_as_ccdproc_does(self, identify):
        image, hit = exposure()
        cleaned, mask = identify(image, gain=1.0, readnoise=READNOISE)
        assert type(cleaned) is np.ndarray
        assert mask.dtype == bool
        np.testing.assert_array_equal(cleaned[~mask], image[~mask])
        assert np.median(np.abs(cleaned - image)[mask & hit]) > 1000

    @both
    def test_masked_arrays_keep_their_mask(self, identify):
        image, _ = exposure()
        masked = np.ma.MaskedArray(image, mask=np.zeros(image.shape, bool))
        masked[10:14, 10:20] = np.ma.masked
        cleaned, mask = identify(masked, gain=1.0, readnoise=READNOISE)
        assert isinstance(cleaned, np.ma.MaskedArray)
        np.testing.assert_array_equal(cleaned.mask, masked.mask)
        assert mask[masked.mask].all()

    @both
    def test_a_quantity_comes_back_as_one(self, identify):
        image, _ = exposure()
        cleaned, mask = identify(image * u.electron, gain=1.0, readnoise=READNOISE)
        assert cleaned.unit == u.electron
        assert mask.any()

    @both
    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_non_finite_pixels_stay_unflagged_and_harm_nobody(self, identify, value):
        image, hit = exposure()
        image[20, 20], image[40:44, 50:53] = value, value
        image[60, 30] = value
        image[60, 31] += 3000
        out = identify(ccd_of(image), gain=1.0, readnoise=READNOISE)
        bad = ~np.isfinite(image)
        assert not (out.hits & bad).any()
        assert not (out.mask & bad).any()
        assert np.isnan(out.data[20, 20]) == np.isnan(value)
        assert out.hits[60, 31]
        assert found(out, hit & ~dilate(bad, 3)) > 0.9
        assert (out.hits & ~hit & dilate(bad, 3)).sum() <= 1

    @both
    @pytest.mark.parametrize("shape", [(1, 80), (80, 1), (5, 5), (3, 40), (17, 16)])
    def test_strips_and_tiny_images(self, identify, shape):
        image = np.random.default_rng(3).normal(100, 11, shape).astype(np.float32)
        image.flat[image.size // 2] += 4000
        out = identify(ccd_of(image), gain=1.0, readnoise=READNOISE)
        assert out.shape == shape
        assert out.hits.flat[image.size // 2]
        assert out.hits.sum() <= 3
        assert abs(out.data.flat[image.size // 2] - 100) < 30


class TestMasksAndFlags:
    @both
    def test_masks_are_kept_and_masked_pixels_not_flagged_again_as_lacosmic_does(self, identify):
        image, hit = exposure()
        mask = dilate(hit, 1) & (np.arange(100) < 50)
        out = identify(ccd_of(image, mask=mask), gain=1.0, readnoise=READNOISE)
        assert not (out.hits & mask).any()
        np.testing.assert_array_equal(out.mask, mask | out.hits)
        np.testing.assert_array_equal(out.data[mask], image[mask])
        assert found(out, hit & ~mask) > 0.9
        part = hit & ~np.roll(hit, 1, axis=1)
        lacosmic = pytest.importorskip("lacosmic")
        theirs = lacosmic.remove_cosmics(
            image.astype(float), 5.0, 5.0, 1.35, mask=part, effective_gain=1.0, readnoise=READNOISE
        )[1]
        assert (theirs & part).any()
        assert not (identify(ccd_of(image, mask=part), readnoise=READNOISE).hits & part).any()

    @both
    def test_the_mask_argument_leaves_pixels_out_but_not_in_the_result(self, identify):
        image, hit = exposure()
        out = identify(ccd_of(image), gain=1.0, readnoise=READNOISE, mask=hit)
        assert not (out.hits & hit).any()
        assert not (out.mask & hit).any()

    @both
    def test_hits_beside_masked_pixels_are_found_where_astroscrappy_finds_none(self, identify):
        image = np.random.default_rng(4).normal(100, 11, (60, 60)).astype(np.float32)
        mask = np.zeros(image.shape, bool)
        mask[:, 30] = mask[10, 10] = True
        image[:, 30] = 65000
        places = np.array([[10, 20, 40, 50], [11, 29, 31, 29]])
        image[tuple(places)] += 5000
        theirs = astroscrappy.detect_cosmics(image, inmask=mask, gain=1.0, readnoise=READNOISE)[0]
        assert not theirs[tuple(places)].any()
        out = identify(ccd_of(image, mask=mask), gain=1.0, readnoise=READNOISE)
        assert out.hits[tuple(places)].all()
        assert out.hits.sum() <= 10
        np.testing.assert_allclose(out.data[tuple(places)], 100, atol=30)

    @both
    @pytest.mark.parametrize(
        "place", [(0, 0), (0, 25), (1, 30), (2, 35), (59, 49), (25, 0), (30, 49), (59, 0)]
    )
    def test_hits_at_edges_and_corners_are_found_where_astroscrappy_finds_none(
        self, identify, place
    ):
        image = np.random.default_rng(5).normal(100, 11, (60, 50)).astype(np.float32)
        image[place] += 5000
        assert not astroscrappy.detect_cosmics(image, gain=1.0, readnoise=READNOISE)[0][place]
        out = identify(ccd_of(image), gain=1.0, readnoise=READNOISE)
        assert out.hits[place]
        assert out.flags[place] & Flag.EDGE
        assert out.hits.sum() <= 5

    @both
    def test_flags_say_what_happened(self, identify):
        image, _ = exposure(charge=3000)
        mask = np.zeros(image.shape, bool)
        mask[45, 45] = True
        level = {"saturation": 3000.0}
        if identify is cosmicray_lacosmic:
            level = {"satlevel": 3000.0}
        ccd = ccd_of(image, mask=mask)
        out = identify(ccd, gain=1.0, readnoise=READNOISE, **level)
        np.testing.assert_array_equal((out.flags & Flag.REPAIRED) != 0, out.hits)
        np.testing.assert_array_equal((out.flags & Flag.SATURATED) != 0, image >= 3000)
        expected = np.ones(image.shape, bool)
        expected[7:-7, 7:-7] = False
        expected[45 - 7 : 45 + 8, 45 - 7 : 45 + 8] = True
        np.testing.assert_array_equal((out.flags & Flag.EDGE) != 0, expected)
        unrepaired = identify(ccd, gain=1.0, readnoise=READNOISE, repair=False)
        assert not (unrepaired.flags & Flag.REPAIRED).any()
        np.testing.assert_array_equal(unrepaired.data, image)
        assert out.flags.dtype == np.uint8

    def test_low_confidence_marks_probabilities_near_the_threshold(self):
        image, _ = exposure(charge=60)
        out = cosmicray_learned(ccd_of(image), gain=1.0, readnoise=READNOISE)
        close = np.abs(out.probability.astype(float) - 0.5) < 0.2
        np.testing.assert_array_equal((out.flags & Flag.LOW_CONFIDENCE) != 0, close)

    @both
    def test_grow_grows_by_radius_but_not_into_masked_pixels(self, identify):
        image, _ = exposure()
        mask = np.zeros(image.shape, bool)
        mask[:, 40] = True
        options = {"gain": 1.0, "readnoise": READNOISE}
        plain = identify(ccd_of(image, mask=mask), **options)
        for radius in (1, 1.5, 3):
            grown = identify(ccd_of(image, mask=mask), grow=radius, **options)
            np.testing.assert_array_equal(grown.hits, dilate(plain.hits, radius) & ~mask)

    @both
    def test_a_second_run_changes_nothing(self, identify, tmp_path):
        image, hit = exposure()
        mask = dilate(hit, 1) & (np.arange(100) < 20)
        facts = {"gain": 2.0, "readnoise": READNOISE}
        first = identify(ccd_of(image / 2, "adu", mask=mask), **facts)
        second = identify(first, **facts)
        assert first.hits.any()
        np.testing.assert_array_equal(second.hits, first.hits)
        np.testing.assert_array_equal(second.data, first.data)
        np.testing.assert_array_equal(second.mask, first.mask)
        np.testing.assert_array_equal(second.original, first.original)
        assert second.meta["CRNHIT"] == first.meta["CRNHIT"]
        first.write(tmp_path / "first.fits")
        again = identify(CosmicRayCCDData.read(tmp_path / "first.fits"), **facts)
        np.testing.assert_array_equal(again.data, first.data)
        electrons = identify(first, gain_apply=True, **facts)
        np.testing.assert_allclose(electrons.data, 2 * first.data, rtol=1e-6)

    @both
    def test_hits_that_were_only_found_can_be_repaired_later(self, identify):
        image, _ = exposure()
        facts = {"gain": 1.0, "readnoise": READNOISE}
        repaired = identify(ccd_of(image), **facts)
        later = identify(identify(ccd_of(image), repair=False, **facts), **facts)
        np.testing.assert_array_equal(later.data, repaired.data)
        unrepaired = identify(repaired, repair=False, **facts)
        np.testing.assert_array_equal(unrepaired.original, image)

    def test_repair_takes_no_values_from_hits_of_an_earlier_run(self):
        flags = np.zeros((30, 40), np.uint8)
        flags[15, 10:14] = Flag.HIT
        ccd = CosmicRayCCDData(np.ones(flags.shape), unit="adu", flags=flags, mask=flags > 0)
        frame = prepare(ccd, gain=1.0, readnoise=READNOISE)
        assert not frame.bad.any()
        np.testing.assert_array_equal(frame.unusable(np.zeros(flags.shape, bool)), flags > 0)
        assert not frame.unusable(flags > 0).any()

    def test_what_one_method_found_stays_repaired_after_the_other(self):
        image, _ = exposure()
        facts = {"gain": 1.0, "readnoise": READNOISE}
        first = cosmicray_lacosmic(ccd_of(image), grow=2, **facts)
        both_ways = cosmicray_learned(first, **facts)
        alone = cosmicray_learned(ccd_of(image), **facts)
        np.testing.assert_array_equal(both_ways.hits, first.hits | alone.hits)
        only_first = first.hits & ~alone.hits
        assert only_first.any()
        np.testing.assert_array_equal(both_ways.data[only_first], first.data[only_first])
        np.testing.assert_array_equal(both_ways.original, image)

    @both
    def test_the_original_can_be_had_back(self, identify):
        image, _ = exposure()
        out = identify(ccd_of(image), gain=1.0, readnoise=READNOISE)
        np.testing.assert_array_equal(out.original, image)
        asked = identify(ccd_of(image / 2, "adu"), gain=2.0, readnoise=READNOISE, gain_apply=True)
        np.testing.assert_allclose(asked.original, image, rtol=1e-6)


class TestLogging:
    @both
    def test_metadata_tell_what_was_done_and_are_legal_fits(self, identify, tmp_path):
        image, _ = exposure()
        header = fits.Header({"EXPTIME": 20.0})
        out = identify(ccd_of(image / 2, "adu", meta=header), gain=2.0, readnoise=READNOISE)
        count = out.hits.sum()
        assert out.meta["CRNHIT"] == count
        assert out.meta["CRFRAC"] == pytest.approx(count / image.size)
        assert out.meta["CRRATE"] == pytest.approx(1e6 * count / image.size / 20.0)
        assert out.meta["CRGAIN"] == 2.0
        assert out.meta["CRRDNOIS"] == READNOISE
        assert out.meta["CRVERS"].startswith("crismis ")
        name = identify.__name__
        assert "gain=2.0" in out.meta[out.meta[name]]
        if identify is cosmicray_learned:
            assert out.meta["CRTHRESH"] == 0.5
            assert out.meta["CRMODEL"]
            assert out.meta["CRMODVER"]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            out.write(tmp_path / "out.fits")
            back = CosmicRayCCDData.read(tmp_path / "out.fits")
        for key in ("CRNHIT", "CRFRAC", name, out.meta[name]):
            assert back.meta[key] == out.meta[key]

    @both
    def test_the_same_metadata_in_a_dictionary(self, identify):
        image, _ = exposure()
        out = identify(ccd_of(image), readnoise=READNOISE)
        assert out.meta["CRNHIT"] == out.hits.sum()
        assert "readnoise=5.0" in out.meta[out.meta[identify.__name__]]

    @both
    def test_add_keyword_is_that_of_ccdprocs_steps(self, identify):
        image, _ = exposure()
        options = {"gain": 1.0, "readnoise": READNOISE}
        for off in (False, None):
            assert not identify(ccd_of(image), add_keyword=off, **options).meta
        assert "CRDONE" in identify(ccd_of(image), add_keyword="CRDONE", **options).meta
        keyword = ccdproc.Keyword("CRDONE", value="yes")
        assert identify(ccd_of(image), add_keyword=keyword, **options).meta["CRDONE"] == "yes"
        out = identify(ccd_of(image), add_keyword={"A": 1, "B": "x"}, **options)
        assert (out.meta["A"], out.meta["B"]) == (1, "x")
        assert identify.__name__ not in out.meta
        with pytest.raises(TypeError):
            ccdproc.cosmicray_lacosmic(ccd_of(image), add_keyword="CRDONE")

    @both
    def test_the_detector_goes_along(self, identify):
        image, _ = exposure()
        detector = crismis.detectors.list_detectors()[0]
        out = identify(ccd_of(image), gain=1.0, readnoise=READNOISE, detector=detector)
        assert crismis.get_detector(out).name == detector.name


def test_the_gain_of_data_numbers_is_none_of_light():
    light = np.float32(1e-5) * exposure()[0].astype(np.float32)
    ccd = CCDData(light, unit=u.one, meta={"CRGAIN": 30.0, "CRRDNOIS": 12.0, "CRCOUNTS": False})
    with pytest.warns(AstropyUserWarning, match="gain and readnoise of the image: unknown"):
        out = cosmicray_learned(ccd)
    assert 60 < out.hits.sum() < 100
