"""Particles in CCDs and the scenes they hit: exposures, stamps and injections with known truth."""

from . import scenes
from .categories import Shapes, count_prongs, measure_shapes, true_categories
from .charge import Diffusion, bloom, trail_charge
from .events import draw_events
from .exposure import detector_volume, inject, simulate_exposure
from .footprints import Footprints
from .particles import (
    KINDS,
    MIXTURES,
    SPECIES,
    Beam,
    Gamma,
    Inner,
    Spallation,
    Species,
    XRay,
    along,
    cosine_law,
    galactic,
    isotropic,
    lines,
    mixture,
    muon_spectrum,
    power_law,
)
from .stamps import simulate_stamps
from .transport import Primaries, Traces, Volume, deposit

__all__ = [
    "KINDS",
    "MIXTURES",
    "SPECIES",
    "Beam",
    "Diffusion",
    "Footprints",
    "Gamma",
    "Inner",
    "Primaries",
    "Shapes",
    "Spallation",
    "Species",
    "Traces",
    "Volume",
    "XRay",
    "along",
    "bloom",
    "cosine_law",
    "count_prongs",
    "deposit",
    "detector_volume",
    "draw_events",
    "galactic",
    "inject",
    "isotropic",
    "lines",
    "measure_shapes",
    "mixture",
    "muon_spectrum",
    "power_law",
    "scenes",
    "simulate_exposure",
    "simulate_stamps",
    "trail_charge",
    "true_categories",
]
