# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Training samples of the identification: what the judge sees of a candidate, with its label."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from ..identify import _kernels
from ..identify.judge import Judge, judge_scene, judge_to_the_end
from ..identify.sampling import CONDITIONS, measure_scene
from ..identify.saturation import clipping_level

__all__ = [
    "CENTRE_LOGIT",
    "FLOOR_PEAK",
    "FLOOR_SNR",
    "Samples",
    "candidates",
    "gather",
    "gather_refine",
    "orientations",
    "orientations_refine",
    "sample_decided",
    "sample_field",
    "sample_judged",
    "sample_probability",
    "unfinished_judge",
]
__doctest_requires__ = {("sample_decided", "sample_judged", "unfinished_judge"): ["torch"]}

FLOOR_SNR = 1.0
FLOOR_PEAK = 2.5
NEAR, INNER, STEP = 7, 3, 5
_RULED_OUT = 0.01
_LEAST_BOXES = 4  # of the 64 that a field has
CENTRE_LOGIT = (2 * INNER + 1) ** 2 + ((2 * INNER + 1) ** 2) // 2
"""Which input of a refinement is the judgement before of the pixel itself."""


@dataclass
class Samples:
    """Inputs, image-wide conditions, labels and weights of candidates.

    Parameters
    ----------
    inputs : ndarray
        float16, shape ``(n, INPUTS)``.
    conditions : ndarray
        float32, one row per field.
    field : ndarray
        Row of ``conditions`` of each candidate.
    labels : ndarray
        uint8, 1 for a hit.
    weights : ndarray
        How many candidates each one stands for, float32.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.learning.dataset import sample_field
    >>> from crismis.learning.fields import random_field
    >>> field = random_field(1, "stars", shape=(128, 128))
    >>> samples = sample_field(field, np.random.default_rng(1), hits=50, others=50)
    >>> set(samples.labels.tolist()) <= {0, 1}
    True
    """

    inputs: np.ndarray
    conditions: np.ndarray
    field: np.ndarray
    labels: np.ndarray
    weights: np.ndarray

    def reorder(self, index):
        """Return some of the samples, in the order of their indices or a mask."""
        return Samples(
            self.inputs[index],
            self.conditions,
            self.field[index],
            self.labels[index],
            self.weights[index],
        )

    @classmethod
    def join(cls, parts):
        """Join the samples of several fields or files."""
        offsets = np.cumsum([0] + [len(p.conditions) for p in parts[:-1]])
        return cls(
            np.concatenate([p.inputs for p in parts]),
            np.concatenate([p.conditions for p in parts]),
            np.concatenate([p.field + o for p, o in zip(parts, offsets, strict=True)]),
            np.concatenate([p.labels for p in parts]),
            np.concatenate([p.weights for p in parts]),
        )


def orientations():
    """Return the eight permutations of the inputs under turns and reflections.

    Returns
    -------
    ndarray
        Integers, shape ``(8, INPUTS)``; the first row changes nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.learning.dataset import orientations
    >>> turned = orientations()
    >>> len(turned), bool((turned[0] == np.arange(turned.shape[1])).all())
    (8, True)
    """
    first = np.arange(_kernels.INPUTS)
    near = first[: (2 * NEAR + 1) ** 2].reshape(2 * NEAR + 1, -1)
    inner = first[near.size : near.size + (2 * INNER + 1) ** 2].reshape(2 * INNER + 1, -1)
    start = near.size + inner.size + 1
    context = np.full((7, 7), -1)
    outer = np.ones((7, 7), bool)
    outer[2:5, 2:5] = False
    context[outer] = np.arange(start, start + 40)
    rows = []
    for flip in (False, True):
        for turns in range(4):
            parts = [np.rot90(g[:, ::-1] if flip else g, turns) for g in (near, inner, context)]
            rows.append(
                np.concatenate([parts[0].ravel(), parts[1].ravel(), [start - 1], parts[2][outer]])
            )
    return np.array(rows)


def orientations_refine():
    """The same as `orientations`, for the inputs of a refinement.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.learning.dataset import orientations_refine
    >>> turned = orientations_refine()
    >>> bool((np.sort(turned, axis=1) == np.arange(turned.shape[1])).all())
    True
    """
    return turned_grids(3, 2 * INNER + 1, _kernels.INPUTS_REFINE)


def turned_grids(number, side, inputs):
    # The eight permutations of inputs that begin with square windows, row by row.
    grids = np.arange(number * side**2).reshape(number, side, side)
    rest = np.arange(grids.size, inputs)
    return np.array(
        [
            np.append(np.rot90(grids[:, :, ::-1] if flip else grids, turns, (1, 2)), rest)
            for flip in (False, True)
            for turns in range(4)
        ]
    )


