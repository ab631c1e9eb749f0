# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Judge every pixel of an image: screen, networks, refinements, trees, a second look at hits."""

import functools
import os
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

from ..bands import bands
from ..errors import ModelError
from ..network import load_model
from . import _kernels
from .neighbours import raise_neighbours
from .odds import shift_odds, stretch_odds
from .sampling import CONDITIONS, measure_scene, tiles
from .stars import judge_stars
from .threads import default_threads, run_tasks
from .weights import LargeNetwork

__all__ = [
    "Judge",
    "choose_model",
    "hit_probability",
    "judge_scene",
    "judge_to_the_end",
    "load_judge",
    "look_again",
    "reweight",
]

TASK = "identify"
HIT = _kernels.HIT_FROM
LOOKS = 10
DOUBTFUL = 0.2
DOUBTFUL_LATER = 0.01  # beside what a look found there is more to find, and few pixels to look at
_CHUNK = 256
_COLUMNS = 512  # of the pixels that a thread judges at once
_NEARLY_ONE = np.float32(1 - 2**-23)
_ABOVE_SEA = re.compile(r"\d+ m$")  # "La Silla, 2400 m"


@dataclass(frozen=True)
class Judge:
    """A model that identifies hits.

    Parameters
    ----------
    arrays : dict of str to ndarray
        ``first_*``, ``*`` and ``refine0_*``, ``refine1_*`` ... weights and biases, ``table``, and
        where boosted trees judge last, ``trees_*``; ``stars_*`` of those that judge what lies on
        stars.
    card : dict
        The model card.

    Examples
    --------
    >>> from crismis.identify.judge import load_judge
    >>> load_judge("space").card["task"]
    'identify'
    """

    arrays: dict
    card: dict

    @property
    def refinements(self):
        """How many judgements follow the first one."""
        return len(self._refine) + ("trees_roots" in self.arrays)

    @property
    def parts_skirts(self):
        """Whether it has learned to call the faint pixels beside a hit clean."""
        return not self.card.get("config", {}).get("beside", False)

    @property
    def told_slope(self):
        """By how much log odds are stretched where the fraction of hits is told."""
        return self.card.get("told_slope", 1.0)

    @functools.cached_property
    def _refine(self):
        """Prefixes of the refining networks' arrays."""
        number = sum(name.startswith("refine") and name.endswith("_bias1") for name in self.arrays)
        return [f"refine{k}_" for k in range(number)]

    @functools.cached_property
    def _trees(self):
        """The trees that judge last in the kernels' layout, if there are any."""
        return self._read_trees("trees_", _kernels.INPUTS_REFINE)

    @functools.cached_property
    def star_trees(self):
        """The same for those that judge what lies on stars."""
        return self._read_trees("stars_", _kernels.STAR_INPUTS)

    def _read_trees(self, prefix, inputs):
        found = {
            name.removeprefix(prefix): array
            for name, array in self.arrays.items()
            if name.startswith(prefix)
        }
        return _kernels.Trees(**found, inputs=inputs) if found else None

    @functools.cached_property
    def large(self):
        """The weights of the large network as the kernels have them."""
        return LargeNetwork.pack(self.arrays)

    @functools.cached_property
    def _weights(self):
        """The weights in the kernels' layout; they are the same for every image."""
        a, refine = self.arrays, self._refine
        return {
            "first": np.ascontiguousarray(a["first_weights1"][:-CONDITIONS]),
            "first_out": _last_layer(a["first_weights2"], a["first_bias2"]),
            "out": _last_layer(a["weights3"], a["bias3"]),
            "refine": np.array([a[f"{name}weights1"][:-CONDITIONS] for name in refine]),
            "refine_out": np.array(
                [_last_layer(a[f"{name}weights2"], a[f"{name}bias2"]) for name in refine]
            ),
        }

    def network(self, conditions):
        """Return the kernels' form of this model for one image.

        Parameters
        ----------
        conditions : ndarray
            The image-wide inputs; they are folded into the biases.
        """
        a, w = self.arrays, self._weights

        def folded(name):
            added = conditions @ a[f"{name}weights1"][-CONDITIONS:]
            return (a[f"{name}bias1"] + added).astype(np.float32)

        screen = self.card["screen"]
        return _kernels.Network(
            screen["floor_snr"],
            screen["floor_peak"],
            w["first"],
            folded("first_"),
            w["first_out"],
            screen["first_cut"],
            *self.large.first_layer(folded("")),
            *self.large.second,
            a["bias2"],
            w["out"],
            w["refine"],
            np.array([folded(name) for name in self._refine]),
            w["refine_out"],
            a["table"],
            self._trees,
        )


