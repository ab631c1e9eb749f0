"""Train the ranking of spallation stars on simulated frames of many detectors."""

from dataclasses import dataclass

import numpy as np

from ..detectors import Detector
from ..events import segment
from ..physics.spallation import STAR_FEATURES, TASK, apart, vertices_of
from ..simulate import KINDS, MIXTURES, mixture, simulate_exposure
from .trees import flatten_trees

__all__ = [
    "StarFrames",
    "draw_device",
    "label_vertices",
    "simulate_stars",
    "star_frame",
    "true_hits",
]

HELD_OUT_SEED = 987_654
"""Seeds from here on are for evaluation: no shipped model was trained on them."""

AT_VERTEX = 2.5
"""Vertices this many pixels from a true one are at it."""

BESIDE = 6.0
"""Vertices this many pixels from a true one are neither right nor wrong."""

_PILOT = 300
_ITERATIONS = 300
_FOLDS = 2
_FEWEST_STARS = 40
_STARS = (0.0, 0.02, 0.15)
"""Shares of reactions among the events: far more than in nature, to learn from few frames."""

_MOST_EVENTS = 12_000


@dataclass(frozen=True)
class StarFrames:
    """Vertices of simulated frames and what they are.

    Parameters
    ----------
    features : ndarray of float32, shape (n_vertices, n_features)
    y, x : ndarray of int, shape (n_vertices,)
        Places in pixels.
    star : ndarray of bool, shape (n_vertices,)
        At the vertex of a star of three or more visible prongs.
    frame : ndarray of int, shape (n_vertices,)
        Seed of the frame that each is from.
    n_events : int
        Particles on all frames.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.learning.spallation import StarFrames, fit_ranking
    >>> from crismis.physics.spallation import STAR_FEATURES
    >>> rng = np.random.default_rng(1)
    >>> features = rng.normal(size=(600, len(STAR_FEATURES))).astype("f4")
    >>> y, x = rng.integers(0, 1000, (2, 600))
    >>> frames = StarFrames(features, y, x, features[:, 0] > 1, np.arange(600) // 60, 20_000)
    >>> frames.n_events, len(frames.star)
    (20000, 600)
    """

    features: np.ndarray
    y: np.ndarray
    x: np.ndarray
    star: np.ndarray
    frame: np.ndarray
    n_events: int

    @classmethod
    def join(cls, parts):
        """Put frames one after another."""
        names = ("features", "y", "x", "star", "frame")
        columns = [np.concatenate([getattr(part, name) for part in parts]) for name in names]
        return cls(*columns, sum(part.n_events for part in parts))


def star_frame(
    detector, *, hit_share=0.05, particles="space-minimum", stars=0.03, size=1024, seed=0
):
    """Simulate a square frame with a given share of hit pixels.

    Parameters
    ----------
    detector : `~crismis.Detector`
        Pitch, thickness, diffusion and read noise.
    hit_share : float
        Pixels of more than three times the read noise from particles.
    particles : str
        Mixture of all other particles (``crismis.simulate.MIXTURES``).
    stars : float
        Share of nuclear reactions among the events.
    size : int
        Side of the frame in pixels.
    seed : int
        Source of all randomness.

    Returns
    -------
    `~crismis.CosmicRayCCDData`
        With ``.truth``; `true_hits` tells the pixels that were hit.

    Examples
    --------
    >>> from crismis import Detector
    >>> from crismis.learning.spallation import star_frame, true_hits
    >>> slab = Detector("slab", pitch=20.0, thickness=50.0, gain=1.0, readnoise=5.0, diffusion=4.0)
    >>> image = star_frame(slab, hit_share=0.02, size=256, seed=1)
    >>> bool(0.01 < true_hits(image).mean() < 0.04)
    True
    """
    kinds = {k: v for k, v in mixture(particles).items() if k != "spallation"}
    rest = sum(share for _, share in kinds.values())
    kinds = {k: (kind, (1 - stars) * share / rest) for k, (kind, share) in kinds.items()}
    if stars:
        kinds["spallation"] = (KINDS["spallation"], stars)
    faintest = 3 * detector.readnoise
    common = {"particles": kinds, "shape": (size, size), "unit": "electron"}
    pilot = simulate_exposure(detector, 1.0, n_events=_PILOT, seed=[seed, 1], **common)
    per_event = (pilot.truth["deposit"] > faintest).sum() / _PILOT
    n = -np.log1p(-hit_share) * size**2 / max(per_event, 1.0)
    return simulate_exposure(
        detector, 1.0, n_events=int(min(n, _MOST_EVENTS)), seed=[seed, 2], **common
    )


