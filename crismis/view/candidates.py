"""A sheet of cut-outs of spallation candidates, most convincing first."""

import numpy as np

__all__ = ["plot_candidates"]


def plot_candidates(table, stamps, *, columns=8):
    """Draw cut-outs of spallation candidates with prongs and chance probability.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        Candidates as `crismis.physics.search_catalog` returns them.
    stamps : list of ndarray
        Their cut-outs, in the same order.
    columns : int, optional
        Cut-outs in a row.

    Returns
    -------
    `~matplotlib.figure.Figure`

    Raises
    ------
    ValueError
        If there are no cut-outs.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.table import QTable
    >>> from crismis.view import plot_candidates
    >>> table = QTable({"n_prongs": [3], "chance_probability": [1e-4],
    ...                 "prong_angles": ["10,130,250"], "longest_prong": [8.0]})
    >>> figure = plot_candidates(table, [np.ones((33, 33))])
    >>> len(figure.axes) >= 1
    True
    """
    from matplotlib.figure import Figure

    if not stamps:
        raise ValueError("there are no candidates to draw")
    rows = -(-len(stamps) // columns)
    figure = Figure(figsize=(1.6 * columns, 1.9 * rows), layout="constrained")
    axes = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for ax in axes:
        ax.set_axis_off()
    for ax, row, stamp in zip(axes, table, stamps, strict=False):
        low = np.nanmedian(stamp)
        scale = 3 * max(1.4826 * np.nanmedian(np.abs(stamp - low)), 1e-9)
        ax.imshow(np.arcsinh((stamp - low) / scale), origin="lower", cmap="gray")
        ax.set_title(
            f"{row['n_prongs']} prongs, p = {row['chance_probability']:.0e}", fontsize="x-small"
        )
    return figure
