# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Training fields: a scene, a detector and hits with the truth of every pixel."""

from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

from .particles import random_deposit
from .scenes import add_stamp, random_scene

__all__ = ["Field", "random_field"]

_DIGITIZED = {
    "planet": (0.6, 0.4),
    "terrain": (0.7, 0.4),
    "corona": (0.6, 0.4),
    "binned": (0.6, 0.2),
}
"""Shares of fields in data numbers of an unknown gain, and of lossily compressed ones of these."""

_FLATTENED = 0.4
"""Share of fields that a flat field of some noise has been divided by."""

_ROUGH = 2.0, 6.0
"""Times the noise that the scatter of rough parts exceeds."""

_STOPPED = 0.12
"""Share of fields of which a stop, an occulter or the end of the exposed area darkens a part."""


@dataclass
class Field:
    """One labelled exposure.

    Parameters
    ----------
    electrons : ndarray
        The image, float32, in electrons where the gain is known.
    labels : ndarray
        uint8: 0 clean, 1 hit, 2 undecidable.
    gain, readnoise, saturation : float
        As the judge will be told them; NaN (infinity for the saturation) where unknown.
    kind : str
        What the scene was.
    group : int
        Fields of one exposure or seed belong together when data are split.
    bad : ndarray, optional
        Pixels to leave out.
    rough : float, optional
        From how many times the noise on its parts are rough, if it is measured by parts.

    Examples
    --------
    >>> from crismis.learning.fields import random_field
    >>> field = random_field(1, "dark", shape=(64, 64))
    >>> field.kind, field.labels.shape
    ('dark', (64, 64))
    """

    electrons: np.ndarray
    labels: np.ndarray
    gain: float
    readnoise: float
    saturation: float
    kind: str
    group: int
    bad: np.ndarray | None = None
    rough: float | None = None