def candidates(planes, bad):
    """Flat indices, in the bordered planes, of the pixels that the screen lets through.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.identify.sampling import measure_scene
    >>> from crismis.learning.dataset import candidates
    >>> image = np.random.default_rng(1).normal(100, 10, (64, 64)).astype("f4")
    >>> image[30, 20:25] += 500
    >>> bad = np.zeros(image.shape, bool)
    >>> planes = measure_scene(image, bad, 1.0, 5.0).image.planes(0, 0, 64, 64)
    >>> len(candidates(planes, bad)) >= 5
    True
    """
    reach = _kernels.REACH
    snr = planes[0]
    peak = ndimage.maximum_filter(snr, 3)
    inside = np.zeros(snr.shape, bool)
    inside[reach:-reach, reach:-reach] = ~bad
    return np.flatnonzero(inside & (snr > FLOOR_SNR) & (peak > FLOOR_PEAK))


def gather(planes, places, sigma_electrons):
    """Inputs of the judge for candidates, as the kernels see them.

    Parameters
    ----------
    planes : ndarray
        What ``crismis.identify._kernels.Image.planes`` returned.
    places : ndarray
        Flat indices of `candidates`.
    sigma_electrons : float

    Returns
    -------
    ndarray
        float32, shape ``(n, INPUTS)``.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.identify.sampling import measure_scene
    >>> from crismis.learning.dataset import candidates, gather
    >>> image = np.random.default_rng(1).normal(100, 10, (64, 64)).astype("f4")
    >>> image[30, 20:25] += 500
    >>> bad = np.zeros(image.shape, bool)
    >>> scene = measure_scene(image, bad, 1.0, 5.0)
    >>> planes = scene.image.planes(0, 0, 64, 64)
    >>> places = candidates(planes, bad)
    >>> len(gather(planes, places, scene.sigma_electrons)) == len(places)
    True
    """
    width = planes.shape[2]
    snr, compressed, context = planes.reshape(3, -1)

    def offsets(half, step=1):
        axis = np.arange(-half, half + 1) * step
        return (axis[:, None] * width + axis).ravel()

    centre = snr[places]
    ratio = snr[places[:, None] + offsets(INNER)] / np.maximum(centre, 1)[:, None]
    far = offsets(3, STEP).reshape(7, 7)
    outer = np.ones((7, 7), bool)
    outer[2:5, 2:5] = False
    return np.concatenate(
        [
            compressed[places[:, None] + offsets(NEAR)],
            np.clip(ratio, -1, 4),
            np.log1p(np.maximum(centre, 0) / sigma_electrons)[:, None],
            context[places[:, None] + far[outer]],
        ],
        axis=1,
    )


def gather_refine(planes, logits, places, sigma_electrons):
    """Inputs of a refinement: the scene, the judgement before, and the scene without its hits.

    Parameters
    ----------
    planes, places, sigma_electrons
        As for `gather`.
    logits : ndarray
        Of the whole field, from the judgement before.

    Returns
    -------
    ndarray
        float32, shape ``(n, INPUTS_REFINE)``.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.identify.sampling import measure_scene
    >>> from crismis.learning.dataset import candidates, gather_refine
    >>> image = np.random.default_rng(1).normal(100, 10, (64, 64)).astype("f4")
    >>> image[30, 20:25] += 500
    >>> bad = np.zeros(image.shape, bool)
    >>> scene = measure_scene(image, bad, 1.0, 5.0)
    >>> planes = scene.image.planes(0, 0, 64, 64)
    >>> places = candidates(planes, bad)
    >>> logits = np.zeros(image.shape, "f4")
    >>> len(gather_refine(planes, logits, places, scene.sigma_electrons)) == len(places)
    True
    """
    reach, width = _kernels.REACH, planes.shape[2]
    near = np.pad(np.clip(logits, -10, 10), reach, mode="reflect").ravel()
    axis = np.arange(-INNER, INNER + 1)
    window = places[:, None] + (axis[:, None] * width + axis).ravel()
    centre = planes[0].ravel()[places]
    brightness = np.log1p(np.maximum(centre, 0) / sigma_electrons)
    seen, judged = planes[1].ravel()[window], near[window]
    rest = np.where(judged > -10, seen / (1 + np.exp(judged)), seen)
    return np.concatenate([seen, judged, rest, brightness[:, None]], axis=1)


