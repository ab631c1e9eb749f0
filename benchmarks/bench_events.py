# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Measure events and name them: speed beside peers, accuracy on simulation and real hits.

    python benchmarks/bench_events.py              # everything, some minutes
    python benchmarks/bench_events.py speed hits   # only these parts

``speed``: 100 000 events in columns, beside scikit-image and photutils on a part of them.
``simulated``: macro F1 on held-out simulated events, confusion matrix, calibration, coverage.
``hits``: track against worm on labelled hits of phone cameras, untrained and cross-validated.
``steady``: whether the category of a track survives turns, flips and noise down to S/N 10.
``footprints``: categories of the largest real footprints of a thick CCD, with a picture.
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from astropy.nddata import CCDData

from crismis import categorize_cosmicrays
from crismis.events import describe, get_classifier, measure, measure_events
from crismis.learning.categorize import (
    LabelledEvents,
    coverage_curve,
    describe_cutout,
    find_hits,
    fit_classifier,
)
from crismis.learning.event_samples import HELD_OUT_SEED, simulate_events

SMALLEST = 4


def data_folder():
    """Return the folder of real data: ``$CRISMIS_DATA``, or ``shared/data`` beside the tree."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("CRISMIS_DATA", beside))


# ---- speed ----


def many_events(count=100_000, seed=1):
    """Return an image of short tracks on a grid and their labels."""
    rng = np.random.default_rng(seed)
    side = int(np.ceil(np.sqrt(count)))
    data = rng.normal(0, 3, (12 * side, 12 * side)).astype(np.float32)
    labels = np.zeros(data.shape, np.int32)
    rows, columns = np.divmod(np.arange(count), side)
    angle, length = rng.uniform(0, np.pi, count), rng.uniform(0, 9, count)
    for step in np.linspace(0, 1, 24):
        y = (12 * rows + 6 + (step - 0.5) * length * np.sin(angle)).astype(int)
        x = (12 * columns + 6 + (step - 0.5) * length * np.cos(angle)).astype(int)
        labels[y, x] = np.arange(1, count + 1)
    data[labels > 0] += rng.exponential(500, np.count_nonzero(labels))
    return data, labels


def report_speed(repeats=3, share=50):
    """Print seconds per 100 000 events, ours on all and the peers' on a strip of them."""
    from photutils.segmentation import SegmentationImage, SourceCatalog
    from skimage.measure import regionprops_table

    data, labels = many_events()
    strip = slice(0, data.shape[0] // share // 12 * 12)
    part_data, part = data[strip], labels[strip]
    n_part = len(np.unique(part)) - 1
    names = ["x_centroid", "y_centroid", "orientation", "elongation", "segment_flux", "max_value"]
    names += ["bbox_xmin", "bbox_xmax", "bbox_ymin", "bbox_ymax"]
    properties = (
        "area",
        "bbox",
        "centroid_weighted",
        "orientation",
        "axis_major_length",
        "axis_minor_length",
        "intensity_max",
        "intensity_mean",
    )

    def described():
        events = measure_events(labels, data)
        describe(events)

    def photutils_table():
        SourceCatalog(part_data, SegmentationImage(part)).to_table(columns=names)

    runs = {
        "crismis: measure": (lambda: measure(labels, data), 100_000),
        "crismis: measure and describe": (described, 100_000),
        "crismis: measure, describe, classify": (lambda: _classified(labels, data), 100_000),
        "scikit-image regionprops_table": (
            lambda: regionprops_table(part, part_data, properties=properties),
            n_part,
        ),
        "photutils SourceCatalog": (photutils_table, n_part),
    }
    best = dict.fromkeys(runs, np.inf)
    for _ in range(repeats):
        for name, (call, count) in runs.items():
            start = time.process_time()
            call()
            best[name] = min(best[name], (time.process_time() - start) * 1e5 / count)
    print("\nprocessor seconds per 100 000 events, one core, best of", repeats)
    ours = best["crismis: measure"]
    for name, seconds in best.items():
        print(f"  {name:40s}{seconds:8.2f} s {seconds / ours:8.1f} x")


def _classified(labels, data):
    events = measure_events(labels, data)
    features = describe(events)
    get_classifier().predict(features)


# ---- simulated events ----


def report_simulated(n_images=400, seed=HELD_OUT_SEED):
    """Print macro F1, confusion, calibration and coverage on events no model has seen."""
    from sklearn.metrics import classification_report, confusion_matrix, f1_score

    model = get_classifier()
    sample = simulate_events(n_images, seed=seed)
    large = sample.n_pixels >= SMALLEST
    told = sample.known & large
    for name, chosen in (("detector known", told), ("detector unknown", large & ~sample.known)):
        probability = model.predict_proba(sample.features[chosen])
        truth = sample.category[chosen]
        best = model.classes_[probability.argmax(axis=1)]
        print(f"\n{name}: {chosen.sum()} held-out events of {SMALLEST} pixels or more")
        print(
            f"macro F1 {f1_score(truth, best, average='macro'):.3f} (goal 0.95), "
            f"calibration error {calibration_error(probability, model.classes_, truth):.3f}"
        )
        print(classification_report(truth, best, digits=3, zero_division=0))
        if name == "detector known":
            print("confusion, rows true, columns named")
            print("  " + " ".join(f"{c[:6]:>6s}" for c in model.classes_))
            for c, row in zip(
                model.classes_, confusion_matrix(truth, best, labels=model.classes_), strict=True
            ):
                print(f"  {' '.join(f'{n:6d}' for n in row)}  {c}")
            print("unknown below, coverage, accuracy of the named")
            for line in zip(*coverage_curve(probability, model.classes_, truth), strict=True):
                print("  {:.2f} {:.3f} {:.3f}".format(*line))


def calibration_error(probability, classes, truth, bins=15):
    """Mean gap between the probability of the best category and how often it is right."""
    most = probability.max(axis=1)
    right = classes[probability.argmax(axis=1)] == truth
    order = np.argsort(most)
    groups = np.array_split(order, bins)
    return sum(abs(most[g].mean() - right[g].mean()) * len(g) for g in groups) / len(order)


# ---- real hits ----


def read_hits():
    """Return the labelled cut-outs of phone cameras."""
    with np.load(data_folder() / "hits" / "credo_hits.npz") as content:
        return content["images"], content["labels"].astype(str)


def name_cutout(image, classifier=None):
    """Category of the event with most pixels."""
    ccd = CCDData(image.astype(np.float32), unit="adu")
    events = categorize_cosmicrays(ccd, crmask=find_hits(image), classifier=classifier).events
    return str(events["category"][np.argmax(events["n_pixels"])])


def report_hits(repeats=10):
    """Print the accuracy without training and in repeated 5-fold cross-validation."""
    from sklearn.model_selection import StratifiedKFold

    images, truth = read_hits()
    named = np.array([name_cutout(image) for image in images])
    print(f"\n{len(images)} real hits, track against worm")
    print(f"untrained: {np.mean(named == truth):.3f} (goal 0.90)")
    for true in np.unique(truth):
        names, count = np.unique(named[truth == true], return_counts=True)
        print(f"  {true}: " + ", ".join(f"{n} {c}" for n, c in zip(names, count, strict=True)))
    features = np.array([describe_cutout(image) for image in images])
    scores = []
    for repeat in range(repeats):
        folds = StratifiedKFold(5, shuffle=True, random_state=repeat)
        for fit, test in folds.split(features, truth):
            own = LabelledEvents(features[fit], truth[fit])
            # Names do not depend on the calibration, so it need not be cross-validated here.
            model = fit_classifier(own, calibrate_on=own, seed=repeat)
            scores.append(np.mean(model.predict(features[test]) == truth[test]))
    print(
        f"5-fold cross-validation, {repeats} times, after training: {np.mean(scores):.3f} "
        f"(goal 0.95), spread of the folds {np.std(scores):.3f}"
    )


# ---- steadiness ----


def report_steady(count=300):
    """Print how many simulated tracks keep their category under turns, flips and noise."""
    from crismis import Detector
    from crismis.simulate import simulate_stamps

    rng = np.random.default_rng(5)
    detector = Detector("thick", pitch=10.0, thickness=100.0, diffusion=4.0)
    prints, truth = simulate_stamps(detector, 4 * count, particles="muon", seed=rng)
    straight = np.flatnonzero((truth["category"] == "track") & (truth["length"].value >= 6))
    stamps = [prints.stamp(event, size=(96, 96)) for event in straight[:count]]
    noise = 0.02 * np.median([stamp.max() for stamp in stamps])
    clean = [_expose(stamp, noise, rng) for stamp in stamps]
    hits = [stamp > 3 * noise for stamp in stamps]
    names = [_largest(image, hit) for image, hit in zip(clean, hits, strict=True)]
    turned = 0
    for image, hit, name in zip(clean, hits, names, strict=True):
        for turn in range(8):
            pair = [np.rot90(a.T if turn > 3 else a, turn % 4) for a in (image, hit)]
            turned += _largest(*pair) != name
    tracks = np.mean(np.array(names) == "track")
    print(
        f"\n{len(stamps)} muon tracks, named track: {tracks:.3f}; of {8 * len(stamps)} turned "
        f"and flipped, {turned} changed category"
    )
    for snr in (50, 30, 20, 15, 10):
        kept = []
        for stamp in stamps:
            level = np.median(stamp[stamp > 0.3 * stamp.max()]) / snr
            hit = stamp > 3 * level
            if np.count_nonzero(hit) >= SMALLEST:
                kept.append(_largest(_expose(stamp, level, rng), hit) == "track")
        print(f"  signal-to-noise {snr:3d} per pixel: still track {np.mean(kept):.3f}")


def _expose(stamp, noise, rng):
    return (stamp + rng.normal(0, noise, stamp.shape)).astype(np.float32)


def _largest(image, hits):
    image = np.ascontiguousarray(image)
    events = categorize_cosmicrays(CCDData(image, unit="adu"), crmask=hits).events
    return str(events["category"][np.argmax(events["n_pixels"])])


# ---- real footprints ----


def register_itl():
    """Make the CCD of the footprints known: 10 um pixels, 100 um thick."""
    from tempfile import TemporaryDirectory

    from crismis.detectors import load_detectors

    with TemporaryDirectory() as folder:
        path = Path(folder) / "itl.toml"
        path.write_text('["LSST/ITL"]\npitch = 10.0\nthickness = 100.0\n', encoding="utf-8")
        load_detectors(path)


def report_footprints(largest=200, picture="footprints.png"):
    """Print and draw the categories of the largest footprints of an LSST ITL CCD."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    with np.load(data_folder() / "tracks" / "itl_footprints.npz") as content:
        shapes, values = content["shapes"], content["values"]
    ends = np.cumsum(shapes.prod(axis=1))
    stamps = [v.reshape(s) for v, s in zip(np.split(values, ends[:-1]), shapes, strict=True)]
    stamps = sorted(stamps, key=lambda stamp: -np.count_nonzero(stamp > 0))[:largest]
    rng = np.random.default_rng(7)
    named = {}
    register_itl()
    meta = {"CRDETEC": "LSST/ITL"}
    for stamp in stamps:
        image = np.pad(stamp, 8).astype(np.float32)
        hits = image > 0
        image += rng.normal(0, 7, image.shape).astype(np.float32)
        ccd = CCDData(image, unit="electron", meta=meta)
        events = categorize_cosmicrays(ccd, crmask=hits).events
        named.setdefault(str(events["category"][np.argmax(events["n_pixels"])]), []).append(image)
    print(
        f"\n{largest} largest real footprints: "
        + ", ".join(f"{len(named[name])} {name}" for name in sorted(named))
    )
    columns = 20
    rows = sum(-(-len(cuts) // columns) for cuts in named.values())
    figure, axes = plt.subplots(rows, columns, figsize=(columns, rows), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    row = 0
    for name in sorted(named):
        for number, cut in enumerate(named[name]):
            axis = axes[row + number // columns, number % columns]
            axis.imshow(np.sqrt(np.clip(cut / cut.max(), 0, 1)), cmap="gray", origin="lower")
            if number % columns == 0:
                axis.set_title(name, fontsize=8, loc="left")
        row += -(-len(named[name]) // columns)
    figure.tight_layout(pad=0.1)
    figure.savefig(picture, dpi=80)
    print(f"drawn in {picture}")


PARTS = {
    "speed": report_speed,
    "simulated": report_simulated,
    "hits": report_hits,
    "steady": report_steady,
    "footprints": report_footprints,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="by default all")
    parser.add_argument("--images", type=int, default=400, help="simulated images to test on")
    parser.add_argument("--seed", type=int, default=HELD_OUT_SEED, help="seed of these images")
    arguments = parser.parse_args()
    simulated = arguments.images, arguments.seed
    for part in arguments.parts or PARTS:
        PARTS[part](*(simulated if part == "simulated" else ()))
