"""Particles through silicon: from primaries to the electrons that each event leaves in pixels."""

from dataclasses import dataclass

import numpy as np

from ..silicon import FANO_FACTOR, PAIR_ENERGY
from ._kernels import transport
from .charge import Diffusion
from .collisions import collision_table
from .footprints import Footprints

__all__ = ["Primaries", "Traces", "Volume", "deposit"]

_SPREAD_POINTS = 257
_DELTA_CUT = 0.01


@dataclass(frozen=True)
class Volume:
    """The sensitive silicon: a slab of pixels.

    Parameters
    ----------
    shape : tuple of int
        Pixels, (rows, columns).
    pitch : tuple of float
        Pixel size in micrometres, (rows, columns), binning included.
    thickness : float
        Micrometres.
    diffusion : Diffusion
        Width of charge clouds by depth.
    pair_energy : float
        Electronvolts per electron-hole pair.
    repulsion : float
        Distance in micrometres at which two electrons repel each other with the thermal
        energy (`crismis.silicon.repulsion_length`); 0 leaves repulsion out.

    Examples
    --------
    >>> from crismis.simulate import Diffusion, Volume
    >>> volume = Volume((100, 100), (15.0, 15.0), 12.0, Diffusion(6.0, 12.0, 6.0))
    >>> volume.thickness
    12.0
    """

    shape: tuple
    pitch: tuple
    thickness: float
    diffusion: Diffusion
    pair_energy: float = PAIR_ENERGY
    repulsion: float = 0.0

    def __post_init__(self):
        if not self.thickness > 0:
            raise ValueError(f"thickness must be positive (micrometres), got {self.thickness}")
        if min(self.shape) < 1:
            raise ValueError(f"shape must have at least one row and column, got {self.shape}")
        if not min(self.pitch) > 0:
            raise ValueError(f"pitch must be positive (micrometres), got {self.pitch}")

    @property
    def size(self):
        """Extent along columns (x), rows (y) and depth (z) in micrometres."""
        rows, columns = self.shape
        return columns * self.pitch[1], rows * self.pitch[0], self.thickness

    @property
    def area(self):
        """Area of the face in cm2."""
        return self.size[0] * self.size[1] * 1e-8


@dataclass(frozen=True)
class Primaries:
    """Particles about to fly, grouped by event.

    Parameters
    ----------
    event : ndarray of int
        Event that each particle belongs to, ascending from 0.
    position : ndarray
        x, y, z in micrometres, shape (particles, 3); z is 0 at the gates.
    direction : ndarray
        Unit vectors, shape (particles, 3).
    energy, mass : ndarray
        Kinetic and rest energy in MeV.
    charge : ndarray
        In units of the elementary charge, as a magnitude; 0 for a quantum that is absorbed
        on the spot.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.simulate import Primaries
    >>> muon = Primaries(event=np.array([0]), position=np.array([[50.0, 50.0, 10.0]]),
    ...                  direction=np.array([[0.0, 0.0, -1.0]]), energy=np.array([4000.0]),
    ...                  mass=np.array([105.66]), charge=np.array([1.0]))
    >>> muon.position.shape
    (1, 3)
    """

    event: np.ndarray
    position: np.ndarray
    direction: np.ndarray
    energy: np.ndarray
    mass: np.ndarray
    charge: np.ndarray


