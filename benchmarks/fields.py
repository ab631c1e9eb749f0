# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Simulated fields with known truth, made without `crismis.simulate` so that they check it too.

Sky 60 e-, read noise 5 e-, pixel-integrated Moffat stars, Sersic galaxies and real footprints
of a thick laboratory CCD that no shipped model was fitted on (those of odd index). What the
definition of the fields leaves open is settled here:

* the full width of a star is that of its Moffat profile before integration over pixels;
* galaxies have a half-light radius log-uniform from 1.5 to 10 pixels, an axis ratio uniform
  from 0.2 to 1, are seen through the same Moffat profile, and half of them have n = 4;
* footprints land anywhere, in one of eight orientations, and are cut at the edges;
* a hit adds its charge as it is: the shot noise is that of the scene alone;
* nothing saturates and nothing is rounded.

Run as a script it writes fields as FITS files with HDUs SCI and TRUTH.
"""

import argparse
import math
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from scipy.signal import oaconvolve

__all__ = [
    "KINDS",
    "Field",
    "add_noise",
    "data_folder",
    "deposit_footprints",
    "footprints",
    "ground_field",
    "make_field",
    "moffat_stars",
    "sersic_galaxies",
    "speed_field",
    "star_field",
]

SKY = 60.0
READNOISE = 5.0
FULL_WELL = 80_000.0
BETA = 2.5
FWHMS = (1.8, 2.2, 3.5)
KINDS = {"galaxies": (40, 300, 375), "mixed": (100, 200, 625), "stars": (1500, 12, 375)}
OVERSAMPLING = 3
CLEAN, HIT, IGNORE = 0, 1, 2


@dataclass(frozen=True)
class Field:
    """An image in electrons, its scene without hits and noise, the deposits and the truth."""

    data: np.ndarray
    scene: np.ndarray
    deposit: np.ndarray
    truth: np.ndarray
    stars: np.ndarray
    fwhm: float


def data_folder():
    """Return the folder of real data: ``$CRISMIS_DATA``, or ``shared/data`` beside the tree."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("CRISMIS_DATA", beside))


@cache
def footprints(parity=1):
    """Return the real footprints of even (0) or odd (1) index as a list of 2-D arrays."""
    with np.load(data_folder() / "tracks" / "itl_footprints.npz") as archive:
        shapes, values = archive["shapes"], archive["values"]
    pieces = np.split(values, np.cumsum(shapes.prod(axis=1))[:-1])
    return [p.reshape(s) for p, s in zip(pieces, shapes, strict=True)][parity::2]


def make_field(kind, fwhm, seed, size=1024):
    """Make one field of `KINDS`; the numbers of objects grow with the area."""
    rng = np.random.default_rng([seed, round(fwhm * 100), list(KINDS).index(kind)])
    n_stars, n_galaxies, n_hits = (round(n * (size / 1024) ** 2) for n in KINDS[kind])
    shape = (size, size)
    flux = 10 ** rng.uniform(2, 5.5, n_stars)
    stars, table = moffat_stars(shape, flux, fwhm, rng)
    scene = SKY + stars + sersic_galaxies(shape, 10 ** rng.uniform(2, 4.5, n_galaxies), fwhm, rng)
    deposit = deposit_footprints(shape, n_hits, rng)
    return _finish(scene, deposit, table, fwhm, rng)


def star_field(fwhm, seed, n_stars=10_000, size=4096, signal_to_noise=5.0):
    """Make stars without hits: peaks log-uniform from a signal-to-noise ratio to the full well."""
    rng = np.random.default_rng([seed, round(fwhm * 100), 7])
    noise2 = SKY + READNOISE**2
    faintest = (
        signal_to_noise**2 + math.sqrt(signal_to_noise**4 + 4 * signal_to_noise**2 * noise2)
    ) / 2
    peak = 10 ** rng.uniform(math.log10(faintest), math.log10(FULL_WELL), n_stars)
    stars, table = moffat_stars((size, size), peak, fwhm, rng, flux_is_peak=True)
    return _finish(SKY + stars, np.zeros((size, size)), table, fwhm, rng)


