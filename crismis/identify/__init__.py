"""Find cosmic-ray hits in one image and repair them."""

from .lacosmic import cosmicray_lacosmic
from .learned import cosmicray_learned

__all__ = ["cosmicray_lacosmic", "cosmicray_learned"]
