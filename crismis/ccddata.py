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
    replaced : ndarray, optional
        Values that repair replaced, one for each pixel flagged ``REPAIRED`` in row-major
        order, in the unit of the data: with them `original` gives the image before repair,
        which the charge of events is measured on.
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
        replaced=None,
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
            replaced = source.replaced if replaced is None else replaced
            truth = source.truth if truth is None else truth
        self.probability = probability
        self.flags = flags
        self.segmentation = segmentation
        self.events = events
        self.replaced = replaced
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

    @property
    def replaced(self):
        """Values before repair of the pixels flagged ``REPAIRED``, row-major, or `None`."""
        return self._replaced

    @replaced.setter
    def replaced(self, values):
        if values is not None:
            values = np.asarray(values)
            if values.shape != (count := np.count_nonzero(self._repaired()),):
                raise ValueError(
                    f"replaced must hold one value for each of the {count} repaired pixels, "
                    f"got shape {values.shape}"
                )
        self._replaced = values

    @property
    def original(self):
        """The image before repair: a copy of the data with the replaced values put back.

        The data themselves where nothing was replaced.
        """
        if self.replaced is None:
            return self.data
        image = self.data.copy()
        image[self._repaired()] = self.replaced
        return image

    def _repaired(self):
        if self.flags is None:
            return np.zeros(self.data.shape, bool)
        return (self.flags & Flag.REPAIRED) != 0