def ground_field(fwhm, seed, n_stars=40, n_hits=60, size=768):
    """Make a sparse field as seen from the ground: few stars, some saturated, and hits.

    Sky 350 e-, read noise 8 e-; pixels saturate at 60 ke-, a level that a flat field of 0.7 %
    then blurs.
    """
    rng = np.random.default_rng([seed, round(fwhm * 100), 11])
    shape = (size, size)
    peak = 10 ** rng.uniform(2, 5.3, n_stars)
    stars, table = moffat_stars(shape, peak, fwhm, rng, flux_is_peak=True, beta=3.0)
    scene = 350.0 + stars
    deposit = deposit_footprints(shape, n_hits, rng)
    data = np.minimum(add_noise(scene, rng, 8.0) + deposit, 6e4) * rng.normal(1, 0.007, shape)
    truth = np.where(deposit > 3 * np.sqrt(scene + 64), HIT, np.where(deposit > 0, IGNORE, CLEAN))
    return Field(data.astype(np.float32), scene, deposit, truth.astype(np.uint8), table, fwhm)


def speed_field(size=4096, seed=1, hit_fraction=0.01, fwhm=2.2):
    """Make a field of stars and galaxies with about the given fraction of hit pixels."""
    rng = np.random.default_rng([seed, size])
    area = (size / 1024) ** 2
    stars, table = moffat_stars(
        (size, size), 10 ** rng.uniform(2, 5.5, round(250 * area)), fwhm, rng
    )
    galaxies = sersic_galaxies(
        (size, size), 10 ** rng.uniform(2, 4.5, round(120 * area)), fwhm, rng
    )
    pixels = np.mean([np.count_nonzero(f) for f in footprints()])
    deposit = deposit_footprints((size, size), round(hit_fraction * size**2 / pixels), rng)
    return _finish(SKY + stars + galaxies, deposit, table, fwhm, rng)


def add_noise(scene, rng, readnoise=READNOISE):
    """Return the scene with shot and read noise."""
    return rng.poisson(scene) + rng.normal(0, readnoise, scene.shape)


def moffat_stars(shape, flux, fwhm, rng, flux_is_peak=False, beta=BETA):
    """Return an image of stars at random places, and their x, y, flux, brightest pixel."""
    image = np.zeros(shape)
    table = np.empty((len(flux), 4))
    alpha = fwhm / 2 / math.sqrt(2 ** (1 / beta) - 1)
    norm = (beta - 1) / (math.pi * alpha**2)
    x, y = (
        rng.uniform(-0.5, shape[1] - 0.5, len(flux)),
        rng.uniform(-0.5, shape[0] - 0.5, len(flux)),
    )
    core = math.ceil(2.5 * fwhm)
    for i, total in enumerate(flux):
        inner = _moffat(x[i], y[i], core, alpha, beta, nodes=5) * norm
        if flux_is_peak:
            total /= inner.max()
        reach = alpha * (total * norm / 0.05) ** (0.5 / beta)
        radius = max(core, min(math.ceil(reach), 200))
        stamp = _moffat(x[i], y[i], radius, alpha, beta, nodes=1) * norm
        middle = slice(radius - core, radius + core + 1)
        stamp[middle, middle] = inner
        add_stamp(image, stamp * total, round(y[i]) - radius, round(x[i]) - radius)
        table[i] = x[i], y[i], total, inner.max() * total
    return image, table


def _moffat(x, y, radius, alpha, beta, nodes):
    """Integrate a Moffat profile of unit peak over pixels by Gauss-Legendre nodes."""
    at, weight = np.polynomial.legendre.leggauss(nodes)
    grid = np.arange(-radius, radius + 1)
    x2 = (((grid + round(x) - x)[:, None] + at / 2) / alpha).ravel() ** 2
    y2 = (((grid + round(y) - y)[:, None] + at / 2) / alpha).ravel() ** 2
    profile = (1 + y2[:, None] + x2) ** -beta
    cells = profile.reshape(len(grid), nodes, len(grid), nodes)
    return np.einsum("iajb,a,b->ij", cells, weight / 2, weight / 2)


