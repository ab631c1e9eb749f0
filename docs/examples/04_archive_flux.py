"""
The flux from an archive
========================

Every image is an exposure of a particle detector. Here are twenty, with a rate that we chose,
so that the answer can be checked.
"""

# %%
# Twenty exposures
# ----------------
# The rate is 2 hits per cm2 and second, and doubles on one day.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from astropy.io import fits

import crismis
from crismis.detectors import load_detectors
from crismis.simulate import simulate_exposure
from crismis.view import plot_rates, plot_spectrum

folder = Path(tempfile.mkdtemp())
(folder / "camera.toml").write_text(
    """
[TutorialCamera]
pitch = 15.0
thickness = 15.0
gain = 1.0
readnoise = 5.0
diffusion = 4.0
readout_wait = 0.0
match = {INSTRUME = "TUTORIAL"}
"""
)
(camera,) = load_detectors(folder / "camera.toml")
sky = np.full((256, 256), 30.0)
true_rate = np.where(np.arange(20) == 13, 4.0, 2.0)
for day, rate in enumerate(true_rate):
    image = simulate_exposure(
        camera,
        600.0,
        scene=sky,
        particles="orbit",
        rate=rate,
        shape=sky.shape,
        unit="electron",
        seed=day,
    )
    header = fits.Header(
        {
            "INSTRUME": "TUTORIAL",
            "EXPTIME": 600.0,
            "BUNIT": "electron",
            "RDNOISE": 5.0,
            "DATE-OBS": f"2012-03-{day + 1:02d}T00:00:00",
        }
    )
    fits.PrimaryHDU(image.data.astype("f4"), header).writeto(
        folder / f"day{day:02d}.fits"
    )

# %%
# Run, and count
# --------------
# `crismis.rates` sums hits and live exposure (area times time) in bins of time.

crismis.run([folder], folder / "out", workers=0, cleaned=False)
catalog = crismis.Catalog(folder / "out")
table = crismis.rates(catalog, by="day")
shown = ["time", "n_hits", "rate", "rate_lower", "rate_upper", "outlier"]
table[shown][:3].pprint()

figure, ax = plt.subplots(figsize=(8, 3.6), layout="constrained")
plot_rates(table, ax)
ax.stairs(
    true_rate,
    np.arange("2012-03-01", "2012-03-22", dtype="datetime64[D]"),
    baseline=None,
    color="0.5",
    label="true rate",
)
ax.legend()

# %%
# The rates are *as detected*: hits that are too faint to be found are missing. :doc:`the guide
# </user/physics>` shows how `crismis.physics.completeness` measures and corrects that.

expected = true_rate.mean()
detected = table["n_hits"].sum() / table["exposure"].sum()
print(f"true {expected:.2f}, detected {detected:.2f}")

# %%
# What they left
# --------------

figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
events = catalog.events
plot_spectrum(events, "energy", axes[0])
plot_spectrum(events, "length", axes[1], by_category=False)
