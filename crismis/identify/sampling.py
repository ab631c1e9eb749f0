# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""What an image says of itself before any pixel is judged: level, noise, sharpness of stars."""

import functools
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from . import _kernels
from .noise import estimate_noise, measure_boxes
from .threads import run_tasks

__all__ = ["CONDITIONS", "Parts", "Scene", "measure_scene"]

TILE = 256
SAMPLED_TILES = 64
_LEAST_STEPS = 100  # between boxes; smaller images are not told from spectra and the like
_LEAST_AREA = 128 * 128  # fewer pixels do not tell how crowded a detector is
_LEAST_EDGE = 32  # good pixels that tell whether an outermost line is brighter
_NORMAL_TENTH = 1.2816  # sigmas that a tenth of a normal distribution lies below its middle
_NORMAL_SPREAD = 1.2  # sigmas, twice those between a tenth and a quarter of a normal distribution
_DEEPEST = -2.5, -2.0  # a tenth and a quarter of a box below such S/N are no noise
_QUARTER = 28  # percent; a stop before 8 of 32 lines leaves noise at a quarter itself
ROUGH = 5.0  # times the noise that the pixels of a box scatter whose numbers say nothing of others
_STEP = 0.5  # times the noise that the level of a box differs from its neighbour's in a structured
_STEPS = 0.4  # image, and the share of neighbours that do
_NO_CHANCE = 2.5  # standard deviations of a correlation that is none
_SKEW = 0.2  # of the pixels of a box between their tenths; more only among crowded stars
LEAST_BOXES = 16  # as many as make up the least area
_SAMPLED_BOXES = 2048
_EDGES = np.array([0.85, 1.0, 1.15, 1.3, 1.5, 1.75, 2.0, 2.4, 3.0, 4.0, 6.0])
CONDITIONS = 12 + 3 * (len(_EDGES) + 1)


@dataclass
class Scene:
    """An image made ready for the kernels.

    Parameters
    ----------
    image : ``crismis.identify._kernels.Image``
    conditions : ndarray
        The image-wide inputs of the judge, float32, shape ``(CONDITIONS,)``.
    sharpness : ndarray
        ``(n, 4)`` of the bright maxima: horizontal and vertical sharpness, S/N, ring.
    sigma : float
        Typical background noise in the image's unit.
    sigma_electrons : float
        The same in electrons, as far as the gain is known.
    spectral : bool
        Whether rows, or columns, share their brightness as in a long-slit spectrum.
    structured : bool
        Whether the level differs all over the image, as on the ground of a planet, and by other
        than crowded stars.
    parts : Parts, optional
        The rough and the other parts, where the image has both.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.identify.sampling import measure_scene
    >>> image = np.random.default_rng(1).normal(100, 10, (64, 64)).astype("f4")
    >>> scene = measure_scene(image, np.zeros(image.shape, bool), 1.0, 5.0)
    >>> scene.spectral, bool(8 < scene.sigma < 14)
    (False, True)
    """

    image: object
    conditions: np.ndarray
    sharpness: np.ndarray
    sigma: float
    sigma_electrons: float
    spectral: bool = False
    structured: bool = False
    parts: "Parts | None" = None


@dataclass(frozen=True)
class Parts:
    """Rough and quiet parts of an image, of which each says nothing of the other.

    Rough is where pixels scatter by far more than their noise, such as terrain, or the amplified
    noise of shaded borders; and what touches it.

    Parameters
    ----------
    rough : ndarray of bool
        Which boxes of the mesh.
    shape : tuple of int
        Of the image.
    quiet_conditions, rough_conditions : ndarray
        The inputs of the judge as the image-wide ones, but measured in one of the parts.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.identify.sampling import measure_scene
    >>> noise = np.where(np.arange(256) < 128, 100, 10)
    >>> image = np.random.default_rng(1).normal(100, noise, (256, 256)).astype("f4")
    >>> parts = measure_scene(image, np.zeros(image.shape, bool), 1.0, 5.0).parts
    >>> print(parts.pixels(0, 0, 1, 256).mean())
    0.625
    """

    rough: np.ndarray
    shape: tuple
    quiet_conditions: np.ndarray
    rough_conditions: np.ndarray

    def pixels(self, row, column, rows, columns):
        """Which pixels of a tile are rough, shape ``(rows, columns)``."""
        return self.at(
            np.arange(row, row + rows)[:, None], np.arange(column, column + columns)[None]
        )

    def at(self, row, column):
        """Which of some pixels are rough, for index arrays that broadcast."""
        boxes = (
            np.searchsorted(_edges(n, m), pixel, side="right") - 1
            for n, m, pixel in zip(self.shape, self.rough.shape, (row, column), strict=True)
        )
        return self.rough[tuple(boxes)]