def _last_layer(weights, bias):
    """Weights of the only output, and its bias."""
    return np.append(weights[:, 0], bias).astype(np.float32)


@functools.lru_cache(maxsize=16)
def _load(path, modified):
    arrays, card = load_model(path, task=TASK)
    names = ("weights1", "first_weights1", "refine0_weights1")
    got = tuple(len(arrays.get(name, ())) for name in names)
    inputs = (_kernels.INPUTS, _kernels.INPUTS_FIRST, _kernels.INPUTS_REFINE)
    wanted = tuple(n + CONDITIONS for n in inputs)
    if got != wanted:
        raise ModelError(
            f"{path}: the networks take {got} inputs, this crismis offers {wanted}; "
            "train the model anew"
        )
    judge = Judge(arrays, card)
    try:
        judge.network(np.zeros(CONDITIONS, np.float32))
        _ = judge.star_trees
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path}: no usable arrays ({error}); train the model anew") from error
    return judge


def load_judge(model):
    """Load an identification model.

    Parameters
    ----------
    model : str or path-like
        Name of a shipped model (``"space"``, ``"terrain"``, ``"spectroscopy"``, ``"ground"``) or
        path of a model file.

    Returns
    -------
    Judge

    Raises
    ------
    ModelError
        If there is no such model, or the file is none.

    Examples
    --------
    >>> from crismis.identify.judge import load_judge
    >>> load_judge("ground").card["name"]
    'ground'
    """
    path = Path(model)
    if path.suffix != ".crm":
        folder = files("crismis").joinpath("models")
        path = Path(str(folder.joinpath(f"identify-{model}.crm")))
        if not path.is_file():
            known = sorted(p.name[9:-4] for p in Path(str(folder)).glob("identify-*.crm"))
            raise ModelError(
                f"no identification model is named {model!r}; shipped are {', '.join(known)}; "
                "give the path of a .crm file for your own"
            )
    elif not path.is_file():
        raise ModelError(f"{path}: there is no such model file")
    return _load(str(path), os.stat(path).st_mtime_ns)


def choose_model(frame, scene):
    """Name the shipped model for an image.

    Parameters
    ----------
    frame : `crismis.identify.inputs.Frame`
        Its detector, where known, tells whether it stands on the ground.
    scene : `crismis.identify.sampling.Scene`
        Tells whether the image looks like a long-slit spectrum, or has structure all over.

    Returns
    -------
    str
        ``"spectroscopy"``, ``"ground"``, ``"terrain"`` or ``"space"``.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.identify.inputs import prepare
    >>> from crismis.identify.judge import choose_model
    >>> from crismis.identify.sampling import measure_scene
    >>> image = np.random.default_rng(1).normal(100, 11, (64, 64))
    >>> frame = prepare(image, gain=1.0, readnoise=5.0)
    >>> scene = measure_scene(frame.electrons, frame.bad, frame.gain, frame.readnoise)
    >>> choose_model(frame, scene)
    'space'
    """
    if scene.spectral:
        return "spectroscopy"
    location = getattr(getattr(frame, "detector", None), "location", "")
    if _ABOVE_SEA.search(location):
        return "ground"
    return "terrain" if scene.structured else "space"


