"""Scenes: expected electrons per pixel, as arrays that add up; noise comes with the exposure."""

from .corona import corona
from .defects import bad_columns, bias_pattern, hot_pixels
from .planet import planet
from .psf import Psf
from .sky import galaxies, random_field, sersic, sky, stars
from .spectra import long_slit
from .trails import satellite_trail, star_trails

__all__ = [
    "Psf",
    "bad_columns",
    "bias_pattern",
    "corona",
    "galaxies",
    "hot_pixels",
    "long_slit",
    "planet",
    "random_field",
    "satellite_trail",
    "sersic",
    "sky",
    "star_trails",
    "stars",
]
