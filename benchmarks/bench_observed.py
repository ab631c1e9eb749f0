# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Distance between simulated hits and hits on real detectors, as quoted in the documentation.

Kolmogorov-Smirnov distances of descriptors and, for the laboratory CCD, Wasserstein's distances
between their natural logarithms. The laboratory footprints are those of ``$CRISMIS_DATA/tracks``;
of the STIS hits and of Euclid's tables the percentiles beside the figures are enough.
"""

import argparse
import os
import sys
from pathlib import Path

import numpy as np
from scipy.stats import ks_2samp, wasserstein_distance

from crismis import Detector
from crismis.simulate import Diffusion, Footprints, measure_shapes, simulate_stamps

sys.path.insert(0, str(Path(__file__).parents[1] / "docs" / "explain" / "plots"))

from _observed import observed, simulated

DATA = Path(os.environ.get("CRISMIS_DATA", Path(__file__).parents[2] / "shared" / "data"))
NAMES = {
    "n_pixels": "pixels",
    "length": "length",
    "charge_per_pixel": "electrons per pixel",
    "elongation": "elongation",
    "charge": "charge",
    "peak": "brightest pixel",
    "rms_width": "rms width",
}


def describe(prints):
    """Descriptors of the events of four pixels or more."""
    shapes = measure_shapes(prints)
    seen = shapes.n_pixels >= 4
    columns = {name: getattr(shapes, name, None) for name in NAMES}
    columns["charge_per_pixel"] = shapes.charge / np.maximum(shapes.n_pixels, 1)
    columns["elongation"] = shapes.length / np.maximum(shapes.width, 1)
    return {name: column[seen] for name, column in columns.items()}


def held_out_footprints():
    """Descriptors of the odd half of the laboratory's footprints."""
    with np.load(DATA / "tracks" / "itl_footprints.npz") as data:
        shapes, values = data["shapes"], data["values"]
    ends = np.cumsum(shapes.prod(axis=1))
    images = [
        piece.reshape(s) for piece, s in zip(np.split(values, ends[:-1]), shapes, strict=True)
    ]
    return describe(Footprints.from_images(images[1::2]))


def thick_ccd(particles, diffusion, n, **options):
    """Descriptors of simulated events on the laboratory's CCD."""
    device = Detector("thick", pitch=10.0, thickness=100.0, diffusion=diffusion)
    prints, _ = simulate_stamps(device, n, particles=particles, seed=1, **options)
    noise = np.random.default_rng(1).normal(0, 6, prints.charge.size)
    noisy = Footprints(prints.offsets, prints.rows, prints.columns, prints.charge + noise)
    return describe(noisy.above(50.0))


def apart(real, sample):
    """Kolmogorov-Smirnov distance, and Wasserstein's between logarithms where there are any."""
    logs = [np.log(values[values > 0]) for values in (real, sample)]
    return ks_2samp(real, sample).statistic, wasserstein_distance(*logs)


def laboratory(n):
    """Print the distances to the laboratory's held-out footprints."""
    real = held_out_footprints()
    samples = {
        "before": thick_ccd("ground", 5.0, n),
        "after": thick_ccd("laboratory", 4.25, n),
        "with repulsion": thick_ccd("laboratory", 3.7, n, repulsion=True),
    }
    print(f"{'laboratory CCD':22s}", *(f"{name:>14s}" for name in samples))
    for key, name in NAMES.items():
        pairs = [apart(real[key], sample[key]) for sample in samples.values()]
        cells = [f"{distance:7.2f} ({between_logs:.2f})" for distance, between_logs in pairs]
        print(f"{name:22s}", *cells)


def distance(source, key, sample):
    """Kolmogorov-Smirnov distance of a sample to tabulated percentiles."""
    value, percent = observed(source, key)
    ordered = np.sort(sample)
    below, up_to = (np.searchsorted(ordered, value, side) for side in ("left", "right"))
    share = np.clip(percent / 100, below / ordered.size, up_to / ordered.size)
    return np.abs(share - percent / 100).max()


def tabulated(n):
    """Print the distances to the percentiles of STIS hits and of Euclid's tables."""
    stis = Detector("stis", pitch=21.0, thickness=12.0, binning=(1, 2))
    sample = simulated(stis, Diffusion(11.0, 12.0, depleted=6.0), "orbit", 25.0, 2, n)
    for key in ("n_pixels", "charge", "peak", "length"):
        print(f"STIS, {NAMES[key]:24s} {distance('stis', key, sample[key]):.2f}")
    vis = Detector("vis", pitch=12.0, thickness=120.0)
    sample = simulated(vis, 5.0, "space-minimum", 30.0, 1, n)
    print(f"Euclid, length, 120 um        {distance('euclid', 'length', sample['length']):.2f}")


def thin_ccd(n):
    """Print sizes and charges on a detector like ACS/WFC, 11 to 13 micrometres thick."""
    for thickness in (11.0, 13.0):
        device = Detector("acs", pitch=15.0, thickness=thickness)
        prints, _ = simulate_stamps(device, n, particles="orbit", seed=1)
        shapes = measure_shapes(prints.above(20.0))
        size = np.bincount(shapes.n_pixels).argmax()
        print(
            f"ACS/WFC, {thickness:.0f} um: most frequent size {size}, "
            f"5 % below {np.percentile(shapes.charge, 5):.0f} electrons, "
            f"median {np.median(shapes.charge):.0f}"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=6000, help="simulated events per sample")
    args = parser.parse_args()
    laboratory(args.events)
    tabulated(args.events)
    thin_ccd(args.events)


if __name__ == "__main__":
    main()
