"""Reduce a night of images: bias, dark, flat field, cosmic rays, combination.

Usage: python reduction.py RAW REDUCED
"""

import sys
from pathlib import Path

from astropy import units as u
from ccdproc import (
    Combiner,
    ImageFileCollection,
    combine,
    flat_correct,
    subtract_bias,
    subtract_dark,
)

from crismis import cosmicray_learned

raw, reduced = Path(sys.argv[1]), Path(sys.argv[2])
reduced.mkdir(exist_ok=True)
images = ImageFileCollection(raw, keywords=["imagetyp", "exptime"])


def master(kind):
    """Combine all frames of one kind."""
    files = images.files_filtered(imagetyp=kind, include_path=True)
    return combine(files, method="median", unit="adu")


bias = master("bias")
exposure = {"exposure_time": "exptime", "exposure_unit": u.s}
dark = subtract_bias(master("dark"), bias)
flat = subtract_dark(subtract_bias(master("flat"), bias), dark, scale=True, **exposure)

cleaned = []
for ccd, name in images.ccds(imagetyp="light", ccd_kwargs={"unit": "adu"}, return_fname=True):
    ccd = subtract_bias(ccd, bias)
    ccd = subtract_dark(ccd, dark, scale=True, **exposure)
    ccd = flat_correct(ccd, flat)
    ccd = cosmicray_learned(ccd, gain="EGAIN", readnoise="RDNOISE")
    ccd.write(reduced / name, overwrite=True)
    cleaned.append(ccd)

stack = Combiner(cleaned).average_combine()  # masked pixels, the hits among them, do not count
stack.write(reduced / "stack.fits", overwrite=True)
