# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Measure an image's own point-spread function, and judge anew what lies on its stars."""

import functools
from dataclasses import dataclass

import numpy as np
from scipy import linalg
from scipy.spatial import cKDTree
from scipy.special import expit

from . import _kernels
from .sampling import tiles
from .threads import run_tasks

__all__ = ["StarField", "fit_stars_of", "judge_stars", "star_inputs"]

LEAST_PEAK = 8.0
"""S/N of the faintest peaks that are taken for stars."""

REACH = 3
"""How far from a star's brightest pixel its pixels are judged anew, in rows and columns."""

SUSPECT = 0.01
"""Stars whose pixels all have a lower probability are left alone."""

LEAST = 3e-4
"""So are pixels of a lower one."""

_HALF = _kernels.STAMP_HALF
_BRIGHT = 15.0  # S/N of the peaks that tell the point-spread function
_ENOUGH = 8  # of these
_MOST = 150
_WIDTHS = (1.2, 1.6, 2.0, 2.5, 3.2, 4.2, 5.5)
_SMOOTH = 1e-3
_LARGEST_ERROR = 0.05
_LARGEST_CHI = 1.5
_CHUNK = 128
_ROWS = 4096


@dataclass
class StarField:
    """Stars of one image and what they leave.

    Parameters
    ----------
    psf : ndarray
        Coefficients of cubic B-splines on a grid of half pixels.
    error : float
        Relative error of the point-spread function.
    centres : ndarray
        Row and column of the brightest pixel of each star.
    stars : ndarray
        Structured: ``flux`` (in units of the sky's noise), ``dy`` and ``dx`` from the centre to
        where the point-spread function has its own, and ``chi``, reduced chi square of the core.
    stamps, weights : ndarray
        S/N around each centre without the other stars, and which pixels may hold hits.
    models : ndarray
        What each star gives to its stamp.
    sigma_electrons : float
        Noise of the sky in electrons.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.identify.sampling import measure_scene
    >>> from crismis.identify.stars import fit_stars_of
    >>> y, x = np.indices((160, 160)) % 20 - 9.6
    >>> stars = 3000 * np.exp(-(x**2 + y**2) / 2.4)
    >>> image = np.random.default_rng(1).poisson(60 + stars).astype("f4")
    >>> scene = measure_scene(image, np.zeros(image.shape, bool), 1.0, 0.0)
    >>> probability = np.zeros(image.shape, "f4")
    >>> field = fit_stars_of(scene.image, probability)
    >>> field.models.shape
    (64, 13, 13)
    """

    psf: np.ndarray
    error: float
    centres: np.ndarray
    stars: np.ndarray
    stamps: np.ndarray
    weights: np.ndarray
    models: np.ndarray
    sigma_electrons: float


def fit_stars_of(image, probability, n_threads=1):
    """Find the stars of an image, measure their common shape, and fit each of them.

    An image that has too few bright ones, or whose peaks have no common shape, has no stars.

    Parameters
    ----------
    image : ``crismis.identify._kernels.Image``
    probability : ndarray
        Of each pixel to hold charge of a particle; what is likely to does not count.
    n_threads : int

    Returns
    -------
    StarField or None

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.identify.sampling import measure_scene
    >>> from crismis.identify.stars import fit_stars_of
    >>> y, x = np.indices((160, 160)) % 20 - 9.6
    >>> stars = 3000 * np.exp(-(x**2 + y**2) / 2.4)
    >>> image = np.random.default_rng(1).poisson(60 + stars).astype("f4")
    >>> scene = measure_scene(image, np.zeros(image.shape, bool), 1.0, 0.0)
    >>> probability = np.zeros(image.shape, "f4")
    >>> field = fit_stars_of(scene.image, probability)
    >>> place = field.centres[:, 0] % 20 + field.stars["dy"]
    >>> bool(place.std() < 0.1), bool(np.median(field.stars["chi"]) < 1.5)
    (True, True)
    """
    bands = sorted({(row, rows) for row, _, rows, _ in tiles(probability.shape)})
    found = run_tasks(
        lambda band: image.peaks(probability, LEAST_PEAK, band[0], sum(band)), bands, n_threads
    )
    places, snr = (np.concatenate(part) for part in zip(*found, strict=True))
    if len(places) < _ENOUGH:
        return None
    chosen = _tell_tale(image, probability, places, snr)
    if chosen is None:
        return None
    places = places[_of_interest(probability, places, chosen)]
    centres = np.stack(np.divmod(places, probability.shape[1]), 1)
    clear = np.isin(places, chosen)
    stamps, weights = image.stamps(probability, places)
    pairs = _neighbours(centres)
    sigma = image.sigma_electrons

    def fitted(psf, error, steps, cleaned, stars):
        def one(first):
            part = np.s_[first : first + _CHUNK]
            _kernels.fit_stars(psf, cleaned[part], weights[part], sigma, error, steps, stars[part])

        run_tasks(one, range(0, len(stars), _CHUNK), n_threads)

    psf = _first_guess(stamps[clear], weights[clear], sigma)
    stars = _unfitted(stamps, psf)
    cleaned, error = stamps, 0.03
    for last in (False, False, True):
        fitted(psf, error, 3 if last else 6, cleaned, stars)
        psf, error = _corrected(psf, error, cleaned[clear], weights[clear], sigma, stars[clear])
        fitted(psf, error, 3, cleaned, stars)
        models = _kernels.star_models(psf, stars)
        cleaned = stamps.copy()
        _kernels.subtract_neighbours(cleaned, models, centres, pairs)
    if error > _LARGEST_ERROR or np.median(stars["chi"][clear]) > _LARGEST_CHI:
        return None
    return StarField(psf, error, centres, stars, cleaned, weights, models, sigma)