def true_hits(image):
    """Tell in which pixels of a simulated image particles left more than three times the noise.

    Examples
    --------
    >>> from crismis import Detector
    >>> from crismis.learning.spallation import star_frame, true_hits
    >>> slab = Detector("slab", pitch=20.0, thickness=50.0, gain=1.0, readnoise=5.0, diffusion=4.0)
    >>> image = star_frame(slab, hit_share=0.02, size=256, seed=1)
    >>> bool(0.01 < true_hits(image).mean() < 0.04)
    True
    """
    return image.truth["deposit"] > 3 * image.meta["CRRDNOIS"]


def draw_device(rng):
    """Draw a detector: 10 to 300 um of silicon in pixels of 9 to 30 um.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.learning.spallation import draw_device
    >>> 9 <= draw_device(np.random.default_rng(1)).pitch <= 30
    True
    """
    pitch = float(np.exp(rng.uniform(np.log(9.0), np.log(30.0))))
    return Detector(
        "drawn",
        pitch=pitch,
        thickness=float(np.exp(rng.uniform(np.log(10.0), np.log(300.0)))),
        gain=1.0,
        readnoise=float(rng.uniform(2.0, 12.0)),
        readout_wait=0.0,
        diffusion=float(rng.uniform(0.1, 0.5) * pitch),
    )


def label_vertices(vertices, events):
    """Compare vertices with the truth.

    Parameters
    ----------
    vertices : object with ``y``, ``x``
        Places in pixels, shape (n,).
    events : `~astropy.table.QTable`
        Truth of the frame.

    Returns
    -------
    star, nothing : ndarray of bool, shape (n,)
        At the vertex of a star of three or more visible prongs; far from any reaction. What is
        neither lies beside a star, or at one that shows fewer prongs.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from astropy import units as u
    >>> from astropy.table import QTable
    >>> from crismis.learning.spallation import label_vertices
    >>> truth = QTable({"kind": ["spallation"], "visible_prongs": [4],
    ...                 "y_entry": [50.0] * u.pix, "x_entry": [50.0] * u.pix})
    >>> star, nothing = label_vertices(SimpleNamespace(y=[51, 54, 90], x=[50, 50, 50]), truth)
    >>> print(star, nothing)
    [ True False False] [False False  True]
    """
    reaction = np.asarray(events["kind"], str) == "spallation"
    visible = reaction & (np.asarray(events["visible_prongs"]) >= 3)
    y, x = (np.asarray(events[f"{axis}_entry"].value) for axis in "yx")

    def nearest(chosen):
        distance = np.hypot(
            np.asarray(vertices.y)[:, None] - y[chosen],
            np.asarray(vertices.x)[:, None] - x[chosen],
        )
        return distance.min(axis=1, initial=np.inf)

    return nearest(visible) <= AT_VERTEX, nearest(reaction) > BESIDE


def simulate_stars(n_frames, *, seed=0):
    """Simulate labelled vertices on frames of randomly drawn detectors.

    Parameters
    ----------
    n_frames : int
    seed : int
        Of the first frame; the others follow.

    Returns
    -------
    StarFrames

    Raises
    ------
    ValueError
        If the seeds reach into those held out for evaluation.

    Examples
    --------
    >>> from crismis.learning.spallation import simulate_stars
    >>> frames = simulate_stars(1, seed=1)
    >>> frames.features.shape[0] == len(frames.star)
    True
    """
    if seed + n_frames > HELD_OUT_SEED:
        raise ValueError(f"seeds from {HELD_OUT_SEED} on are held out for evaluation")
    return StarFrames.join([_simulate_frame(number) for number in range(seed, seed + n_frames)])


