"""Path length and inclination of an isotropic flux against the analytic laws."""

import matplotlib.pyplot as plt
import numpy as np

from crismis import Detector
from crismis.simulate import SPECIES, Beam, lines, simulate_stamps

slab = Detector("slab", pitch=10.0, thickness=100.0, diffusion=4.0)
_, truth = simulate_stamps(slab, 20000, particles=Beam(SPECIES["proton"], lines([5000.0])), seed=1)
fig, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.2))
angle = np.linspace(0, 90, 200)
left.hist(truth["inclination"].value, 45, density=True, color="0.8", label="simulated")
left.plot(angle, np.sin(2 * np.deg2rad(angle)) * np.pi / 180, label=r"$\sin 2\theta$")
left.set(xlabel="inclination / degrees", ylabel="probability density")
left.legend(frameon=False)
ratio = np.sort(truth["path_length"].value / 100)
right.loglog(ratio, 1 - np.arange(ratio.size) / ratio.size, color="0.6", lw=4, label="simulated")
right.loglog(ratio, np.minimum(1, ratio**-2.0), label=r"$(t/s)^2$")
right.set(
    xlabel="path length / thickness", ylabel="share longer", xlim=(0.95, 30), ylim=(1e-3, 1.2)
)
right.legend(frameon=False)
