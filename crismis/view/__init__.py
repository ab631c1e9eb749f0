"""Pictures of what crismis found: images, galleries, spectra, rates, reports and DS9 regions."""

from .candidates import plot_candidates
from .ds9 import events_to_regions, write_catalog_regions, write_regions
from .evaluation import plot_calibration, plot_confusion, plot_roc, plot_training
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
from .report import unusual_events, write_report
from .spectra import Spectrum, plot_rates, plot_spectrum

__all__ = [
    "CATEGORY_COLORS",
    "Gallery",
    "Overlay",
    "Spectrum",
    "Stamp",
    "cut_stamps",
    "events_to_regions",
    "image_norm",
    "is_broken",
    "plot_before_after",
    "plot_calibration",
    "plot_candidates",
    "plot_confusion",
    "plot_gallery",
    "plot_image",
    "plot_overlay",
    "plot_probability",
    "plot_rates",
    "plot_roc",
    "plot_spectrum",
    "plot_training",
    "unusual_events",
    "write_catalog_regions",
    "write_overlay",
    "write_regions",
    "write_report",
]