def random_field(
    seed,
    kind,
    *,
    shape=(256, 256),
    footprints=(),
    psfs=(),
    backgrounds=(),
    labelled=(),
    widths=None,
    density=(-4.5, -1.7),
    undecidable=(3.0, 3.0),
    beside=False,
    warm=3.0,
    parts=0.0,
    varying=0.0,
):
    """Draw a field; the same seed gives the same field.

    Parameters
    ----------
    seed : int
    kind : str
        A kind of ``random_scene``, ``"real"`` for hits in one of ``backgrounds``, or
        ``"labelled"`` for a part of one of ``labelled``.
    shape : tuple of int
    footprints : sequence of sequence of ndarray
        Real tracks in electrons, by detector.
    psfs : sequence of ndarray
        Real point-spread functions.
    backgrounds : sequence of (ndarray, ndarray, float, float)
        Real images in data units, their undecidable pixels, gain and read noise (electrons).
    labelled : sequence of (ndarray, ndarray, float)
        Real images in electrons with their labels and read noise.
    widths : tuple of float, optional
        Least and largest width of stars (FWHM, pixels).
    density : tuple of float
        Decimal logarithm of the least and largest number of hits per pixel.
    undecidable : tuple of float
        Pixels with less charge of a hit than the first number, in units of the noise, count as
        clean, with more than the second as hit, and between them as neither.
    beside : bool
        Whether clean pixels that touch a hit count as neither, for one exposure cannot tell
        what of a hit they hold.
    warm : float
        Hot and warm pixels with more dark charge than this, in units of the noise, count as
        neither.
    parts : float
        Share of the fields with planets and terrain that are measured by parts.
    varying : float
        Share of the fields across which the shape of stars changes.

    Returns
    -------
    Field

    Examples
    --------
    >>> from crismis.learning.fields import random_field
    >>> first, second = (random_field(7, "galaxies", shape=(64, 64)) for _ in range(2))
    >>> bool((first.electrons == second.electrons).all())
    True
    """
    rng = np.random.default_rng([7411, seed])
    if kind == "labelled":
        return _labelled(rng, seed, labelled, shape)
    area = shape[0] * shape[1]
    # Long spectroscopic exposures of irradiated detectors gather many hits and warm pixels.
    long = kind in ("spectrum", "dark") and rng.uniform() < 0.5
    least, largest = density
    if long:
        least = max(least, min(-3.0, largest))
    count = rng.poisson(10 ** rng.uniform(least, largest) * area)
    deposit = random_deposit(rng, shape, count, footprints)
    if kind == "real":
        return _on_real(rng, seed, deposit, backgrounds, shape, undecidable, beside)
    readnoise = float(np.exp(rng.uniform(np.log(1.5), np.log(15))))
    sharp = widths and float(np.exp(rng.uniform(*np.log(widths))))
    scene = random_scene(rng, shape, kind, psfs, sharp, varying)
    sky = 10 ** rng.uniform(-1.5, 3.3)
    if rng.uniform() < 0.2:
        sky = sky * (1 + rng.uniform(-0.3, 0.3) * np.linspace(-1, 1, shape[1]))
    clean = scene + sky
    lit = _field_stop(rng, shape) if rng.uniform() < _STOPPED else np.ones(shape)
    clean = clean * lit
    if kind not in ("dark", "spectrum") and rng.uniform() < 0.25:
        deposit = _move_onto_sources(rng, deposit, scene, np.sqrt(readnoise**2 + clean))
    well = float(np.exp(rng.uniform(np.log(2e4), np.log(2e5))))
    if rng.uniform() < 0.35:
        well *= 100  # nothing saturates
    if kind == "terrain":  # exposed such that little of it saturates
        well = max(well, rng.uniform(0.95, 2) * np.percentile(clean, 99.9))
    if rng.uniform() < (0.6 if long else 0.3) and deposit.any():
        deposit = _cte_trail(rng, deposit)
    total = clean + deposit
    sigma = np.sqrt(readnoise**2 + clean)
    hot, dark, columns = _defects(rng, shape, sigma, long)
    image = rng.poisson(np.minimum(total + hot + dark, 1e7)).astype(float)
    image = _bleed(image, well) if rng.uniform() < 0.7 else np.minimum(image, well)
    saturated = image >= 0.98 * well
    image += columns + _read_noise(rng, shape, readnoise)
    if rng.uniform() < _FLATTENED:  # which blurs the level at which stars saturate
        image *= rng.normal(1, np.exp(rng.uniform(*np.log([0.002, 0.03]))), shape)
    labels = _labels(deposit, sigma, undecidable, beside)
    if rng.uniform() < 0.3:  # nothing was read out there, or it was overwritten
        image[lit <= 0] = labels[lit <= 0] = 0
    # One frame cannot tell a hot pixel from a hit of one pixel, unless by how many there are.
    labels[(np.maximum(hot, dark) > warm * sigma) & (labels != 1)] = 2
    labels[saturated & (clean > 0.5 * well)] = 0
    labels[saturated & (deposit > 0) & (clean > 0.5 * well)] = 2
    gain, known_noise = 1.0, readnoise
    saturation = 0.95 * well if rng.uniform() < 0.6 else np.inf
    if rng.uniform() < 0.3:
        image -= rng.uniform(0.5, 1.02) * np.median(image)  # sky already subtracted
    digitized, lossy = _DIGITIZED.get(kind, (0.2, 0.2))
    if rng.uniform() < digitized:
        image, scale = _data_numbers(rng, image, well, lossy)
        saturation, gain, known_noise = saturation / scale, np.nan, np.nan
    bad = rng.uniform(size=shape) < 3e-4 if rng.uniform() < 0.3 else np.zeros(shape, bool)
    divided = kind in ("planet", "terrain") and rng.uniform() < parts
    rough = float(np.exp(rng.uniform(*np.log(_ROUGH)))) if divided else None
    image = image.astype(np.float32)
    return Field(image, labels, gain, known_noise, saturation, kind, seed, bad, rough)


def _labelled(rng, seed, frames, shape):
    """Part of a real image with labels; as often as in simulated fields the gain is unknown."""
    image, labels, readnoise = frames[rng.integers(len(frames))]
    image, labels = _part(rng, image, labels, shape)
    scale = np.exp(rng.uniform(np.log(0.5), np.log(8)))
    known = rng.uniform() < 0.8
    gain, readnoise, scale = (1.0, readnoise, 1.0) if known else (np.nan, np.nan, scale)
    return Field(
        (image / scale).astype(np.float32),
        labels.astype(np.uint8),
        gain,
        readnoise,
        np.inf,
        "labelled",
        seed,
        ~np.isfinite(image),
    )


def _part(rng, image, labels, shape):
    """Cut a window of the image and of its labels, and turn both."""
    rows, columns = (min(a, b) for a, b in zip(image.shape, shape, strict=True))
    top = rng.integers(image.shape[0] - rows + 1)
    left = rng.integers(image.shape[1] - columns + 1)
    window = (slice(top, top + rows), slice(left, left + columns))
    return np.ascontiguousarray(_turn(rng, np.stack([image[window].astype(float), labels[window]])))


