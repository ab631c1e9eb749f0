# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Truth from repeated exposures of one scene: what only one of them shows is a hit."""

import warnings

import numpy as np
from astropy.nddata import CCDData
from scipy import ndimage

__all__ = ["cut_tracks", "find_shift", "truth_from_exposures"]

CLEAN, HIT, UNDECIDABLE = 0, 1, 2


def truth_from_exposures(
    exposures,
    *,
    readnoise,
    shifts=None,
    scales=None,
    seed=6.0,
    limit=3.0,
    seeing=0.1,
    saturation=np.inf,
):
    """Label the pixels of repeated exposures of one scene.

    Each exposure is compared with the others, shifted and scaled to it: with their difference
    if there are two, with the median of the others if there are more (`ccdproc.Combiner`).
    Where it is brighter by ``seed`` sigma, connected pixels brighter by ``limit`` sigma are
    hits. Undecidable are the hits of the others, hot pixels, which stay in place while the
    scene moves, edges that others do not cover, masked and saturated pixels, and excess that a
    change of seeing could make.

    Parameters
    ----------
    exposures : sequence of `~astropy.nddata.CCDData` or ndarray
        Two or more images in electrons, background included, of one shape.
    readnoise : float
        Electrons.
    shifts : sequence of (float, float), optional
        Rows and columns by which each exposure's scene is displaced against the first's;
        measured by `find_shift` otherwise.
    scales : sequence of float, optional
        Exposure times or other relative brightness; the ratio of medians otherwise.
    seed, limit : float
        In units of the noise of the difference.
    seeing : float
        Share of the local range of the scene that may differ between exposures.
    saturation : float
        Electrons from which on pixels are undecidable.

    Returns
    -------
    list of ndarray
        uint8 per exposure: 0 clean, 1 hit, 2 undecidable.

    Raises
    ------
    ValueError
        If there are fewer than two exposures, or their shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.learning import truth_from_exposures
    >>> rng = np.random.default_rng(1)
    >>> pair = [rng.poisson(100, (40, 40)).astype(float) for _ in range(2)]
    >>> pair[0][20, 10:14] += 500
    >>> first, second = truth_from_exposures(pair, readnoise=3, shifts=[(0, 0), (0, 0)])
    >>> first[20, 9:15], int((second == 1).sum())
    (array([0, 1, 1, 1, 1, 0], dtype=uint8), 0)
    """
    images, masks = zip(*(_image(e) for e in exposures), strict=True)
    if len(images) < 2:
        raise ValueError(f"truth needs two exposures or more, got {len(images)}")
    if len({i.shape for i in images}) > 1:
        raise ValueError(f"exposures have different shapes: {[i.shape for i in images]}")
    if shifts is None:
        shifts = [(0.0, 0.0)] + [find_shift(images[0], i) for i in images[1:]]
    if scales is None:
        scales = [float(np.median(i[~m])) for i, m in zip(images, masks, strict=True)]
    shifts, scales = np.asarray(shifts, dtype=float), np.asarray(scales, dtype=float)
    hot = _hot_pixels(images, masks, shifts, readnoise)
    return [
        _label(k, images, masks, shifts, scales, hot, readnoise, seed, limit, seeing, saturation)
        for k in range(len(images))
    ]


def cut_tracks(first, second, *, readnoise, scales=(1.0, 1.0), least=100.0):
    """Cut the hits out of the difference of two exposures of a scene that did not move.

    Parameters
    ----------
    first, second : `~astropy.nddata.CCDData` or ndarray
        Images in electrons, background included, of one shape.
    readnoise : float
        Electrons.
    scales : (float, float)
        Their exposure times or other relative brightness.
    least : float
        Charge (electrons) of the smallest hits to cut out.

    Returns
    -------
    list of ndarray
        Charge of the hits of both exposures in electrons; pixels within 3 sigma of the noise
        of the difference, and those of others, are 0.

    Raises
    ------
    ValueError
        If their shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.learning import cut_tracks
    >>> rng = np.random.default_rng(1)
    >>> pair = [rng.poisson(100, (40, 40)).astype(float) for _ in range(2)]
    >>> pair[0][20, 10:14] += 500
    >>> [round(float(track.sum()), -2) for track in cut_tracks(*pair, readnoise=3)]
    [2000.0]
    """
    pair = [first, second]
    labels = truth_from_exposures(pair, readnoise=readnoise, shifts=[(0.0, 0.0)] * 2, scales=scales)
    images = [_image(e)[0] for e in pair]
    tracks = []
    for k in (0, 1):
        charge = images[k] - images[1 - k] * (scales[k] / scales[1 - k])
        events, _ = ndimage.label(labels[k] == HIT, np.ones((3, 3)))
        for i, box in enumerate(ndimage.find_objects(events), 1):
            track = np.where(events[box] == i, charge[box], 0)
            if track.sum() >= least:
                tracks.append(track)
    return tracks


