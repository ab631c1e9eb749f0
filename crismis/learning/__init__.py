"""Learning: fields and truth to learn from, training, and what it is measured by."""

from .exposures import cut_tracks, find_shift, truth_from_exposures

__all__ = ["cut_tracks", "find_shift", "truth_from_exposures"]
