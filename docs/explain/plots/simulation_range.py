"""Ranges of stopping particles against the tables of NIST."""

import matplotlib.pyplot as plt
import numpy as np

from crismis.simulate import SPECIES, Diffusion, Primaries, Volume, deposit

# Energy in MeV and continuous-slowing-down range in micrometres: PSTAR, ASTAR, ESTAR.
NIST = {
    "proton": ([1, 2, 5, 10], [16.5, 47.6, 216, 709]),
    "helium": ([1, 2, 4, 5.486, 8], [3.6, 7.4, 17.9, 28.0, 49.0]),
    "electron": ([0.05, 0.1, 0.2, 0.3], [25.0, 78.0, 241, 448]),
}

volume = Volume((600, 600), (10.0, 10.0), 6000.0, Diffusion(4.0, 6000.0))
fig, ax = plt.subplots(figsize=(6.0, 3.6))
for i, (name, (energies, ranges)) in enumerate(NIST.items()):
    kind = SPECIES[name]
    n = 60
    event = np.arange(n * len(energies))
    primaries = Primaries(
        event,
        np.tile([3000.0, 3000.0, 3000.0], (event.size, 1)),
        np.tile([0.0, 0.0, 1.0], (event.size, 1)),
        np.repeat(energies, n).astype(float),
        np.full(event.size, kind.mass),
        np.full(event.size, float(kind.charge)),
    )
    _, traces = deposit(primaries, volume, event.astype(np.uint64))
    ax.loglog(energies, ranges, color=f"C{i}", label=f"{name}, NIST")
    ax.loglog(energies, traces.path.reshape(-1, n).mean(axis=1), "o", color=f"C{i}")
ax.set(xlabel="energy / MeV", ylabel="length of the way / um")
ax.legend(frameon=False)
