# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Show where identification fails: which hits it misses, which clean pixels it ranks highest.

For every frame: true-positive rate by the signal-to-noise ratio of the hit pixel, separately
for pixels that touch a hit of more than 10 sigma, and a sheet of cut-outs of the worst false
positives and of the brightest missed hits at a false-positive rate of 1e-4.
"""

import argparse
import fnmatch
import sys
import warnings
from itertools import pairwise
from pathlib import Path

import accuracy
import matplotlib as mpl
import numpy as np
import peers
import scenes
from scipy.ndimage import label, maximum_filter, maximum_position, median_filter

from crismis.learning.evaluation import operating_point

mpl.use("agg")
import matplotlib.pyplot as plt

EDGES = (-np.inf, 1, 2, 3, 4, 5, 7, 10, 20, 100, np.inf)
HALF = 12


def signal_to_noise(frame):
    """Return the excess of each pixel over the median around it, in units of the noise."""
    smooth = median_filter(frame.data, 7)
    noise = np.sqrt(np.maximum(smooth, 0) * frame.gain + frame.readnoise**2) / frame.gain
    return (frame.data - smooth) / noise


def by_signal(frame, flagged, ratio):
    """Return lines: range of signal to noise, share of the hits, rate alone and beside a hit."""
    hit = frame.truth == 1
    ring = np.ones((3, 3))
    ring[1, 1] = 0
    beside = maximum_filter(np.where(hit, ratio, -np.inf), footprint=ring) > 10
    lines = []
    for low, high in pairwise(EDGES):
        chosen = hit & (ratio >= low) & (ratio < high)
        cells = [f"{low:6g} .. {high:<5g} share {chosen.sum() / hit.sum():.3f}"]
        for name, part in (("alone", chosen & ~beside), ("beside", chosen & beside)):
            rate = f"{flagged[part].mean():.3f}" if part.any() else "  -  "
            cells.append(f"{name} {part.sum():6d} {rate}")
        lines.append("   ".join(cells))
    return lines


def worst(where, value, number=24):
    """Return the position of the highest value of the strongest connected groups."""
    labels, count = label(where, np.ones((3, 3)))
    if not count:
        return []
    places = maximum_position(np.where(where, value, -np.inf), labels, range(1, count + 1))
    places.sort(key=lambda place: -value[place])
    return places[:number]


def sheet(frame, score, threshold, path, ratio):
    """Draw cut-outs of the worst false positives (top) and brightest misses (bottom)."""
    flagged = score >= threshold
    false = worst((frame.truth == 0) & flagged, score + 1e-6 * np.clip(ratio, 0, 1e4))
    missed = worst((frame.truth == 1) & ~flagged, ratio)
    figure, axes = plt.subplots(6, 8, figsize=(16, 13))
    for axis in axes.ravel():
        axis.set_axis_off()
    for offset, places in ((0, false), (24, missed)):
        for axis, (y, x) in zip(axes.ravel()[offset:], places, strict=False):
            box = np.s_[max(y - HALF, 0) : y + HALF + 1, max(x - HALF, 0) : x + HALF + 1]
            cut = frame.data[box]
            left, bottom = box[1].start - 0.5, box[0].start - 0.5
            extent = (left, left + cut.shape[1], bottom, bottom + cut.shape[0])
            level = np.median(cut)
            scale = 1.4826 * np.median(np.abs(cut - level)) + 1e-3
            axis.imshow(
                np.arcsinh((cut - level) / scale / 3), origin="lower", cmap="gray", extent=extent
            )
            grid = np.arange(extent[0] + 0.5, extent[1]), np.arange(extent[2] + 0.5, extent[3])
            for part, colour in ((flagged[box], "red"), (frame.truth[box] == 1, "lime")):
                if part.any() and not part.all():
                    axis.contour(*grid, part, [0.5], colors=colour, linewidths=0.8)
            if (frame.truth[box] == 2).any() and not (frame.truth[box] == 2).all():
                axis.contour(*grid, frame.truth[box] == 2, [0.5], colors="blue", linewidths=0.4)
            axis.plot(x, y, "+", color="yellow", markersize=5)
            axis.set_title(f"{x},{y} p{score[y, x]:.3f} s{ratio[y, x]:.0f}", fontsize=7)
    figure.suptitle(
        f"{frame.name}: false (top), missed (bottom); red found, green truth, blue ignored"
    )
    figure.tight_layout()
    figure.savefig(path, dpi=60)
    plt.close(figure)


def main():
    """Draw and print what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", default="*-0", help="pattern of frame names")
    parser.add_argument("--rate", type=float, default=1e-4, help="false-positive rate")
    parser.add_argument("--model", help="model name or file instead of the default")
    parser.add_argument("--folder", type=Path, default=Path("failures"))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    options.folder.mkdir(parents=True, exist_ok=True)
    sources = accuracy.truth_frames(), accuracy.simulated_frames(1), scenes.scene_frames()
    for frame in (f for source in sources for f in source):
        if not fnmatch.fnmatch(frame.name, options.frames):
            continue
        score = peers.learned(frame, **({"model": options.model} if options.model else {}))
        point = operating_point(score, frame.truth, options.rate)
        ratio = signal_to_noise(frame)
        print(f"{frame.name}: TPR {point.true_positive_rate:.4f}, threshold {point.threshold:.4f}")
        print("\n".join(by_signal(frame, score >= point.threshold, ratio)), flush=True)
        sheet(frame, score, point.threshold, options.folder / f"{frame.name}.png", ratio)
    return 0


if __name__ == "__main__":
    sys.exit(main())