def sersic_galaxies(shape, flux, fwhm, rng):
    """Return an image of Sersic galaxies at random places, seen through a Moffat profile."""
    fine = np.zeros([n * OVERSAMPLING for n in shape])
    for total in flux:
        n = rng.choice([1, 4])
        radius = 10 ** rng.uniform(math.log10(1.5), 1) * OVERSAMPLING
        stamp = _sersic(n, radius, rng.uniform(0.2, 1), rng.uniform(0, math.pi), rng)
        y, x = (rng.integers(0, s) - len(stamp) // 2 for s in fine.shape)
        add_stamp(fine, stamp * (total / stamp.sum()), y, x)
    alpha = OVERSAMPLING * fwhm / 2 / math.sqrt(2 ** (1 / BETA) - 1)
    kernel = _moffat(0, 0, math.ceil(8 * fwhm) * OVERSAMPLING, alpha, BETA, nodes=3)
    seen = oaconvolve(fine, kernel / kernel.sum(), mode="same")
    cells = seen.reshape(shape[0], OVERSAMPLING, shape[1], OVERSAMPLING)
    return np.maximum(cells.sum(axis=(1, 3)), 0)


def _sersic(n, radius, axis_ratio, angle, rng):
    """Sample a Sersic profile out to eight half-light radii."""
    reach = math.ceil(8 * radius)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1] + rng.uniform(-0.5, 0.5, (2, 1, 1))
    along, across = (
        x * math.cos(angle) + y * math.sin(angle),
        y * math.cos(angle) - x * math.sin(angle),
    )
    r = np.hypot(along, across / axis_ratio) / radius
    return np.exp(-(2 * n - 1 / 3) * (r ** (1 / n) - 1))


def deposit_footprints(shape, number, rng, library=None):
    """Return the charge (electrons) of footprints at random places and in random orientations."""
    library = footprints() if library is None else library
    image = np.zeros(shape)
    for index in rng.integers(0, len(library), number):
        stamp = np.rot90(library[index], rng.integers(4))
        stamp = stamp[::-1] if rng.integers(2) else stamp
        y, x = rng.integers(0, shape)
        add_stamp(image, stamp, y - stamp.shape[0] // 2, x - stamp.shape[1] // 2)
    return image


def add_stamp(image, stamp, y, x):
    """Add a stamp whose corner is at (y, x), cutting what lies outside."""
    top, left = max(y, 0), max(x, 0)
    bottom, right = min(y + stamp.shape[0], image.shape[0]), min(x + stamp.shape[1], image.shape[1])
    if top < bottom and left < right:
        image[top:bottom, left:right] += stamp[top - y : bottom - y, left - x : right - x]


def _finish(scene, deposit, stars, fwhm, rng):
    sigma = np.sqrt(scene + READNOISE**2)
    truth = np.where(deposit > 3 * sigma, HIT, np.where(deposit > 0, IGNORE, CLEAN))
    data = add_noise(scene, rng) + deposit
    return Field(
        data.astype(np.float32),
        scene.astype(np.float32),
        deposit.astype(np.float32),
        truth.astype(np.uint8),
        stars,
        fwhm,
    )


def main():
    """Write fields as FITS files."""
    from astropy.io import fits

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        for fwhm in FWHMS:
            for seed in range(options.seeds):
                field = make_field(kind, fwhm, seed)
                header = fits.Header({"GAIN": 1.0, "RDNOISE": READNOISE, "BUNIT": "electron"})
                fits.HDUList(
                    [
                        fits.PrimaryHDU(header=header),
                        fits.ImageHDU(field.data, name="SCI"),
                        fits.ImageHDU(field.truth, name="TRUTH"),
                    ]
                ).writeto(options.folder / f"{kind}_{fwhm}_{seed}.fits", overwrite=True)


if __name__ == "__main__":
    main()
