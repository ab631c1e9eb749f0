"""Spectra of events and rates against time, with intervals."""

from dataclasses import dataclass, field

import numpy as np
from astropy import units as u
from astropy.time import Time

from ..physics import poisson_rate
from ._axes import axes_for, categories_of, column_of, say_empty, unit_label
from .palette import CATEGORY_COLORS

__all__ = ["Spectrum", "plot_rates", "plot_spectrum"]

_LOGARITHMIC = {"energy", "charge", "peak", "n_pixels", "length", "let", "path_length"}


@dataclass
class Spectrum:
    """What `plot_spectrum` drew.

    Parameters
    ----------
    edges : ndarray
        Edges of the bins, in the unit of the column.
    counts : dict of str to ndarray
        Events per bin, for each category drawn, or under ``"all"``.
    artists : list of `~matplotlib.artist.Artist`
        Steps, intervals and texts.

    Examples
    --------
    >>> from astropy.table import QTable
    >>> from crismis.view import plot_spectrum
    >>> events = QTable({"length": [1.5, 2.5, 2.6, 9.0]})
    >>> spectrum = plot_spectrum(events, "length", bins=[1, 2, 3, 10])
    >>> spectrum.counts["all"]
    array([1, 2, 1])
    """

    edges: np.ndarray
    counts: dict = field(default_factory=dict)
    artists: list = field(default_factory=list)


def plot_spectrum(
    events,
    column="energy",
    ax=None,
    *,
    bins=30,
    unit=None,
    log=None,
    by_category=False,
    exposure=None,
    interval=True,
):
    """Draw how often each energy, length, size or shape occurs, with Poisson intervals.

    Parameters
    ----------
    events : `~astropy.table.Table`
        One row per event.
    column : str
        Any column with numbers, such as ``energy``, ``length``, ``size_sigma`` or
        ``anisotropy``. Rows without a finite value are left out.
    ax : `~matplotlib.axes.Axes`, optional
        Axes to draw on; default the current ones.
    bins : int or sequence of float
        Number of bins, or their edges in ``unit``.
    unit : str or `~astropy.units.Unit`, optional
        Default that of the column.
    log : bool, optional
        Whether both axes are logarithmic; default for energy, charge, number of pixels, length
        and LET, and not for others. Values that are not positive are then left out.
    by_category : bool
        Draw one line per category instead of one for all.
    exposure : float or `~astropy.units.Quantity`, optional
        Live area times live time (cm2 s): draws events per exposure instead of numbers.
    interval : bool
        Whether to draw the 68.3 % interval of each bin
        (`~crismis.physics.poisson_rate`).

    Returns
    -------
    spectrum : `Spectrum`

    Raises
    ------
    KeyError
        If the table has no such column.

    Examples
    --------
    .. plot::
       :include-source:

       >>> import numpy as np
       >>> from astropy import units as u
       >>> from astropy.table import QTable
       >>> from crismis.view import plot_spectrum
       >>> energy = np.random.default_rng(1).lognormal(1, 1, 500) * u.keV
       >>> _ = plot_spectrum(QTable({"energy": energy}))
    """
    ax = axes_for(ax)
    values, unit = column_of(events, column, unit)
    log = column in _LOGARITHMIC if log is None else log
    usable = np.isfinite(values) & ((values > 0) if log else True)
    ax.set_xlabel(unit_label(column, unit))
    exposure = 1.0 if exposure is None else u.Quantity(exposure, u.cm**2 * u.s).value
    ax.set_ylabel("events" if exposure == 1.0 else "events per cm² s")
    edges = _edges(values[usable], bins, log)
    spectrum = Spectrum(edges)
    if not usable.any():
        spectrum.artists.append(say_empty(ax, f"no event has a known {column.replace('_', ' ')}"))
        return spectrum
    names = categories_of(events) if by_category else np.full(len(values), "all")
    for name in sorted(set(names[usable])):
        counts, _ = np.histogram(values[usable & (names == name)], edges)
        spectrum.counts[str(name)] = counts
        spectrum.artists += _draw_counts(ax, edges, counts, name, exposure, interval, log)
    if log:
        ax.set(xscale="log", yscale="log")
    elif ax.get_yscale() == "linear":
        ax.set_ylim(bottom=0)
    if by_category:
        ax.legend(fontsize="small")
    return spectrum