def _on_real(rng, seed, deposit, backgrounds, shape, limits, beside):
    image, undecidable, gain, readnoise = backgrounds[rng.integers(len(backgrounds))]
    image, undecidable = _part(rng, image, undecidable, shape)
    undecidable = undecidable > 0
    rows, columns = image.shape
    deposit = deposit[:rows, :columns] / gain
    smooth = ndimage.median_filter(image, 5)
    step = np.median(abs(np.diff(image, axis=1))) / 0.954
    base = np.percentile(smooth, 5)
    sigma = np.sqrt(
        max(step, readnoise / gain) ** 2 + np.maximum(smooth - base, 0) / gain + (0.3 / gain) ** 2
    )
    noise = rng.normal(size=image.shape) * np.sqrt(deposit / gain)
    image = image + np.maximum(deposit + noise, 0)
    labels = _labels(deposit, sigma, limits, beside)
    labels[undecidable & (labels != 1)] = 2
    known = rng.uniform() < 0.6
    scale = gain if known else 1.0
    return Field(
        (image * scale).astype(np.float32),
        labels,
        1.0 if known else np.nan,
        readnoise if known else np.nan,
        np.inf,
        "real",
        seed,
        ~np.isfinite(image),
    )


def _labels(deposit, sigma, undecidable, beside):
    """1 for hits, 2 where a hit leaves too little to tell, as in its skirt."""
    low, high = undecidable
    labels = np.zeros(deposit.shape, dtype=np.uint8)
    if beside:
        labels[ndimage.binary_dilation(deposit > high * sigma, np.ones((3, 3)))] = 2
    labels[deposit > low * sigma] = 2
    labels[deposit > high * sigma] = 1
    return labels