def sample_field(field, rng, networks=None, hits=400, others=600):
    """Draw training samples from a field.

    Parameters
    ----------
    field : `crismis.learning.fields.Field`
    rng : `numpy.random.Generator`
    networks : dict, optional
        As for `unfinished_judge`: an earlier fit, whose easy cases are drawn less often.
    hits, others : int
        At most so many hit and clean pixels; the weights say how many each stands for.

    Returns
    -------
    Samples

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.learning.dataset import sample_field
    >>> from crismis.learning.fields import random_field
    >>> field = random_field(1, "stars", shape=(128, 128))
    >>> samples = sample_field(field, np.random.default_rng(1), hits=50, others=50)
    >>> bool(samples.weights.min() >= 1)
    True
    """
    scene = measure_field(field)
    planes = scene.image.planes(0, 0, *field.electrons.shape)
    reach = _kernels.REACH
    labels = np.pad(field.labels, reach, constant_values=2).ravel()
    places = candidates(planes, field.bad)
    places = places[labels[places] != 2]
    is_hit = labels[places] == 1
    if networks is None:
        rate = np.where(is_hit | (planes[0].ravel()[places] > 4), 1.0, 0.35)
    else:
        rate = _hardness(np.pad(_logits(scene, networks), reach).ravel()[places], is_hit)
    places, rate = _thin(rng, places, is_hit, rate, hits, others)
    conditions, part = _known_of(scene, places, planes.shape[2])
    return Samples(
        gather(planes, places, scene.sigma_electrons).astype(np.float16),
        conditions,
        part,
        labels[places].astype(np.uint8),
        (1 / rate).astype(np.float32),
    )


def _known_of(scene, places, width):
    """The image-wide conditions of a scene, or of its quiet and rough parts; which a place has."""
    if scene.parts is None:
        return scene.conditions[None], np.zeros(places.size, np.int32)
    row, column = np.divmod(places, width)
    rough = scene.parts.at(row - _kernels.REACH, column - _kernels.REACH)
    known = np.stack([scene.parts.quiet_conditions, scene.parts.rough_conditions])
    return known, rough.astype(np.int32)


def measure_field(field):
    # Networks that learn from levelled shadows take the loops of real coronae for hits.
    return measure_scene(
        field.electrons,
        field.bad,
        field.gain,
        field.readnoise,
        saturation=field.saturation,
        rough=field.rough,
        least_boxes=_LEAST_BOXES,
    )


def clipped(field):
    """The field with the level at which it is clipped, if it shows one and none is known."""
    if np.isfinite(field.saturation):
        return field
    return replace(field, saturation=clipping_level(field.electrons, field.bad))


def _logits(scene, networks):
    """Logits of the last judgement there is so far."""
    judge = unfinished_judge(networks)
    return judge_scene(scene, judge, judge.refinements - 1)


def unfinished_judge(networks):
    """Make a judge of freshly fitted networks; its last refinement and its table are void.

    Parameters
    ----------
    networks : dict
        Arrays ``first`` and ``full``, the first stage's ``cut``, and optionally ``refine``, a
        list of the refinements there are, and ``parts``, whether they learn from parts of images.

    Returns
    -------
    `crismis.identify.judge.Judge`

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.learning.dataset import sample_field, unfinished_judge
    >>> from crismis.learning.fields import random_field
    >>> from crismis.learning.identification import FIRST_COLUMNS
    >>> from crismis.learning.training import fit_network
    >>> field = random_field(1, "stars", shape=(128, 128))
    >>> samples = sample_field(field, np.random.default_rng(1), hits=200, others=200)
    >>> networks = {"first": fit_network(samples, [(24, 24)], columns=FIRST_COLUMNS, epochs=1),
    ...             "full": fit_network(samples, [(48, 48), (24, 24)], epochs=1), "cut": -2.0}
    >>> unfinished_judge(networks).refinements
    1
    """
    inputs = _kernels.INPUTS_REFINE + CONDITIONS
    void = {
        "weights1": np.zeros((inputs, 48), np.float32),
        "bias1": np.zeros(48, np.float32),
        "weights2": np.zeros((48, 1), np.float32),
        "bias2": np.zeros(1, np.float32),
    }
    arrays = networks["full"] | {f"first_{k}": v for k, v in networks["first"].items()}
    for i, again in enumerate([*networks.get("refine", ()), void]):
        arrays |= {f"refine{i}_{k}": v for k, v in again.items()}
    arrays["table"] = np.linspace(-16, 16, _kernels.KNOTS, dtype=np.float32)
    screen = {"floor_snr": FLOOR_SNR, "floor_peak": FLOOR_PEAK, "first_cut": networks["cut"]}
    return Judge(arrays, {"screen": screen, "parts": networks.get("parts", False)})


