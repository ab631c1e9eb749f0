# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Measures of how well scores or probabilities tell hit pixels from clean ones.

Everywhere ``truth`` holds 0 for a clean pixel, 1 for a hit one and anything else for a pixel
that does not count.
"""

from dataclasses import dataclass

import numpy as np

__all__ = [
    "OperatingPoint",
    "average_precision",
    "block_bootstrap",
    "calibration_error",
    "evaluate_frame",
    "operating_point",
    "read_truth_frame",
]

_CLEAN, _HIT = 0, 1


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold and what it does: a pixel is flagged where ``score >= threshold``.

    Parameters
    ----------
    threshold : float
        The lowest threshold within the allowed false-positive rate.
    true_positive_rate : float
        Fraction of hit pixels that it flags.
    false_positive_rate : float
        Fraction of clean pixels that it flags.

    Examples
    --------
    >>> from crismis.learning.evaluation import operating_point
    >>> point = operating_point([0.9, 0.8, 0.7, 0.1], [1, 0, 1, 0], 0.5)
    >>> point.threshold, point.true_positive_rate
    (0.7, 1.0)
    """

    threshold: float
    true_positive_rate: float
    false_positive_rate: float


def operating_point(score, truth, false_positive_rate):
    """Find the lowest threshold that flags no more than a fraction of the clean pixels.

    Pixels of equal score are flagged together or not at all, so that a method which gives many
    clean pixels its highest score finds nothing at a low rate, as with a real threshold.

    Parameters
    ----------
    score : array_like
        Any score that rises with the probability of a hit.
    truth : array_like of int
        0 clean, 1 hit, anything else does not count; same shape as ``score``.
    false_positive_rate : float
        Fraction of the clean pixels that may be flagged.

    Returns
    -------
    OperatingPoint

    Raises
    ------
    ValueError
        If the shapes differ, a score that counts is NaN, or there is no clean or no hit pixel.

    Examples
    --------
    >>> from crismis.learning.evaluation import operating_point
    >>> operating_point([0.9, 0.8, 0.7, 0.1], [1, 0, 1, 0], 0.5)
    OperatingPoint(threshold=0.7, true_positive_rate=1.0, false_positive_rate=0.5)
    """
    hit, clean = _split(score, truth)
    allowed = int(np.floor(false_positive_rate * clean.size * (1 + 1e-12)))
    if allowed >= clean.size:
        threshold = min(clean.min(), hit.min())
    else:
        limit = np.partition(clean, clean.size - 1 - allowed)[clean.size - 1 - allowed]
        above = np.concatenate([hit[hit > limit], clean[clean > limit]])
        threshold = above.min() if above.size else np.inf
    return OperatingPoint(
        float(threshold), float(np.mean(hit >= threshold)), float(np.mean(clean >= threshold))
    )


def average_precision(score, truth):
    """Mean precision over recall, summed stepwise; 1 where every hit outranks every clean pixel.

    Parameters
    ----------
    score, truth : array_like
        As for `operating_point`.

    Returns
    -------
    float

    Examples
    --------
    >>> from crismis.learning.evaluation import average_precision
    >>> average_precision([0.9, 0.8, 0.7, 0.1], [1, 1, 0, 0])
    1.0
    """
    hit, clean = _split(score, truth)
    values, hits = np.unique(hit, return_counts=True)
    hits_above = np.cumsum(hits[::-1])[::-1]
    clean_above = clean.size - np.searchsorted(np.sort(clean), values)
    return float(np.sum(hits * (hits_above / (hits_above + clean_above))) / hit.size)


def calibration_error(probability, truth, *, floor=0.01, bins=15):
    """Return the expected calibration error over bins that hold equally many pixels.

    Parameters
    ----------
    probability, truth : array_like
        As for `operating_point`; the scores are probabilities.
    floor : float, optional
        Only pixels of higher probability count: nearly all pixels of an image are obviously
        clean, and would hide any error.
    bins : int, optional
        Number of bins.

    Returns
    -------
    error : float
        Mean absolute difference between the mean probability and the fraction of hits.
    table : ndarray, shape (bins, 3)
        Mean probability, fraction of hits and number of pixels of each bin.

    Examples
    --------
    >>> from crismis.learning.evaluation import calibration_error
    >>> error, table = calibration_error([0.5, 0.5, 1.0, 1.0], [0, 1, 1, 1], bins=2)
    >>> error
    0.0
    """
    hit, clean = _split(probability, truth)
    value = np.concatenate([hit, clean])
    is_hit = np.arange(value.size) < hit.size
    counts = value > floor
    order = np.argsort(value[counts], kind="stable")
    parts = [p for p in np.array_split(order, bins) if p.size]
    value, is_hit = value[counts], is_hit[counts]
    table = np.array([(value[p].mean(), is_hit[p].mean(), p.size) for p in parts]).reshape(-1, 3)
    if not table.size:
        return float("nan"), table
    return float(np.average(np.abs(table[:, 0] - table[:, 1]), weights=table[:, 2])), table


