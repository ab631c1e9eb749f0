"""Deposited energy, track geometry, particle rates and the search for spallation events."""

from .calibration import MipCalibration, calibrate_mip
from .completeness import Completeness, completeness
from .exposure import ExposureRate, exposure_rate, live_area, live_time
from .intervals import poisson_rate, poisson_significance
from .rates import fit_modulation, rates
from .spallation import find_spallation, search_catalog
from .tracks import measure_tracks

__all__ = [
    "Completeness",
    "ExposureRate",
    "MipCalibration",
    "calibrate_mip",
    "completeness",
    "exposure_rate",
    "find_spallation",
    "fit_modulation",
    "live_area",
    "live_time",
    "measure_tracks",
    "poisson_rate",
    "poisson_significance",
    "rates",
    "search_catalog",
]
