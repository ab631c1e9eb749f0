"""Hits on a thin space CCD (HST/STIS) against the simulation."""

import matplotlib.pyplot as plt
from _observed import draw, simulated

fig, axes = plt.subplots(1, 3, figsize=(10.0, 3.2), sharey=True)
draw(
    axes,
    "stis",
    {"simulated": simulated(21.0, 11.0, None, "orbit", 25.0, 2)},
    {"n_pixels": "pixels", "charge": "electrons", "peak": "brightest pixel / electrons"},
)