def hit_probability(
    frame, *, model=None, psf_fwhm=None, fit_stars=True, hit_fraction=None, n_threads=None
):
    """Probability of every pixel to hold charge of a particle.

    Parameters
    ----------
    frame : `crismis.identify.inputs.Frame`
        A prepared image.
    model : str, path-like or `Judge`, optional
        Which model; by default the image chooses, see `choose_model`.
    psf_fwhm : float, optional
        Width of stars in pixels, where it is known better than the image tells.
    fit_stars : bool
        Whether to fit the image's own point-spread function to its stars, where they have one in
        common, and to judge what lies on them by what they leave; of the models shipped, that for
        space can.
    hit_fraction : float, optional
        Expected fraction of hit pixels, to which the probabilities are re-weighted, see
        `reweight`.
    n_threads : int, optional
        See ``crismis.identify.threads.default_threads``. The result is the same for any number.

    Returns
    -------
    ndarray
        float32, shape of the image; 0 where the image is bad.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.identify.inputs import prepare
    >>> from crismis.identify.judge import hit_probability
    >>> image = np.random.default_rng(1).normal(100, 11, (64, 64))
    >>> image[30, 20:26] += 900
    >>> probability = hit_probability(prepare(image, gain=1.0, readnoise=5.0))
    >>> bool((probability[30, 20:26] > 0.5).all())
    True
    """
    n_threads = n_threads or default_threads()
    if frame.bad.all():  # of no pixels too
        return np.zeros(frame.electrons.shape, dtype=np.float32)
    scene = measure_scene(
        frame.electrons,
        np.ascontiguousarray(frame.bad),
        frame.gain,
        frame.readnoise,
        background=frame.background,
        variance=frame.variance,
        saturation=frame.saturation,
        psf_fwhm=psf_fwhm,
        n_threads=n_threads,
    )
    chosen = choose_model(frame, scene) if model is None else model
    judge = chosen if isinstance(chosen, Judge) else load_judge(chosen)
    frame.model = judge.card
    out = judge_to_the_end(scene, judge, fit_stars=fit_stars, n_threads=n_threads)
    if hit_fraction is not None:
        reweight(out, hit_fraction, np.count_nonzero(~frame.bad), judge.told_slope)
    return out


def judge_to_the_end(scene, judge, *, fit_stars=True, n_threads=1):
    """Judge with all that a model can: networks, trees, second looks, stars, neighbours of hits.

    Parameters
    ----------
    scene : `crismis.identify.sampling.Scene`
    judge : Judge
    fit_stars : bool
        As for `hit_probability`.
    n_threads : int

    Returns
    -------
    ndarray
        float32: probabilities.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.identify.judge import judge_to_the_end, load_judge
    >>> from crismis.identify.sampling import measure_scene
    >>> image = np.random.default_rng(1).normal(100, 10, (64, 64)).astype("f4")
    >>> image[30, 20:26] += 900
    >>> scene = measure_scene(image, np.zeros(image.shape, bool), 1.0, 5.0)
    >>> bool((judge_to_the_end(scene, load_judge("space"))[30, 20:26] > 0.5).all())
    True
    """
    out = judge_scene(scene, judge, judge.refinements, n_threads)
    look_again(scene, judge, out, n_threads)
    on_stars = None
    if fit_stars and judge.star_trees is not None:
        on_stars = judge_stars(scene.image, judge.star_trees, out, n_threads)
    if judge.parts_skirts:
        raise_neighbours(scene.image, out, on_stars, n_threads)
    return out


