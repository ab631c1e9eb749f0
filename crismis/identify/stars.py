# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Measure an image's own point-spread function, and judge anew what lies on its stars."""

import functools
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree
from scipy.special import expit

from ..bands import bands
from . import _kernels
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
_AWAY = np.hypot(*(np.indices((2 * _HALF + 1, 2 * _HALF + 1)) - _HALF))
_CORE = _AWAY <= 1.8
_BRIGHT = 15.0  # S/N of the peaks that tell the point-spread function
_ENOUGH, _SOME, _MOST = 8, 24, 100  # of these
_SEEN = 400, 1600, 6400  # so many of the brightest peaks are looked at for that
_TRUST = 0.6
_WIDTHS = (1.2, 1.6, 2.0, 2.5, 3.2, 4.2, 5.5)
_SMOOTH = 1e-3
_UNTOLD = 0.03  # error of the point-spread function where nothing tells it,
_LARGEST_ERROR = 0.02, 0.05  # and the largest one to trust of few, and of some stars
_LARGEST_CHI = 2.5
_OUTLYING, _ALLOWED = 4.0, 0.08  # times the squared misfit of most, and a misfit of any
_ALIKE, _SEVERAL = (0.94, 0.89), 4  # so many peaks as high as the highest are clipped there
_DARK = 0.25  # light around a star that tells, at most, in units of its peak
_BAND = 512  # rows whose stars are fitted at once, so that memory does not grow with the image
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
    whole : ndarray
        The same, fitted to all pixels as if none of them could be a hit.
    stamps, weights : ndarray
        S/N around each centre without the other stars, and how far each pixel can be trusted to
        hold no hit, below 0 where there is none.
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
    whole: np.ndarray
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
    shape = _common_shape(image, probability, n_threads)
    return shape and _fit_band(image, probability, shape, 0, len(probability))


@dataclass
class _Shape:
    """The point-spread function, its error, and all peaks with those that told it."""

    psf: np.ndarray
    error: float
    places: np.ndarray
    telling: np.ndarray


def _common_shape(image, probability, n_threads):
    """The shape that the peaks of an image have in common, if they have one."""
    found = run_tasks(
        lambda band: image.peaks(probability, LEAST_PEAK, *band),
        bands(len(probability), _BAND),
        n_threads,
    )
    places, snr = (np.concatenate(part) for part in zip(*found, strict=True))
    chosen = _tell_tale(image, probability, places, snr)
    if chosen is None:
        return None
    telling = np.isin(places, chosen)
    near = _with_neighbours(places, telling, probability.shape[1])
    shape = _Group(image, probability, places[near]).common_shape(telling[near])
    return shape and _Shape(*shape, places, telling)


def _fit_band(image, probability, shape, first, last):
    """Fit the stars of some rows that have doubtful pixels, and those beside them."""
    columns = probability.shape[1]
    beyond = 4 * _HALF  # neighbours of neighbours
    part = np.searchsorted(shape.places, np.array([first - beyond, last + beyond]) * columns)
    places, telling = shape.places[slice(*part)], shape.telling[slice(*part)]
    wanted = telling | _suspect(probability, places)
    group = _Group(image, probability, places[_with_neighbours(places, wanted, columns)])
    group.begin(shape.psf)
    for steps in (5, 2, 2):
        group.fit(shape.psf, shape.error, steps)
        group.subtract_neighbours(shape.psf)
    return StarField(
        shape.psf,
        shape.error,
        group.centres,
        group.stars,
        group.fit_whole(shape.psf, shape.error),
        group.cleaned,
        group.weights,
        group.models,
        image.sigma_electrons,
    )


