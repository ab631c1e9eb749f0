"""Read images of space missions and telescopes into `~astropy.nddata.CCDData`.

One module per format or mission; each registers itself by a decorator, so adding one
touches nothing else.
"""

from .core import Image, Plane, Source, adapts, list_images, read, read_all, register_format
from .discover import find_images

__all__ = [
    "Image",
    "Plane",
    "Source",
    "adapts",
    "find_images",
    "list_images",
    "read",
    "read_all",
    "register_format",
]
