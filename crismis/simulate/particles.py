"""What flies: species, energy spectra, directions, and the kinds of events made of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from ..silicon import ELECTRON_MASS, attenuation
from .transport import Primaries

__all__ = [
    "KINDS",
    "MIXTURES",
    "SPECIES",
    "Beam",
    "Gamma",
    "Inner",
    "Spallation",
    "Species",
    "XRay",
    "along",
    "cosine_law",
    "galactic",
    "isotropic",
    "lines",
    "mixture",
    "muon_spectrum",
    "power_law",
]

_ATOMIC_MASS = 931.494


@dataclass(frozen=True)
class Species:
    """A charged particle.

    Parameters
    ----------
    name : str
    mass : float
        Rest energy in MeV.
    charge : int
        Magnitude in elementary charges.
    nucleons : int
        Mass number, 1 for leptons.

    Examples
    --------
    >>> from crismis.simulate import Species
    >>> deuteron = Species("deuteron", mass=1875.6, charge=1, nucleons=2)
    >>> deuteron.mass / deuteron.nucleons
    937.8
    """

    name: str
    mass: float
    charge: int
    nucleons: int = 1


def _nucleus(name, charge, nucleons):
    return Species(name, nucleons * _ATOMIC_MASS, charge, nucleons)


SPECIES = {
    s.name: s
    for s in (
        Species("electron", ELECTRON_MASS, 1),
        Species("muon", 105.6584, 1),
        Species("pion", 139.5704, 1),
        Species("proton", 938.2721, 1),
        Species("deuteron", 1875.613, 1, 2),
        Species("helium", 3727.379, 2, 4),
        _nucleus("lithium", 3, 7),
        _nucleus("carbon", 6, 12),
        _nucleus("oxygen", 8, 16),
        _nucleus("neon", 10, 20),
        _nucleus("magnesium", 12, 24),
        _nucleus("silicon", 14, 28),
        _nucleus("iron", 26, 56),
    )
}
"""Charged particles by name."""


# ---- directions: functions (n, rng) -> unit vectors that cross the face, shape (n, 3) ----


def isotropic(n, rng):
    """Draw directions of an isotropic flux through the face, from both sides.

    The number through a face falls as the cosine of the inclination, whose mean is
    therefore 2/3.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.simulate import isotropic
    >>> directions = isotropic(100_000, np.random.default_rng(1))
    >>> print(abs(directions[:, 2]).mean().round(2))
    0.67
    """
    cosine = np.sqrt(rng.random(n)) * rng.choice([-1.0, 1.0], n)
    return _directions(cosine, rng)


def along(x, y, z):
    """Return a law that gives every particle one direction.

    Raises
    ------
    ValueError
        If the direction has no length or lies in the plane of the pixels.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.simulate import along
    >>> along(0, 0, -2)(1, np.random.default_rng(1))
    array([[ 0.,  0., -1.]])
    """
    vector = np.array([x, y, z], dtype=float)
    length = np.linalg.norm(vector)
    if length == 0 or z == 0:
        raise ValueError(f"direction ({x}, {y}, {z}) never enters the face: z must not be 0")
    return lambda n, rng: np.tile(vector / length, (n, 1))


def cosine_law(power=2.0, tilt=0.0):
    """Return a law for a flux from above that falls as a power of the zenith angle's cosine.

    Parameters
    ----------
    power : float
        2 for muons at sea level.
    tilt : float
        Degrees between the sensor's normal and the zenith: 0 lies flat, 90 stands upright,
        its rows one above the other.

    Returns
    -------
    callable
        ``(n, rng) -> directions``.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.simulate import cosine_law
    >>> directions = cosine_law()(10_000, np.random.default_rng(1))
    >>> print(f"{abs(directions[:, 2]).mean():.2f}")
    0.80
    """
    if power < 0:
        raise ValueError(f"power must not be negative, got {power}")
    angle = np.deg2rad(tilt)

    def draw(n, rng):
        kept = []
        missing = n
        while missing > 0:
            size = 3 * missing + 16
            cosine = rng.random(size) ** (1 / (power + 1))
            flat = -_directions(cosine, rng)
            turned = flat.copy()
            turned[:, 1] = flat[:, 1] * np.cos(angle) + flat[:, 2] * np.sin(angle)
            turned[:, 2] = -flat[:, 1] * np.sin(angle) + flat[:, 2] * np.cos(angle)
            crossing = turned[rng.random(size) < np.abs(turned[:, 2])][:missing]
            kept.append(crossing)
            missing -= len(crossing)
        return np.concatenate(kept) if kept else np.empty((0, 3))

    return draw


def _directions(cosine, rng):
    azimuth = rng.uniform(0, 2 * np.pi, cosine.size)
    sine = np.sqrt(1 - cosine**2)
    return np.column_stack([sine * np.cos(azimuth), sine * np.sin(azimuth), cosine])


def _everywhere(n, rng):
    return _directions(rng.uniform(-1, 1, n), rng)


# ---- spectra: functions (n, rng) -> kinetic energies in MeV ----


def _tabulated(energy, intensity):
    """Inverse-transform sampling of a differential spectrum given on a logarithmic grid."""
    weight = intensity * energy
    mean = 0.5 * (weight[1:] + weight[:-1])
    cumulative = np.concatenate([[0], np.cumsum(mean)])
    cumulative /= cumulative[-1]
    log_energy = np.log(energy)
    return lambda n, rng: np.exp(np.interp(rng.random(n), cumulative, log_energy))


def power_law(index, low, high):
    """Return a spectrum that falls as ``energy ** -index`` between two energies in MeV.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.simulate import power_law
    >>> energies = power_law(2.0, 10.0, 1000.0)(10_000, np.random.default_rng(1))
    >>> bool(energies.min() >= 10), bool(energies.max() <= 1000)
    (True, True)
    """
    if not 0 < low < high:
        raise ValueError(f"energies must satisfy 0 < low < high, got {low} and {high} MeV")
    energy = np.geomspace(low, high, 400)
    return _tabulated(energy, energy**-index)


def lines(energies, weights=None):
    """Return a spectrum of discrete energies in MeV.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.simulate import lines
    >>> energies = lines([5.895e-3, 6.49e-3], weights=[9, 1])(1000, np.random.default_rng(1))
    >>> np.unique(energies)
    array([0.005895, 0.00649 ])
    """
    energies = np.asarray(energies, dtype=float)
    if np.any(energies <= 0):
        raise ValueError(f"energies must be positive (MeV), got {energies}")
    share = np.ones(energies.size) if weights is None else np.asarray(weights, dtype=float)
    share = share / share.sum()
    return lambda n, rng: rng.choice(energies, n, p=share)


def muon_spectrum():
    """Return the spectrum of muons at sea level.

    References
    ----------
    Shukla and Sankrith 2018, Int. J. Mod. Phys. A 33, 1850175.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.simulate import muon_spectrum
    >>> energies = muon_spectrum()(10_000, np.random.default_rng(1))
    >>> bool(1000 < np.median(energies) < 4000)
    True
    """
    energy = np.geomspace(50.0, 1e6, 400)
    return _tabulated(energy, (4.29 + energy / 1e3) ** -3.01 / (1 + energy / 854e3))


def galactic(species, modulation, cutoff=0.0):
    """Return the spectrum of a galactic cosmic-ray nucleus inside the heliosphere.

    The force-field approximation slows the local interstellar spectrum down.

    Parameters
    ----------
    species : Species
        A nucleus.
    modulation : float
        Modulation potential in MV: about 400 at solar minimum, 1100 at maximum.
    cutoff : float
        Geomagnetic cut-off rigidity in GV, 0 outside the magnetosphere.

    References
    ----------
    Burger et al. 2000, J. Geophys. Res. 105, 27447 (interstellar spectrum); Usoskin et al.
    2005, J. Geophys. Res. 110, A12108 (modulation).

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.simulate import SPECIES, galactic
    >>> energies = galactic(SPECIES["proton"], 400.0)(10_000, np.random.default_rng(1))
    >>> bool(100 < np.median(energies) < 5000)
    True
    """
    if modulation < 0:
        raise ValueError(f"modulation must not be negative (MV), got {modulation}")
    proton = SPECIES["proton"].mass
    ratio = species.charge / species.nucleons
    energy = np.geomspace(10.0, 1e6, 600)
    outside = energy + ratio * modulation
    rigidity = np.sqrt(outside * (outside + 2 * proton)) / 1e3
    interstellar = rigidity**-2.78 / (1 + 0.4866 * rigidity**-2.51)
    flux = interstellar * energy * (energy + 2 * proton) / (outside * (outside + 2 * proton))
    inside = np.sqrt(energy * (energy + 2 * proton)) / 1e3 / ratio
    draw = _tabulated(energy, np.where(inside >= cutoff, flux, 0.0))
    return lambda n, rng: species.nucleons * draw(n, rng)


# ---- kinds of events ----


def _enter(direction, volume, rng):
    """Entry points, uniform over the face that each direction meets first."""
    position = rng.random((len(direction), 3)) * volume.size
    position[:, 2] = np.where(direction[:, 2] > 0, 0.0, volume.thickness)
    return position


def _single(species, position, direction, energy):
    n = len(energy)
    return Primaries(
        np.arange(n),
        position,
        direction,
        np.asarray(energy, dtype=float),
        np.full(n, species.mass),
        np.full(n, float(species.charge)),
    )


@dataclass(frozen=True)
class Beam:
    """Particles that enter through a face.

    Parameters
    ----------
    species : Species
    spectrum : callable
        ``(n, rng) -> kinetic energies in MeV``.
    direction : callable
        ``(n, rng) -> unit vectors``, weighted by the flux through the face.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.simulate import SPECIES, Beam, isotropic, power_law
    >>> beam = Beam(SPECIES["proton"], power_law(2.7, 100.0, 1e5), isotropic)
    >>> beam.species.charge
    1
    """

    species: Species
    spectrum: Callable
    direction: Callable = isotropic

    def draw(self, n, volume, rng):
        """Draw the particles of ``n`` events."""
        direction = self.direction(n, rng)
        position = _enter(direction, volume, rng)
        return _single(self.species, position, direction, self.spectrum(n, rng))


@dataclass(frozen=True)
class Inner:
    """Particles born inside the silicon or on its face, such as alphas from contamination.

    Parameters
    ----------
    species : Species
    spectrum : callable
        ``(n, rng) -> kinetic energies in MeV``.
    surface : float
        Share of the decays that happen on the far face, the rest being spread evenly.

    Examples
    --------
    >>> import crismis
    >>> from crismis.simulate import SPECIES, Inner, lines
    >>> alphas = Inner(SPECIES["helium"], lines([5.3]))
    >>> ccd = crismis.simulate_exposure("HST/WFPC2/PC", 100, shape=(64, 64), n_events=3,
    ...                                 particles=alphas, seed=1)
    >>> len(ccd.truth["events"])
    3
    """

    species: Species
    spectrum: Callable
    surface: float = 0.0

    def draw(self, n, volume, rng):
        """Draw the particles of ``n`` events."""
        direction = _everywhere(n, rng)
        position = rng.random((n, 3)) * volume.size
        outside = rng.random(n) < self.surface
        position[outside, 2] = volume.thickness
        direction[outside, 2] = -np.abs(direction[outside, 2])
        return _single(self.species, position, direction, self.spectrum(n, rng))


@dataclass(frozen=True)
class XRay:
    """Photons absorbed at one place.

    Parameters
    ----------
    spectrum : callable
        ``(n, rng) -> energies in MeV``.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.simulate import XRay, lines
    >>> iron = XRay(lines([5.895e-3]))
    >>> iron.spectrum(2, np.random.default_rng(1))
    array([0.005895, 0.005895])
    """

    spectrum: Callable

    def draw(self, n, volume, rng):
        """Draw the absorptions of ``n`` events, photons falling on the far face."""
        energy = self.spectrum(n, rng)
        absorption = attenuation(energy * 1e6)
        depth = -np.log1p(-rng.random(n) * -np.expm1(-absorption * volume.thickness)) / absorption
        position = rng.random((n, 3)) * volume.size
        position[:, 2] = volume.thickness - depth
        return Primaries(
            np.arange(n),
            position,
            np.tile([0.0, 0.0, -1.0], (n, 1)),
            energy,
            np.ones(n),
            np.zeros(n),
        )


@dataclass(frozen=True)
class Gamma:
    """Electrons that gamma rays set free in the silicon and its surroundings by Compton scatter.

    Parameters
    ----------
    spectrum : callable
        ``(n, rng) -> photon energies in MeV``.
    outside : float
        Share of the electrons that were freed in the surrounding matter and enter through a
        face.

    References
    ----------
    Klein and Nishina 1929, Z. Phys. 52, 853.

    Examples
    --------
    >>> import crismis
    >>> from crismis.simulate import Gamma, lines
    >>> ccd = crismis.simulate_exposure("HST/WFPC2/PC", 100, shape=(64, 64), n_events=5,
    ...                                 particles=Gamma(lines([1.46])), seed=1)
    >>> len(ccd.truth["events"])
    5
    """

    spectrum: Callable
    outside: float = 0.65

    def draw(self, n, volume, rng):
        """Draw the electrons of ``n`` events."""
        photon = self.spectrum(n, rng)
        energy, cosine = _compton(photon, rng)
        photon_direction = _everywhere(n, rng)
        direction = _turn(photon_direction, cosine, rng)
        position = rng.random((n, 3)) * volume.size
        entering = rng.random(n) < self.outside
        direction[entering] = isotropic(int(entering.sum()), rng)
        position[entering] = _enter(direction[entering], volume, rng)
        # What comes from outside lost a part of its energy on the way out of that matter.
        energy[entering] *= rng.random(int(entering.sum()))
        return _single(SPECIES["electron"], position, direction, energy)


def _compton(photon, rng):
    """Kinetic energy of the electron (MeV) and cosine of its angle to the photon."""
    ratio = photon / ELECTRON_MASS
    cosine = np.empty(photon.size)
    todo = np.arange(photon.size)
    while todo.size:
        trial = rng.uniform(-1, 1, todo.size)
        left = 1 / (1 + ratio[todo] * (1 - trial))
        weight = 0.5 * left**2 * (left + 1 / left - (1 - trial**2))
        accepted = rng.random(todo.size) < weight
        cosine[todo[accepted]] = trial[accepted]
        todo = todo[~accepted]
    left = 1 / (1 + ratio * (1 - cosine))
    energy = photon * (1 - left)
    tangent = (1 + ratio) * np.sqrt((1 - cosine) / np.maximum(1 + cosine, 1e-12))
    # The electron's angle: cot = (1 + ratio) tan(half the photon's angle).
    return np.maximum(energy, 1e-6), tangent / np.hypot(1, tangent)


def _turn(direction, cosine, rng):
    """Rotate unit vectors by polar angles of given cosine and random azimuth."""
    helper = np.where(np.abs(direction[:, 2:]) < 0.9, [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]])
    first = np.cross(direction, helper)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(direction, first)
    azimuth = rng.uniform(0, 2 * np.pi, len(direction))[:, None]
    sine = np.sqrt(np.maximum(1 - cosine**2, 0))[:, None]
    return cosine[:, None] * direction + sine * (np.cos(azimuth) * first + np.sin(azimuth) * second)


@dataclass(frozen=True)
class Spallation:
    """Nuclei broken by a fast hadron: prongs of differing brightness from one vertex.

    Parameters
    ----------
    prongs : tuple of int
        Fewest and most prongs; their number falls exponentially in between.
    mean : float
        Scale of that fall.
    temperature : float
        Temperature in MeV of the evaporation spectra.
    fragments : mapping
        Species name -> relative abundance among the evaporated fragments.
    cascade : float
        Share of the prongs that are fast protons and pions of the intranuclear cascade.
    charged : float
        Share of the events whose hadron was charged and left its own track, which is the
        first prong.

    References
    ----------
    Powell, Fowler and Perkins 1959, *The Study of Elementary Particles by the Photographic
    Method*, chapter 13 (stars in emulsions); Le Couteur 1950, Proc. Phys. Soc. A 63, 259.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.simulate import Spallation, detector_volume, draw_events
    >>> stars = Spallation(prongs=(4, 6))
    >>> volume = detector_volume("HST/WFPC2/PC")
    >>> prints, truth = draw_events(stars, 2, volume, np.random.default_rng(1))
    >>> len(prints), len(truth)
    (2, 2)
    """

    prongs: tuple = (3, 20)
    mean: float = 3.0
    temperature: float = 4.0
    fragments: Mapping = field(
        default_factory=lambda: {
            "proton": 0.5,
            "deuteron": 0.12,
            "helium": 0.3,
            "lithium": 0.05,
            "carbon": 0.03,
        },
        hash=False,
    )
    cascade: float = 0.3
    charged: float = 0.7

    def draw(self, n, volume, rng):
        """Draw the prongs of ``n`` events."""
        low, high = self.prongs
        counts = np.minimum(low + np.floor(rng.exponential(self.mean, n)), high).astype(int)
        event = np.repeat(np.arange(n), counts)
        size = event.size
        position = (rng.random((n, 3)) * volume.size)[event]
        direction = _everywhere(size, rng)
        names = np.array(list(self.fragments))
        share = np.array(list(self.fragments.values()), dtype=float)
        picked = names[rng.choice(names.size, size, p=share / share.sum())]
        mass = np.array([SPECIES[name].mass for name in picked])
        charge = np.array([float(SPECIES[name].charge) for name in picked])
        barrier = 2.0 * charge / 1.5
        energy = barrier + self.temperature * rng.gamma(2.0, 1.0, size)
        fast = rng.random(size) < self.cascade
        pion = fast & (rng.random(size) < 0.3)
        mass[fast], charge[fast] = SPECIES["proton"].mass, 1.0
        mass[pion] = SPECIES["pion"].mass
        energy[fast] = power_law(1.5, 20.0, 1000.0)(int(fast.sum()), rng)
        # A hadron's way to the vertex deposits what the same way backwards would.
        start = np.searchsorted(event, np.nonzero(rng.random(n) < self.charged)[0])
        mass[start], charge[start], energy[start] = SPECIES["proton"].mass, 1.0, 5000.0
        return Primaries(event, position, direction, energy, mass, charge)


# Nuclei relative to protons at equal energy per nucleon above the modulated region: Particle
# Data Group 2022, table 30.1, rounded, odd neighbours added to the named element.
_NUCLEI = {
    "proton": 1.0,
    "helium": 0.055,
    "carbon": 0.0030,
    "oxygen": 0.0027,
    "neon": 0.0006,
    "magnesium": 0.0006,
    "silicon": 0.0005,
    "iron": 0.0003,
}


# Modulation in MV and cut-off rigidity in GV: interplanetary space at the Sun's minimum and
# maximum, and a mean over a low orbit at moderate inclination.
_PHASES = {"minimum": (400.0, 0.0), "maximum": (1100.0, 0.0), "orbit": (700.0, 5.0)}


def _galactic_kinds():
    kinds = {}
    for phase, (modulation, cutoff) in _PHASES.items():
        for name in _NUCLEI:
            species = SPECIES[name]
            kinds[f"{name}-{phase}"] = Beam(species, galactic(species, modulation, cutoff))
    return kinds


KINDS = {
    "muon": Beam(SPECIES["muon"], muon_spectrum(), cosine_law(2.0)),
    "muon-upright": Beam(SPECIES["muon"], muon_spectrum(), cosine_law(2.0, tilt=90.0)),
    "electron": Beam(SPECIES["electron"], power_law(1.0, 0.05, 3.0)),
    "gamma": Gamma(lines([0.352, 0.609, 0.911, 1.12, 1.461, 1.765, 2.614], [4, 5, 3, 2, 8, 2, 3])),
    "xray": XRay(lines([5.899e-3, 6.490e-3, 8.05e-3, 14.4e-3], [4, 1, 2, 1])),
    "alpha": Inner(SPECIES["helium"], lines([4.2, 4.77, 5.3, 6.0, 7.69]), surface=0.5),
    "stopping-ion": Beam(SPECIES["carbon"], power_law(1.0, 20.0, 400.0)),
    "spallation": Spallation(),
    "secondary-proton": Beam(SPECIES["proton"], power_law(1.0, 10.0, 1000.0)),
    **_galactic_kinds(),
}
"""Kinds of events by name."""

MIXTURES = {
    "ground": {"muon": 0.5, "gamma": 0.47, "xray": 0.02, "alpha": 0.01},
    "laboratory": {
        "muon": 0.05,
        "muon-upright": 0.16,
        "gamma": 0.77,
        "xray": 0.015,
        "alpha": 0.005,
    },
    **{
        f"space-{phase}": {
            **{f"{name}-{phase}": 0.8 * share for name, share in _NUCLEI.items()},
            "electron": 0.18,
            "spallation": 0.004,
            "xray": 0.01,
        }
        for phase in ("minimum", "maximum")
    },
    "orbit": {
        **{f"{name}-orbit": 0.65 * share for name, share in _NUCLEI.items()},
        "secondary-proton": 0.1,
        "electron": 0.2,
        "spallation": 0.004,
        "xray": 0.01,
    },
}
"""Named mixtures: kind -> share of the events."""


def mixture(particles):
    """Coerce what the user calls particles to kinds with shares that add up to one.

    Parameters
    ----------
    particles : str, kind, mapping or sequence
        Name of a kind (``KINDS``) or of a mixture (``MIXTURES``), an object with a ``draw``
        method, a mapping of names to shares or to pairs of kind and share, or a sequence of
        names in equal shares.

    Returns
    -------
    dict
        Name -> (kind, share).

    Raises
    ------
    ValueError
        If a name is not known or a share is negative.

    Examples
    --------
    >>> from crismis.simulate import mixture
    >>> {name: share for name, (_, share) in mixture({"muon": 3, "alpha": 1}).items()}
    {'muon': 0.75, 'alpha': 0.25}
    """
    if isinstance(particles, str):
        particles = MIXTURES.get(particles, {particles: 1.0})
    elif hasattr(particles, "draw"):
        particles = {type(particles).__name__.lower(): (particles, 1.0)}
    elif not isinstance(particles, Mapping):
        particles = dict.fromkeys(particles, 1.0)
    kinds = {}
    for name, value in particles.items():
        kind, share = value if isinstance(value, tuple) else (KINDS.get(name), value)
        if kind is None:
            known = ", ".join([*KINDS, *MIXTURES])
            raise ValueError(f"unknown particle {name!r}; known are {known}")
        if not share >= 0:
            raise ValueError(f"the share of {name!r} must not be negative, got {share}")
        kinds[name] = kind, float(share)
    total = sum(share for _, share in kinds.values())
    if not total > 0:
        raise ValueError("particles must name at least one kind with a positive share")
    return {name: (kind, share / total) for name, (kind, share) in kinds.items()}
