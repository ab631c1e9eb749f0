"""What must hold for every image, whatever is in it."""

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
from astropy.nddata import CCDData
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crismis import cosmicray_lacosmic, cosmicray_learned
from crismis.identify import judge as judging
from crismis.identify import lacosmic as baseline

READNOISE = 5.0
few = settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
learned = partial(cosmicray_learned, gain=1.0, readnoise=READNOISE)
classic = partial(cosmicray_lacosmic, gain=1.0, readnoise=READNOISE)
both = pytest.mark.parametrize("identify", [learned, classic], ids=["learned", "lacosmic"])
seeds = st.integers(0, 2**32 - 1)


def exposure(seed, shape=(160, 176)):
    """Sky, stars of FWHM 2.4 and tracks with 2 % of the pixels, electrons."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-12:13, -12:13]
    image = np.full((shape[0] + 24, shape[1] + 24), 80.0)
    for _ in range(shape[0] * shape[1] // 1500):
        cy, cx = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        iy, ix = int(cy), int(cx)
        star = np.exp(-((y - cy + iy) ** 2 + (x - cx + ix) ** 2) / 2)
        image[iy : iy + 25, ix : ix + 25] += 10 ** rng.uniform(1.5, 4) * star
    image = image[12:-12, 12:-12]
    for _ in range(shape[0] * shape[1] // 500):
        row, column, angle = *rng.uniform(0, shape), rng.uniform(0, np.pi)
        charge = 10 ** rng.uniform(2.3, 3.5)
        for step in range(rng.integers(1, 20)):
            iy, ix = int(row + step * np.sin(angle)), int(column + step * np.cos(angle))
            if 0 <= iy < shape[0] and 0 <= ix < shape[1]:
                image[iy, ix] += charge * rng.uniform(0.5, 1.5)
    return (rng.poisson(image) + rng.normal(0, READNOISE, shape)).astype(np.float32)


def hits_of(identify, image, **kwargs):
    return identify(CCDData(image, unit="electron"), **kwargs).hits


def differing(one, two):
    """Differing pixels as a fraction of the flagged ones."""
    return (one != two).sum() / max(one.sum(), two.sum(), 1)


class TestSymmetry:
    @few
    @given(seed=seeds, turns=st.integers(0, 3), flip=st.booleans())
    def test_rotations_and_flips_change_at_most_one_per_cent(self, seed, turns, flip):
        image = exposure(seed)

        def turn(array):
            return np.rot90(array[:, ::-1] if flip else array, turns)

        plain = hits_of(learned, image)
        turned = hits_of(learned, np.ascontiguousarray(turn(image)))
        assert differing(turned, turn(plain)) <= 0.01

    @both
    @few
    @given(seed=seeds, power=st.integers(-6, 6))
    def test_rescaling_data_and_gain_together_changes_nothing(self, identify, seed, power):
        image, scale = exposure(seed), 2.0**power
        plain = identify(CCDData(image, unit="adu"))
        scaled = identify(CCDData(image / np.float32(scale), unit="adu"), gain=scale)
        np.testing.assert_array_equal(scaled.hits, plain.hits)
        np.testing.assert_allclose(scaled.data * scale, plain.data, rtol=1e-5)

    @both
    @few
    @given(seed=seeds, order=st.sampled_from("CF"), byteorder=st.sampled_from("<>"))
    def test_byte_order_and_memory_order_do_not_matter(self, identify, seed, order, byteorder):
        image = exposure(seed, (96, 120))
        other = np.array(image, dtype=f"{byteorder}f4", order=order)
        np.testing.assert_array_equal(hits_of(identify, other), hits_of(identify, image))


class TestMonotony:
    @few
    @given(seed=seeds, thresholds=st.tuples(*[st.floats(0.01, 0.99)] * 2))
    def test_a_higher_threshold_never_flags_more(self, seed, thresholds):
        image = exposure(seed, (96, 120))
        low, high = (hits_of(learned, image, threshold=t) for t in sorted(thresholds))
        assert not (high & ~low).any()

    @both
    @few
    @given(seed=seeds, fraction=st.floats(0, 0.3))
    def test_the_mask_never_shrinks_the_input_mask(self, identify, seed, fraction):
        image = exposure(seed, (96, 120))
        mask = np.random.default_rng(seed).random(image.shape) < fraction
        out = identify(CCDData(image, unit="electron", mask=mask))
        assert not (mask & ~out.mask).any()
        assert not (out.hits & mask).any()

    @both
    @settings(few, max_examples=12)
    @given(seed=seeds)
    def test_a_second_pass_adds_at_most_one_per_cent(self, identify, seed):
        first = identify(CCDData(exposure(seed), unit="electron"))
        second = identify(CCDData(first.data, unit="electron"))
        assert (second.hits & ~first.hits).sum() <= max(0.01 * first.hits.sum(), 1)

    @both
    @few
    @given(seed=seeds)
    def test_a_second_run_on_the_result_adds_nothing(self, identify, seed):
        first = identify(CCDData(exposure(seed), unit="electron"))
        second = identify(first)
        np.testing.assert_array_equal(second.hits, first.hits)
        np.testing.assert_array_equal(second.data, first.data)

    def test_second_passes_of_thirty_exposures_add_next_to_nothing(self):
        found = added = 0
        for seed in range(30):
            first = learned(CCDData(exposure(seed), unit="electron"))
            second = learned(CCDData(first.data, unit="electron"))
            found += first.hits.sum()
            added += (second.hits & ~first.hits).sum()
        assert added <= 0.001 * found

    @both
    @few
    @given(seed=seeds)
    def test_only_hits_change(self, identify, seed):
        image = exposure(seed, (96, 120))
        out = identify(CCDData(image, unit="electron"))
        np.testing.assert_array_equal(out.data[~out.hits], image[~out.hits])


class TestParallelism:
    def test_the_number_of_threads_does_not_matter(self):
        image = exposure(1, (300, 300))
        one, three = (
            learned(CCDData(image, unit="electron"), n_threads=n, repair="noise") for n in (1, 3)
        )
        np.testing.assert_array_equal(one.probability, three.probability)
        np.testing.assert_array_equal(one.data, three.data)

    def test_tiles_give_the_whole_image_answer_bit_for_bit(self, monkeypatch):
        image = exposure(2, (300, 330))
        whole = learned(CCDData(image, unit="electron"))
        original = judging.tiles
        monkeypatch.setattr(judging, "tiles", lambda shape, **_: original(shape, 77))
        tiled = learned(CCDData(image, unit="electron"))
        np.testing.assert_array_equal(tiled.probability, whole.probability)

    def test_the_baseline_in_tiles_is_that_of_the_whole_image(self, monkeypatch):
        image = exposure(3, (300, 330))
        whole = classic(CCDData(image, unit="electron"))
        monkeypatch.setattr(baseline, "_LARGEST", 1)
        monkeypatch.setattr(baseline, "_TILE", 128)
        tiled = classic(CCDData(image, unit="electron"))
        np.testing.assert_array_equal(tiled.hits, whole.hits)

    @both
    def test_threads_and_processes_give_the_same(self, identify):
        images = [exposure(seed, (96, 120)) for seed in range(3)]
        expected = [identify(image)[1] for image in images]
        with ThreadPoolExecutor(3) as pool:
            for (_, mask), alone in zip(pool.map(identify, images), expected, strict=True):
                np.testing.assert_array_equal(mask, alone)
        if identify is learned:
            from multiprocessing import get_context

            with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
                for (_, mask), alone in zip(pool.map(identify, images), expected, strict=True):
                    np.testing.assert_array_equal(mask, alone)

    @both
    def test_a_dask_array_is_mapped_with_overlap(self, identify):
        import dask.array as da

        image = exposure(4, (200, 200))

        def mask_of(block):
            return identify(block)[1]

        blocks = da.from_array(image, chunks=100)
        mapped = blocks.map_overlap(
            mask_of, depth=32, boundary="none", dtype=bool, meta=np.zeros((0, 0), bool)
        )
        mask = mapped.compute(scheduler="threads", num_workers=2)
        whole = identify(image)[1]
        assert differing(mask, whole) < 0.05
