"""Spectra and rates: counts, intervals, exposure, and tables with nothing in them."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable, Table
from astropy.time import Time

from crismis.view import plot_rates, plot_spectrum


@pytest.fixture
def events():
    return QTable(
        {
            "energy": [1, 2, 2.5, 30, np.nan, 0] * u.keV,
            "anisotropy": [0, 0.2, 0.9, 1, 0.5, 0.5],
            "category": ["track", "track", "worm", "worm", "worm", "spot"],
        }
    )


def test_counts_are_those_of_the_bins_and_unknown_values_are_left_out(ax, events):
    spectrum = plot_spectrum(events, "energy", ax, bins=[0.5, 5, 50])
    assert spectrum.counts["all"].tolist() == [3, 1]
    assert ax.get_xscale() == "log"
    assert ax.get_xlabel() == "energy (keV)"


def test_units_convert(ax, events):
    spectrum = plot_spectrum(events, "energy", ax, unit="eV", bins=[500, 5000, 50000])
    assert spectrum.counts["all"].tolist() == [3, 1]
    assert ax.get_xlabel() == "energy (eV)"


def test_every_finite_value_falls_into_a_bin(ax, events):
    assert plot_spectrum(events, "energy", ax).counts["all"].sum() == 4
    assert plot_spectrum(events, "anisotropy", ax).counts["all"].sum() == 6


def test_one_line_per_category(ax, events):
    spectrum = plot_spectrum(events, "energy", ax, bins=[0.5, 5, 50], by_category=True)
    assert {name: counts.tolist() for name, counts in spectrum.counts.items()} == {
        "track": [2, 0],
        "worm": [1, 1],
    }


def test_exposure_divides_the_counts(ax, events):
    spectrum = plot_spectrum(events, "energy", ax, bins=[0.5, 5, 50], exposure=200 * u.cm**2 * u.s)
    assert spectrum.artists[0].get_data().values == pytest.approx([3 / 200, 1 / 200])


def test_interval_of_a_count_is_the_frequentist_one(ax):
    events = Table({"anisotropy": np.full(100, 0.5)})
    spectrum = plot_spectrum(events, "anisotropy", ax, bins=[0, 1])
    ((_, low), (_, high)) = spectrum.artists[1].lines[2][0].get_segments()[0]
    # Poisson limits for 100 counts, Gehrels 1986, table 1 and 2.
    assert low == pytest.approx(90.02, abs=0.02)
    assert high == pytest.approx(111.03, abs=0.02)


@pytest.mark.parametrize("values", [[], [np.nan], [-1.0]])
def test_nothing_to_count_is_said(ax, values):
    spectrum = plot_spectrum(Table({"energy": np.array(values, float)}), "energy", ax)
    assert spectrum.counts == {}
    assert spectrum.artists[0].get_text() == "no event has a known energy"


def test_equal_values_make_a_spectrum(ax):
    spectrum = plot_spectrum(Table({"n_pixels": [3, 3, 3]}), "n_pixels", ax)
    assert spectrum.counts["all"].sum() == 3


def test_an_unknown_column_is_named_with_those_there_are(ax, events):
    with pytest.raises(KeyError, match=r"no column 'colour'.*energy, anisotropy, category"):
        plot_spectrum(events, "colour", ax)


def rates_table(key, n=3):
    unit = 1 / (u.cm**2 * u.s)
    return QTable(
        {
            "time": key,
            "rate": np.array([1.0, 5.0, np.nan])[:n] * unit,
            "rate_lower": np.array([0.8, 4.0, np.nan])[:n] * unit,
            "rate_upper": np.array([1.3, 6.0, np.nan])[:n] * unit,
            "outlier": [False, True, False][:n],
        }
    )


def test_rates_are_drawn_with_their_intervals_and_outliers_ringed(ax):
    artists = plot_rates(rates_table(Time(["2011-07-26", "2011-07-27", "2011-07-28"])), ax)
    bars, ring = artists
    assert len(bars.lines[0].get_xdata()) == 2
    (_, low), (_, high) = bars.lines[2][0].get_segments()[0]
    assert (low, high) == (0.8, 1.3)
    assert ring.get_ydata() == [5.0]


def test_rates_by_name_or_number_are_drawn(ax):
    assert plot_rates(rates_table(["MDIS", "LORRI", "ISS"]), ax)
    plt.close(ax.figure)
    assert plot_rates(rates_table([1.0, 2.0, 3.0] * u.AU), plt.figure().add_subplot())


def test_no_rates_are_said(ax):
    assert plot_rates(rates_table(Time(["2011-07-26"]), 1)[:0], ax)[0].get_text() == "no rates"
    unknown = rates_table(["a", "b", "c"])[2:]
    assert plot_rates(unknown, ax)[0].get_text() == "no rate is known"
