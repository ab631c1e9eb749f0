"""CosmicRayCCDData: a CCDData that carries what crismis found in the image."""

from enum import IntFlag

import numpy as np
from astropy.nddata import CCDData

__all__ = ["CosmicRayCCDData", "Flag"]


class Flag(IntFlag):
    """Bits of `CosmicRayCCDData.flags`."""

    HIT = 1
    """A cosmic-ray hit."""
    REPAIRED = 2
    """The value was replaced by an estimate of the undisturbed image."""
    SATURATED = 4
    """At or above the saturation level."""
    LOW_CONFIDENCE = 8
    """The noise there is unknown or the probability is close to the threshold."""
    EDGE = 16
    """So close to an edge or a masked pixel that part of the neighbourhood is missing."""


class CosmicRayCCDData(CCDData):
    """A `~astropy.nddata.CCDData` with the planes and tables that crismis adds.

    Parameters
    ----------
    *args, **kwargs
        As for `~astropy.nddata.CCDData`.
    probability : ndarray of float32, optional
        Probability that a pixel was hit, same shape as the data.
    flags : ndarray of uint8, optional
        Bits of `Flag`, same shape as the data.
    segmentation : `~photutils.segmentation.SegmentationImage`, optional
        Label of the event that a pixel belongs to, 0 for none.
    events : `~astropy.table.QTable`, optional
        One row per event.
    truth : dict, optional
        Simulated exposures only: ``deposit`` (electrons per pixel) and ``events``
        (one row per simulated event).
    """

    def __init__(
        self,
        *args,
        probability=None,
        flags=None,
        segmentation=None,
        events=None,
        truth=None,
        **kwargs,
    ):
        super().__init__(*args, **kwargs)
        source = args[0] if args else kwargs.get("data")
        if isinstance(source, CosmicRayCCDData):
            probability = source.probability if probability is None else probability
            flags = source.flags if flags is None else flags
            segmentation = source.segmentation if segmentation is None else segmentation
            events = source.events if events is None else events
            truth = source.truth if truth is None else truth
        self.probability = probability
        self.flags = flags
        self.segmentation = segmentation
        self.events = events
        self.truth = truth

    def _plane(self, name, value, dtype):
        if value is None:
            return None
        value = np.asarray(value, dtype=dtype)
        if value.shape != self.data.shape:
            raise ValueError(
                f"{name} has shape {value.shape}, but the data have shape {self.data.shape}"
            )
        return value

    @property
    def probability(self):
        """Probability that a pixel was hit (float32), or `None`."""
        return self._probability

    @probability.setter
    def probability(self, value):
        self._probability = self._plane("probability", value, np.float32)

    @property
    def flags(self):
        """Bits of `Flag` per pixel (uint8), or `None`."""
        return self._flags

    @flags.setter
    def flags(self, value):
        self._flags = self._plane("flags", value, np.uint8)

    @property
    def hits(self):
        """Boolean image of the hits alone, without other masked pixels."""
        if self.flags is None:
            raise ValueError("flags are not set: run cosmicray_learned or cosmicray_lacosmic first")
        return (self.flags & Flag.HIT) != 0
