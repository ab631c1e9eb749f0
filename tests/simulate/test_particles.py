"""Directions and spectra against analytic distributions."""

import numpy as np
import pytest
from scipy import stats

from crismis import Detector
from crismis.simulate import (
    KINDS,
    MIXTURES,
    SPECIES,
    Beam,
    Gamma,
    along,
    cosine_law,
    galactic,
    isotropic,
    lines,
    mixture,
    power_law,
    simulate_stamps,
)

RNG_SEED = 8
THICK = Detector("thick", pitch=10.0, thickness=100.0, diffusion=4.0)


def rng():
    return np.random.default_rng(RNG_SEED)


def test_isotropic_flux_crosses_with_the_cosine_of_inclination():
    cosine = np.abs(isotropic(20000, rng())[:, 2])
    # dN / dcos = 2 cos: the cumulative distribution is cos**2.
    assert stats.kstest(cosine, lambda c: c**2).pvalue > 0.01


def test_path_length_of_an_isotropic_flux():
    beam = Beam(SPECIES["proton"], lines([5000.0]))
    _, truth = simulate_stamps(THICK, 4000, particles=beam, seed=2)
    inner = truth["inclination"].value < 85
    path = truth["path_length"].value[inner] / 100.0
    limit = 1 / np.cos(np.deg2rad(85))

    def cumulative(ratio):  # P(path > s t) = s**-2, truncated
        return (1 - ratio**-2.0) / (1 - limit**-2.0)

    # Entered near the edge, a few of the most inclined leave through a side.
    assert stats.kstest(np.maximum(path, 1), cumulative).statistic < 0.025


@pytest.mark.parametrize("tilt", [0.0, 90.0])
def test_muon_zenith_law(tilt):
    direction = cosine_law(2.0, tilt)(40000, rng())
    np.testing.assert_allclose(np.linalg.norm(direction, axis=1), 1)
    if tilt == 0:
        cosine = -direction[:, 2]
        assert stats.kstest(cosine, lambda c: np.clip(c, 0, 1) ** 4).pvalue > 0.01
    else:
        # Through an upright sensor muons fall along the rows' axis.
        assert np.all(direction[:, 1] < 1e-12) or np.all(direction[:, 1] > -1e-12)
        assert np.abs(direction[:, 1]).mean() > np.abs(direction[:, 0]).mean() * 1.5


def test_solar_maximum_takes_slow_protons_away():
    proton = SPECIES["proton"]
    slow = [np.mean(galactic(proton, phi)(20000, rng()) < 500) for phi in (400.0, 1100.0)]
    assert slow[0] > 1.5 * slow[1]


def test_geomagnetic_cutoff_removes_low_rigidity():
    proton = SPECIES["proton"]
    energy = galactic(proton, 700.0, cutoff=5.0)(2000, rng())
    rigidity = np.sqrt(energy * (energy + 2 * proton.mass)) / 1e3
    assert rigidity.min() > 4.9


def test_power_law_is_sampled():
    energy = power_law(2.0, 1.0, 100.0)(20000, rng())
    assert stats.kstest(energy, lambda e: (1 - 1 / e) / (1 - 0.01)).statistic < 0.012


def test_compton_edge_and_mean():
    photon = 1.0
    drawn = Gamma(lines([photon]), outside=0.0).draw(40000, _Slab, rng())
    ratio = photon / 0.51099895
    assert drawn.energy.max() <= photon * 2 * ratio / (1 + 2 * ratio) + 1e-9
    # Mean share of the energy that the electron takes at 1 MeV (Evans 1955, figure 23.2.7).
    assert drawn.energy.mean() == pytest.approx(0.440, abs=0.01)


class _Slab:
    size = (1000.0, 1000.0, 100.0)
    thickness = 100.0


@pytest.mark.parametrize("name", list(KINDS))
def test_every_kind_deposits_charge(name):
    prints, truth = simulate_stamps(THICK, 12, particles=name, seed=1)
    assert (prints.total > 0).mean() > 0.8
    assert set(truth["kind"]) == {name}


@pytest.mark.parametrize("name", list(MIXTURES))
def test_every_mixture_adds_up(name):
    assert sum(share for _, share in mixture(name).values()) == pytest.approx(1)


def test_spallation_has_three_to_twenty_prongs():
    _, truth = simulate_stamps(THICK, 400, particles="spallation", seed=1)
    assert truth["prongs"].min() == 3
    assert 10 < truth["prongs"].max() <= 20


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mixture("axion"), "unknown particle 'axion'"),
        (lambda: mixture({"muon": -1.0}), "must not be negative"),
        (lambda: mixture({}), "at least one kind"),
        (lambda: along(1.0, 0.0, 0.0), "never enters the face"),
        (lambda: power_law(1.0, 5.0, 2.0), "0 < low < high"),
        (lambda: lines([-1.0]), "energies must be positive"),
        (lambda: galactic(SPECIES["proton"], -1.0), "modulation must not be negative"),
        (lambda: simulate_stamps(THICK, -1), "n must not be negative"),
    ],
)
def test_bad_input_gives_a_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()
