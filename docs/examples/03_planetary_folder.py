"""
A folder of planetary images
============================

Which images of a mission carry artefacts, of what kind, and where? One command answers for a whole
folder, whatever the formats in it.
"""

# %%
# A folder
# --------
# Six small images of a cratered planet with its limb, and one file that is damaged, as archives
# have them.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from astropy.io import fits

import crismis
from crismis import Detector
from crismis.simulate import scenes, simulate_exposure
from crismis.taxonomy import PARTICLES
from crismis.view import plot_overlay, write_report

folder = Path(tempfile.mkdtemp())
camera = Detector(
    "camera",
    pitch=13.0,
    thickness=20.0,
    gain=20.0,
    readnoise=15.0,
    diffusion=4.0,
)
for number in range(6):
    rng = np.random.default_rng(number)
    ground = scenes.planet(
        (220, 220), rng, brightness=8000.0, blur=1.2, roughness=0.05
    )
    image = simulate_exposure(
        camera,
        1.0,
        scene=ground,
        particles="space-minimum",
        n_events=12,
        shape=ground.shape,
        unit="adu",
        seed=number,
    )
    header = fits.Header(
        {
            "INSTRUME": "CAM",
            "EXPTIME": 1.0,
            "OBJECT": "MERCURY",
            "GAIN": 20.0,
            "RDNOISE": 15.0,
            "DATE-OBS": f"2011-07-{20 + number}T00:00:00",
            "BUNIT": "adu",
        }
    )
    fits.PrimaryHDU(image.data.astype("f4"), header).writeto(
        folder / f"image{number}.fits"
    )
(folder / "damaged.fits").write_bytes(
    (folder / "image0.fits").read_bytes()[:5000]
)

# %%
# Run
# ---
# On the command line this is ``crismis run FOLDER -o out``. The damaged file becomes a row that
# says why; it does not stop the run.

summary = crismis.run([folder], folder / "out", workers=0)
print(summary.done, "files done,", summary.failed, "failed")

catalog = crismis.Catalog(folder / "out")
for row in catalog.exposures:
    name = Path(row["path"]).name
    if row["status"] == "ok":
        particles = sum(int(row[f"n_{kind}"]) for kind in PARTICLES)
        print(
            f"{name}: {particles} particles, {row['n_terrain']} pieces of terrain"
        )
    else:
        print(f"{name}: {str(row['error'])[:60]}...")

# %%
# Twelve particles crossed each image. Sharp relief is the hardest scene for finding hits in
# single images: crater rims and the limb are flagged too, and it is their *name* that tells them
# apart. Where relief is as sharp as a pixel, raise the threshold (``crismis run --threshold 0.9``)
# and look at the pictures before you trust the counts.

# %%
# Look
# ----
# The cleaned file of an image holds its events.

cleaned = sorted((folder / "out" / "cleaned").glob("image2*.fits"))[0]
found = crismis.CosmicRayCCDData.read(cleaned)
plt.figure(figsize=(7, 5), layout="constrained")
plot_overlay(found)

# %%
# And one HTML file shows the whole folder: ``crismis report out``.

report = write_report(folder / "out", folder / "report.html", title="Mercury")
print(f"{report.stat().st_size / 1e6:.1f} MB")
