"""Scenes: expected electrons per pixel, as arrays that add up; noise comes with the exposure."""

from .corona import *  # noqa: F403
from .defects import *  # noqa: F403
from .planet import *  # noqa: F403
from .psf import *  # noqa: F403
from .sky import *  # noqa: F403
from .spectra import *  # noqa: F403
from .trails import *  # noqa: F403
