"""Rates over an archive: time series with intervals, trends and outliers."""

from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.table import QTable
from astropy.time import Time

from ..taxonomy import PARTICLES, Category
from .intervals import poisson_rate, poisson_significance

__all__ = ["fit_modulation", "rates"]

_PERIODS = {"hour": "h", "day": "D", "week": "W", "month": "M", "year": "Y"}


def rates(
    catalog,
    *,
    by="day",
    where=None,
    category=None,
    efficiency=1.0,
    efficiency_error=0.0,
    purity=1.0,
    window=31,
    outlier_sigma=3.0,
):
    r"""Particle rate against time, or against any column of the exposures.

    Counts and live exposure (live area times live time) of all exposures in a bin are summed
    first; the rate is their ratio, with the interval of `crismis.physics.poisson_rate`.

    A bin is an outlier, such as a solar particle event or a passage of the South Atlantic
    Anomaly, when its count differs from what the ``window`` bins around it predict. Their rates
    are combined leaving out the bin itself and those that deviate from the median by more than
    3 times the (MAD-estimated) scatter. Where their chi-square exceeds its expectation by more
    than two standard deviations, the scatter beyond Poisson noise is added to the error of the
    prediction, and `crismis.physics.poisson_significance` turns the difference into
    sigma.

    Parameters
    ----------
    catalog : `~crismis.Catalog`, path-like or `~astropy.table.Table`
        A catalog, its folder, or the table of its exposures. Exposures that failed, have no
        date, or have no known live area or live time are left out; their number is in
        ``meta["left_out"]``.
    by : str, optional
        ``"exposure"``, ``"hour"``, ``"day"``, ``"week"`` (from Monday), ``"month"``,
        ``"year"`` (UTC), or the name of a column of the exposures such as ``"instrument"``.
    where : dict or list of tuple, optional
        Which exposures count: column and value pairs, or ``(column, operator, value)`` with
        the operators ``== != < <= > >= in``.
    category : str or list of str, optional
        Count only these categories; by default all that are particles.
    efficiency, efficiency_error, purity : float, optional
        Corrections, as `crismis.physics.completeness` measures them.
    window : int, optional
        Number of bins that predict one bin.
    outlier_sigma : float, optional
        Significance from which a bin is an outlier.

    Returns
    -------
    `~astropy.table.QTable`
        ``time`` (mid of the bin, or the column's value), ``n_exposures``, ``n_hits``,
        ``exposure`` (cm2 s), ``rate``, ``rate_lower``, ``rate_upper`` (1 / (cm2 s)),
        ``significance`` (sigma from its neighbours) and ``outlier``.

    Raises
    ------
    ValueError
        If ``by``, ``where`` or ``category`` names no known thing, or no exposure is left.

    Examples
    --------
    >>> from astropy.table import QTable
    >>> from astropy.time import Time
    >>> from crismis import rates
    >>> exposures = QTable({
    ...     "status": ["ok", "ok"], "date": Time(["2011-07-26", "2011-07-27"]),
    ...     "n_track": [90, 110], "live_area": [1.0, 1.0], "live_time": [100.0, 100.0]})
    >>> rates(exposures, by="year")["rate"]
    <Quantity [1.] 1 / (s cm2)>
    """
    table = _exposures(catalog, where)
    counts = _counts(table, category)
    exposure = _column(table, "live_area", u.cm**2) * _column(table, "live_time", u.s)
    timed = by == "exposure" or by in _PERIODS
    usable = np.isfinite(exposure) & (exposure > 0)
    if timed:
        days = _dates(table)
        usable &= ~np.isnat(days)
    if "status" in table.colnames:
        usable &= np.asarray(table["status"], str) == "ok"
    if not usable.any():
        raise ValueError(
            "no exposure has a date, live area and live time"
            if len(table)
            else "no exposure is selected"
        )
    if timed:
        key = days if by == "exposure" else days.astype(f"datetime64[{_PERIODS[by]}]")
    elif by in table.colnames:
        key = np.asarray(table[by])
    else:
        raise ValueError(
            f"by={by!r} is neither one of {['exposure', *_PERIODS]} nor a column of the exposures"
        )
    values, index = np.unique(key[usable], return_inverse=True)
    total = np.bincount(index, counts[usable]).astype(np.int64)
    live = np.bincount(index, exposure[usable])
    rate, lower, upper = poisson_rate(
        total, live, efficiency=efficiency, efficiency_error=efficiency_error, purity=purity
    )
    out = QTable()
    out["time" if timed else by] = _midpoints(values, by) if timed else values
    out["n_exposures"] = np.bincount(index)
    out["n_hits"] = total
    out["exposure"] = live * u.cm**2 * u.s
    for name, column in (("rate", rate), ("rate_lower", lower), ("rate_upper", upper)):
        out[name] = column / (u.cm**2 * u.s)
    out["significance"] = _significance(total, live, window) if timed else np.nan
    out["outlier"] = np.abs(out["significance"]) >= outlier_sigma
    out.meta["left_out"] = int(np.count_nonzero(~usable))
    return out