def plot_rates(table, ax=None, *, label=None, mark_outliers=True, color="#0072B2"):
    """Draw rates against time, or against whatever else they were binned by, with intervals.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        Result of `crismis.rates`: a first column of `~astropy.time.Time`, numbers or names,
        and ``rate``, ``rate_lower``, ``rate_upper``; ``outlier`` where there is one.
    ax : `~matplotlib.axes.Axes`, optional
        Axes to draw on; default the current ones.
    label : str, optional
        Name in a legend.
    mark_outliers : bool
        Whether to ring the bins flagged as outliers.
    color : str
        Any colour of Matplotlib.

    Returns
    -------
    artists : list of `~matplotlib.artist.Artist`
        The points with their intervals and, where there are any, the rings.

    Examples
    --------
    .. plot::
       :include-source:

       >>> from astropy.table import QTable
       >>> from astropy.time import Time
       >>> from crismis import rates
       >>> from crismis.view import plot_rates
       >>> exposures = QTable({
       ...     "date": Time(["2011-07-26", "2011-07-27", "2011-07-28", "2011-07-29"]),
       ...     "n_track": [90, 110, 250, 95],
       ...     "live_area": [1.0] * 4, "live_time": [100.0] * 4})
       >>> _ = plot_rates(rates(exposures, by="day"))
    """
    ax = axes_for(ax)
    if not len(table):
        return [say_empty(ax, "no rates")]
    key = table.colnames[0]
    where = _positions(table[key])
    rate, unit = column_of(table, "rate")
    lower, upper = (column_of(table, f"rate_{end}", unit)[0] for end in ("lower", "upper"))
    known = np.isfinite(rate)
    if not known.any():
        return [say_empty(ax, "no rate is known")]
    bars = ax.errorbar(
        where[known],
        rate[known],
        yerr=np.maximum([rate - lower, upper - rate], 0)[:, known],
        fmt="o",
        markersize=4,
        linewidth=1,
        color=color,
        label=label,
    )
    ax.set_ylabel(unit_label("rate", unit))
    ax.set_ylim(bottom=0)
    if isinstance(table[key], Time):
        from matplotlib.dates import ConciseDateFormatter

        ax.xaxis.set_major_formatter(ConciseDateFormatter(ax.xaxis.get_major_locator()))
    else:
        ax.set_xlabel(unit_label(key, getattr(table[key], "unit", None)))
    artists = [bars]
    if mark_outliers and "outlier" in table.colnames:
        far = np.asarray(table["outlier"], bool) & known
        if far.any():
            artists += ax.plot(
                where[far], rate[far], "o", markersize=11, markerfacecolor="none", color="#D55E00"
            )
    return artists


def _edges(values, bins, log):
    if np.ndim(bins):
        return np.asarray(bins, dtype=float)
    if not values.size:
        return np.linspace(0, 1, bins + 1)
    low, high = values.min(), values.max()
    if log:
        if low == high:
            low, high = low / 2, high * 2
        return np.geomspace(low, high * (1 + 1e-9), bins + 1)
    if low == high:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, bins + 1)


def _draw_counts(ax, edges, counts, name, exposure, interval, log):
    color = CATEGORY_COLORS.get(name, "#0072B2")
    steps = ax.stairs(
        counts / exposure, edges, color=color, linewidth=1.6, label=name.replace("_", " ")
    )
    artists = [steps]
    filled = counts > 0
    if interval and filled.any():
        rate, lower, upper = poisson_rate(counts[filled], np.full(filled.sum(), exposure))
        middle = np.sqrt(edges[1:] * edges[:-1]) if log else (edges[1:] + edges[:-1]) / 2
        artists.append(
            ax.errorbar(
                middle[filled],
                rate,
                yerr=np.maximum([rate - lower, upper - rate], 0),
                fmt="none",
                ecolor=color,
                elinewidth=1,
            )
        )
    return artists


def _positions(column):
    if isinstance(column, Time):
        return column.utc.datetime64
    if getattr(column, "unit", None) is not None:
        return column.value
    return np.asarray(column)