def _simulate_frame(seed):
    rng = np.random.default_rng([seed, 0])
    image = star_frame(
        draw_device(rng),
        hit_share=float(rng.uniform(0.01, 0.09)),
        particles=str(rng.choice(sorted(MIXTURES))),
        stars=float(rng.choice(_STARS)),
        seed=seed,
    )
    vertices = vertices_of(segment(true_hits(image)), image.data)
    star, nothing = label_vertices(vertices, image.truth["events"])
    use = star | nothing
    return StarFrames(
        vertices.features[use],
        vertices.y[use],
        vertices.x[use],
        star[use],
        np.full(use.sum(), seed),
        len(image.truth["events"]),
    )


def fit_ranking(frames, *, name="spallation", false_per_event=1e-4, seed=0):
    """Fit the trees that tell spallation stars from chance.

    Parameters
    ----------
    frames : StarFrames
        At least ten frames, with and without stars.
    name : str
        Name in the model's card.
    false_per_event : float
        False candidates per event at the least probability that goes into the card; measured
        by cross-validation over frames.
    seed : int
        Source of all randomness.

    Returns
    -------
    arrays, card : dict
        For `crismis.network.save_model`; `crismis.physics.find_spallation` reads the file.

    Raises
    ------
    ValueError
        With too few frames or stars.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.learning.spallation import StarFrames, fit_ranking
    >>> from crismis.physics.spallation import STAR_FEATURES
    >>> rng = np.random.default_rng(1)
    >>> features = rng.normal(size=(600, len(STAR_FEATURES))).astype("f4")
    >>> y, x = rng.integers(0, 1000, (2, 600))
    >>> frames = StarFrames(features, y, x, features[:, 0] > 1, np.arange(600) // 60, 20_000)
    >>> arrays, card = fit_ranking(frames)
    >>> card["task"], card["frames"]
    ('spallation', 10)
    """
    n_stars, n_frames = int(frames.star.sum()), len(np.unique(frames.frame))
    if n_stars < _FEWEST_STARS or n_frames < _FOLDS:
        raise ValueError(
            f"{n_stars} stars on {n_frames} frames are too few to learn from; simulate more frames"
        )
    fold = np.searchsorted(np.unique(frames.frame), frames.frame) % _FOLDS
    probability = np.zeros(len(frames.star))
    for number in range(_FOLDS):
        out = fold == number
        trees = _trees(seed).fit(frames.features[~out], frames.star[~out])
        probability[out] = trees.predict_proba(frames.features[out])[:, 1]
    arrays, _ = flatten_trees(_trees(seed).fit(frames.features, frames.star))
    least = _least_probability(frames, probability, false_per_event)
    return arrays, {
        "task": TASK,
        "name": name,
        "features": list(STAR_FEATURES),
        "least_probability": least,
        "frames": n_frames,
        "events": frames.n_events,
        "false_per_event": false_per_event,
        "held_out_recall_of_vertices": float((probability[frames.star] >= least).mean()),
        "seeds": [int(frames.frame.min()), int(frames.frame.max())],
    }


def _trees(seed):
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=_ITERATIONS,
        learning_rate=0.08,
        max_leaf_nodes=63,
        min_samples_leaf=40,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=seed,
    )


def _least_probability(frames, probability, false_per_event):
    """Probability that so many vertices exceed which are no stars, neighbours counted once."""
    wrong = np.flatnonzero(~frames.star & (probability > 1e-3))
    counted = []
    for number in np.unique(frames.frame[wrong]):
        mine = wrong[frames.frame[wrong] == number]
        counted.extend(mine[apart(frames.y[mine], frames.x[mine], probability[mine])])
    false = np.sort(probability[np.array(counted, dtype=int)])[::-1]
    allowed = int(false_per_event * frames.n_events)
    return float(np.nextafter(false[allowed], 1)) if allowed < len(false) else 0.01
