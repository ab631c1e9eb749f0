"""A row of hits for each kind of event."""

import matplotlib.pyplot as plt
import numpy as np

from crismis import Detector
from crismis.simulate import simulate_stamps

ROWS = {
    "muon": "muon",
    "gamma": "Compton electron",
    "xray": "X-ray",
    "alpha": "alpha",
    "proton-minimum": "galactic proton",
    "iron-minimum": "galactic iron",
    "stopping-ion": "stopping carbon",
    "spallation": "spallation",
}

thick = Detector("thick", pitch=10.0, thickness=100.0, diffusion=4.25)
fig, axes = plt.subplots(len(ROWS), 9, figsize=(9.0, 8.2))
for row, (kind, label) in zip(axes, ROWS.items(), strict=True):
    prints, _ = simulate_stamps(thick, row.size, particles=kind, seed=4)
    for ax, stamp in zip(row, prints.stamps((40, 40)), strict=True):
        ax.imshow(np.arcsinh(stamp / 50), cmap="magma", vmin=0, vmax=8)
        ax.set(xticks=[], yticks=[])
    row[0].set_ylabel(label, rotation=0, ha="right", va="center")
