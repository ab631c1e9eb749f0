"""Events: hits joined to tracks, measured in columns and named by category."""

from .categorize import EventFlag, categorize_cosmicrays
from .footprints import Footprints
from .measure import measure
from .segment import segment

__all__ = ["EventFlag", "Footprints", "categorize_cosmicrays", "measure", "segment"]
