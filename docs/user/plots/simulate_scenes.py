"""One exposure of each scene."""

import matplotlib.pyplot as plt
import numpy as np

from crismis import Detector, simulate_exposure
from crismis.simulate import scenes

SHAPE = (256, 256)
rng = np.random.default_rng(7)
trails = scenes.star_trails(
    SHAPE,
    *rng.uniform(0, 256, (2, 30)),
    10 ** rng.uniform(3, 5, 30),
    scenes.Psf.moffat(2.0),
    30,
    20,
)
marks = scenes.bad_columns(scenes.sky(SHAPE, 60, vignetting=0.6), rng)
PANELS = {
    "stars and galaxies": scenes.random_field(SHAPE, rng, n_stars=600, n_galaxies=1500),
    "diffraction spikes": scenes.random_field(
        SHAPE,
        rng,
        n_stars=700,
        n_galaxies=0,
        psf=scenes.Psf.airy(2.0, obstruction=0.3, spikes=0.05),
    ),
    "long-slit spectrum": scenes.long_slit(SHAPE, rng),
    "planet": scenes.planet(SHAPE, rng),
    "planet's ground": scenes.planet(SHAPE, rng, radius=700, centre=(200, 100), phase=70),
    "corona": scenes.corona(SHAPE, rng),
    "star trails": scenes.sky(SHAPE, 50) + trails + scenes.satellite_trail(SHAPE, 250, 2.5),
    "detector's marks": marks + scenes.hot_pixels(SHAPE, rng),
}

ccd = Detector("ccd", pitch=15.0, thickness=13.0, gain=1.0, readnoise=5.0, full_well=8e4)
fig, axes = plt.subplots(2, 4, figsize=(11, 5.8))
for ax, (name, scene) in zip(axes.flat, PANELS.items(), strict=True):
    image = simulate_exposure(
        ccd, 600.0, scene=scene, particles="orbit", rate=2.0, shape=SHAPE, seed=1
    )
    low = np.percentile(image.data, 2)
    ax.imshow(np.arcsinh((image.data - low) / 40), cmap="gray", origin="lower")
    ax.set(title=name, xticks=[], yticks=[])
