"""Single collisions of a fast charge with silicon: how often, and how much energy each costs.

The photo-absorption ionization model of Allison and Cobb gives the spectrum of energy
transfers from silicon's photoabsorption. Adding up sampled transfers reproduces the
straggling that Bichsel computed, which in thin silicon is much wider than Landau's.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from ..silicon import ATOMIC_NUMBER, ATOMS_PER_UM3, ELECTRON_MASS, photoabsorption

__all__ = ["HARD_LIMIT", "RUTHERFORD", "SOFT_LIMIT", "CollisionTable", "collision_table"]

HARD_LIMIT = 1e4
"""Transfers above this energy (eV) follow Rutherford's law and are sampled analytically."""

SOFT_LIMIT = 100.0
"""Transfers below this energy (eV) may be summed as a Gaussian when there are many."""

RUTHERFORD = 17.82
"""2 pi r_e^2 m c^2 times silicon's electron density: eV per micrometre."""

_ALPHA = 7.2973525693e-3
_HBARC_EV_UM = 0.1973269804


@dataclass(frozen=True)
class CollisionTable:
    """Collision spectra of a unit charge on a grid of momenta.

    Parameters
    ----------
    log_momentum : ndarray
        Natural logarithm of beta*gamma, evenly spaced, shape (rows,).
    frequency : ndarray
        Collisions per micrometre with transfers below ``HARD_LIMIT``, shape (rows,).
    log_exceedance : ndarray
        Natural logarithm of the probability to transfer more, ascending to 0, evenly
        spaced, shape (columns,).
    log_transfer : ndarray
        Natural logarithm of that transfer in eV, shape (rows, columns).
    soft : ndarray
        For transfers below ``SOFT_LIMIT``: their share of the collisions, and mean (eV/um) and
        variance (eV2/um) of their summed loss; shape (rows, 3).
    stopping : ndarray
        Mean loss to transfers below ``HARD_LIMIT`` in eV per micrometre, shape (rows,).

    Examples
    --------
    >>> from crismis.simulate.collisions import collision_table
    >>> table = collision_table()
    >>> bool(table.stopping.min() > 0)
    True
    """

    log_momentum: np.ndarray
    frequency: np.ndarray
    log_exceedance: np.ndarray
    log_transfer: np.ndarray
    soft: np.ndarray
    stopping: np.ndarray


def _dielectric(energy):
    """Real and imaginary part of the dielectric function on a logarithmic grid."""
    imaginary = photoabsorption(energy) * 1e-10 * ATOMS_PER_UM3 * _HBARC_EV_UM / energy
    log_step = np.log(energy[1] / energy[0])
    squares = energy**2
    difference = squares[None, :] - squares[:, None]
    np.fill_diagonal(difference, 1.0)
    # Subtracting the value at the pole turns the principal value into a plain sum.
    weight = (squares * imaginary)[None, :] - (energy * imaginary)[:, None] * energy[None, :]
    integrand = weight / difference
    np.fill_diagonal(integrand, 0.0)
    return 1 + 2 / np.pi * integrand.sum(axis=1) * log_step, imaginary


def _spectrum(energy, beta_gamma, largest):
    """Collisions per micrometre and eV for each momentum (rows) and transfer (columns)."""
    real, imaginary = _dielectric(energy)
    gamma2 = 1 + beta_gamma[:, None] ** 2
    beta2 = beta_gamma[:, None] ** 2 / gamma2
    square = real**2 + imaginary**2
    absorbed = photoabsorption(energy) * 1e-10 / square  # um2 per atom, screened
    transverse = -0.5 * np.log((1 - beta2 * real) ** 2 + (beta2 * imaginary) ** 2)
    phase = np.arctan2(imaginary * beta2, 1 - real * beta2)
    longitudinal = np.log(np.maximum(2 * ELECTRON_MASS * 1e6 * beta2 / energy, 1.0))
    steps = np.gradient(energy)
    quasi_free = np.cumsum(absorbed * steps) / energy**2
    # Thomas-Reiche-Kuhn: all electrons take part in the hardest collisions.
    quasi_free *= ATOMIC_NUMBER * 109.76e-10 / (quasi_free[-1] * energy[-1] ** 2)
    bound = ATOMS_PER_UM3 * (absorbed / energy * (transverse + longitudinal) + quasi_free)
    cherenkov = (beta2 - real / square) * phase / _HBARC_EV_UM
    rate = _ALPHA / (beta2 * np.pi) * (bound + cherenkov)
    spin = np.clip(1 - beta2 * energy / largest[:, None], 0, 1)
    return np.maximum(rate, 0.0) * spin * (energy < largest[:, None])


@cache
def collision_table():
    """Return the collision spectra, computed once.

    Returns
    -------
    CollisionTable

    References
    ----------
    Allison and Cobb 1980, Annu. Rev. Nucl. Part. Sci. 30, 253; Bichsel 1988, Rev. Mod.
    Phys. 60, 663.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.simulate.collisions import collision_table
    >>> table = collision_table()
    >>> fastest = table.frequency[-1]  # collisions per micrometre of a relativistic particle
    >>> bool(3.5 < fastest < 4.5)
    True
    """
    energy = np.geomspace(1.2, 2e5, 1600)
    beta_gamma = np.geomspace(3e-3, 3e3, 160)
    largest = 2 * ELECTRON_MASS * 1e6 * beta_gamma**2
    rate = _spectrum(energy, beta_gamma, largest)
    inside = energy <= HARD_LIMIT
    energy, rate = energy[inside], rate[:, inside]
    count = rate * np.gradient(energy)
    frequency = count.sum(axis=1)
    exceed = np.cumsum(count[:, ::-1], axis=1)[:, ::-1] / frequency[:, None]
    log_exceedance = np.linspace(np.log(1e-5), 0.0, 600)
    log_transfer = np.array(
        [
            np.interp(log_exceedance, np.log(row[::-1] + 1e-300), np.log(energy[::-1]))
            for row in exceed
        ]
    )
    gentle = energy < SOFT_LIMIT
    soft = np.stack(
        [
            count[:, gentle].sum(axis=1) / frequency,
            count[:, gentle] @ energy[gentle],
            count[:, gentle] @ energy[gentle] ** 2,
        ],
        axis=1,
    )
    return CollisionTable(
        np.log(beta_gamma), frequency, log_exceedance, log_transfer, soft, count @ energy
    )
