"""A sheet of cut-outs of spallation candidates, most convincing first."""

import numpy as np

from ._axes import axes_for, say_empty

__all__ = ["plot_candidates"]


def plot_candidates(table, stamps, ax=None, *, columns=8, cmap="gray"):
    """Draw cut-outs of spallation candidates with prongs and chance probability.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        Candidates as `crismis.physics.search_catalog` returns them.
    stamps : list of ndarray
        Their cut-outs, in the same order.
    ax : `~matplotlib.axes.Axes`, optional
        Axes to draw on; default the current ones.
    columns : int, optional
        Cut-outs in a row.
    cmap : str or `~matplotlib.colors.Colormap`
        Colour map.

    Returns
    -------
    images : list of `~matplotlib.image.AxesImage`
        One for each cut-out, none where there are no cut-outs and the axes say so.

    Examples
    --------
    .. plot::
       :include-source:

       >>> import numpy as np
       >>> from astropy.table import QTable
       >>> from crismis.view import plot_candidates
       >>> table = QTable({"n_prongs": [3, 4], "chance_probability": [1e-4, 0.02]})
       >>> y, x = np.mgrid[-16:17, -16:17]
       >>> star = 50.0 * (np.abs(x * y * (x + y)) < 12)
       >>> images = plot_candidates(table, [star, star.T[::-1]], columns=2)
       >>> len(images)
       2
    """
    ax = axes_for(ax)
    ax.set_axis_off()
    if not stamps:
        say_empty(ax, "no candidates")
        return []
    side = max(max(stamp.shape) for stamp in stamps)
    across, down = 1.1 * side, 1.25 * side
    images = []
    for number, (row, stamp) in enumerate(zip(table, stamps, strict=False)):
        left, below = number % columns * across, -(number // columns) * down
        extent = (left, left + stamp.shape[1], below, below + stamp.shape[0])
        images.append(ax.imshow(_stretched(stamp), origin="lower", extent=extent, cmap=cmap))
        text = f"{row['n_prongs']} prongs, p = {row['chance_probability']:.0e}"
        ax.text(left, below + 1.02 * side, text, fontsize="x-small", va="bottom")
    ax.set_xlim(0, min(columns, len(images)) * across)
    ax.set_ylim(-((len(images) - 1) // columns) * down, down)
    return images


def _stretched(stamp):
    low = np.nanmedian(stamp)
    scale = 3 * max(1.4826 * np.nanmedian(np.abs(stamp - low)), 1e-9)
    return np.arcsinh((stamp - low) / scale)
