"""Particles in CCDs and the scenes they hit: exposures, stamps and injections with known truth."""

from . import scenes as scenes
from .categories import *  # noqa: F403
from .charge import *  # noqa: F403
from .events import *  # noqa: F403
from .exposure import *  # noqa: F403
from .footprints import *  # noqa: F403
from .particles import *  # noqa: F403
from .stamps import *  # noqa: F403
from .transport import *  # noqa: F403
