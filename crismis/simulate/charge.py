"""What happens to charge on its way out of the silicon: diffusion, saturation, blooming, trails."""

import math
from dataclasses import dataclass

import numpy as np

__all__ = ["Diffusion", "bloom", "trail_charge"]


@dataclass(frozen=True)
class Diffusion:
    """Width of a charge cloud against the depth where it was made.

    In the depleted layer, next to the gates, charge drifts and its variance grows in
    proportion to the drift time, hence to depth under an even field. In the field-free layer
    behind it charge wanders, and the width grows in proportion to the distance from the
    depleted layer, the more so the longer the wandering.

    Parameters
    ----------
    far : float
        Width (rms, micrometres) of charge made at the far side.
    thickness : float
        Silicon thickness in micrometres.
    depleted : float
        Depth of the depleted layer in micrometres; the whole thickness by default.
    near : float
        Width (rms, micrometres) of charge made right at the gates.

    References
    ----------
    Holland et al. 2003, IEEE Trans. Electron Devices 50, 225; Janesick 2001, *Scientific
    Charge-Coupled Devices*, section 4.4.

    Examples
    --------
    >>> from crismis.simulate import Diffusion
    >>> drift = Diffusion(far=5.0, thickness=100.0)
    >>> drift.width([0, 25, 100]).round(2)
    array([0.5 , 2.54, 5.  ])
    """

    far: float
    thickness: float
    depleted: float = math.nan
    near: float = 0.5

    def __post_init__(self):
        if not self.thickness > 0:
            raise ValueError(f"thickness must be positive (micrometres), got {self.thickness}")
        if not self.far >= 0:
            raise ValueError(f"far must not be negative (micrometres), got {self.far}")
        if not self.near >= 0:
            raise ValueError(f"near must not be negative (micrometres), got {self.near}")
        if self.depleted < 0:
            raise ValueError(f"depleted must not be negative (micrometres), got {self.depleted}")

    def width(self, depth):
        """Return the rms width in micrometres at a depth (micrometres from the gates)."""
        depth = np.clip(np.asarray(depth, dtype=float), 0, self.thickness)
        drift = self.drift_width(depth) ** 2
        if self._drift_share == 1:
            return np.sqrt(drift)
        wander = np.maximum(depth - self.depleted, 0) / (self.thickness - self.depleted)
        return np.sqrt(drift + (1 - self._drift_share) * self._grown * wander**2)

    def drift_width(self, depth):
        """Return the part of the width that charge gains while it drifts."""
        depth = np.clip(np.asarray(depth, dtype=float), 0, self.thickness)
        depleted = self.thickness if self._drift_share == 1 else max(self.depleted, 1e-9)
        drift = self._drift_share * np.minimum(depth / depleted, 1.0)
        return np.sqrt(min(self.near, self.far) ** 2 + self._grown * drift)

    @property
    def _grown(self):
        return self.far**2 - min(self.near, self.far) ** 2

    @property
    def _drift_share(self):
        """Share of the far side's variance gained in the depleted layer."""
        if math.isnan(self.depleted) or self.depleted >= self.thickness:
            return 1.0
        return 0.25 * self.depleted / self.thickness


def bloom(image, full_well):
    """Let charge above the full well spill along columns, as it does in a CCD.

    Parameters
    ----------
    image : ndarray
        Electrons, shape (rows, columns).
    full_well : float
        Electrons that a pixel holds.

    Returns
    -------
    ndarray
        A copy where no pixel holds more than the full well, but what reached the first or
        last row and found no room is lost.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.simulate import bloom
    >>> column = np.array([[0.0], [0.0], [350.0], [0.0], [0.0]])
    >>> bloom(column, 100.0).ravel()
    array([ 25., 100., 100., 100.,  25.])
    """
    if not full_well > 0:
        raise ValueError(f"full_well must be positive (electrons), got {full_well}")
    out = np.array(image)
    full = np.nonzero((out > full_well).any(axis=0))[0]
    charge = out[:, full].astype(float)
    excess = np.maximum(charge - full_well, 0)
    held = charge - excess
    for way in (slice(None), slice(None, None, -1)):
        _spill(held[way], excess[way] / 2, full_well)
    out[:, full] = held
    return out


def _spill(held, source, full_well):
    """Carry charge from the first row to the last, filling every pixel on the way."""
    flowing = np.zeros(held.shape[1])
    for row, added in zip(held, source, strict=True):
        flowing += added
        taken = np.minimum(flowing, full_well - row)
        row += taken
        flowing -= taken


def trail_charge(image, loss, length, *, readout_row=0):
    """Defer part of the charge to the pixels that are read later (charge-transfer trails).

    Every transfer catches a share of a pixel's charge in traps, which give it back over the
    following pixels with an exponential release.

    Parameters
    ----------
    image : ndarray
        Electrons, shape (rows, columns).
    loss : float
        Charge-transfer inefficiency: the share of charge deferred per transfer.
    length : float
        Release length in pixels (e-folding).
    readout_row : int
        Row next to the serial register, 0 or -1.

    Returns
    -------
    ndarray
        The image after readout; charge is conserved but for what trails off the last row.

    References
    ----------
    Massey et al. 2010, MNRAS 401, 371.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.simulate import trail_charge
    >>> image = np.zeros((200, 1))
    >>> image[100, 0] = 1000.0
    >>> trail_charge(image, loss=1e-4, length=3.0)[99:103, 0].round(2)
    array([  0.  , 990.  ,   2.83,   2.03])
    """
    if not 0 <= loss < 1:
        raise ValueError(f"loss must be from 0 to below 1, got {loss}")
    if not length > 0:
        raise ValueError(f"length must be positive (pixels), got {length}")
    data = np.asarray(image, dtype=float)
    if readout_row == -1:
        data = data[::-1]
    transfers = np.arange(data.shape[0])[:, None]
    deferred = data * np.minimum(loss * transfers, 1.0)
    out = data - deferred
    keep = math.exp(-1 / length)
    carried = np.zeros(data.shape[1])
    for row in range(data.shape[0]):
        released = carried * (1 - keep)
        out[row] += released
        carried = carried - released + deferred[row]
    return (out[::-1] if readout_row == -1 else out).astype(np.asarray(image).dtype, copy=False)
