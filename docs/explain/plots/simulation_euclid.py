"""Lengths and charges that Euclid's VIS simulator draws, against three thicknesses."""

import matplotlib.pyplot as plt
from _observed import draw, simulated

from crismis import Detector

fig, axes = plt.subplots(1, 2, figsize=(8.5, 3.4), sharey=True)
draw(
    axes,
    "euclid",
    {
        f"{thickness:.0f} um": simulated(
            Detector("vis", pitch=12.0, thickness=thickness), 5.0, "space-minimum", 30.0, 1, 4000
        )
        for thickness in (40.0, 80.0, 120.0)
    },
    {"length": "length / pixels", "charge": "electrons"},
    truth="tabulated",
)
