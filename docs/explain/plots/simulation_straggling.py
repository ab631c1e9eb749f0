"""Charge per micrometre of relativistic muons in three thicknesses."""

import matplotlib.pyplot as plt
import numpy as np

from crismis.simulate import SPECIES, Beam, Diffusion, Volume, along, draw_events, lines

CITED = {10: 52, 100: 69, 250: 75}

muons = Beam(SPECIES["muon"], lines([4000.0]), along(0, 0, 1))
fig, ax = plt.subplots(figsize=(6.5, 3.6))
for i, (thickness, cited) in enumerate(CITED.items()):
    volume = Volume((400, 400), (10.0, 10.0), thickness, Diffusion(4.0, thickness))
    prints, _ = draw_events(muons, 8000, volume, np.random.default_rng(1))
    ax.hist(
        prints.total / thickness,
        bins=np.arange(20, 180, 2.0),
        density=True,
        histtype="step",
        color=f"C{i}",
        label=f"{thickness} um",
    )
    ax.axvline(cited, color=f"C{i}", linestyle=":", linewidth=1)
ax.set(xlabel="electrons per micrometre", ylabel="probability density", xlim=(20, 180))
ax.legend(title="thickness", frameon=False)
