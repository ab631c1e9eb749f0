"""Width of the cloud from a point-like deposit against the depth where it was made."""

import matplotlib.pyplot as plt
import numpy as np

from crismis.simulate import Diffusion, Primaries, Volume, deposit

fig, ax = plt.subplots(figsize=(6.0, 3.4))
for i, law in enumerate((Diffusion(8.0, 100.0), Diffusion(8.0, 100.0, depleted=50.0))):
    volume = Volume((101, 101), (1.0, 1.0), 100.0, law)
    depth = np.linspace(2, 98, 25)
    event = np.arange(depth.size)
    photons = Primaries(
        event,
        np.column_stack([np.full(depth.size, 50.5), np.full(depth.size, 50.5), depth]),
        np.tile([0.0, 0.0, 1.0], (depth.size, 1)),
        np.full(depth.size, 0.1),
        np.ones(depth.size),
        np.zeros(depth.size),
    )
    prints, _ = deposit(photons, volume, event.astype(np.uint64))
    x = (prints.columns + 0.5) - 50.5
    variance = np.bincount(prints.label, prints.charge * x**2) / prints.total
    ax.plot(depth, np.sqrt(variance - 1 / 12), "o", color=f"C{i}", ms=4)
    fine = np.linspace(0, 100, 200)
    label = ("depleted through", "half depleted")[i]
    ax.plot(fine, law.width(fine), color=f"C{i}", label=label)
ax.set(xlabel="depth / um", ylabel="rms width / um")
ax.legend(frameon=False)
