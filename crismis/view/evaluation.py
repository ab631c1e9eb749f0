"""How good identification and categorization are: confusion, ROC, calibration, training."""

import numpy as np

from ._axes import axes_for, say_empty

__all__ = ["plot_calibration", "plot_confusion", "plot_roc", "plot_training"]


def plot_confusion(truth, predicted, ax=None, *, labels=None, normalize=True, cmap="Blues"):
    """Draw which categories are taken for which.

    Parameters
    ----------
    truth, predicted : sequence of str
        True and predicted category of each event.
    ax : `~matplotlib.axes.Axes`, optional
        Axes to draw on; default the current ones.
    labels : sequence of str, optional
        Categories and their order; default all that occur, sorted.
    normalize : bool
        Colour and write fractions of each true category instead of numbers.
    cmap : str or `~matplotlib.colors.Colormap`
        Colour map.

    Returns
    -------
    image : `~matplotlib.image.AxesImage` or None
    texts : list of `~matplotlib.text.Text`
        One per cell, row by row.

    Raises
    ------
    ValueError
        If the lengths differ or a category is not among ``labels``.

    Examples
    --------
    .. plot::
       :include-source:

       >>> from crismis.view import plot_confusion
       >>> _ = plot_confusion(["track", "track", "worm", "spot"], ["track", "worm", "worm", "spot"])
    """
    truth, predicted = (np.asarray(names, dtype=str) for names in (truth, predicted))
    if truth.shape != predicted.shape:
        raise ValueError(f"truth has {truth.size} events, predicted has {predicted.size}")
    ax = axes_for(ax)
    if not truth.size:
        return None, [say_empty(ax, "no events")]
    present = sorted({*truth.tolist(), *predicted.tolist()})
    labels = present if labels is None else [str(label) for label in labels]
    missing = sorted(set(present) - set(labels))
    if missing:
        raise ValueError(f"labels lack {missing}")
    place = {label: number for number, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)), int)
    np.add.at(counts, ([place[n] for n in truth], [place[n] for n in predicted]), 1)
    total = counts.sum(axis=1, keepdims=True)
    fraction = counts / np.maximum(total, 1)
    image = ax.imshow(fraction, cmap=cmap, vmin=0, vmax=1)
    texts = [
        ax.text(
            column,
            row,
            _cell(counts[row, column], fraction[row, column], normalize),
            ha="center",
            va="center",
            fontsize="small",
            color="white" if fraction[row, column] > 0.5 else "black",
        )
        for row in range(len(labels))
        for column in range(len(labels))
    ]
    shown = [label.replace("_", " ") for label in labels]
    ax.set_xticks(range(len(labels)), shown, rotation=45, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(labels)), shown)
    ax.set(xlabel="predicted", ylabel="true")
    return image, texts


def plot_roc(truth, score, ax=None, *, label=None, marks=(1e-3, 1e-4), **kwargs):
    """Draw the fraction of hits found against the fraction of clean pixels flagged.

    Parameters
    ----------
    truth : array_like of int
        0 clean, 1 hit; anything else does not count.
    score : array_like
        Any score that rises with the probability of a hit; same shape.
    ax : `~matplotlib.axes.Axes`, optional
        Axes to draw on; default the current ones.
    label : str, optional
        Name in a legend.
    marks : sequence of float
        False-positive rates at which to put a dot, from
        `crismis.learning.evaluation.operating_point`.
    **kwargs
        Passed on to `matplotlib.axes.Axes.plot` for the line.

    Returns
    -------
    artists : list of `~matplotlib.artist.Artist`
        The line, then the dots.

    Examples
    --------
    .. plot::
       :include-source:

       >>> import numpy as np
       >>> from crismis.view import plot_roc
       >>> rng = np.random.default_rng(1)
       >>> truth = rng.random(50_000) < 0.02
       >>> _ = plot_roc(truth, rng.normal(size=truth.size) + 4 * truth)
    """
    from ..learning.evaluation import operating_point

    truth, score = np.ravel(truth).astype(int), np.ravel(score).astype(float)
    if truth.shape != score.shape:
        raise ValueError(f"truth has {truth.size} pixels, score has {score.size}")
    ax = axes_for(ax)
    ax.set(xlabel="clean pixels flagged", ylabel="hit pixels found", xscale="log", ylim=(0, 1.02))
    hits, clean = np.sort(score[truth == 1]), np.sort(score[truth == 0])
    if not hits.size or not clean.size:
        return [say_empty(ax, "needs both hit and clean pixels")]
    threshold = np.unique(score[(truth == 0) | (truth == 1)])[::-1]
    if threshold.size > 5000:
        threshold = _thinned(threshold, clean)
    false = (clean.size - np.searchsorted(clean, threshold)) / clean.size
    true = (hits.size - np.searchsorted(hits, threshold)) / hits.size
    shown = false > 0
    artists = ax.plot(false[shown], true[shown], label=label, drawstyle="steps-post", **kwargs)
    for rate in marks:
        if rate * clean.size < 1:
            continue
        point = operating_point(score, truth, rate)
        artists += ax.plot(
            rate, point.true_positive_rate, "o", color=artists[0].get_color(), markersize=5
        )
    ax.set_xlim(left=max(0.5 / clean.size, 1e-6), right=1)
    return artists


