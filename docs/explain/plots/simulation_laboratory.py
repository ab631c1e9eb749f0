"""Held-out footprints of a laboratory CCD against the simulation, before and after tuning."""

import matplotlib.pyplot as plt
from _observed import draw, simulated

from crismis import Detector

thick = Detector("thick", pitch=10.0, thickness=100.0)
fig, axes = plt.subplots(2, 2, figsize=(8.5, 6.0), sharey=True)
draw(
    axes,
    "itl-odd",
    {
        "before tuning": simulated(thick, 5.0, "ground", 50.0, 4),
        "after tuning": simulated(thick, 4.25, "laboratory", 50.0, 4),
        "with repulsion": simulated(thick, 3.7, "laboratory", 50.0, 4, repulsion=True),
    },
    {
        "n_pixels": "pixels",
        "length": "length / pixels",
        "charge_per_pixel": "electrons per pixel",
        "elongation": "length over width",
    },
)
