"""Pictures of what crismis found: images, galleries, spectra, rates, reports and DS9 regions."""

from .gallery import Gallery, Stamp, cut_stamps, plot_gallery
from .images import (
    Overlay,
    image_norm,
    plot_before_after,
    plot_image,
    plot_overlay,
    plot_probability,
    write_overlay,
)
from .palette import CATEGORY_COLORS, is_broken

__all__ = [
    "CATEGORY_COLORS",
    "Gallery",
    "Overlay",
    "Stamp",
    "cut_stamps",
    "image_norm",
    "is_broken",
    "plot_before_after",
    "plot_gallery",
    "plot_image",
    "plot_overlay",
    "plot_probability",
    "write_overlay",
]
