"""Deposited energy, track geometry, particle rates and the search for spallation events."""

from .exposure import ExposureRate, exposure_rate, live_area, live_time
from .intervals import poisson_rate, poisson_significance
from .rates import fit_modulation, rates

__all__ = [
    "ExposureRate",
    "exposure_rate",
    "fit_modulation",
    "live_area",
    "live_time",
    "poisson_rate",
    "poisson_significance",
    "rates",
]