def _tell_tale(image, probability, places, snr):
    """Bright peaks without hits and brighter neighbours, which tell the point-spread function."""
    bright = np.flatnonzero(snr > _BRIGHT)
    bright = bright[np.argsort(-snr[bright], kind="stable")][: 4 * _MOST]
    _, weights = image.stamps(probability, places[bright])
    core = np.hypot(*(np.indices(weights.shape[1:]) - _HALF)) <= 2.3
    clean = np.all(weights[:, core] == 1, axis=1)
    centres = np.stack(np.divmod(places[bright], probability.shape[1]), 1)
    alone = np.ones(len(bright), bool)
    pairs = _neighbours(centres, 3)
    alone[pairs[pairs[:, 0] > pairs[:, 1], 0]] = False  # the brighter one of two comes first
    chosen = places[bright[clean & alone][:_MOST]]
    return chosen if len(chosen) >= _ENOUGH else None


def _of_interest(probability, places, chosen):
    """Stars with doubtful pixels, those beside them, and those that tell the shape."""
    rows, columns = probability.shape
    near = np.arange(-REACH, REACH + 1)
    y, x = np.divmod(places, columns)
    window = np.clip(y[:, None] + near, 0, rows - 1)[:, :, None] * columns
    window = window + np.clip(x[:, None] + near, 0, columns - 1)[:, None]
    suspect = probability.reshape(-1)[window].max(axis=(1, 2)) > SUSPECT
    pairs = _neighbours(np.stack([y, x], 1))
    wanted = suspect | np.isin(places, chosen)
    beside = np.zeros_like(wanted)
    beside[pairs[wanted[pairs[:, 0]], 1]] = True
    return wanted | beside


def _neighbours(centres, reach=2 * _HALF):
    """Both orders of all pairs whose rows and columns differ by so much at most."""
    pairs = cKDTree(centres).query_pairs(reach + 0.5, p=np.inf, output_type="ndarray")
    pairs = np.concatenate([pairs, pairs[:, ::-1]]).astype(np.int64)
    return pairs[np.lexsort(pairs.T[::-1])]


def _first_guess(stamps, weights, sigma):
    """The Moffat profile that fits best."""
    line = (np.arange(_kernels.PSF_SHAPE[0]) - _kernels.PSF_MIDDLE) / 2
    square = line[:, None] ** 2 + line**2
    best = np.inf
    for width in _WIDTHS:
        guess = (1 + square / (width / 2) ** 2 * (2 ** (1 / 2.5) - 1)) ** -2.5
        guess *= 4 / guess.sum()
        stars = _unfitted(stamps, guess)
        _kernels.fit_stars(guess, stamps, weights, sigma, 0.05, 4, stars)
        chi = np.median(stars["chi"])
        if chi < best:
            best, psf = chi, guess
    return psf


def _unfitted(stamps, psf):
    stars = np.zeros(len(stamps), _kernels.STAR)
    central = _kernels.star_models(psf, np.array([(1, 0, 0, 0)], _kernels.STAR))[0, _HALF, _HALF]
    stars["flux"] = np.maximum(stamps[:, _HALF, _HALF], 1) / central
    return stars


def _corrected(psf, error, stamps, weights, sigma, stars):
    """The point-spread function that suits the stars better, and its relative error."""
    kept = stars["chi"] < max(4.0, np.percentile(stars["chi"], 80))
    stamps, weights, stars = stamps[kept], weights[kept], stars[kept].copy()
    for _ in range(2):
        band, right = _kernels.psf_equations(psf, stamps, weights, sigma, error, stars)
        roughness = _roughness()
        band[: len(roughness)] += _SMOOTH * np.median(band[0][band[0] > 0]) * roughness
        psf = psf + linalg.solveh_banded(band, right, lower=True).reshape(psf.shape)
        _kernels.fit_stars(psf, stamps, weights, sigma, error, 3, stars)
    models = _kernels.star_models(psf, stars)
    core = np.hypot(*(np.indices(models.shape[1:]) - _HALF)) <= 1.8
    sure = core & (weights > 0.9) & (models > 30)
    if np.count_nonzero(sure) > 20:
        relative = np.abs(stamps[sure] / models[sure] - 1)
        expected = (1 + models[sure] / sigma) / models[sure] ** 2
        square = np.median(relative) ** 2 / 0.455 - np.median(expected)
        error = float(np.sqrt(np.clip(square, 0.003**2, 1)))
    return psf, error