def fit_modulation(table, *, period):
    r"""Fit a sinusoidal modulation of known period to a rate series.

    Weighted least squares of :math:`R (1 + A \cos(2\pi (t - t_0)/P))`, weights from the
    expected Poisson variance at the mean rate, so that low counts do not pull the fit.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        Result of `rates` over time.
    period : `~astropy.units.Quantity`
        For example ``11 * u.yr``, the sunspot cycle.

    Returns
    -------
    dict
        ``mean`` (1 / (cm2 s)), ``amplitude`` (relative), ``amplitude_error``, ``peak`` (a
        `~astropy.time.Time` of maximum) and ``period``.

    Raises
    ------
    ValueError
        With fewer than four bins.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy import units as u
    >>> from astropy.table import QTable
    >>> from astropy.time import Time
    >>> from crismis import rates
    >>> from crismis.physics import fit_modulation
    >>> year = np.arange(1990, 2012)
    >>> hits = np.round(1000 * (1 + 0.2 * np.cos(2 * np.pi * (year + 0.5 - 1997) / 11)))
    >>> exposures = QTable({"date": Time(year + 0.5, format="jyear"), "n_track": hits.astype(int),
    ...                     "live_area": np.ones(22), "live_time": np.full(22, 1000.0)})
    >>> fit = fit_modulation(rates(exposures, by="year"), period=11 * u.yr)
    >>> print(f"{fit['amplitude']:.2f}")
    0.20
    """
    if len(table) < 4:
        raise ValueError(f"a modulation needs at least 4 bins, got {len(table)}")
    start = table["time"].min()
    phase = (2 * np.pi * ((table["time"] - start) / period)).to_value(u.one)
    rate = table["rate"].value
    exposure = table["exposure"].to_value(u.cm**2 * u.s)
    design = np.stack([np.ones_like(phase), np.cos(phase), np.sin(phase)], axis=1)
    mean_rate = np.sum(rate * exposure) / exposure.sum()
    weight = exposure / mean_rate
    normal = design.T @ (design * weight[:, None])
    covariance = np.linalg.inv(normal)
    mean, cosine, sine = covariance @ (design.T @ (weight * rate))
    size = np.hypot(cosine, sine)
    gradient = np.array([0.0, cosine, sine]) / max(size, 1e-300)
    return {
        "mean": mean * table["rate"].unit,
        "amplitude": size / mean,
        "amplitude_error": float(np.sqrt(gradient @ covariance @ gradient) / mean),
        "peak": start + np.arctan2(sine, cosine) % (2 * np.pi) / (2 * np.pi) * period,
        "period": period,
    }


