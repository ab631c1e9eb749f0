"""The picture of the landing page: simulated, identified, categorized and drawn at build time."""

import matplotlib.pyplot as plt
import numpy as np

import crismis
from crismis import Detector
from crismis.simulate import scenes
from crismis.view import plot_overlay

detector = Detector("example", pitch=15.0, thickness=40.0, gain=1.0, readnoise=5.0, diffusion=5.0)
scene = 60 + scenes.random_field(
    (360, 560), np.random.default_rng(4), n_stars=40, n_galaxies=60, psf=scenes.Psf.moffat(2.2)
)
image = crismis.simulate_exposure(
    detector,
    500.0,
    scene=scene,
    particles="space-minimum",
    n_events=130,
    shape=scene.shape,
    unit="electron",
    seed=11,
)
found = crismis.categorize_cosmicrays(crismis.cosmicray_learned(image))

plt.rcParams["font.size"] = 15
figure = plt.figure(figsize=(8.5, 6.2))
ax = figure.add_subplot()
handles = plot_overlay(found, ax, margin=2).legend.legend_handles
ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=3, frameon=False)
ax.set(xticks=[], yticks=[])
