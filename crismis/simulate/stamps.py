"""Isolated events as small arrays, many of them, to train and test on."""

import numpy as np

from ..detectors import get_detector
from .events import draw_events
from .exposure import detector_volume

__all__ = ["simulate_stamps"]

# Room for the longest tracks around the few pixels where events begin.
_FIELD = 1024
_TARGET = (16, 16)


def simulate_stamps(
    detector,
    n,
    *,
    particles="space-minimum",
    seed=None,
    diffusion=None,
    repulsion=False,
    visible=30.0,
):
    """Simulate isolated events.

    Parameters
    ----------
    detector : str or `~crismis.Detector`
        Gives pitch, thickness and diffusion.
    n : int
        Number of events.
    particles : str, kind, mapping or sequence
        What flies, see `mixture`.
    seed : int or `~numpy.random.Generator`, optional
        Source of all randomness.
    diffusion : float or Diffusion, optional
        Width of charge clouds from the far side in micrometres, or their law by depth; by
        default the detector's.
    repulsion : bool
        Whether dense charge drives itself apart, see `detector_volume`.
    visible : float
        Electrons above which a pixel counts as visible for the true category.

    Returns
    -------
    Footprints
        Electrons per pixel of each event; `Footprints.stamp` makes an image of one.
    `~astropy.table.QTable`
        The truth, one row per event, as `draw_events` describes it.

    Examples
    --------
    >>> from crismis import Detector
    >>> from crismis.simulate import simulate_stamps
    >>> thick = Detector("thick", pitch=10.0, thickness=100.0, diffusion=4.0)
    >>> prints, truth = simulate_stamps(thick, 100, particles="muon", seed=1)
    >>> prints.stamp(0, size=(15, 15)).shape
    (15, 15)
    >>> len(truth)
    100
    """
    if n < 0:
        raise ValueError(f"n must not be negative, got {n}")
    if isinstance(detector, str):
        detector = get_detector(detector)
    rng = np.random.default_rng(seed)
    volume = detector_volume(
        detector, shape=(_FIELD, _FIELD), diffusion=diffusion, repulsion=repulsion
    )
    return draw_events(particles, n, volume, rng, visible=visible, target=_TARGET)