def _exposures(catalog, where):
    if isinstance(catalog, str | Path):
        from ..survey import Catalog  # the path is a convenience; a table needs no survey

        catalog = Catalog(catalog)
    table = catalog if hasattr(catalog, "colnames") else catalog.exposures
    selected = np.ones(len(table), bool)
    for column, operator, value in _conditions(where):
        if column not in table.colnames:
            raise ValueError(f"where: {column!r} is no column of the exposures")
        if operator not in _OPERATORS:
            raise ValueError(f"where: operator {operator!r} is none of {sorted(_OPERATORS)}")
        selected &= np.asarray(_OPERATORS[operator](_plain(table[column]), value), bool)
    return table[selected]


_OPERATORS = {
    "==": lambda column, value: column == value,
    "!=": lambda column, value: column != value,
    "<": lambda column, value: column < value,
    "<=": lambda column, value: column <= value,
    ">": lambda column, value: column > value,
    ">=": lambda column, value: column >= value,
    "in": lambda column, value: np.isin(column, list(value)),
}


def _conditions(where):
    if where is None:
        return []
    if isinstance(where, dict):
        return [(column, "==", value) for column, value in where.items()]
    return list(where)


def _plain(column):
    return column if isinstance(column, Time | u.Quantity) else np.asarray(column)


def _counts(table, category):
    wanted = sorted(PARTICLES) if category is None else np.atleast_1d(category).tolist()
    for name in wanted:
        if name not in set(Category):
            raise ValueError(f"category {name!r} is none of {[str(c) for c in Category]}")
    found = [f"n_{name}" for name in wanted if f"n_{name}" in table.colnames]
    if not found:
        raise ValueError(f"the exposures have no count of any category in {wanted}")
    return sum(np.nan_to_num(_column(table, name)) for name in found)


def _column(table, name, unit=None):
    if name not in table.colnames:
        raise ValueError(f"the exposures have no column {name!r}")
    column = table[name]
    if isinstance(column, u.Quantity):
        column = column.to_value(unit or column.unit)
    if np.ma.isMaskedArray(column) or hasattr(column, "filled"):
        column = np.ma.asarray(column).astype(float).filled(np.nan)
    return np.asarray(column, dtype=float)


def _dates(table):
    column = table["date"]
    if not isinstance(column, Time):
        return np.asarray(column).astype("datetime64[us]")
    days = np.full(len(table), np.datetime64("NaT", "us"))
    known = ~np.asarray(column.mask)
    days[known] = column[known].utc.datetime64.astype("datetime64[us]")
    return days


def _midpoints(values, by):
    if by == "exposure":
        return Time(values.astype("datetime64[us]"), scale="utc")
    start = values.astype("datetime64[us]")
    end = (values + np.timedelta64(1, np.datetime_data(values.dtype)[0])).astype("datetime64[us]")
    return Time(start + (end - start) // 2, scale="utc")


def _significance(counts, exposure, window):
    rate = counts / exposure
    half = max(int(window) // 2, 1)
    out = np.full(len(counts), np.nan)
    for i in range(len(counts)):
        first = max(0, min(i - half, len(counts) - 2 * half - 1))
        near = np.arange(first, min(first + 2 * half + 1, len(counts)))
        near = near[near != i]
        if len(near) < 3:
            continue
        middle = np.median(rate[near])
        scatter = 1.4826 * np.median(np.abs(rate[near] - middle))
        near = near[np.abs(rate[near] - middle) <= 3 * max(scatter, 1e-300)]
        mean = counts[near].sum() / exposure[near].sum()
        expected = mean * exposure[i]
        poisson = mean / exposure[near]
        freedom = max(len(near) - 1, 1)
        excess = np.sum((rate[near] - mean) ** 2 / poisson) / freedom - 1 if mean > 0 else 0.0
        if excess < 2 * np.sqrt(2 / freedom):
            excess = 0.0
        error = np.sqrt(mean / exposure[near].sum() + excess * np.median(poisson))
        out[i] = poisson_significance(counts[i], expected, error * exposure[i])
    return out