def judge_scene(scene, judge, refinements, n_threads=1):
    """Judge, and judge again.

    Where the scene is rough, a network judges that knows what the rough parts are like. Unless the
    model has learned from such parts, the more doubtful of two judgements holds: this one and one
    that knows what the whole image is like. The rest is judged by one that knows what the other
    parts are like.

    Parameters
    ----------
    scene : `crismis.identify.sampling.Scene`
    judge : Judge
    refinements : int
        How many of the later judgements follow the first one.
    n_threads : int

    Returns
    -------
    ndarray
        float32: probabilities after the last judgement there is, logits after an earlier one.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.identify.judge import judge_scene, load_judge
    >>> from crismis.identify.sampling import measure_scene
    >>> image = np.random.default_rng(1).normal(100, 10, (64, 64)).astype("f4")
    >>> scene = measure_scene(image, np.zeros(image.shape, bool), 1.0, 5.0)
    >>> judge = load_judge("space")
    >>> bool(judge_scene(scene, judge, 0).min() < 0 <= judge_scene(scene, judge, 2).min())
    True
    """
    logits = np.empty(scene.image.shape, dtype=np.float32)
    spare = np.empty_like(logits)
    judged = tiles(logits.shape, columns=_COLUMNS)
    network, quiet, rough = _networks(scene, judge)
    if quiet is None:
        first = functools.partial(_judge, network, scene.image, logits)
    else:
        first = functools.partial(_judge_parts, quiet, rough, scene, logits, spare)
    run_tasks(first, judged, n_threads)
    if not refinements:
        return logits
    refine = functools.partial(_refine, network, scene.image, refinements, logits, spare)
    run_tasks(refine, judged, n_threads)
    return spare


def _networks(scene, judge):
    """For the whole image, and where it has parts, for the quiet ones, and some for the rough."""
    network, parts = judge.network(scene.conditions), scene.parts
    if parts is None:
        return network, None, ()
    rough = (judge.network(parts.rough_conditions),)
    if not judge.card.get("parts"):
        rough += (network,)
    return network, judge.network(parts.quiet_conditions), rough


def _judge(network, image, out, tile):
    network.judge(image, *tile, out)


def _judge_parts(quiet, rough, scene, out, spare, tile):
    row, column, rows, columns = tile
    window = np.s_[row : row + rows, column : column + columns]
    where = scene.parts.pixels(*tile)
    if not where.all():
        quiet.judge(scene.image, *tile, out)
    if not where.any():
        return
    least = np.full((rows, columns), np.inf, dtype=np.float32)
    for network in rough:
        network.judge(scene.image, *tile, spare)
        np.minimum(least, spare[window], out=least)
    np.copyto(out[window], least, where=where)


def _refine(network, image, refinements, logits, out, tile):
    network.refine(image, 0, refinements, *tile, logits, out)


def look_again(scene, judge, probability, n_threads=1):
    """Judge doubtful pixels near hits again, in place, as if those hits had been repaired.

    What a bright hit hides, such as the faint end of its own track, shows once the hit is gone; a
    second pass over the repaired image would find it. Probabilities only rise. Further looks
    follow at what lies near the hits found, ten at most. Beside hits on a bright source nothing is
    judged again: a core that was taken for a hit would be followed by the rest of its star.

    Parameters
    ----------
    scene : `crismis.identify.sampling.Scene`
    judge : Judge
    probability : ndarray
        What `judge_scene` returned.
    n_threads : int

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.identify.judge import judge_scene, load_judge, look_again
    >>> from crismis.identify.sampling import measure_scene
    >>> image = np.random.default_rng(1).normal(100, 10, (64, 64)).astype("f4")
    >>> image[30, 20:26] += [2000, 900, 300, 90, 60, 50]
    >>> scene = measure_scene(image, np.zeros(image.shape, bool), 1.0, 5.0)
    >>> judge = load_judge("space")
    >>> probability = judge_scene(scene, judge, judge.refinements)
    >>> before = probability.copy()
    >>> look_again(scene, judge, probability)
    >>> bool((probability >= before).all())
    True
    """
    networks = _networks(scene, judge)
    places = np.concatenate(
        run_tasks(
            lambda band: _kernels.doubtful(probability, *band, DOUBTFUL),
            bands(len(probability)),
            n_threads,
        )
    )
    flat = probability.reshape(-1)
    for _ in range(LOOKS):
        looked = functools.partial(_look, networks, scene, probability)
        places = _by_cells(places, probability.shape)
        groups = [places[k : k + _CHUNK] for k in range(0, len(places), _CHUNK)]
        seen = run_tasks(looked, groups, n_threads)
        found = []
        for group, value in zip(groups, seen, strict=True):
            found.append(group[value >= HIT])
            flat[group] = np.maximum(flat[group], value)
        if not any(map(len, found)):
            return
        places = _doubtful_near(np.concatenate(found), probability)


