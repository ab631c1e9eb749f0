"""Known rates, a known solar cycle and a known solar event come out of a table of exposures."""

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable
from astropy.time import Time
from numpy.testing import assert_allclose

from crismis import rates
from crismis.physics import fit_modulation

AREA, SECONDS = 2.0, 500.0


def exposures(mean_rate, days, seed=1):
    rng = np.random.default_rng(seed)
    days = np.asarray(days, float)
    hits = rng.poisson(np.broadcast_to(mean_rate, days.shape) * AREA * SECONDS)
    spots = rng.binomial(hits, 0.5)
    return QTable(
        {
            "status": np.full(len(days), "ok"),
            "date": Time(50_000.5 + days, format="mjd"),
            "instrument": np.where(np.arange(len(days)) % 2, "A", "B"),
            "n_spot": spots,
            "n_track": hits - spots,
            "n_source": np.full(len(days), 7),
            "live_area": np.full(len(days), AREA) * u.cm**2,
            "live_time": np.full(len(days), SECONDS) * u.s,
        }
    )


def test_rate_is_the_ratio_of_sums_and_artefacts_do_not_count():
    table = exposures(1.0, [0.0, 0.1, 1.0])
    table["live_time"][1] *= 3
    out = rates(table, by="day")
    assert out["n_exposures"].tolist() == [2, 1]
    hits = table["n_spot"] + table["n_track"]
    expected = (hits[0] + hits[1]) / (AREA * SECONDS * 4)
    assert_allclose(out["rate"][0].to_value("1 / (cm2 s)"), expected)
    assert out["rate_lower"][0] < out["rate"][0] < out["rate_upper"][0]


def test_time_bins_are_calendar_bins():
    table = exposures(1.0, [0, 30, 400])
    assert len(rates(table, by="exposure")) == 3
    assert len(rates(table, by="year")) == 3 - (Time(50_000.5, format="mjd").ymdhms.year == 1995)
    assert rates(table, by="day")["time"][0].isot == "1995-10-10T12:00:00.000000"[:23]


def test_any_column_can_bin_and_select():
    table = exposures(1.0, range(10))
    assert rates(table, by="instrument")["instrument"].tolist() == ["A", "B"]
    only = rates(table, by="year", where={"instrument": "A"})
    assert only["n_exposures"].sum() == 5
    late = rates(
        table, by="day", where=[("live_time", ">", 600 * u.s), ("n_source", "in", [7])][1:]
    )
    assert len(late) == 10


def test_a_category_can_be_chosen():
    table = exposures(1.0, range(4))
    out = rates(table, by="year", category="track")
    assert out["n_hits"].sum() == table["n_track"].sum()


def test_exposures_that_failed_or_lack_facts_are_left_out_and_counted():
    table = exposures(1.0, range(5))
    table["status"][0] = "error"[:2]
    table["live_time"][1] = np.nan * u.s
    assert rates(table, by="exposure").meta["left_out"] == 2


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"by": "fortnight"}, "fortnight"),
        ({"where": {"colour": 3}}, "colour"),
        ({"where": [("n_spot", "like", 3)]}, "like"),
        ({"category": "ghost"}, "ghost"),
        ({"where": {"n_source": 8}}, "no exposure is selected"),
    ],
)
def test_unknown_names_are_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        rates(exposures(1.0, range(4)), **wrong)


def test_solar_cycle_of_twenty_percent_is_recovered():
    days = np.linspace(0, 2 * 11 * 365.25, 2000)
    truth = 1.0 * (1 + 0.2 * np.cos(2 * np.pi * (days / 365.25 - 3.0) / 11))
    out = rates(exposures(truth, days), by="month")
    fit = fit_modulation(out, period=11 * u.yr)
    assert_allclose(fit["amplitude"], 0.2, atol=4 * fit["amplitude_error"])
    assert fit["amplitude_error"] < 0.005
    peak = (fit["peak"] - Time(50_000.5, format="mjd")).to_value(u.yr) % 11
    assert_allclose(peak, 3.0, atol=0.1)


def test_three_sigma_solar_event_is_flagged_and_little_else():
    rate = np.ones(200)
    table = exposures(rate, np.arange(200), seed=3)
    hits = table["n_spot"] + table["n_track"]
    table["n_spot"][120] += 1000 + 120 - hits[120]  # 3.8 sigma, without its own noise
    out = rates(table, by="day")
    assert out["outlier"][120]
    assert np.count_nonzero(out["outlier"]) <= 4


def test_modulation_needs_data():
    with pytest.raises(ValueError, match="4 bins"):
        fit_modulation(rates(exposures(1.0, [0.0]), by="day"), period=11 * u.yr)
