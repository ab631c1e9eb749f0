"""
A Hubble visit
==============

From a calibrated exposure to a table of its cosmic-ray hits: read, identify, name, look.
"""

# %%
# One calibrated file
# -------------------
# A real visit brings ``*_flc.fits`` files. Here we write one with the same extensions, so that this
# page needs no download: the science, error and quality planes of one chip of ACS.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from astropy.io import fits

import crismis
from crismis.simulate import scenes, simulate_exposure
from crismis.view import plot_gallery, plot_overlay

folder = Path(tempfile.mkdtemp())
acs = crismis.get_detector("HST/ACS/WFC").evolve(thickness=15.0)
field = 40 + scenes.random_field(
    (320, 400),
    np.random.default_rng(2),
    n_stars=60,
    n_galaxies=40,
    psf=scenes.Psf.moffat(1.9),
)
image = simulate_exposure(
    acs,
    500.0,
    scene=field,
    particles="orbit",
    n_events=120,
    shape=field.shape,
    unit="electron",
    seed=4,
)
primary = {
    "TELESCOP": "HST",
    "INSTRUME": "ACS",
    "DETECTOR": "WFC",
    "EXPTIME": 500.0,
    "TARGNAME": "EXAMPLE",
    "DATE-OBS": "2012-03-04",
    "CCDGAIN": 2.0,
    "READNSEA": 4.0,
}
sky = {
    "BUNIT": "ELECTRONS",
    "CTYPE1": "RA---TAN",
    "CTYPE2": "DEC--TAN",
    "CRVAL1": 53.1,
    "CRVAL2": -27.8,
    "CRPIX1": 200.0,
    "CRPIX2": 160.0,
    "CD1_1": -1.4e-5,
    "CD2_2": 1.4e-5,
    "CD1_2": 0.0,
    "CD2_1": 0.0,
}
fits.HDUList(
    [
        fits.PrimaryHDU(header=fits.Header(primary)),
        fits.ImageHDU(image.data.astype("f4"), fits.Header(sky), name="SCI"),
        fits.ImageHDU(np.sqrt(field + 25).astype("f4"), name="ERR"),
        fits.ImageHDU(np.zeros(field.shape, "i2"), name="DQ"),
    ]
).writeto(folder / "jexample_flc.fits")

# %%
# Read and identify
# -----------------

ccd = crismis.read(folder / "jexample_flc.fits")
print(ccd.unit, ccd.shape, crismis.get_detector(ccd).name)

found = crismis.categorize_cosmicrays(crismis.cosmicray_learned(ccd))
print(len(found.events), "events")
found.events[
    "x_centroid", "y_centroid", "n_pixels", "energy", "length", "category"
][:5].pprint()

# %%
# Look
# ----
# The axes count right ascension and declination, because the image has sky coordinates.

plt.figure(figsize=(9, 6))
plot_overlay(found)

# %%
figure = plt.figure(figsize=(8, 5), layout="constrained")
plot_gallery(found, figure.add_subplot(), per_category=6)

# %%
# Keep
# ----
# One file holds the cleaned image with mask, uncertainty, probability, flags, labels and events.

found.write(folder / "jexample_crismis.fits")
again = crismis.CosmicRayCCDData.read(folder / "jexample_crismis.fits")
print(len(again.events), "events read back")