class _Group:
    """Stars that are fitted together: each without what its neighbours give."""

    def __init__(self, image, probability, places):
        self.centres = np.stack(np.divmod(places, probability.shape[1]), 1)
        self.stamps, self.weights = image.stamps(probability, places)
        self.cleaned = self.stamps
        self.sigma = image.sigma_electrons
        self.pairs = _neighbours(self.centres)

    def begin(self, psf):
        self.stars = _unfitted(self.stamps, psf)

    def fit(self, psf, error, steps):
        _kernels.fit_stars(psf, self.cleaned, self.weights, self.sigma, error, steps, self.stars)

    def fit_whole(self, psf, error):
        """The same for all pixels: what is a star is still one when nothing in it is doubted."""
        stars, weights = self.stars.copy(), (self.weights >= 0).astype(np.float32)
        _kernels.fit_stars(psf, self.cleaned, weights, self.sigma, error, 3, stars)
        return stars

    def subtract_neighbours(self, psf):
        self.models = _kernels.star_models(psf, self.stars)
        self.cleaned = self.stamps.copy()
        _kernels.subtract_neighbours(self.cleaned, self.models, self.centres, self.pairs)

    def common_shape(self, clear):
        """The point-spread function that the clear ones tell, and its error, if they have one."""
        told = np.flatnonzero(clear)
        psf, error = _first_guess(self.stamps[told], self.weights[told], self.sigma), _UNTOLD
        self.begin(psf)
        # In the end one half tells it and the other how wrong it is: few stars fit their own noise.
        for last in (False, False, True):
            telling, asked = (told[::2], told[1::2]) if last else (told, told)
            self.fit(psf, error, 5)
            psf = self._corrected(psf, error, telling)
            self.fit(psf, error, 2)
            self.subtract_neighbours(psf)
            error = self._error(asked)
            told = told if last else told[self._alike(told)]
        psf = self._corrected(psf, error, told)
        self.fit(psf, error, 2)
        alike = np.median(self.stars["chi"][told]) <= _LARGEST_CHI
        right = error <= _LARGEST_ERROR[len(told) >= _SOME]
        return (psf, error) if alike and right else None

    def _alike(self, told):
        """Which of these stars are no worse off than most, as saturated ones and blends are."""
        models, weights = self.models[told][:, _CORE], np.maximum(self.weights[told][:, _CORE], 0)
        rest = (self.cleaned[told][:, _CORE] - models) ** 2 - 1 - np.maximum(models, 0) / self.sigma
        misfit = (weights * rest).sum(axis=1) / (weights * models**2).sum(axis=1)
        return misfit <= max(_OUTLYING * np.median(misfit), _ALLOWED**2)

    def _corrected(self, psf, error, told):
        """The point-spread function that suits these stars better."""
        chi = self.stars["chi"][told]
        told = told[chi < max(4.0, np.percentile(chi, 80))]
        seen = self.cleaned[told], self.weights[told], self.sigma, error, self.stars[told]
        return _kernels.corrected_psf(psf, *seen, _roughness(), _SMOOTH)

    def _error(self, asked):
        """Relative error of the point-spread function in the cores of these stars."""
        models, stamps = self.models[asked], self.cleaned[asked]
        sure = np.flatnonzero(_CORE & (self.weights[asked] > 0.9) & (models > 30))
        if len(sure) <= 20:
            return _UNTOLD
        # Noise matters least in the brightest pixels, which therefore tell most.
        sure = sure[np.argsort(-models.flat[sure], kind="stable")][: max(20, len(sure) // 4)]
        model = models.flat[sure]
        relative = np.abs(stamps.flat[sure] / model - 1)
        expected = (1 + model / self.sigma) / model**2
        square = np.median(relative) ** 2 / 0.455 - np.median(expected)
        return float(np.sqrt(np.clip(square, 0.003**2, 1)))


def _tell_tale(image, probability, places, snr):
    """Bright peaks that stand alone, free of hits; where many saturated ones lead, those below."""
    bright = np.flatnonzero(snr > _BRIGHT)
    bright = bright[np.argsort(-snr[bright], kind="stable")]
    for seen in _SEEN:
        best = _alone(image, probability, places[bright[:seen]], snr[bright[:seen]])
        if len(best) == _MOST or seen >= len(bright):
            break
    return places[bright[best]] if len(best) >= _ENOUGH else None


def _alone(image, probability, places, snr):
    """Which of the brightest peaks have no hits and no brighter neighbours.

    Where these are few, some that hits touch help, so that hits hardly decide whether there is a
    point-spread function.
    """
    stamps, weights = image.stamps(probability, places)
    trust = weights[:, _AWAY <= 2.3].mean(axis=1)
    whole = (weights[:, _AWAY <= 4.5] >= 0).all(axis=1)
    dark = np.median(stamps[:, _AWAY >= 5], axis=1) < _DARK * stamps[:, _HALF, _HALF]
    centres = np.stack(np.divmod(places, probability.shape[1]), 1)
    alone = whole & dark
    pairs = _neighbours(centres, 3)
    alone[pairs[pairs[:, 0] > pairs[:, 1], 0]] = False  # the brighter one of two comes first
    free = alone & ~_piled(snr)
    if np.count_nonzero(free & (trust > _TRUST)) >= _ENOUGH:
        alone = free
    best = np.flatnonzero(alone & (trust == 1))[:_MOST]
    if len(best) < _SOME:
        touched = np.flatnonzero(alone & (trust > _TRUST) & (trust < 1))
        best = np.concatenate([best, touched[: _SOME - len(best)]])
    return best


def _piled(peaks):
    """Which peaks are as high as several of the highest ones, and so are likely to be clipped."""
    top = peaks.max(initial=0)
    several = np.count_nonzero(peaks > _ALIKE[0] * top) >= _SEVERAL
    return several & (peaks > _ALIKE[1] * top)


def _suspect(probability, places):
    """Stars with doubtful pixels."""
    rows, columns = probability.shape
    near = np.arange(-REACH, REACH + 1)
    y, x = np.divmod(places, columns)
    window = np.clip(y[:, None] + near, 0, rows - 1)[:, :, None] * columns
    window = window + np.clip(x[:, None] + near, 0, columns - 1)[:, None]
    return probability.reshape(-1)[window].max(axis=(1, 2)) > SUSPECT


def _with_neighbours(places, wanted, columns):
    """Which stars are wanted, or beside one that is."""
    if not wanted.any():
        return wanted
    centres = np.stack(np.divmod(places, columns), 1)
    reach = 2 * _HALF + 0.5
    near, _ = cKDTree(centres[wanted]).query(centres, p=np.inf, distance_upper_bound=reach)
    return np.isfinite(near)


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


@functools.cache
def _roughness():
    """Lower band of the squared Laplacian, which keeps what no star tells smooth."""
    from scipy import sparse

    n = _kernels.PSF_SHAPE[0]
    second = sparse.diags([1.0, -2.0, 1.0], [-1, 0, 1], shape=(n, n))
    laplacian = sparse.kron(second, sparse.eye(n)) + sparse.kron(sparse.eye(n), second)
    square = (laplacian.T @ laplacian + 1e-3 * sparse.eye(n * n)).tocsr()
    band = np.zeros((n * n, 2 * n + 1))
    for k in range(2 * n + 1):
        diagonal = square.diagonal(-k)
        band[: len(diagonal), k] = diagonal
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
        distance from the star, chi square and peak of the star; share of a star that falls on its
        central pixel, error of the point-spread function, and noise of the sky in electrons; and
        if no pixel is doubted, residual of this one, chi square, and by how much the flux changes.

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
    places, pixels = _pixels_on_stars(field, probability, 0, len(probability))
    return places, _seen(field, probability, pixels)


def _pixels_on_stars(field, probability, first, last):
    """Which pixels of some rows are judged anew: flat indices; star, place in stamp and image."""
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
    wanted &= (y >= first) & (y < last)
    star, dy, dx = np.nonzero(wanted)
    places = flat[star, dy, dx]
    order = np.lexsort((star, -field.models[own][star, dy, dx], places))
    order = order[np.unique(places[order], return_index=True)[1]]
    star, dy, dx, places = star[order], dy[order], dx[order], places[order]
    place = (dy + _HALF - REACH, dx + _HALF - REACH, *np.divmod(places, columns))
    return places, np.stack([star, *place], 1).astype(np.int64)


def _seen(field, probability, pixels):
    return _kernels.star_inputs(
        field.psf,
        field.stamps,
        field.models,
        field.stars,
        field.whole,
        field.sigma_electrons,
        field.error,
        probability,
        pixels,
    )


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

    Returns
    -------
    ndarray
        Flat indices of these pixels, in ascending order.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.identify.judge import load_judge
    >>> from crismis.identify.sampling import measure_scene
    >>> from crismis.identify.stars import judge_stars
    >>> image = np.random.default_rng(1).normal(100, 10, (64, 64)).astype("f4")
    >>> scene = measure_scene(image, np.zeros(image.shape, bool), 1.0, 5.0)
    >>> probability = np.zeros(image.shape, "f4")
    >>> len(judge_stars(scene.image, load_judge("space").star_trees, probability))  # no stars
    0
    """
    shape = _common_shape(image, probability, n_threads)
    if shape is None:
        return np.empty(0, dtype=np.int64)

    def judged(band):
        field = _fit_band(image, probability, shape, *band)
        places, pixels = _pixels_on_stars(field, probability, *band)
        groups = np.split(pixels, range(_ROWS, len(pixels), _ROWS))
        logits = [trees.logits(_seen(field, probability, group)) for group in groups]
        return places, expit(np.concatenate(logits))

    # No band may see what another one has changed.
    found = run_tasks(judged, bands(len(probability), _BAND), n_threads)
    places, value = (np.concatenate(part) for part in zip(*found, strict=True))
    probability.reshape(-1)[places] = value
    return places