def _move_onto_sources(rng, deposit, scene, sigma):
    """Move half of the smaller hits onto or beside sources, where judging is hardest."""
    bright = scene > np.maximum(3 * sigma, np.percentile(scene, 90))
    peaks = np.argwhere(bright & (scene == ndimage.maximum_filter(scene, 3)))
    if not len(peaks):
        return deposit
    labels, _ = ndimage.label(deposit > 0, np.ones((3, 3)))
    moved = np.zeros_like(deposit)
    for i, box in enumerate(ndimage.find_objects(labels), 1):
        size = [s.stop - s.start for s in box]
        if max(size) > 30 or rng.uniform() < 0.5:
            continue
        own = labels[box] == i
        stamp = np.where(own, deposit[box], 0)
        deposit[box][own] = 0
        y, x = peaks[rng.integers(len(peaks))] + rng.normal(0, 2.5, 2).round().astype(int)
        add_stamp(moved, stamp, y - size[0] // 2, x - size[1] // 2)
    return deposit + moved


def _turn(rng, stack):
    stack = np.rot90(stack, int(rng.integers(4)), (1, 2))
    return stack[:, :, ::-1] if rng.uniform() < 0.5 else stack


def _field_stop(rng, shape):
    """How much light each pixel gets: a straight or round edge, sharp or soft, or two of them."""
    y, x = (a - n / 2 for a, n in zip(np.mgrid[: shape[0], : shape[1]], shape, strict=True))
    size = min(shape)
    inside = np.full(shape, np.inf)
    for _ in range(rng.integers(1, 3)):
        if rng.uniform() < 0.5:
            angle = rng.integers(4) * np.pi / 2 + rng.choice(
                [0.0, rng.normal(0, 0.02), rng.normal()]
            )
            distance = x * np.cos(angle) + y * np.sin(angle) + rng.uniform(-0.2, 0.5) * size
        else:
            radius = size * np.exp(rng.uniform(np.log(0.08), np.log(4)))
            away, angle = rng.uniform(0.7, 1.2) * radius, rng.uniform(0, 2 * np.pi)
            if radius < 0.5 * size:
                away = rng.uniform(0, 0.5) * size
            distance = radius - np.hypot(y - away * np.sin(angle), x - away * np.cos(angle))
            if radius < 0.5 * size or rng.uniform() < 0.3:
                distance = -distance  # an occulter
        inside = np.minimum(inside, distance)
    softness = rng.choice([0.1, np.exp(rng.uniform(np.log(0.3), np.log(5)))])
    lit = np.clip(0.5 + inside / (2 * softness), 0, 1)
    return lit + (1 - lit) * rng.choice([0.0, rng.uniform(0, 0.7)])


def _cte_trail(rng, deposit):
    """Charge left behind at readout: a short exponential tail along one axis."""
    lost = np.exp(rng.uniform(np.log(0.003), np.log(0.08)))
    length = rng.uniform(1, 8)
    kernel = np.exp(-np.arange(1, 25) / length)
    kernel = np.concatenate([np.zeros(24), [0], kernel / kernel.sum()])
    if rng.uniform() < 0.5:
        kernel = kernel[::-1]
    axis = int(rng.integers(2))
    tail = ndimage.convolve1d(deposit, kernel, axis=axis, mode="constant")
    return np.maximum(deposit * (1 - lost) + lost * tail, 0)


def _defects(rng, shape, sigma, long):
    """Hot and warm pixels (extra charge) and bad columns (extra level)."""
    hot, dark, columns = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    hot_share, density, warm_share = (0.7, (-4.5, -1.7), 0.8) if long else (0.4, (-5, -3), 0.2)
    if rng.uniform() < hot_share:
        n = rng.poisson(10 ** rng.uniform(*density) * hot.size)
        at = tuple(rng.integers(0, s, n) for s in shape)
        hot[at] = np.median(sigma) * 10 ** rng.uniform(0.3, 3, n)
        if rng.uniform() < 0.3:
            hot = _cte_trail(rng, hot)
    if rng.uniform() < warm_share:  # an irradiated detector: a dark-current pattern
        shape_parameter = np.exp(rng.uniform(np.log(0.05), np.log(2)))
        level = np.median(sigma) * np.exp(rng.uniform(np.log(0.2), np.log(3)))
        dark = level * rng.gamma(shape_parameter, 1 / np.sqrt(shape_parameter), shape)
    if rng.uniform() < 0.12:
        for _ in range(rng.integers(1, 5)):
            j, start = rng.integers(shape[1]), rng.integers(-shape[0] // 2, shape[0])
            columns[max(start, 0) :, j] += np.median(sigma) * rng.normal(0, 8)
    return hot, dark, columns


def _read_noise(rng, shape, readnoise):
    noise = rng.normal(0, readnoise, shape)
    if rng.uniform() < 0.1:
        noise += rng.normal(0, rng.uniform(0.1, 0.8) * readnoise, (shape[0], 1))
    if rng.uniform() < 0.05:  # correlated, as after resampling
        kernel = rng.uniform(0.1, 0.5)
        noise = ndimage.convolve(noise, [[0, kernel, 0], [kernel, 1, kernel], [0, kernel, 0]])
    return noise


def _bleed(image, well):
    """Let charge above the full well spill along columns, conserving it."""
    image = image.copy()
    for j in np.flatnonzero((image > well).any(axis=0)):
        column = image[:, j]
        for i in np.flatnonzero(column > well):
            excess = column[i] - well
            if excess <= 0:
                continue
            column[i] = well
            for step in range(1, len(column)):
                for k in (i - step, i + step):
                    if 0 <= k < len(column) and excess > 0:
                        room = max(well - column[k], 0)
                        taken = min(room, excess / 2 if k < i else excess)
                        column[k] += taken
                        excess -= taken
                if excess <= 1:
                    break
    return image


def _data_numbers(rng, image, well, lossy):
    """Digitize with an unknown gain, sometimes to 8 bits, with a pedestal or lossy compression."""
    if rng.uniform() < 0.6:
        scale = np.exp(rng.uniform(np.log(0.5), np.log(20)))
        top = 65535
    else:
        scale = max(np.percentile(image, 99.9) / rng.uniform(40, 250), 0.3)
        top = 255
    pedestal = rng.uniform(0, 30) if rng.uniform() < 0.5 else 0.0
    numbers = np.clip(np.round(image / scale + pedestal), 0, top)
    if rng.uniform() < lossy:
        numbers = np.clip(np.round(_compress(rng, numbers)), 0, top)
    return numbers, scale


def _compress(rng, image):
    """Lose what lossy compression by cosine transforms of 8 x 8 pixels loses."""
    rows, columns = (n // 8 * 8 for n in image.shape)
    blocks = image[:rows, :columns].reshape(rows // 8, 8, columns // 8, 8)
    step = np.exp(rng.uniform(np.log(0.7), np.log(8)))
    index = np.arange(8)
    steps = step * (1 + rng.uniform(0, 1) * (index[:, None, None] + index))
    terms = np.round(fft.dctn(blocks, axes=(1, 3), norm="ortho") / steps) * steps
    image = image.copy()
    image[:rows, :columns] = fft.idctn(terms, axes=(1, 3), norm="ortho").reshape(rows, columns)
    return image
