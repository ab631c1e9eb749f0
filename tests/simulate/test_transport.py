"""Energy loss, straggling and range of particles in silicon against cited values."""

import numpy as np
import pytest

from crismis.silicon import DENSITY, ELECTRON_MASS, MINIMUM_STOPPING_POWER, PAIR_ENERGY
from crismis.simulate import SPECIES, Diffusion, Primaries, Volume, deposit
from crismis.simulate.collisions import RUTHERFORD, collision_table


def shoot(species, energy, n, thickness, depth=0.0, size=64):
    """Send ``n`` particles straight down."""
    kind = SPECIES[species]
    volume = Volume((size, size), (10.0, 10.0), thickness, Diffusion(4.0, thickness))
    primaries = Primaries(
        np.arange(n),
        np.tile([5.0 * size, 5.0 * size, depth], (n, 1)),
        np.tile([0.0, 0.0, 1.0], (n, 1)),
        np.full(n, energy),
        np.full(n, kind.mass),
        np.full(n, float(kind.charge)),
    )
    seeds = np.random.default_rng(1).integers(0, 2**63, n, dtype=np.uint64)
    return deposit(primaries, volume, seeds)


def most_probable(values):
    """Peak of a histogram, by a parabola through its top."""
    counts, edges = np.histogram(values, np.arange(20, 200, 2.0))
    centres = 0.5 * (edges[1:] + edges[:-1])
    top = slice(max(counts.argmax() - 5, 0), counts.argmax() + 6)
    a, b, _ = np.polyfit(centres[top], counts[top], 2)
    return -b / (2 * a)


@pytest.mark.parametrize(("thickness", "expected"), [(10.0, 52.0), (100.0, 69.0), (250.0, 75.0)])
def test_most_probable_charge_of_minimum_ionizing_particles(thickness, expected):
    # Meroli, Passeri and Servoli 2011, JINST 6 P06013.
    prints, _ = shoot("muon", 4000.0, 12000, thickness)
    assert most_probable(prints.total / thickness) == pytest.approx(expected, rel=0.03)


def test_mean_loss_at_minimum_ionization():
    table = collision_table()
    beta_gamma = np.exp(table.log_momentum)
    row = np.argmin(np.abs(beta_gamma - 3.5))
    beta2 = beta_gamma[row] ** 2 / (1 + beta_gamma[row] ** 2)
    largest = 2e6 * ELECTRON_MASS * beta_gamma[row] ** 2
    tail = RUTHERFORD / beta2 * (np.log(largest / 1e4) - beta2)
    mean = (table.stopping[row] + tail) / PAIR_ENERGY
    assert mean == pytest.approx(106.0, rel=0.03)
    assert mean * PAIR_ENERGY == pytest.approx(MINIMUM_STOPPING_POWER * DENSITY * 100, rel=0.03)


def test_mean_loss_of_simulated_muons_at_minimum_ionization():
    _, traces = shoot("muon", 280.0, 20000, 250.0)
    lost = (280.0 - traces.left) * 1e6
    assert lost.mean() / 250 / PAIR_ENERGY == pytest.approx(106.0, rel=0.06)
    # Hard knock-on electrons leave the slab, so less stays than is lost.
    assert traces.deposited.mean() < lost.mean()


@pytest.mark.parametrize(
    ("species", "energy", "expected"),
    [
        # NIST PSTAR and ASTAR, continuous-slowing-down ranges in micrometres.
        ("proton", 1.0, 16.5),
        ("proton", 5.0, 216.0),
        ("proton", 10.0, 709.0),
        ("helium", 5.486, 28.0),
        # NIST ESTAR; the way, not the depth, of electrons.
        ("electron", 0.1, 78.0),
        ("electron", 0.3, 448.0),
    ],
)
def test_range(species, energy, expected):
    _, traces = shoot(species, energy, 150, 4000.0, depth=2000.0, size=300)
    assert traces.path.mean() == pytest.approx(expected, rel=0.06)
    np.testing.assert_allclose(traces.deposited, energy * 1e6, rtol=1e-6)


def test_outcome_of_an_event_does_not_depend_on_the_others():
    prints, _ = shoot("muon", 4000.0, 40, 100.0)
    alone, _ = shoot("muon", 4000.0, 7, 100.0)
    np.testing.assert_array_equal(prints.select(slice(0, 7)).charge, alone.charge)


def test_electrons_are_conserved():
    prints, traces = shoot("muon", 4000.0, 300, 100.0)
    np.testing.assert_allclose(prints.total, traces.deposited / PAIR_ENERGY, rtol=0.03)
