"""Silicon as a particle meets it: constants with their sources, pair energy, X-ray absorption."""

import numpy as np

__all__ = [
    "ATOMIC_NUMBER",
    "ATOMS_PER_UM3",
    "DENSITY",
    "ELECTRON_MASS",
    "FANO_FACTOR",
    "MINIMUM_STOPPING_POWER",
    "PAIR_ENERGY",
    "RELATIVE_PERMITTIVITY",
    "attenuation",
    "band_gap",
    "pair_energy",
    "photoabsorption",
    "repulsion_length",
]

ATOMIC_NUMBER = 14
"""Electrons per atom."""

DENSITY = 2.329
"""Density in g/cm3 (CODATA 2018, from the lattice parameter)."""

ATOMS_PER_UM3 = 4.994e10
"""Atoms per cubic micrometre (``DENSITY`` over 28.0855 g/mol)."""

ELECTRON_MASS = 0.51099895
"""Rest energy of the electron in MeV (CODATA 2018)."""

MINIMUM_STOPPING_POWER = 1.664
"""Mean stopping power of a minimum-ionizing particle, MeV cm2/g (Particle Data Group 2022)."""

PAIR_ENERGY = 3.65
"""Mean energy per electron-hole pair at 300 K in eV (Scholze et al. 1998,
J. Appl. Phys. 84, 2926)."""

RELATIVE_PERMITTIVITY = 11.7
"""Static relative permittivity (Sze and Ng 2007, *Physics of Semiconductor Devices*)."""

FANO_FACTOR = 0.115
"""Variance over mean of the number of pairs (Alig et al. 1980, Phys. Rev. B 22, 5565)."""

# Photoabsorption per atom. Above 1 keV: NIST XCOM photoelectric coefficients (cm2/g); between
# the L edge and 1 keV a broad hump that falls as E**-2.6, its height set by the sum rule.
_L_EDGE, _K_EDGE = 99.2, 1838.9
_XCOM_ENERGY = np.array(
    [1e3, 1.5e3, 1838.8, 1839.0, 2e3, 3e3, 4e3, 5e3, 6e3, 8e3, 1e4, 1.5e4, 2e4, 3e4, 4e4, 5e4, 1e5]
)
_XCOM_PHOTO = np.array(
    [1567, 533, 307, 3190, 2775, 976, 451, 244, 146, 63.7, 33.1, 9.85, 4.09, 1.16, 0.474, 0.235]
    + [0.0257]
)
_CM2G_TO_MB = 28.0855 / 6.02214076e23 * 1e18
_VALENCE_PLASMA, _VALENCE_RESONANCE, _VALENCE_WIDTH = 16.6, 3.9, 3.6


def band_gap(temperature):
    """Band gap of silicon.

    Parameters
    ----------
    temperature : float or ndarray
        Kelvin.

    Returns
    -------
    float or ndarray
        Electronvolts.

    References
    ----------
    Alex, Finkbeiner and Weber 1996, J. Appl. Phys. 79, 6943.

    Examples
    --------
    >>> from crismis.silicon import band_gap
    >>> print(round(band_gap(300.0), 3))
    1.123
    """
    return 1.1692 - 4.9e-4 * temperature**2 / (temperature + 655.0)


def pair_energy(temperature=None):
    """Mean energy that makes one electron-hole pair.

    The change with temperature follows the band gap with Klein's slope of 14/5; the value
    at 300 K is ``PAIR_ENERGY``.

    Parameters
    ----------
    temperature : float or ndarray, optional
        Kelvin; 300 K where it is not given or NaN.

    Returns
    -------
    float or ndarray
        Electronvolts per pair.

    Raises
    ------
    ValueError
        If a temperature is not positive.

    References
    ----------
    Klein 1968, J. Appl. Phys. 39, 2029; Canali et al. 1972, IEEE Trans. Nucl. Sci. 19 (4), 9.

    Examples
    --------
    >>> from crismis.silicon import pair_energy
    >>> print(pair_energy(), round(pair_energy(173.0), 3))
    3.65 3.73
    """
    if temperature is None:
        return PAIR_ENERGY
    temperature = np.asarray(temperature, dtype=float)
    if np.any(temperature <= 0):
        raise ValueError(f"temperature must be positive (kelvin), got {temperature}")
    value = PAIR_ENERGY + 2.8 * (band_gap(temperature) - band_gap(300.0))
    value = np.where(np.isnan(value), PAIR_ENERGY, value)
    return float(value) if value.ndim == 0 else value


def repulsion_length(temperature):
    """Distance at which two electrons in silicon repel each other with the thermal energy.

    Parameters
    ----------
    temperature : float
        Kelvin.

    Returns
    -------
    float
        Micrometres.

    Examples
    --------
    >>> from crismis.silicon import repulsion_length
    >>> round(repulsion_length(173.0), 5)
    0.00826
    """
    return 16.7101 / (RELATIVE_PERMITTIVITY * temperature)


def photoabsorption(energy):
    """Photoabsorption cross-section of one silicon atom.

    Valence electrons are a damped oscillator with silicon's plasma energy, the L shell a
    broad hump above its edge at 99.2 eV that carries eight electrons' oscillator strength,
    and above 1 keV NIST's tabulated coefficients hold.

    Parameters
    ----------
    energy : float or ndarray
        Photon energy in eV.

    Returns
    -------
    ndarray
        Megabarn (1e-18 cm2).

    References
    ----------
    Hubbell and Seltzer, NIST XCOM, doi:10.18434/T48G6X; Egerton 2009, Rep. Prog. Phys. 72,
    016502 (plasmon of silicon at 16.7 eV).

    Examples
    --------
    >>> from crismis.silicon import photoabsorption
    >>> print(photoabsorption([5.9e3]).round(4))
    [0.0071]
    """
    energy = np.atleast_1d(np.asarray(energy, dtype=float))
    strength = 109.76 * 4 * 2 / np.pi
    valence = (
        strength
        * _VALENCE_WIDTH
        * energy**2
        / ((_VALENCE_RESONANCE**2 - energy**2) ** 2 + (_VALENCE_WIDTH * energy) ** 2)
    )
    hump = 3.9 / (1 + (energy / 215.0) ** 5.2) ** 0.5 * (energy > _L_EDGE)
    keV = np.exp(np.interp(np.log(energy), np.log(_XCOM_ENERGY), np.log(_XCOM_PHOTO * _CM2G_TO_MB)))
    high = keV * np.where(energy > 1e5, (energy / 1e5) ** -3.0, 1.0)
    return np.where(energy < 1e3, valence + hump, high)


def attenuation(energy):
    """Photoelectric absorption coefficient of silicon.

    Parameters
    ----------
    energy : float or ndarray
        Photon energy in eV.

    Returns
    -------
    ndarray
        Per micrometre.

    Examples
    --------
    >>> from crismis.silicon import attenuation
    >>> print((1 / attenuation(5.9e3)).round(0))
    [28.]
    """
    return photoabsorption(energy) * 1e-10 * ATOMS_PER_UM3