@functools.cache
def _roughness():
    """Lower band of the squared Laplacian, which keeps what no star tells smooth."""
    from scipy import sparse

    n = _kernels.PSF_SHAPE[0]
    second = sparse.diags([1.0, -2.0, 1.0], [-1, 0, 1], shape=(n, n))
    laplacian = sparse.kron(second, sparse.eye(n)) + sparse.kron(sparse.eye(n), second)
    square = (laplacian.T @ laplacian + 1e-3 * sparse.eye(n * n)).tocsr()
    band = np.zeros((2 * n + 1, n * n))
    for k in range(2 * n + 1):
        diagonal = square.diagonal(-k)
        band[k, : len(diagonal)] = diagonal
    return band


def star_inputs(field, probability):
    """What is seen of the pixels on stars.

    Parameters
    ----------
    field : StarField
    probability : ndarray

    Returns
    -------
    places : ndarray
        Flat indices, each once: a pixel belongs to the star that gives most to it.
    inputs : ndarray
        float32: residuals in units of their noise, and probabilities, in 5 x 5 pixels; S/N of the
        pixel, what the star gives to it, the most that it gives to a pixel that touches it,
        distance from the star, and chi square of the star.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.identify.sampling import measure_scene
    >>> from crismis.identify.stars import fit_stars_of, star_inputs
    >>> y, x = np.indices((160, 160)) % 20 - 9.6
    >>> stars = 3000 * np.exp(-(x**2 + y**2) / 2.4)
    >>> image = np.random.default_rng(1).poisson(60 + stars).astype("f4")
    >>> scene = measure_scene(image, np.zeros(image.shape, bool), 1.0, 0.0)
    >>> probability = np.zeros(image.shape, "f4")
    >>> probability[9, 10] = 0.1
    >>> places, inputs = star_inputs(fit_stars_of(scene.image, probability), probability)
    >>> len(places) == len(inputs), bool((abs(places // 160 - 9) < 5).all())
    (True, True)
    """
    rows, columns = probability.shape
    near = np.arange(-REACH, REACH + 1)
    y = field.centres[:, 0, None, None] + near[:, None]
    x = field.centres[:, 1, None, None] + near
    inside = (y >= 0) & (y < rows) & (x >= 0) & (x < columns)
    own = np.s_[:, _HALF - REACH : _HALF + REACH + 1, _HALF - REACH : _HALF + REACH + 1]
    flat = np.where(inside, y * columns + x, 0)
    judged = probability.reshape(-1)[flat]
    wanted = inside & (judged > LEAST) & (field.models[own] > 3)
    wanted &= np.any(wanted & (judged > SUSPECT), axis=(1, 2))[:, None, None]
    star, dy, dx = np.nonzero(wanted)
    places = flat[star, dy, dx]
    given = field.models[own][star, dy, dx]
    order = np.lexsort((star, -given, places))
    order = order[np.unique(places[order], return_index=True)[1]]
    star, dy, dx, places = star[order], dy[order], dx[order], places[order]
    pixels = np.stack(
        [star, dy + _HALF - REACH, dx + _HALF - REACH, places // columns, places % columns], 1
    )
    inputs = _kernels.star_inputs(
        field.stamps,
        field.models,
        field.stars,
        field.sigma_electrons,
        field.error,
        probability,
        pixels.astype(np.int64),
    )
    return places, inputs


def judge_stars(image, trees, probability, n_threads=1):
    """Judge the pixels on stars anew, in place, knowing what the stars alone would give.

    Parameters
    ----------
    image : ``crismis.identify._kernels.Image``
    trees : ``crismis.identify._kernels.Trees``
        They judge what `star_inputs` returns.
    probability : ndarray
        float32, of the judgements before.
    n_threads : int

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.identify.judge import load_judge
    >>> from crismis.identify.sampling import measure_scene
    >>> from crismis.identify.stars import judge_stars
    >>> image = np.random.default_rng(1).normal(100, 10, (64, 64)).astype("f4")
    >>> scene = measure_scene(image, np.zeros(image.shape, bool), 1.0, 5.0)
    >>> probability = np.zeros(image.shape, "f4")
    >>> judge_stars(scene.image, load_judge("space").star_trees, probability)
    >>> bool(probability.any())  # there are no stars
    False
    """
    field = fit_stars_of(image, probability, n_threads)
    if field is None:
        return
    places, inputs = star_inputs(field, probability)
    groups = [np.s_[k : k + _ROWS] for k in range(0, len(places), _ROWS)]
    logits = run_tasks(lambda group: trees.logits(inputs[group]), groups, n_threads)
    for group, value in zip(groups, logits, strict=True):
        probability.reshape(-1)[places[group]] = expit(value)