def sample_judged(field, rng, networks, hits=600, others=1800):
    """Draw training samples of the next refinement: what it sees of pixels judged before.

    Parameters
    ----------
    field, rng, hits, others
        As for `sample_field`.
    networks : dict
        As for `unfinished_judge`.

    Returns
    -------
    Samples

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.learning.dataset import sample_field, sample_judged
    >>> from crismis.learning.fields import random_field
    >>> from crismis.learning.identification import FIRST_COLUMNS
    >>> from crismis.learning.training import fit_network
    >>> field = random_field(1, "stars", shape=(128, 128))
    >>> rng = np.random.default_rng(1)
    >>> samples = sample_field(field, rng, hits=200, others=200)
    >>> networks = {"first": fit_network(samples, [(24, 24)], columns=FIRST_COLUMNS, epochs=1),
    ...             "full": fit_network(samples, [(48, 48), (24, 24)], epochs=1), "cut": -2.0}
    >>> judged = sample_judged(field, rng, networks, hits=50, others=50)
    >>> set(judged.labels.tolist()) <= {0, 1}
    True
    """
    scene, logits, places = _decided(field, networks)
    is_hit = field.labels.ravel()[places] == 1
    rate = _hardness(logits.ravel()[places], is_hit)
    places, rate = _thin(rng, places, is_hit, rate, hits, others)
    return _judged(field, scene, logits, places, 1 / rate)


def sample_decided(field, networks):
    """Take all pixels of a field that were judged before and whose label is decided.

    Parameters
    ----------
    field, networks
        As for `sample_judged`.

    Returns
    -------
    samples : Samples
        Each of weight 1.
    places : ndarray
        Their flat indices in the field.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.learning.dataset import sample_decided, sample_field
    >>> from crismis.learning.fields import random_field
    >>> from crismis.learning.identification import FIRST_COLUMNS
    >>> from crismis.learning.training import fit_network
    >>> field = random_field(1, "stars", shape=(128, 128))
    >>> samples = sample_field(field, np.random.default_rng(1), hits=200, others=200)
    >>> networks = {"first": fit_network(samples, [(24, 24)], columns=FIRST_COLUMNS, epochs=1),
    ...             "full": fit_network(samples, [(48, 48), (24, 24)], epochs=1), "cut": -9.0}
    >>> samples, places = sample_decided(field, networks)
    >>> bool((field.labels.ravel()[places] == samples.labels).all())
    True
    """
    scene, logits, places = _decided(field, networks)
    return _judged(field, scene, logits, places, np.ones(places.size)), places


def sample_probability(field, rng, judge):
    """Take what a finished model says of the pixels of a field that it does not rule out.

    Parameters
    ----------
    field : `crismis.learning.fields.Field`
    rng : `numpy.random.Generator`
        Not used: all pixels above a probability of 0.01 are taken.
    judge : `crismis.identify.judge.Judge`

    Returns
    -------
    Samples
        Their only input is the probability.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.identify.judge import load_judge
    >>> from crismis.learning.dataset import sample_probability
    >>> from crismis.learning.fields import random_field
    >>> field = random_field(1, "stars", shape=(128, 128))
    >>> samples = sample_probability(field, np.random.default_rng(1), load_judge("space"))
    >>> bool(samples.inputs[samples.labels == 1].mean() > 0.8)
    True
    """
    scene = measure_field(clipped(field))
    probability = judge_to_the_end(scene, judge).reshape(-1)
    labels = field.labels.reshape(-1)
    places = np.flatnonzero((probability > _RULED_OUT) & (labels != 2))
    return Samples(
        probability[places, None],
        scene.conditions[None],
        np.zeros(places.size, np.int32),
        labels[places],
        np.ones(places.size, np.float32),
    )


def _decided(field, networks):
    """The scene of a field, its logits, and the judged pixels whose label is decided."""
    scene = measure_field(field)
    logits = _logits(scene, networks)
    places = np.flatnonzero((logits > _kernels.SCREENED_OUT) & (field.labels != 2))
    return scene, logits, places


def _judged(field, scene, logits, places, weights):
    rows, columns = field.electrons.shape
    planes = scene.image.planes(0, 0, rows, columns)
    y, x = np.divmod(places, columns)
    reach = _kernels.REACH
    bordered = (y + reach) * planes.shape[2] + x + reach
    return Samples(
        gather_refine(planes, logits, bordered, scene.sigma_electrons).astype(np.float16),
        scene.conditions[None],
        np.zeros(places.size, np.int32),
        field.labels.ravel()[places].astype(np.uint8),
        weights.astype(np.float32),
    )


def _hardness(logits, is_hit):
    """How often to draw a case that an earlier judgement was right or wrong about."""
    mistaken = np.where(is_hit, -logits, logits)
    return np.clip(np.exp(0.6 * (mistaken + 2.5)), 0.03, 1)


def _thin(rng, places, is_hit, rate, hits, others):
    """Keep each place with its rate, lowered where there would be too many of its kind."""
    for chosen, most in ((is_hit, hits), (~is_hit, others)):
        total = rate[chosen].sum()
        if total > most:
            rate[chosen] *= most / total
    taken = rng.uniform(size=places.size) < rate
    return places[taken], rate[taken]
