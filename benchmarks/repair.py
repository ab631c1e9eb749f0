"""How far repaired pixels are from the undisturbed scene, ours beside astroscrappy's and deepCR's.

Every method repairs the same pixels, those that astroscrappy flags: hits and, in crowded or
sharp scenes, some cores of stars as well. The error is given in units of the noise. Run::

    python benchmarks/repair.py [--seeds N] [--size N]
"""

import argparse
import time

import astroscrappy
import numpy as np
from astropy.table import Table

from crismis.identify.repair import Noise, repair

READNOISE = 5.0
SKY = 60.0


def moffat(y, x, fwhm, beta=2.5):
    """Moffat profile of unit sum, averaged over the pixel by 3 x 3 samples."""
    alpha = fwhm / 2 / np.sqrt(2 ** (1 / beta) - 1)
    total = 0.0
    for dy in (-1 / 3, 0, 1 / 3):
        for dx in (-1 / 3, 0, 1 / 3):
            total = total + (1 + ((y + dy) ** 2 + (x + dx) ** 2) / alpha**2) ** -beta / 9
    return total * (beta - 1) / (np.pi * alpha**2)


def stars(rng, size, number, fwhm=2.2):
    """Return stars of log-uniform flux."""
    scene = np.zeros((size, size))
    y, x = np.mgrid[-15:16, -15:16]
    for cy, cx, flux in zip(
        *rng.uniform(16, size - 16, (2, number)), 10 ** rng.uniform(2, 5.5, number), strict=True
    ):
        iy, ix = int(cy), int(cx)
        scene[iy - 15 : iy + 16, ix - 15 : ix + 16] += flux * moffat(y - cy + iy, x - cx + ix, fwhm)
    return scene


def galaxies(rng, size, number=None):
    """Return elliptical exponential discs."""
    scene = np.zeros((size, size))
    y, x = np.mgrid[-30:31, -30:31]
    for cy, cx in rng.uniform(31, size - 31, (number or size**2 // 3500, 2)):
        radius, axis, angle = rng.uniform(1.5, 5), rng.uniform(0.3, 1), rng.uniform(0, np.pi)
        along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        profile = np.exp(-np.hypot(along, across / axis) / radius)
        iy, ix = int(cy), int(cx)
        profile *= 10 ** rng.uniform(2.5, 5) / profile.sum()
        scene[iy - 30 : iy + 31, ix - 30 : ix + 31] += profile
    return scene


def spectrum(rng, size):
    """Return night-sky lines across the slit and three traces with emission lines."""
    y, x = np.indices((size, size))
    scene = np.zeros((size, size))
    for centre in rng.uniform(0, size, size // 12):
        scene += 10 ** rng.uniform(1.5, 3.5) * np.exp(
            -((x - centre - 0.01 * y) ** 2) / (2 * 1.1**2)
        )
    for centre in rng.uniform(20, size - 20, 3):
        trace = np.exp(-((y - centre - 0.02 * x) ** 2) / (2 * 1.8**2))
        lines = sum(
            10 ** rng.uniform(2, 4) * np.exp(-((x - c) ** 2) / (2 * 1.3**2))
            for c in rng.uniform(0, size, 15)
        )
        scene += trace * (10 ** rng.uniform(1.5, 3) + lines)
    return scene


SCENES = {
    "stars": lambda rng, size: stars(rng, size, size**2 // 700) + galaxies(rng, size, 12),
    "galaxies": lambda rng, size: stars(rng, size, 40) + galaxies(rng, size),
    "spectra": spectrum,
}


def tracks(rng, size):
    """Return the deposit of straight and bent tracks covering about one per cent."""
    deposit = np.zeros((size, size))
    for _ in range(size**2 // 900):
        y, x = rng.uniform(0, size, 2)
        angle, bend, charge = (
            rng.uniform(0, 2 * np.pi),
            rng.normal(0, 0.1),
            10 ** rng.uniform(2, 3.6),
        )
        for _ in range(int(rng.exponential(14)) + 1):
            if 0 <= y < size and 0 <= x < size:
                deposit[int(y), int(x)] += charge * rng.uniform(0.5, 1.5) / 2
            y, x, angle = y + 0.5 * np.sin(angle), x + 0.5 * np.cos(angle), angle + bend
    return deposit


def peers(image, cleantype):
    """Return astroscrappy's mask and its cleaned image."""
    return astroscrappy.detect_cosmics(
        image, gain=1.0, readnoise=READNOISE, satlevel=np.inf, cleantype=cleantype
    )


def inpainted(image, hits):
    """Return deepCR's inpainting, `None` where deepCR is not installed."""
    try:
        import torch
        from deepCR import deepCR
    except ImportError:
        return None
    torch.set_num_threads(1)
    return deepCR(mask="ACS-WFC", inpaint="ACS-WFC-F606W-2-32").inpaint(image, hits)


def measure(name, seed, size):
    """Yield scene, method, root mean squared error (sigma), pull width and seconds."""
    rng = np.random.default_rng(seed)
    scene = SKY + SCENES[name](rng, size)
    deposit = tracks(rng, size)
    image = rng.poisson(scene + deposit) + rng.normal(0, READNOISE, scene.shape)
    image = image.astype(np.float32)
    sigma = np.sqrt(scene + READNOISE**2)
    for cleantype in ("meanmask", "medmask", "idw"):
        hits, cleaned = peers(image, cleantype)
        inside = np.zeros_like(hits)
        inside[8:-8, 8:-8] = hits[8:-8, 8:-8]
        yield name, f"astroscrappy {cleantype}", ((cleaned - scene) / sigma)[inside], None, 0.0
    hits = hits.astype(bool)
    bad = np.zeros_like(hits)
    for method in ("interpolate", "median"):
        start = time.perf_counter()
        values, variance = repair(image, hits, bad, Noise(1.0, READNOISE**2), method, n_threads=1)
        seconds = time.perf_counter() - start
        error = (values - scene[hits])[inside[hits]]
        pull = error / np.sqrt(variance[inside[hits]])
        yield name, f"crismis {method}", error / sigma[inside], pull, seconds / hits.sum()
    start = time.perf_counter()
    cleaned = inpainted(image, hits)
    if cleaned is not None:
        seconds = (time.perf_counter() - start) / hits.sum()
        yield name, "deepCR inpaint", ((cleaned - scene) / sigma)[inside], None, seconds


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--size", type=int, default=512)
    options = parser.parse_args()
    report(measure, SCENES, options)


def report(measure, names, options):
    """Measure every scene with every seed and print the table."""
    rows = {}
    for name in names:
        for seed in range(options.seeds):
            for scene, method, error, pull, seconds in measure(name, seed, options.size):
                rows.setdefault((scene, method), []).append((error, pull, seconds))
    table = Table(
        names=("scene", "method", "mse", "median_abs", "pull_std", "pull_mad", "us_per_pixel"),
        dtype=(str, str, float, float, float, float, float),
    )
    for (scene, method), parts in rows.items():
        error = np.concatenate([e for e, _, _ in parts])
        pull = [p for _, p, _ in parts if p is not None]
        pull = np.concatenate(pull) if pull else np.array([np.nan])
        mad = 1.4826 * np.median(np.abs(pull - np.median(pull)))
        table.add_row(
            (
                scene,
                method,
                np.mean(error**2),
                np.median(np.abs(error)),
                pull.std(),
                mad,
                1e6 * np.mean([s for _, _, s in parts]),
            )
        )
    for column in table.colnames[2:]:
        table[column].info.format = ".4g"
    table.pprint_all()


if __name__ == "__main__":
    main()