def block_bootstrap(score, truth, false_positive_rate, *, block=64, draws=200, seed=0):
    """Draw blocks of an image with replacement and return the true-positive rate of each draw.

    Hit pixels come in tracks and false ones in clumps, so that an interval from single pixels
    would be too narrow.

    Parameters
    ----------
    score, truth : array_like, 2-D
        As for `operating_point`.
    false_positive_rate : float
        Fraction of the clean pixels that may be flagged.
    block : int, optional
        Side of the square blocks in pixels.
    draws : int, optional
        Number of draws.
    seed : int, optional
        Seed of the draws.

    Returns
    -------
    ndarray, shape (draws,)
        True-positive rates, NaN for a draw without hit or clean pixels.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.learning.evaluation import block_bootstrap
    >>> truth = np.zeros((128, 128), int)
    >>> truth[::8, ::8] = 1
    >>> print(block_bootstrap(truth, truth, 1e-3, draws=3))
    [1. 1. 1.]
    """
    score, truth = np.asarray(score, dtype=float), np.asarray(truth)
    _split(score, truth)
    y, x = np.indices(score.shape) // block
    index = y * (x.max() + 1) + x
    n_blocks = int(index.max()) + 1
    clean, hit = truth == _CLEAN, truth == _HIT
    clean_in, hit_in = (np.bincount(index[m], minlength=n_blocks) for m in (clean, hit))
    # Pixels that no draw could flag need no sorting.
    worst = np.sort(score[clean])[::-1]
    reach = min(worst.size - 1, int(20 * false_positive_rate * worst.size) + 20 * block)
    kept = (clean | hit) & (score >= worst[reach])
    order = np.argsort(-score[kept], kind="stable")
    values, where, is_hit = score[kept][order], index[kept][order], hit[kept][order]
    last_of_tie = np.append(values[1:] != values[:-1], True)
    rng = np.random.default_rng(seed)
    rates = np.full(draws, np.nan)
    for i in range(draws):
        times = np.bincount(rng.integers(0, n_blocks, n_blocks), minlength=n_blocks)
        n_clean, n_hit = times @ clean_in, times @ hit_in
        if n_clean and n_hit:
            weight = times[where]
            flagged_clean = np.cumsum(np.where(is_hit, 0, weight))
            flagged_hit = np.cumsum(np.where(is_hit, weight, 0))
            allowed = last_of_tie & (flagged_clean <= false_positive_rate * n_clean)
            rates[i] = flagged_hit[allowed][-1] / n_hit if allowed.any() else 0.0
    return rates


def _split(score, truth):
    """Return the scores of the hit and of the clean pixels."""
    score, truth = np.asarray(score, dtype=float), np.asarray(truth)
    if score.shape != truth.shape:
        raise ValueError(f"scores have shape {score.shape}, but truth has shape {truth.shape}")
    hit, clean = score[truth == _HIT], score[truth == _CLEAN]
    for name, values in (("hit", hit), ("clean", clean)):
        if not values.size:
            raise ValueError(f"truth has no {name} pixel, so that no rate can be given")
        if np.isnan(values).any():
            raise ValueError(f"the score of a {name} pixel is NaN; let truth leave it out (2)")
    return hit, clean


def read_truth_frame(path):
    """Read a frame with truth.

    Parameters
    ----------
    path : path-like
        FITS file with the HDUs ``SCI`` (electrons) and ``TRUTH`` (0 clean, 1 hit, else
        undecidable) and ``RDNOISE`` in its primary header.

    Returns
    -------
    image : ndarray
        float32.
    truth : ndarray
    readnoise : float

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> from crismis.learning.evaluation import read_truth_frame
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "truth.fits"
    >>> primary = fits.PrimaryHDU(header=fits.Header({"RDNOISE": 5.0}))
    >>> planes = [fits.ImageHDU(np.zeros((8, 8)), name=name) for name in ("SCI", "TRUTH")]
    >>> fits.HDUList([primary, *planes]).writeto(path)
    >>> read_truth_frame(path)[2]
    5.0
    """
    from astropy.io import fits

    with fits.open(path) as hdus:
        image = np.ascontiguousarray(hdus["SCI"].data, dtype=np.float32)
        return image, hdus["TRUTH"].data, float(hdus[0].header["RDNOISE"])


def evaluate_frame(path, *, model=None):
    """Measure a model on a frame with truth.

    Parameters
    ----------
    path : path-like
        As for `read_truth_frame`.
    model : str or path-like, optional
        As for `crismis.cosmicray_learned`.

    Returns
    -------
    dict of str to float
        True-positive rates at false-positive rates of 1e-4, 1e-3 and 5e-3, average precision,
        calibration error, and both rates at the threshold 0.5.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> from crismis.learning.evaluation import evaluate_frame
    >>> from crismis.learning.fields import random_field
    >>> field = random_field(3, "dark", shape=(128, 128))
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "truth.fits"
    >>> primary = fits.PrimaryHDU(header=fits.Header({"RDNOISE": 5.0}))
    >>> science = fits.ImageHDU(np.asarray(field.electrons), name="SCI")
    >>> fits.HDUList([primary, science, fits.ImageHDU(field.labels, name="TRUTH")]).writeto(path)
    >>> sorted(evaluate_frame(path))[:3]
    ['average_precision', 'calibration_error', 'fpr']
    """
    from ..identify.inputs import prepare
    from ..identify.judge import hit_probability

    image, truth, readnoise = read_truth_frame(path)
    frame = prepare(image, gain=1.0, readnoise=readnoise, detector=None)
    score = hit_probability(frame, model=model)
    hit, clean = _split(score, truth)
    rates = {
        f"tpr_at_{rate:g}": operating_point(score, truth, rate).true_positive_rate
        for rate in (1e-4, 1e-3, 5e-3)
    }
    return rates | {
        "average_precision": average_precision(score, truth),
        "calibration_error": calibration_error(score, truth)[0],
        "tpr": float(np.mean(hit >= 0.5)),
        "fpr": float(np.mean(clean >= 0.5)),
    }
