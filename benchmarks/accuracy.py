# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Measure identification on frames with truth, side by side with L.A.Cosmic and learned peers.

For every frame: true-positive rate at false-positive rates of 1e-4, 1e-3 and 5e-3, average
precision and, of probabilities, the calibration error; that of crismis when it is told the true
fraction of hits of the pixels whose truth is known, and in the last column untold. A rate is that
of the lowest threshold which flags no more than the given fraction of the clean pixels of *this*
frame. L.A.Cosmic has no score: it is swept over sigclip and objlim, and the best setting within
each rate counts, chosen anew for every frame, which favours it. Intervals (68 %) are from blocks
of 64 x 64 pixels drawn with replacement; that of a group is of the mean over its frames.
"""

import argparse
import fnmatch
import json
import sys
import time
import warnings
from pathlib import Path

import exposures
import fields
import numpy as np
import peers
import scenes
from astropy.io import fits
from tables import write_table

from crismis.identify.judge import load_judge, reweight
from crismis.learning.evaluation import (
    average_precision,
    block_bootstrap,
    calibration_error,
    operating_point,
)

RATES = (1e-4, 1e-3, 5e-3)
PLAIN = "crismis, fit_stars=False"
OWN = ("crismis", PLAIN)
GOALS = {"STIS spectra": 0.93, "galaxies": 0.998, "mixed": 0.998, "stars": 0.99}
GROUPS = (
    "STIS spectra",
    exposures.GROUP,
    "EFOSC2 images",
    *fields.KINDS,
    scenes.HUBBLE,
    *dict.fromkeys(scene.group for scene in scenes.SCENES.values()),
)
COLUMNS = (
    "group",
    "frame",
    "method",
    *(f"tpr_{r:g}" for r in RATES),
    "low_0.0001",
    "high_0.0001",
    "average_precision",
    "calibration_error",
    "calibration_error_untold",
    "seconds",
)


def truth_frames():
    """Yield the real frames with truth of the data folder that no model was trained on."""
    for path in sorted((fields.data_folder() / "truth").glob("*.fits.gz")):
        if scenes.TRAINED_ON in path.name:
            continue
        with fits.open(path) as hdus:
            header = hdus[0].header
            yield peers.Frame(
                path.name.removesuffix(".fits.gz"),
                "STIS spectra" if header["INSTRUME"] == "STIS" else "EFOSC2 images",
                np.ascontiguousarray(hdus["SCI"].data, dtype=np.float32),
                hdus["TRUTH"].data,
                float(header["GAIN"]),
                float(header["RDNOISE"]),
            )


def simulated_frames(seeds, size=1024):
    """Yield the simulated fields of every kind, star width and seed."""
    for kind in fields.KINDS:
        for fwhm in fields.FWHMS:
            for seed in range(seeds):
                field = fields.make_field(kind, fwhm, seed, size)
                name = f"{kind}-{fwhm}-{seed}"
                yield peers.Frame(name, kind, field.data, field.truth, 1.0, fields.READNOISE)


def score_row(frame, method, score, seconds, draws):
    """Return one row of results and the draws of its first rate."""
    row = {"group": frame.group, "frame": frame.name, "method": method, "seconds": seconds}
    for rate in RATES:
        row[f"tpr_{rate:g}"] = operating_point(score, frame.truth, rate).true_positive_rate
    row["average_precision"] = average_precision(score, frame.truth)
    row["calibration_error"], _ = calibration_error(score, frame.truth)
    return row, block_bootstrap(score, frame.truth, RATES[0], draws=draws)


def told(probability, truth, slope):
    """Return the probabilities re-weighted to the true fraction of hits, where truth is known.

    ``hit_fraction=`` does the same for all pixels of an image; the fraction of hits among pixels
    without known truth, nearly half of a spectrum, cannot be told.
    """
    known = truth < 2
    part = probability[known]
    reweight(part, np.count_nonzero(truth == 1) / part.size, part.size, slope)
    out = probability.copy()
    out[known] = part
    return out


def lacosmic_row(frame, quick):
    """Return the row of L.A.Cosmic: the best of its settings within each rate."""
    row = {"group": frame.group, "frame": frame.name, "method": "L.A.Cosmic, best setting"}
    row |= {f"tpr_{rate:g}": 0.0 for rate in RATES}
    start, runs = time.perf_counter(), 0
    hit, clean = frame.truth == 1, frame.truth == 0
    for _, mask in peers.lacosmic_masks(frame, quick):
        runs += 1
        for rate in RATES:
            if mask[clean].mean() <= rate:
                row[f"tpr_{rate:g}"] = max(row[f"tpr_{rate:g}"], float(mask[hit].mean()))
    row["seconds"] = (time.perf_counter() - start) / runs
    return row


def measure(frames, options):
    """Return rows for every frame and method, and the draws by (group, method)."""
    rows, draws = [], {}
    methods = {}
    if not options.no_crismis:
        methods = {"crismis": _crismis(options.model)}
        methods[PLAIN] = _crismis(options.model, fit_stars=False)
    methods |= {} if options.no_peers else peers.scorers(options.all_peers)
    for frame in frames:
        if not fnmatch.fnmatch(frame.name, options.frames):
            continue
        for method, function in methods.items():
            start = time.perf_counter()
            found = function(frame)
            score = np.asarray(found.probability if method in OWN else found)
            row, drawn = score_row(frame, method, score, time.perf_counter() - start, options.draws)
            if method in OWN:
                slope = load_judge(options.model or found.meta["CRMODEL"]).told_slope
                row["calibration_error_untold"] = row["calibration_error"]
                row["calibration_error"], _ = calibration_error(
                    told(score, frame.truth, slope), frame.truth
                )
            row["low_0.0001"], row["high_0.0001"] = np.nanpercentile(drawn, [16, 84])
            draws.setdefault((frame.group, method), []).append(drawn)
            rows.append(row)
            _report(row)
        if not options.no_lacosmic:
            rows.append(lacosmic_row(frame, options.quick))
            _report(rows[-1])
    return rows, draws


def summarize(rows, draws):
    """Return the mean row of every group and method."""
    means = []
    for key in dict.fromkeys((r["group"], r["method"]) for r in rows):
        mine = [r for r in rows if (r["group"], r["method"]) == key]
        mean = {"group": key[0], "method": key[1], "frame": f"mean of {len(mine)}"}
        for name in COLUMNS[3:]:
            values = [r[name] for r in mine if name in r]
            if values:
                mean[name] = float(np.mean(values))
        if key in draws:
            drawn = np.nanmean(draws[key], axis=0)
            mean["low_0.0001"], mean["high_0.0001"] = np.nanpercentile(drawn, [16, 84])
        means.append(mean)
    return means


def write_docs(means, folder):
    """Write the means as the table of the documentation."""
    head = ["Frames", "Method", "TPR at 1e-4", "68 %", "1e-3", "5e-3", "AP", "ECE", "Untold"]
    rows = [
        [
            f"{row['group']} ({row['frame'].removeprefix('mean of ')})",
            row["method"],
            _text(row.get("tpr_0.0001")),
            f"{row['low_0.0001']:.3f}-{row['high_0.0001']:.3f}" if "low_0.0001" in row else "",
            *(_text(row.get(name)) for name in COLUMNS[4:6]),
            *(_text(row.get(name)) for name in COLUMNS[8:11]),
        ]
        for row in sorted(means, key=lambda row: GROUPS.index(row["group"]))
    ]
    write_table(folder, "accuracy", head, rows)


def _crismis(model, **options):
    chosen = options if model is None else {"model": model, **options}
    return lambda frame: peers.judged(frame, **chosen)


def _text(value):
    return "" if value is None else f"{value:.3f}"


def _report(row):
    cells = [f"{row[n]:.4f}" if n in row else "   -  " for n in COLUMNS[3:-1]]
    print(f"{row['frame']:28s} {row['method']:28s}", *cells, flush=True)


def main():
    """Run the comparison that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed, few settings of L.A.Cosmic")
    parser.add_argument("--seeds", type=int, default=10, help="seeds per simulated field")
    parser.add_argument("--frames", default="*", help="pattern of the names of frames to measure")
    parser.add_argument("--model", help="model name or file instead of the default")
    parser.add_argument("--draws", type=int, default=200, help="draws of the bootstrap")
    parser.add_argument("--scenes", action="store_true", help="real scenes with injected hits too")
    parser.add_argument("--all-peers", action="store_true", help="every model of every peer")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--no-lacosmic", action="store_true")
    parser.add_argument("--no-crismis", action="store_true")
    parser.add_argument("--json", type=Path, help="write every row to this file")
    parser.add_argument(
        "--beside", type=Path, nargs="*", default=[], help="peers' rows from earlier --json files"
    )
    parser.add_argument("--docs", type=Path, help="write the tables of the documentation here")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    seeds = 1 if options.quick else options.seeds
    sources = [truth_frames(), exposures.pair_frames(), simulated_frames(seeds)]
    if options.scenes:
        sources.append(scenes.scene_frames())
    frames = (frame for source in sources for frame in source)
    heads = ["1e-4", "1e-3", "5e-3", "low", "high", "AP", "ECE", "untold"]
    print(f"{'frame':28s} {'method':28s}", *(f"{head:>6s}" for head in heads))
    rows, draws = measure(frames, options)
    for path in options.beside:
        earlier = json.loads(path.read_text())
        rows += [r for r in earlier["rows"] if r["method"] not in OWN]
        draws |= {tuple(key): d for key, d in earlier["draws"] if key[1] not in OWN}
    means = summarize(rows, draws)
    print()
    for row in means:
        _report(row | {"frame": f"{row['group']} ({row['frame']})"})
    for group, goal in GOALS.items():
        for row in means:
            if row["group"] == group and row["method"] in OWN:
                value = row["tpr_0.0001"]
                verdict = "reached" if value >= goal else "missed"
                print(f"goal {group}: {goal} at 1e-4, {row['method']} {value:.4f}: {verdict}")
    if options.json:
        kept = [(key, np.asarray(d).round(5).tolist()) for key, d in draws.items()]
        options.json.write_text(json.dumps({"rows": rows, "means": means, "draws": kept}))
    if options.docs:
        write_docs(means, options.docs)
    return 0 if rows else 1


if __name__ == "__main__":
    sys.exit(main())
