"""Events: hits joined to tracks, measured in columns and named by category."""

from .categorize import EventFlag, categorize_cosmicrays
from .classify import EventClassifier, decide, get_classifier
from .features import FEATURES, describe, relative_stopping
from .footprints import Footprints
from .measure import Events, measure, measure_events
from .segment import bridge_gaps, segment, split_crossings
from .sources import find_sources

__all__ = [
    "FEATURES",
    "EventClassifier",
    "EventFlag",
    "Events",
    "Footprints",
    "bridge_gaps",
    "categorize_cosmicrays",
    "decide",
    "describe",
    "find_sources",
    "get_classifier",
    "measure",
    "measure_events",
    "relative_stopping",
    "segment",
    "split_crossings",
]
