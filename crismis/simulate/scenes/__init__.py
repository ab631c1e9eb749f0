"""Scenes: expected electrons per pixel, as arrays that add up; noise comes with the exposure."""

from .psf import *  # noqa: F403
from .sky import *  # noqa: F403