def _edges(size, boxes):
    """Where the boxes of a mesh begin along an axis, and where the last one ends."""
    return np.arange(boxes + 1) * size // boxes


def _windows(shape, chosen):
    """``(row, column, rows, columns)`` of the chosen boxes of a mesh over an image."""
    y, x = (_edges(n, m).tolist() for n, m in zip(shape, chosen.shape, strict=True))
    return [(y[i], x[j], y[i + 1] - y[i], x[j + 1] - x[j]) for i, j in np.argwhere(chosen)]


def _some(windows, most):
    """At most so many of the windows, evenly spread."""
    n = len(windows)
    return windows if n <= most else [windows[i * n // most] for i in range(most)]


def tiles(shape, rows=TILE, columns=None):
    """Split an image into tiles: ``(row, column, rows, columns)`` of each; square by default."""
    columns = columns or rows
    return [
        (r, c, min(rows, shape[0] - r), min(columns, shape[1] - c))
        for r in range(0, shape[0], rows)
        for c in range(0, shape[1], columns)
    ]


def measure_scene(
    electrons,
    bad,
    gain,
    readnoise,
    *,
    background=None,
    variance=None,
    saturation=np.inf,
    psf_fwhm=None,
    rough=ROUGH,
    least_boxes=LEAST_BOXES,
    n_threads=1,
):
    """Measure background, noise and sampling of an image.

    Parameters
    ----------
    electrons : ndarray
        Image, float32, C-contiguous; in data units where the gain is unknown.
    bad : ndarray
        Pixels to leave out, bool.
    gain, readnoise : float
        Read noise in electrons; either may be NaN, then the noise is estimated.
    background, variance : ndarray, optional
        Known planes, in the unit of the image and its square.
    saturation : float
        Level from which a maximum says nothing of sampling, and a star nothing of their shape.
    psf_fwhm : float, optional
        Width of stars in pixels, which then counts for more than what the image shows.
    rough : float, optional
        From how many times the noise on the scatter of pixels makes a part of the image a rough
        one. With `None` all parts count for alike, as in small training fields: the background
        does not follow dark parts such as shadows, and no part has numbers of its own.
    least_boxes : int
        Of 32 x 32 pixels, that must be rough, and that must not, for the image to have parts.
    n_threads : int

    Returns
    -------
    Scene

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.identify.sampling import CONDITIONS, measure_scene
    >>> image = np.random.default_rng(1).normal(100, 10, (64, 64)).astype("f4")
    >>> scene = measure_scene(image, np.zeros(image.shape, bool), 1.0, 5.0)
    >>> scene.conditions.shape == (CONDITIONS,)
    True
    """
    level, noise, core = measure_boxes(electrons, bad, n_threads)
    known = np.isfinite(gain) and np.isfinite(readnoise)
    if known:
        model_variance = readnoise**2 + np.maximum(level, 0)
        per_electron = 1.0
    else:
        model = estimate_noise(electrons, boxes=(level, noise, core))
        model_variance = model.sigma(level) ** 2
        per_electron = gain if np.isfinite(gain) else model.gain
    if variance is not None:
        planes = measure_boxes(np.ascontiguousarray(variance, dtype=np.float32), bad, n_threads)
        model_variance = np.where(planes[0] > 0, planes[0], model_variance)
    if known:
        model_variance = _seen_variance(core**2, model_variance, readnoise**2 + gain**2 / 12)
    sigma = _whole(np.sqrt(np.maximum(model_variance, 1e-12)))
    typical = float(np.median(sigma))
    sigma_electrons = typical * per_electron if np.isfinite(per_electron) else 8.0
    sigma_electrons = max(sigma_electrons, 0.05)
    if background is None:
        electrons = _level_edges(electrons, bad, typical)
        mesh = np.ascontiguousarray(_smooth(_whole(level)), dtype=np.float32)
    else:
        mesh = np.ascontiguousarray(background, dtype=np.float32)
    inverse = 1 / ndimage.median_filter(sigma, 3, mode="nearest")
    inverse = np.ascontiguousarray(inverse, dtype=np.float32)

    def image_above(mesh, inverse):
        known = background is not None
        masked = bad.view(np.uint8)
        told = sigma_electrons, saturation, known
        return _kernels.Image(electrons, masked, mesh, inverse, *told)

    numbers = functools.partial(
        _numbers,
        sigma_electrons=sigma_electrons,
        psf_fwhm=psf_fwhm,
        n_threads=n_threads,
    )
    image, ratios = image_above(mesh, inverse), [n / np.sqrt(model_variance) for n in (core, noise)]
    windows = _some(tiles(electrons.shape), SAMPLED_TILES)
    sharpness, conditions = numbers(image, windows, ratios)
    structured = _structured(level, sigma) and not _starlit(image, level.shape, n_threads)
    kinds = _spectral(level, core), structured
    scene = Scene(image, conditions, sharpness, typical, sigma_electrons, *kinds)
    if rough is None:
        return scene
    if background is None:
        shadowed = _shadowed(image, mesh.shape, n_threads)
        if shadowed.any():
            finer = _doubled(mesh), _doubled(inverse)
            darker = _follow_darkness(image_above, *finer, shadowed, n_threads)
            scene.image = image_above(darker, finer[1])
    scene.parts = _tell_parts(scene.image, ratios, numbers, rough, least_boxes)
    return scene


def _seen_variance(seen, model, least):
    """Variance of the boxes where what is seen disagrees with the level all over the image."""
    typical = _percentile(model, 50)
    if (excess := _percentile(seen - model, 10)) > 0.5 * typical:
        return model + excess  # the sky was subtracted, but not its noise
    coarse = _percentile(seen, 10) <= 0  # numbers hide the noise of many boxes
    quieter = typical > 2 * least and _percentile(seen - model, 90) < -0.5 * typical
    if quieter and not coarse:
        return np.maximum(model + _percentile(seen - model, 50), least)  # a bias level was left in
    return model


def _numbers(image, windows, ratios, *, sigma_electrons, psf_fwhm, n_threads):
    """Sharpness of the bright maxima, and all inputs of the judge, as some windows show them."""
    found = run_tasks(
        lambda window: image.maxima(*window, 25.0, window[2] * window[3] // 4 + 1),
        windows,
        n_threads,
    )
    sharpness = np.concatenate([f[0] for f in found])
    area = max(sum(w[2] * w[3] for w in windows), _LEAST_AREA)
    crowding = sum(f[1] for f in found) / area
    ratios = [_percentile(r, 40) for r in ratios]
    return sharpness, describe(sharpness, crowding, sigma_electrons, ratios, psf_fwhm)


def _tell_parts(image, ratios, numbers, limit, least):
    """Find the rough parts and measure both kinds; None where either is too small for that."""
    rough = np.isfinite(ratios[1]) & (ratios[1] > limit)
    if np.count_nonzero(rough) < least:
        return None
    rough = ndimage.binary_dilation(rough, np.ones((3, 3)))
    if np.count_nonzero(~rough) < least:
        return None
    conditions = [
        numbers(
            image, _some(_windows(image.shape, part), _SAMPLED_BOXES), [r[part] for r in ratios]
        )
        for part in (~rough, rough)
    ]
    return Parts(rough, image.shape, *(c[1] for c in conditions))


def _level_edges(electrons, bad, sigma):
    """Lower outermost lines that are brighter than the next ones all along, as in many cameras."""
    levelled = electrons
    for turn in range(4):
        lines, bad_lines = np.rot90(electrons, turn)[:3], np.rot90(bad, turn)[:3]
        if len(lines) < 3 or np.count_nonzero(good := ~bad_lines.any(axis=0)) < _LEAST_EDGE:
            continue
        bend = lines[0] - 2 * lines[1] + lines[2]
        excess = lines[0] - lines[1]
        if np.median(bend[good]) > 2 * sigma and np.median(excess[good]) > 2 * sigma:
            if levelled is electrons:
                levelled = electrons.copy()
            excess[~good] = np.median(excess[good])
            np.rot90(levelled, turn)[0] -= ndimage.median_filter(excess, 17, mode="nearest")
    return levelled


def _shadowed(image, mesh, n_threads):
    """In which boxes much lies below the level, and not all equally deep as beside a stop."""
    tenth = _depth(image, mesh, 8, 10, n_threads)
    if not (tenth < _DEEPEST[0]).any():
        return np.zeros(mesh, bool)
    quarter = _depth(image, mesh, 8, _QUARTER, n_threads)
    deep = (tenth < _DEEPEST[0]) & (quarter < _DEEPEST[1])
    return deep & (quarter - tenth > _NORMAL_SPREAD)


def _depth(image, mesh, skip, share, n_threads):
    """S/N below which a share (percent) of each box lies, as one of ``skip`` pixels shows."""
    depth = np.empty(mesh, dtype=np.float32)
    run_tasks(lambda row: image.depths(depth, row, row + 1, skip, share), range(mesh[0]), n_threads)
    return depth


def _doubled(mesh):
    """Twice as many boxes along either axis."""
    return ndimage.zoom(mesh, 2, order=1, mode="nearest", grid_mode=True)


def _follow_darkness(image_above, mesh, inverse_sigma, shadowed, n_threads):
    """Let the background follow the dark parts of a structured scene, such as shadows.

    There hits, too, would be below the background, and so out of the screen's sight. A tenth of
    a box lies below two levels, one that slopes as the background does and a flat one; the
    higher one counts, for beside a limb the slope of the background is not that of the scene.
    """
    flat = np.zeros_like(mesh), np.ones_like(mesh)
    tenths = [
        level + _depth(image_above(level, scale), mesh.shape, 1, 10, n_threads) / scale
        for level, scale in ((mesh, inverse_sigma), flat)
    ]
    dark = np.fmax(*tenths) + _NORMAL_TENTH / inverse_sigma
    lowered = np.kron(shadowed, np.ones((2, 2), bool)) & np.isfinite(dark)
    return np.where(lowered, dark, mesh)


def describe(sharpness, crowding, sigma_electrons, noise_ratios, psf_fwhm=None):
    """Turn image-wide measurements into the judge's inputs.

    Parameters
    ----------
    sharpness : ndarray
        Of the bright maxima, as `Scene.sharpness`.
    crowding : ndarray
        Fractions of pixels above 3, 10 and 100 sigma, and of pixels that stand alone, by S/N.
    sigma_electrons : float
        Background noise in electrons.
    noise_ratios : sequence of float
        Measured core and whole noise in units of the model's.
    psf_fwhm : float, optional
        As for `measure_scene`.

    Returns
    -------
    ndarray
    """
    horizontal, vertical = np.maximum(sharpness[:, 0], 1e-3), np.maximum(sharpness[:, 1], 1e-3)
    width = 2.355 / np.sqrt(np.maximum(horizontal, vertical))
    bins = np.searchsorted(_EDGES, width)
    even = abs(horizontal - vertical) < 0.3 * (horizontal + vertical)
    winged = even & (sharpness[:, 3] > 0.02)  # stars have wings, hits hardly
    above, alone = np.split(np.asarray(crowding), [3])
    parts = [
        [np.log(sigma_electrons) / 3],
        np.log10(above + 1e-4) / 2,
        np.log10(alone + 1e-5) / 2,
        np.clip(np.log(np.maximum(noise_ratios, 0.05)), -1.5, 1.5),
        [np.log10(1 + len(sharpness)) / 2],
    ]
    known = np.empty(0, dtype=bins.dtype)
    if psf_fwhm is not None:
        known = np.repeat(np.searchsorted(_EDGES, psf_fwhm), 10 + 2 * len(bins))
    for chosen in (np.append(bins[even], known), np.append(bins[winged], known), bins):
        share = np.bincount(chosen, minlength=len(_EDGES) + 1) / (len(chosen) + 4)
        parts.append(np.sqrt(share) * 2)
    return np.concatenate(parts).astype(np.float32)


def _spectral(level, noise):
    """Whether many rows, or columns, differ from those beside them, and do so all along."""
    lit = noise > 0
    inside = [np.flatnonzero(np.mean(lit, axis=axis) > 0.1) for axis in (1, 0)]
    if not all(lines.size for lines in inside):
        return False
    part = tuple(slice(lines[0], lines[-1] + 1) for lines in inside)  # the rest was not read out
    # Borders (overscan, vignetting) share their brightness in any image.
    level = _whole(np.asarray(level, dtype=float))[part][3:-3, 3:-3]
    noise = noise[noise > 0]
    if not noise.size or min(level.shape) < 6:
        return False
    noise = np.median(noise)
    for along in (level, level.T):
        parts = [np.median(part, axis=1) for part in np.array_split(along, 4, axis=1)]
        # Clipped, for one bright row, as of a smear, makes no spectrum.
        bends = np.clip(np.diff(parts, 2, axis=1), -3 * noise, 3 * noise)
        structured = np.percentile(abs(np.mean(bends, axis=0)), 75) > 0.3 * noise
        if structured and _agree(bends):
            return True
    return False


def _structured(level, sigma):
    """Whether many boxes differ in level from their neighbours, and by other than a gradient."""
    steps = []
    for axis in (0, 1):
        step, noise = np.diff(level, axis=axis), np.delete(sigma, 0, axis=axis)
        known = np.isfinite(step)
        if known.any():
            steps.append(abs(step - np.median(step[known]))[known] > _STEP * noise[known])
    steps = np.concatenate(steps) if steps else np.empty(0)
    return steps.size >= _LEAST_STEPS and bool(steps.mean() > _STEPS)


def _starlit(image, mesh, n_threads):
    """Whether most boxes have some bright pixels among many dark ones, as in a cluster of stars."""
    low, middle, high = (_depth(image, mesh, 8, share, n_threads) for share in (10, 50, 90))
    lit = high > low
    skew = (high + low - 2 * middle)[lit] / (high - low)[lit]
    return skew.size > 0 and bool(np.median(skew) > _SKEW)


def _agree(rows):
    """Whether rows are correlated by more than chance would have it in so few points.

    The inverse hyperbolic tangent of a correlation between ``n`` points without any has a standard
    deviation of ``(n - 3) ** -0.5`` (Fisher 1921).
    """
    rows = rows[np.ptp(rows, axis=1) > 0]
    if len(rows) < 2 or rows.shape[1] < 4:
        return False
    typical = np.median(np.corrcoef(rows)[np.triu_indices(len(rows), 1)])
    return bool(typical > max(0.5, np.tanh(_NO_CHANCE / np.sqrt(rows.shape[1] - 3))))


def _percentile(values, q):
    values = values[np.isfinite(values)]
    return float(np.percentile(values, q)) if values.size else 1.0


def _whole(mesh):
    """Fill boxes without good pixels by their nearest neighbour."""
    missing = ~np.isfinite(mesh)
    if missing.all():
        return np.ones_like(mesh)
    if missing.any():
        nearest = ndimage.distance_transform_edt(
            missing, return_distances=False, return_indices=True
        )
        mesh = mesh[tuple(nearest)]
    return mesh


def _smooth(mesh):
    """Keep sources of the size of a box out of the background."""
    return ndimage.median_filter(mesh, 3, mode="nearest") if min(mesh.shape) >= 3 else mesh