def plot_calibration(truth, probability, ax=None, *, bins=15, floor=0.01, label=None, **kwargs):
    """Draw how often pixels of each stated probability really are hits.

    Parameters
    ----------
    truth : array_like of int
        0 clean, 1 hit; anything else does not count.
    probability : array_like of float
        Stated probability of a hit; same shape.
    ax : `~matplotlib.axes.Axes`, optional
        Axes to draw on; default the current ones.
    bins, floor
        As for `crismis.learning.evaluation.calibration_error`.
    label : str, optional
        Name in a legend.
    **kwargs
        Passed on to `matplotlib.axes.Axes.errorbar`.

    Returns
    -------
    artists : list of `~matplotlib.artist.Artist`
        The points with their Wilson intervals, and the diagonal on which they should lie.

    Examples
    --------
    .. plot::
       :include-source:

       >>> import numpy as np
       >>> from crismis.view import plot_calibration
       >>> rng = np.random.default_rng(1)
       >>> probability = rng.random(20_000) ** 2
       >>> _ = plot_calibration(rng.random(20_000) < probability, probability)
    """
    from astropy.stats import binom_conf_interval

    from ..learning.evaluation import calibration_error

    truth, probability = np.ravel(truth).astype(int), np.ravel(probability).astype(float)
    ax = axes_for(ax)
    ax.set(xlim=(0, 1), ylim=(0, 1), xlabel="stated probability", ylabel="fraction of hits")
    counted = (truth == 0) | (truth == 1)
    if len(set(truth[counted])) < 2 or not (probability[counted] > floor).any():
        return [say_empty(ax, "needs both hit and clean pixels")]
    error, table = calibration_error(probability, truth, floor=floor, bins=bins)
    stated, fraction, number = table.T
    lower, upper = binom_conf_interval(np.round(fraction * number), number, interval="wilson")
    text = f"error {error:.3f}" if label is None else f"{label} (error {error:.3f})"
    points = ax.errorbar(
        stated,
        fraction,
        yerr=np.maximum([fraction - lower, upper - fraction], 0),
        fmt=kwargs.pop("fmt", "o-"),
        markersize=4,
        label=text,
        **kwargs,
    )
    diagonal = ax.plot([0, 1], [0, 1], ":", color="0.5", zorder=0)
    ax.legend(loc="upper left", fontsize="small")
    return [points, *diagonal]


def plot_training(history, ax=None):
    """Draw the loss of each epoch of training.

    Parameters
    ----------
    history : dict of str to sequence of float
        Name of a curve, such as ``"training"``, to one value per epoch.
    ax : `~matplotlib.axes.Axes`, optional
        Axes to draw on; default the current ones.

    Returns
    -------
    lines : list of `~matplotlib.artist.Artist`

    Examples
    --------
    .. plot::
       :include-source:

       >>> from crismis.view import plot_training
       >>> history = {"training": [0.7, 0.4, 0.3, 0.25], "validation": [0.7, 0.45, 0.36, 0.34]}
       >>> _ = plot_training(history)
    """
    ax = axes_for(ax)
    curves = {name: np.asarray(values, float) for name, values in history.items() if len(values)}
    if not curves:
        return [say_empty(ax, "no training history")]
    ax.set(xlabel="epoch", ylabel="loss")
    lines = []
    for name, values in curves.items():
        lines += ax.plot(np.arange(1, len(values) + 1), values, ".-", label=name)
    if all(np.nanmin(values) > 0 for values in curves.values()):
        ax.set_yscale("log")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend()
    return lines


def _cell(count, fraction, normalize):
    if not count:
        return ""
    return f"{fraction:.2f}" if normalize else str(count)


def _thinned(threshold, clean):
    """Thresholds evenly spaced in the logarithm of the false-positive rate."""
    places = np.unique(np.geomspace(1, clean.size, 1500).astype(int))
    return np.unique(np.concatenate((clean[-places], threshold[[0, -1]])))[::-1]
