"""Hits on a thin space CCD (HST/STIS) against the simulation."""

import matplotlib.pyplot as plt
from _observed import draw, simulated

from crismis import Detector
from crismis.simulate import Diffusion

stis = Detector("stis", pitch=21.0, thickness=12.0, binning=(1, 2))
fig, axes = plt.subplots(1, 3, figsize=(10.0, 3.2), sharey=True)
draw(
    axes,
    "stis",
    {"simulated": simulated(stis, Diffusion(11.0, 12.0, depleted=6.0), "orbit", 25.0, 2)},
    {"n_pixels": "pixels", "charge": "electrons", "peak": "brightest pixel / electrons"},
)