def _by_cells(places, shape):
    """Flat indices in the order of the cells whose pixels the kernels look at together."""
    row, column = np.unravel_index(places, shape)
    return places[np.lexsort((column // _kernels.LOOK_CELL, row // _kernels.LOOK_CELL))]


def _look(networks, scene, probability, places):
    network, quiet, rough = networks
    again = functools.partial(network.look_again, scene.image, probability)
    if quiet is None:
        return again(places, network)
    out = np.empty(len(places), dtype=np.float32)
    row, column = np.unravel_index(places, probability.shape)
    doubtful = scene.parts.at(row, column)
    out[doubtful] = again(places[doubtful], *rough)
    out[~doubtful] = again(places[~doubtful], quiet)
    return out


def _doubtful_near(hits, probability):
    """Flat indices of doubtful pixels in reach of a few hits."""
    near = np.arange(-_kernels.LOOK_REACH, _kernels.LOOK_REACH + 1)
    row, column = np.unravel_index(hits, probability.shape)
    row, column = np.broadcast_arrays(
        row[:, None, None] + near[:, None], column[:, None, None] + near
    )
    rows, columns = probability.shape
    inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    places = np.unique(row[inside] * columns + column[inside])
    value = probability.reshape(-1)[places]
    return places[(value > DOUBTFUL_LATER) & (value < HIT)]


def reweight(probability, hit_fraction, pixels, slope=1.0):
    """Shift the log odds of all pixels, in place, until their mean is an expected fraction.

    The shift is what Bayes' theorem asks for where a frame has more or fewer hits than the judge
    took it to have (Saerens, Latinne & Decaestecker 2002). Odds are shifted by a factor of 20 at
    most. After that, log odds are stretched: untold, they allow for errors that all pixels of an
    image have in common, and these are known once the fraction is.

    Parameters
    ----------
    probability : ndarray
        float32.
    hit_fraction : float
        Expected fraction of hit pixels, above 0 and below 1.
    pixels : int
        Number of pixels that count.
    slope : float
        By how much log odds are stretched.

    Raises
    ------
    ValueError
        If the fraction is none.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.identify.judge import reweight
    >>> probability = np.array([0, 0.5, 0.01], dtype=np.float32)
    >>> reweight(probability, 0.25, 3)
    >>> print(probability.round(2), round(float(probability.mean()), 3))
    [0.   0.72 0.03] 0.25
    """
    from scipy.optimize import brentq

    if not 0 < hit_fraction < 1:
        raise ValueError(f"hit_fraction must lie between 0 and 1, got {hit_fraction}")
    judged = probability > 0
    # Stretched once: to stretch what was shifted is to shift, by slope times as much, what was not.
    before = stretch_odds(np.minimum(probability[judged], _NEARLY_ONE), slope)
    reach = slope * np.log(20.0)

    def excess(shift):
        return shift_odds(before, shift).sum(dtype=float) - hit_fraction * pixels

    if excess(-reach) >= 0:
        shift = -reach
    elif excess(reach) <= 0:
        shift = reach
    else:
        shift = brentq(excess, -reach, reach, xtol=1e-4)
    probability[judged] = shift_odds(before, shift)
