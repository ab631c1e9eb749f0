"""How many spallation stars are found, and how many candidates are chance.

Frames of 1024 x 1024 pixels hold particles of interplanetary space and nuclear reactions (3 % of
the events) in silicon of several thicknesses, 5 % of their pixels being hit; no model was trained
on their seeds. A star counts if four or more of its prongs are visible: 25 degrees apart, and in
projection 3 pixels plus three times the diffusion long (`crismis.simulate.count_prongs`). It is
found if a candidate lies within 4 pixels of its vertex. A candidate is false if no reaction lies
within 6 pixels. Stars that other tracks cross or bury count like any other. As many frames without
reactions are searched, too. Intervals are 68 % ones, by bootstrap over frames. Run::

    python benchmarks/spallation.py [--frames N] [--identified] [--model FILE]
"""

import argparse

import numpy as np
from astropy.table import Table

from crismis import Detector, categorize_cosmicrays, cosmicray_learned
from crismis.learning.spallation import HELD_OUT_SEED, star_frame, true_hits
from crismis.physics import find_spallation

THICKNESSES = (15.0, 40.0, 100.0, 200.0)
FALSE = (0.3, 1.0, 3.0, 10.0)
NEAR, BESIDE, EDGE = 4.0, 6.0, 3.0


def device(thickness):
    """Return a CCD with pixels of 13.5 micrometres."""
    return Detector("slab", pitch=13.5, thickness=thickness, gain=1.0, readnoise=5.0, diffusion=5.0)


def search(image, identified, model):
    """Return all candidates of a frame."""
    if identified:
        hits = cosmicray_learned(image, repair=False).hits
    else:
        hits = true_hits(image)
    found = categorize_cosmicrays(image, crmask=hits)
    return find_spallation(found, min_probability=0.0, model=model), hits.mean()


def judge(image, table):
    """Return the probability that found each star (0: none did), and those of false candidates."""
    events = image.truth["events"]
    y, x = (events[f"{axis}_entry"].value for axis in "yx")
    reaction = np.asarray(events["kind"], str) == "spallation"
    last = image.shape[0] - EDGE
    inside = (np.minimum(x, y) > EDGE) & (np.maximum(x, y) < last)
    star = reaction & (events["visible_prongs"] >= 4) & inside
    away = np.hypot(table["y_vertex"].value[:, None] - y, table["x_vertex"].value[:, None] - x)
    probability = np.asarray(table["probability"])
    best = np.where(away[:, star] < NEAR, probability[:, None], 0.0).max(axis=0, initial=0.0)
    chance = ~(away[:, reaction] < BESIDE).any(axis=1)
    return best, probability[chance]


def recall_at(frames, false_per_1e4):
    """Return the share of stars found with so many false candidates, and the least probability."""
    n_events = sum(n for _, _, n in frames)
    false = np.sort(np.concatenate([f for _, f, _ in frames]))[::-1]
    allowed = int(false_per_1e4 * n_events / 1e4)
    least = false[allowed] if allowed < len(false) else 0.0
    best = np.concatenate([b for b, _, _ in frames])
    return np.mean(best > least) if len(best) else np.nan, least


def interval(frames, measure, rng, rounds=200):
    """Return the 68 % interval of a measure over frames drawn again and again."""
    values = [
        measure([frames[i] for i in rng.integers(0, len(frames), len(frames))])
        for _ in range(rounds)
    ]
    return np.nanpercentile(values, [16, 84])


def main():
    """Print the curve for each thickness and all of them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--frames", type=int, default=20, help="with and as many without stars, per thickness"
    )
    parser.add_argument("--identified", action="store_true", help="hits by cosmicray_learned")
    parser.add_argument("--model", help="model file instead of the shipped one")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    rows, everything = [], []
    for thickness in THICKNESSES:
        frames, empty, share = [], [], []
        for number in range(options.frames):
            for stars, kept in ((0.03, frames), (0.0, empty)):
                seed = HELD_OUT_SEED + 1000 * int(thickness) + number
                image = star_frame(device(thickness), stars=stars, seed=seed)
                table, hit = search(image, options.identified, options.model)
                kept.append((*judge(image, table), len(image.truth["events"])))
                share.append(hit)
        everything += frames
        rows.append(row(f"{thickness:.0f} um", frames, empty, rng, np.mean(share)))
    rows.append(row("all", everything, [], rng, np.nan))
    table = Table(rows=rows)
    for name in table.colnames:
        if table[name].dtype.kind == "f":
            table[name].info.format = ".3g"
    table.pprint_all()


def row(name, frames, empty, rng, share):
    """Return one line of the table."""
    line = {
        "silicon": name,
        "hit": share,
        "events": sum(n for _, _, n in frames),
        "stars": sum(len(b) for b, _, _ in frames),
    }
    for false in FALSE:
        line[f"recall@{false:g}"] = recall_at(frames, false)[0]
    low, high = interval(frames, lambda drawn: recall_at(drawn, 1.0)[0], rng)
    line["68% @1"] = f"{low:.2f}-{high:.2f}"
    least = default_least()
    best = np.concatenate([b for b, _, _ in frames])
    line["recall"] = np.mean(best >= least) if len(best) else np.nan
    line["false/1e4"] = per_1e4(frames, least)
    line["false/1e4 without"] = per_1e4(empty, least) if empty else np.nan
    return line


def per_1e4(frames, least):
    """Return false candidates per 10^4 events at the shipped least probability."""
    false = sum((f >= least).sum() for _, f, _ in frames)
    return 1e4 * false / sum(n for _, _, n in frames)


def default_least():
    """Return the least probability of a candidate that the shipped model names."""
    from crismis.physics.spallation import STAR_FEATURES, star_probability

    return star_probability(np.zeros((0, len(STAR_FEATURES)), np.float32))[1]


if __name__ == "__main__":
    main()
