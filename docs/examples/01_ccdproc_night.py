"""
A night with ccdproc
====================

Three exposures of one field go through a usual reduction: subtract the bias, divide by the flat,
find the cosmic rays, combine. Only one line of the script is about crismis.
"""

# %%
# A small night
# -------------
# The exposures are simulated, so that we know the truth: 0.9 electrons per data number, read noise
# of 4 electrons, a sky of 150 electrons, and stars 2.4 pixels wide.

import ccdproc
import matplotlib.pyplot as plt
import numpy as np
from astropy.nddata import CCDData

import crismis
from crismis import Detector
from crismis.simulate import scenes
from crismis.view import plot_before_after

shape, gain, readnoise = (256, 256), 0.9, 4.0
camera = Detector(
    "camera",
    pitch=15.0,
    thickness=40.0,
    gain=gain,
    readnoise=readnoise,
    diffusion=5.0,
)
field = 150 + scenes.random_field(
    shape,
    np.random.default_rng(1),
    n_stars=40,
    n_galaxies=30,
    psf=scenes.Psf.moffat(2.4),
)
night = [
    crismis.simulate_exposure(
        camera,
        300.0,
        scene=field,
        particles="ground",
        n_events=60,
        shape=shape,
        bias=1000.0,
        unit="adu",
        seed=seed,
    )
    for seed in (1, 2, 3)
]
bias = CCDData(np.full(shape, 1000.0), unit="adu")
flat = CCDData(np.ones(shape), unit="adu")

# %%
# Reduce
# ------
# `crismis.cosmicray_learned` takes the place of `ccdproc.cosmicray_lacosmic`. It neither changes
# the unit nor multiplies by the gain, and it logs itself to the metadata as ccdproc's steps do.

reduced = []
for exposure in night:
    ccd = ccdproc.subtract_bias(exposure, bias)
    ccd = ccdproc.flat_correct(ccd, flat)
    ccd = crismis.cosmicray_learned(ccd, gain=gain, readnoise=readnoise)
    reduced.append(ccd)

for exposure, ccd in zip(night, reduced, strict=True):
    truth = exposure.truth["deposit"] > 3 * np.sqrt(field + readnoise**2)
    found = np.mean(ccd.hits[truth])
    print(
        f"{ccd.hits.sum()} pixels flagged, {100 * found:.0f} % of the hit ones among them"
    )

# %%
# Look at the first exposure before and after.

plt.figure(figsize=(9, 4.5), layout="constrained")
plot_before_after(ccdproc.subtract_bias(night[0], bias), reduced[0])

# %%
# Combine
# -------
# Hits are masked, so that the combination leaves them out.

stack = ccdproc.Combiner(reduced).average_combine()
difference = np.std(stack.data * gain - field)
print(
    f"stack differs from the true field by {difference:.1f} electrons per pixel (rms)"
)
