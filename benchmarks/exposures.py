# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""A real image with real hits: two exposures by HST/STIS, with truth from their difference.

The CCD of STIS saw a field of stars and galaxies without a filter (o4k19a010, two exposures of
150 s that were neither moved nor joined). The image lies in the source distribution of stwcs
(``pip download --no-deps --no-binary stwcs stwcs``); the variable ``CRISMIS_STWCS`` names its
folder ``stwcs/tests/data``. Truth is made like that of the spectra: hits are above 3 sigma of the
difference and touch brighter ones. What touches a hit does not count, nor do hits of the other
exposure, hot pixels and others that the archive flags as bad or saturated.
"""

import os
from pathlib import Path

import numpy as np
import peers
from astropy.io import fits
from scipy.ndimage import binary_dilation

from crismis.learning import truth_from_exposures

__all__ = ["GROUP", "pair_frames"]

GROUP = "STIS images"
NAME = "o4k19a010_flt.fits"
READNOISE = 3.99
FULL_WELL = 33_000.0
FLAGGED = 16 | 256 | 512
"""Hot, saturated, and bad in the reference files (STIS Data Handbook)."""


def pair_frames():
    """Yield the two exposures as `peers.Frame`, if they are there."""
    folder = os.environ.get("CRISMIS_STWCS")
    if folder is None:
        return
    with fits.open(Path(folder) / NAME) as hdus:
        images = [hdus["SCI", k].data.astype(np.float32) for k in (1, 2)]
        flagged = [hdus["DQ", k].data & FLAGGED > 0 for k in (1, 2)]
    truths = truth_from_exposures(images, readnoise=READNOISE, saturation=FULL_WELL)
    for k, (image, truth, bad) in enumerate(zip(images, truths, flagged, strict=True)):
        truth[binary_dilation(truth == 1, np.ones((3, 3))) & (truth == 0) | bad] = 2
        yield peers.Frame(f"stis-image-{k + 1}", GROUP, image, truth, 1.0, READNOISE)
