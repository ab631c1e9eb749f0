# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Check that stars, trails, lines, planets and coronal loops survive, beside L.A.Cosmic.

Simulated stars without hits, 10^4 per width, peaks from a signal-to-noise ratio of 5 to the full
well: the fraction of stars with any flagged pixel within one FWHM, and the bias of aperture
photometry (radius one FWHM) on the cleaned image; the same of stars among hits, all of them and
those that are hit, against the image without hits. Stars of sparse fields, some saturated, the
level at which they saturate blurred by a flat field, among hits that spare them: the fraction
with a flagged pixel within half a FWHM. Real scenes: the fraction of source pixels
that is flagged. Their own hits are in it, the same for every method, so that what counts is the
difference. A source pixel is one where the median of 3 x 3 pixels, which hardly any hit
survives, exceeds the background by 10 sigma; in crowded WFPC2 frames, where no median helps,
it is the core of a star that is found on all sides of its peak. Saturated stars of WFPC2 are
groups of 20 pixels or more above the end of its converter, bleeding included.

Every method runs at its defaults, with the same gain and read noise. Where these are unknown,
L.A.Cosmic and deepCR are given the nominal ones and crismis none.
"""

import argparse
import json
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import accuracy
import fields
import numpy as np
import peers
import scenes
from astropy.io import fits
from scipy.ndimage import gaussian_filter, label, maximum_filter, median_filter, minimum_filter
from tables import write_table

FWHMS = (1.2, 1.5, 1.8, 2.2, 2.5, 3.5, 5.0)
GOALS = {1.2: 0.01} | dict.fromkeys(FWHMS[1:], 0.001)
BIAS_GOAL = 0.001
GROUND_FWHMS = (2.5, 3.5, 4.5, 6.0)
GROUND_FIELDS = 8
SATURATED = 3400.0
"""Data numbers of WFPC2 above which the converter, 4095 less the bias, is near its end."""
BLED = 20


def methods(options):
    """Return name -> function from a frame to the mask of hits and the cleaned image."""
    found = {}
    if not options.no_crismis:
        found["crismis"] = lambda frame: _learned(frame, options.model)
        if options.model is None:
            found[accuracy.PLAIN] = lambda frame: _learned(frame, None, fit_stars=False)
    if not options.no_peers:
        found["L.A.Cosmic"] = _lacosmic
        if "deepCR ACS-WFC" in peers.scorers():
            found["deepCR"] = _deepcr
    return found


def _learned(frame, model, **options):
    import crismis

    chosen = options if model is None else {"model": model, **options}
    out = crismis.cosmicray_learned(peers.as_ccd(frame), **peers.noise(frame), **chosen)
    return out.hits, out.data


def _lacosmic(frame):
    import crismis

    noise = {"gain": frame.gain, "readnoise": frame.readnoise}
    out = crismis.cosmicray_lacosmic(peers.as_ccd(frame), satlevel=np.inf, **noise)
    return out.hits, out.data


def _deepcr(frame):
    return peers.scorers()["deepCR ACS-WFC"](frame) > 0.5, None


def flagged_stars(hits, stars, radius):
    """Return which stars (x, y in the first two columns) have a flagged pixel within a radius."""
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    padded = np.pad(hits, reach + 1)
    found = np.zeros(len(stars), bool)
    for i, (x0, y0) in enumerate(stars[:, :2]):
        column, row = round(x0), round(y0)
        near = np.hypot(x + column - x0, y + row - y0) <= radius
        box = padded[row + 1 : row + 2 * reach + 2, column + 1 : column + 2 * reach + 2]
        found[i] = (box & near).any()
    return found


def photometric_bias(data, cleaned, stars, radius):
    """Return the relative change of the flux of each star by cleaning."""
    from photutils.aperture import CircularAperture, aperture_photometry

    aperture = CircularAperture(stars[:, :2], radius)
    before, after = (
        aperture_photometry(image, aperture)["aperture_sum"] for image in (data, cleaned)
    )
    aperture_sky = fields.SKY * aperture.area
    return np.asarray((after - before) / (before - aperture_sky))


def simulated_rows(options):
    """Yield a row per star width and method."""
    size = round(4096 * (options.stars / 10_000) ** 0.5)
    for fwhm in FWHMS:
        field = fields.star_field(fwhm, 0, n_stars=options.stars, size=size)
        frame = peers.Frame(f"FWHM {fwhm}", "stars without hits", field.data, field.truth)
        for name, method in methods(options).items():
            hits, cleaned = method(frame)
            false = flagged_stars(hits, field.stars, fwhm)
            row = _row(frame, name, false.mean(), len(false), hits.mean())
            if cleaned is not None:
                bright = field.stars[:, 3] > 300
                bias = photometric_bias(field.data, cleaned, field.stars[bright], fwhm)
                row["median_bias"] = float(np.median(bias))
                row["mean_bias"] = float(np.mean(bias))
            yield row


def touched_rows(options):
    """Yield a row per width and method: stars among hits, and the bias of those that are hit."""
    for fwhm in fields.FWHMS:
        field = fields.make_field("stars", fwhm, 0)
        frame = peers.Frame(f"FWHM {fwhm}, hits", "stars with hits", field.data, field.truth)
        clean = (field.truth == 0) & (field.scene > fields.SKY + 10 * fields.READNOISE)
        bright = field.stars[field.stars[:, 3] > 300]
        undisturbed = field.data - field.deposit
        touched = flagged_stars(field.deposit > 0, bright, fwhm)
        for name, method in methods(options).items():
            hits, cleaned = method(frame)
            row = _row(frame, name, hits[clean].mean(), clean.sum(), hits.mean())
            if cleaned is not None:
                bias = photometric_bias(undisturbed, cleaned, bright, fwhm)
                row["median_bias"] = float(np.median(bias))
                row["median_bias_of_hit_stars"] = float(np.median(bias[touched]))
                row["scatter_of_hit_stars"] = float(np.median(np.abs(bias[touched])))
            yield row


def sparse_rows(options):
    """Yield a row per width, model and method: stars of sparse, flat-fielded fields with hits."""
    for fwhm in GROUND_FWHMS:
        made = [fields.ground_field(fwhm, seed) for seed in range(GROUND_FIELDS)]
        apart = [~flagged_stars(f.deposit > 0, f.stars, 2 * fwhm) for f in made]
        for model in (None, "ground"):
            chosen = argparse.Namespace(**vars(options) | {"model": model or options.model})
            chosen.no_peers = options.no_peers or model is not None
            told = "" if model is None else f", model {model}"
            frames = [
                peers.Frame(f"FWHM {fwhm}{told}", "sparse stars", f.data, f.truth, 1.0, 8.0)
                for f in made
            ]
            for name, method in methods(chosen).items():
                hits = [method(frame)[0] for frame in frames]
                false = np.concatenate(
                    [
                        flagged_stars(h, f.stars[a], fwhm / 2)
                        for h, f, a in zip(hits, made, apart, strict=True)
                    ]
                )
                yield _row(frames[0], name, false.mean(), len(false), np.mean(hits))


def real_rows(options):
    """Yield a row per real scene and method."""
    for frame, sources in real_scenes():
        for name, method in methods(options).items():
            hits, _ = method(frame)
            everywhere = hits[frame.truth < 2].mean()
            for group, pixels in sources.items():
                kind = replace(frame, group=group)
                yield _row(kind, name, hits[pixels].mean(), pixels.sum(), everywhere)


def _row(frame, method, fraction, count, everywhere):
    return {
        "group": frame.group,
        "frame": frame.name,
        "method": method,
        "flagged": float(fraction),
        "of": int(count),
        "everywhere": float(everywhere),
    }


def real_scenes():
    """Yield real frames and their source pixels, by kind of source."""
    folder = fields.data_folder()
    for chip in range(4):
        scene = scenes.Scene("hst/u40x010hm_c0f.fits", "", 7.0, 5.2, chip)
        data, good = scenes.read_scene(scene)
        truth = np.where(good, 0, 2)
        frame = peers.Frame(f"WFPC2 chip {chip + 1}", "star cores", data, truth, 7.0, 5.2, "adu")
        yield frame, {"star cores": star_cores(data) & good, "saturated stars": bleeding(data)}
    path = folder / "ingest" / "fits" / "NEOS_SCI_2024239174545_cord.fits"
    data = np.array(fits.getdata(path), dtype=np.float32)
    frame = peers.Frame(
        "NEOSSat", "star trails", data, np.zeros(data.shape), 1.1, 13.5, "adu", known=False
    )
    yield frame, {frame.group: source_pixels(data)}
    for name, group in (
        ("lorri", "planets"),
        ("onc", "planets"),
        ("cassini", "planets"),
        ("galileo", "planets"),
        ("trace", "corona"),
        ("xrt", "corona"),
    ):
        data, good = scenes.load(name)
        truth = np.where(good, 0, 2)
        scene = scenes.SCENES[name]
        frame = peers.Frame(
            name, group, data, truth, scene.gain, scene.readnoise, "adu", known=False
        )
        yield frame, {group: source_pixels(data) & good}
    for frame in accuracy.truth_frames():
        group = "emission lines" if frame.group == "STIS spectra" else "stars from the ground"
        yield frame, {group: source_pixels(frame.data) & (frame.truth == 0)}


def source_pixels(data):
    """Return pixels whose 3 x 3 median exceeds the background by 10 sigma."""
    smooth = median_filter(data, 3)
    level = np.median(smooth)
    sigma = 1.4826 * np.median(np.abs(data - smooth))
    return smooth > level + 10 * np.maximum(sigma, 0.5)


def star_cores(data):
    """Return the peaks of stars: brighter than all neighbours, every one of which is raised."""
    smooth = median_filter(data, 25)
    excess = data - smooth
    sigma = 1.4826 * np.median(np.abs(excess))
    peak = (data == maximum_filter(data, 3)) & (excess > 30 * sigma)
    raised = minimum_filter(gaussian_filter(excess, 0.3), 3) > 0.03 * excess
    return peak & raised


def bleeding(data):
    """Return groups of saturated pixels of WFPC2, away from the shadow of its pyramid."""
    labels, _ = label(data > SATURATED, np.ones((3, 3)))
    count = np.bincount(labels.ravel())
    count[0] = 0
    found = count[labels] >= BLED
    found[:60] = found[:, :60] = False
    return found


def report(row):
    """Print one row."""
    names = "median_bias", "median_bias_of_hit_stars", "scatter_of_hit_stars"
    biases = [f"{row[name]:9.5f}" for name in names if name in row]
    print(
        f"{row['frame']:28s} {row['method']:22s} {row['flagged']:9.5f} {row['of']:8d} "
        f"{row['everywhere']:9.6f}",
        *biases,
        flush=True,
    )


def write_docs(rows, folder):
    """Write the table of the documentation."""
    known = *accuracy.OWN, "L.A.Cosmic", "deepCR"
    names = [m for m in known if any(r["method"] == m for r in rows)]
    lines = []
    for key in dict.fromkeys((r["group"], r["frame"]) for r in rows):
        mine = {r["method"]: r for r in rows if (r["group"], r["frame"]) == key}
        cells = [f"{100 * mine[m]['flagged']:.3f}" if m in mine else "" for m in names]
        lines.append([*key, max(r["of"] for r in mine.values()), *cells])
    write_table(
        folder, "stars", ["Sources", "Frame", "Number", *(f"{name} (%)" for name in names)], lines
    )


def main():
    """Run the checks that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stars", type=int, default=10_000, help="simulated stars per width")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--no-crismis", action="store_true")
    parser.add_argument("--beside", type=Path, help="take the peers' rows from this earlier --json")
    parser.add_argument("--model", help="model name or file instead of the default")
    parser.add_argument("--json", type=Path, help="write every row to this file")
    parser.add_argument("--docs", type=Path, help="write the table of the documentation here")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print(
        f"{'frame':28s} {'method':22s} {'flagged':>9s} {'of':>8s} {'image':>9s} "
        f"{'bias':>9s} {'of hit':>9s} {'scatter':>9s}"
    )
    rows = []
    checks = simulated_rows, touched_rows, sparse_rows, real_rows
    for source in (check(options) for check in checks):
        for row in source:
            rows.append(row)
            report(row)
    if options.beside:
        earlier = json.loads(options.beside.read_text())
        rows += [row for row in earlier if row["method"] not in accuracy.OWN]
    for row in rows:
        if row["method"] in accuracy.OWN and row["group"] == "stars without hits":
            goal = GOALS[float(row["frame"].split()[1])]
            verdict = "reached" if row["flagged"] <= goal else "missed"
            bias = "reached" if abs(row["median_bias"]) <= BIAS_GOAL else "missed"
            print(
                f"goal {row['frame']}, {row['method']}: flagged <= {goal}: {verdict}; bias: {bias}"
            )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))
    if options.docs:
        write_docs(rows, options.docs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
