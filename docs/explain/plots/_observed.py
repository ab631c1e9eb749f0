"""Percentiles of observed hits, and the same descriptors of simulated ones."""

import csv
from pathlib import Path

import numpy as np
from matplotlib.ticker import NullFormatter

from crismis.simulate import Footprints, measure_shapes, simulate_stamps

TABLE = Path(__file__).with_name("observed_hits.csv")


def observed(source, quantity):
    """Values and percentiles."""
    with TABLE.open() as lines:
        rows = [
            (float(row["value"]), float(row["percentile"]))
            for row in csv.DictReader(lines)
            if (row["source"], row["quantity"]) == (source, quantity)
        ]
    return np.array(rows).T


def simulated(device, diffusion, particles, threshold, fewest, n=6000, **options):
    """Descriptors of simulated hits as they are measured on observed ones."""
    prints, _ = simulate_stamps(
        device, n, particles=particles, seed=1, diffusion=diffusion, **options
    )
    noise = np.random.default_rng(1).normal(0, 6.0, prints.charge.size)
    prints = Footprints(prints.offsets, prints.rows, prints.columns, prints.charge + noise)
    shapes = measure_shapes(prints.above(threshold))
    seen = shapes.n_pixels >= fewest
    return {
        "n_pixels": shapes.n_pixels[seen],
        "length": shapes.length[seen],
        "charge": shapes.charge[seen],
        "peak": shapes.peak[seen],
        "charge_per_pixel": (shapes.charge / np.maximum(shapes.n_pixels, 1))[seen],
        "elongation": (shapes.length / np.maximum(shapes.width, 1))[seen],
    }


def draw(axes, source, simulations, quantities, truth="observed"):
    """One panel of cumulative distributions per quantity."""
    for ax, (quantity, label) in zip(axes.flat, quantities.items(), strict=True):
        value, percent = observed(source, quantity)
        ax.plot(value, percent / 100, "ko", ms=3, label=truth)
        for name, descriptors in simulations.items():
            ordered = np.sort(descriptors[quantity])
            ax.plot(ordered, np.linspace(0, 1, ordered.size), label=name)
        ax.set(xscale="log", xlabel=label, ylim=(0, 1))
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.set_xlim(0.8 * value[0], 1.3 * value[-1])
    axes.flat[0].legend(frameon=False, fontsize="small")