def find_shift(reference, image):
    """Measure how far a scene is displaced.

    The brightest pixels are clipped, so that hits weigh little, and the peak of the cross
    correlation is refined by a parabola along each axis.

    Parameters
    ----------
    reference, image : ndarray
        Of one shape.

    Returns
    -------
    tuple of float
        Rows and columns by which ``image`` shows the scene further up and right.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.learning import find_shift
    >>> from scipy.ndimage import gaussian_filter, shift
    >>> scene = gaussian_filter(np.random.default_rng(1).random((64, 64)), 3)
    >>> [round(float(s)) for s in find_shift(scene, shift(scene, (3, -2), mode="wrap"))]
    [3, -2]
    """

    def tame(data):
        smooth = ndimage.median_filter(np.nan_to_num(data), 3)
        low, high = np.percentile(smooth, [20, 99.7])
        smooth = np.clip(smooth, low, high)
        return smooth - smooth.mean()

    a, b = tame(reference), tame(image)
    correlation = np.fft.irfft2(np.conj(np.fft.rfft2(a)) * np.fft.rfft2(b), a.shape)
    peak = np.unravel_index(np.argmax(correlation), a.shape)
    found = []
    for axis, place in enumerate(peak):
        n = a.shape[axis]
        beside = [
            correlation[tuple((p + d) % n if i == axis else p for i, p in enumerate(peak))]
            for d in (-1, 0, 1)
        ]
        curve = beside[0] - 2 * beside[1] + beside[2]
        part = 0.5 * (beside[0] - beside[2]) / curve if curve < 0 else 0.0
        found.append((place + n // 2) % n - n // 2 + part)
    return tuple(found)


def _image(exposure):
    data = np.asarray(getattr(exposure, "data", exposure), dtype=float)
    missing = ~np.isfinite(data)
    mask = getattr(exposure, "mask", None)
    if mask is not None:
        missing = missing | np.asarray(mask, dtype=bool)
    return np.where(missing, np.median(data[~missing]), data), missing


def _moved(image, shift, order=1):
    if not np.any(shift):
        return image
    return ndimage.shift(image, shift, order=order, mode="constant", cval=np.nan)


def _label(k, images, masks, shifts, scales, hot, readnoise, seed, limit, seeing, saturation):
    image = images[k]
    others, blind = [], []
    for j, other in enumerate(images):
        if j != k:
            gain = scales[k] / scales[j]
            moved = _moved(other, shifts[k] - shifts[j]) * gain
            spoiled = _moved((masks[j] | hot).astype(float), shifts[k] - shifts[j])
            blind.append(~np.isfinite(moved) | ~(spoiled < 0.05))
            others.append(moved)
    reference, covered = _combine(others, blind)
    lowest = np.nanmin(np.where(blind, np.nan, others), axis=0, initial=np.inf)
    level = np.where(covered, reference, np.median(image))
    noise2 = readnoise**2 + np.maximum(level, 0)
    noise2 = noise2 * (1 + 1 / len(others))
    reach = ndimage.maximum_filter(level, 3) - ndimage.minimum_filter(level, 3)
    still = np.all(shifts == shifts[0])
    structure2 = (seeing * (0.3 if still else 1.0) * reach) ** 2
    excess = (image - level) / np.sqrt(noise2 + structure2)
    hits = ndimage.binary_propagation(excess > seed, structure=np.ones((3, 3)), mask=excess > limit)
    labels = np.zeros(image.shape, dtype=np.uint8)
    plain = (image - level) / np.sqrt(noise2)
    labels[(plain > limit) & ~hits] = UNDECIDABLE
    labels[hits] = HIT
    # The others' hits raise the reference, or differ from one another.
    disturbed = (level - image) > 3 * np.sqrt(noise2 + structure2)
    if len(others) > 1:
        disturbed |= (level - np.where(np.isfinite(lowest), lowest, level)) > 5 * np.sqrt(
            noise2 + structure2
        )
        disturbed &= ~hits
    labels[ndimage.binary_dilation(disturbed)] = UNDECIDABLE
    labels[~covered | masks[k] | hot | (image >= saturation) | (level >= saturation)] = UNDECIDABLE
    return labels


def _combine(others, blind):
    """Median of the others, and where at least one of them sees the scene."""
    covered = ~np.all(blind, axis=0)
    if len(others) == 1:
        return others[0], covered
    from ccdproc import Combiner

    planes = [
        CCDData(np.nan_to_num(o), mask=b, unit="electron")
        for o, b in zip(others, blind, strict=True)
    ]
    with warnings.catch_warnings():
        # Pixels that no exposure covers are NaN; `covered` says so.
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
        median = Combiner(planes).median_combine()
    return np.asarray(median.data, dtype=float), covered


def _hot_pixels(images, masks, shifts, readnoise):
    """Pixels above their surroundings in every exposure, although the scene moved."""
    hot = np.zeros(images[0].shape, dtype=bool)
    if np.ptp(shifts, axis=0).max() < 1.5:
        return hot
    hot[:] = True
    for image, mask in zip(images, masks, strict=True):
        around = ndimage.median_filter(image, 5)
        hot &= mask | (image - around > 4 * np.sqrt(readnoise**2 + np.maximum(around, 0)))
    return hot
