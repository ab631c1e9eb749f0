"""Simulated hits against hits on real detectors, and against another simulator's tables."""

import numpy as np
import pytest
from scipy.stats import ks_2samp, wasserstein_distance

from crismis import Detector
from crismis.simulate import Footprints, measure_shapes, simulate_stamps

DESCRIPTORS = ("n_pixels", "length", "charge_per_pixel", "elongation", "charge")


def describe(prints):
    shapes = measure_shapes(prints)
    seen = shapes.n_pixels >= 4
    count = np.maximum(shapes.n_pixels, 1)
    columns = {
        "n_pixels": shapes.n_pixels,
        "length": shapes.length,
        "charge_per_pixel": shapes.charge / count,
        "elongation": shapes.length / np.maximum(shapes.width, 1),
        "peak": shapes.peak,
        "rms_width": shapes.rms_width,
        "charge": shapes.charge,
    }
    return {name: column[seen] for name, column in columns.items()}


def simulated(particles, diffusion, n=4000, **options):
    thick = Detector("thick", pitch=10.0, thickness=100.0, diffusion=diffusion)
    prints, _ = simulate_stamps(thick, n, particles=particles, seed=1, **options)
    noise = np.random.default_rng(1).normal(0, 6, prints.charge.size)
    noisy = Footprints(prints.offsets, prints.rows, prints.columns, prints.charge + noise)
    return describe(noisy.above(50.0))


@pytest.fixture(scope="module")
def held_out(real_data):
    with np.load(real_data / "tracks" / "itl_footprints.npz") as data:
        shapes, values = data["shapes"], data["values"]
    starts = np.concatenate([[0], np.cumsum(shapes.prod(axis=1))])
    images = [
        values[starts[i] : starts[i + 1]].reshape(shapes[i]) for i in range(1, len(shapes), 2)
    ]
    return describe(Footprints.from_images(images))


def test_laboratory_footprints_are_matched_and_tuning_helped(held_out):
    before, after = simulated("ground", 5.0), simulated("laboratory", 4.25)
    distance = {name: ks_2samp(held_out[name], after[name]).statistic for name in DESCRIPTORS}
    for name in ("n_pixels", "length", "elongation", "charge"):
        assert distance[name] < 0.09, name
    assert distance["charge_per_pixel"] < 0.13

    def apart(sample):
        return [
            wasserstein_distance(np.log(held_out[name]), np.log(sample[name]))
            for name in DESCRIPTORS
        ]

    assert np.mean(apart(after)) < 0.6 * np.mean(apart(before))


def test_repulsion_brings_brightest_pixels_and_widths_closer(held_out):
    plain = simulated("laboratory", 4.25)
    repelled = simulated("laboratory", 3.7, repulsion=True)

    def bright(sample):
        return np.percentile(sample["peak"], 90)

    real = bright(held_out)
    assert abs(bright(repelled) - real) < abs(bright(plain) - real)
    distances = [
        ks_2samp(held_out["rms_width"], s["rms_width"]).statistic for s in (plain, repelled)
    ]
    assert distances[1] < min(distances[0], 0.09)


def test_lengths_of_an_isotropic_flux_match_the_tabulated_ones(real_data):
    length, share = np.loadtxt(real_data / "simulation" / "cdf_cr_length.dat").T
    ten_pixels = Detector("ten", pitch=12.0, thickness=120.0, diffusion=5.0)
    _, truth = simulate_stamps(ten_pixels, 4000, particles="space-minimum", seed=1)
    ordered = np.sort(truth["length"].value)
    found = np.searchsorted(ordered, length) / ordered.size
    assert np.abs(found - share).max() < 0.06


def test_tabulated_charges_lie_between_thin_and_thick(real_data):
    charge, share = np.loadtxt(real_data / "simulation" / "cdf_cr_total.dat").T
    tabulated = np.interp(0.5, share, charge)
    medians = []
    for thickness in (40.0, 120.0):
        device = Detector("vis", pitch=12.0, thickness=thickness, diffusion=5.0)
        _, truth = simulate_stamps(device, 2000, particles="space-minimum", seed=1)
        medians.append(np.median(truth["charge"].value))
    assert medians[0] < tabulated < medians[1]


def test_sizes_on_a_thin_space_ccd():
    # Riess 2002, ISR ACS 2002-07: most frequent size 4 to 5 pixels, none below 500 electrons.
    acs = Detector("acs", pitch=15.0, thickness=13.0)
    prints, _ = simulate_stamps(acs, 4000, particles="orbit", seed=1)
    shapes = measure_shapes(prints.above(20.0))
    assert np.bincount(shapes.n_pixels).argmax() in (4, 5)
    assert np.mean(shapes.charge < 500) < 0.05
    assert 1000 < np.median(shapes.charge) < 1700