@dataclass(frozen=True)
class Traces:
    """What became of each particle.

    Parameters
    ----------
    deposited : ndarray
        Energy left in the silicon in eV, knock-on electrons included.
    path : ndarray
        Length of the way in micrometres.
    arc : ndarray
        Length of the way's projection on the pixel plane in micrometres.
    end : ndarray
        Last position in micrometres, shape (particles, 3).
    left : ndarray
        Kinetic energy in MeV carried out of the silicon, 0 for a particle that stopped.
    delta_reach : ndarray
        Farthest that a knock-on electron came from the particle's line of entry, projected,
        in micrometres.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.simulate import Diffusion, Primaries, Volume, deposit
    >>> slab = Volume((9, 9), (10.0, 10.0), 100.0, Diffusion(4.0, 100.0))
    >>> electron = Primaries(event=np.array([0]), position=np.array([[45.0, 45.0, 0.0]]),
    ...                      direction=np.array([[0.0, 0.0, 1.0]]), energy=np.array([0.05]),
    ...                      mass=np.array([0.511]), charge=np.array([1.0]))
    >>> _, traces = deposit(electron, slab, np.array([7], dtype=np.uint64))
    >>> float(traces.left[0])  # it stopped
    0.0
    """

    deposited: np.ndarray
    path: np.ndarray
    arc: np.ndarray
    end: np.ndarray
    left: np.ndarray
    delta_reach: np.ndarray


def deposit(primaries, volume, seeds):
    """Fly the particles of many events and collect their charge.

    Energy loss is the sum of sampled collisions (`~crismis.simulate.collisions`); knock-on
    electrons above 10 keV fly on their own. Deflection follows Wentzel's screened
    cross-section with Moliere's screening, gentle deflections taken together and hard ones
    one by one. Charge spreads as a Gaussian whose width depends on depth, integrated over
    pixels. If the volume's ``repulsion`` is not 0, dense charge also drives itself apart while
    it drifts: a compact deposit of hundreds of thousands of electrons becomes an even disc.

    Parameters
    ----------
    primaries : Primaries
        The particles.
    volume : Volume
        The silicon.
    seeds : ndarray of uint64
        One per event; an event's outcome depends on its own seed only.

    Returns
    -------
    Footprints, Traces

    References
    ----------
    Fernandez-Varea et al. 1993, Nucl. Instrum. Methods B 73, 447 (mixed simulation of
    scattering); Moliere 1947, Z. Naturforsch. A 2, 133.

    Examples
    --------
    One relativistic muon straight through 100 micrometres of silicon:

    >>> import numpy as np
    >>> from crismis.simulate import Diffusion, Primaries, Volume, deposit
    >>> slab = Volume((9, 9), (10.0, 10.0), 100.0, Diffusion(4.0, 100.0))
    >>> muon = Primaries(
    ...     event=np.array([0]),
    ...     position=np.array([[45.0, 45.0, 0.0]]),
    ...     direction=np.array([[0.0, 0.0, 1.0]]),
    ...     energy=np.array([4000.0]),
    ...     mass=np.array([105.658]),
    ...     charge=np.array([1.0]),
    ... )
    >>> prints, traces = deposit(muon, slab, np.array([7], dtype=np.uint64))
    >>> float(traces.path[0].round(3)), bool(4000 < prints.total[0] < 30000)
    (100.0, True)
    """
    seeds = np.ascontiguousarray(seeds, dtype=np.uint64)
    columns = np.column_stack(
        [
            primaries.position,
            primaries.direction,
            primaries.energy,
            primaries.mass,
            primaries.charge,
        ]
    )
    first = np.searchsorted(primaries.event, np.arange(seeds.size + 1))
    depth = np.linspace(0, volume.thickness, _SPREAD_POINTS)
    offsets, flat, charge, traces = transport(
        np.ascontiguousarray(columns, dtype=float),
        np.ascontiguousarray(first, dtype=np.int64),
        seeds,
        volume.shape,
        volume.pitch,
        volume.thickness,
        np.ascontiguousarray(volume.diffusion.width(depth)),
        np.ascontiguousarray(volume.diffusion.drift_width(depth)),
        volume.repulsion,
        volume.pair_energy,
        FANO_FACTOR,
        min(0.25 * min(volume.pitch), 0.1 * volume.thickness),
        _DELTA_CUT,
        collision_table(),
    )
    prints = Footprints(offsets, flat // volume.shape[1], flat % volume.shape[1], charge)
    return prints, Traces(*traces[:, :3].T, traces[:, 3:6], *traces[:, 6:8].T)
