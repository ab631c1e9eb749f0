# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Real scenes with injected real hits: crowded stars, planets and moons, the solar corona.

The hits are footprints of odd index of a thick laboratory CCD and hits of a thin space CCD cut
from the differences of the exposure pairs in ``truth``. What a scene holds of its own hits is
unknown: pixels that two of three methods (L.A.Cosmic with sigclip 5 and objlim 20, deepCR,
Cosmic-CoNN) call hits do not count, nor do their neighbours; in the three outermost lines, where
L.A.Cosmic never flags anything, one of the other two suffices. What a single method flags stays
in elsewhere as clean, stars and crater rims above all, so that a few true hits of the scene may
count as false positives of everyone. crismis has no vote. The three wide-field chips of WFPC2 are
left out: there every peer calls the undersampled stars hits, so that no vote can be taken.

Neighbours of injected hits do not count either: the hits were cut out at a level of several
sigma, so that their faint skirts, which a real hit has, are missing.

Beside them simulated fields as like a wide-field camera of Hubble as the data allow: 100 to 1000
stars of one measured point-spread function (of ACS/HRC through one of three filters, blurred by
0.65 pixels, shifted by any part of a pixel and binned by two, which gives the share of the
brightest pixel that the ones of ACS/WFC show), galaxies, and hits of a thin CCD of Hubble. These
come with what the pixels that touch them hold, as hits in images do; those pixels do not count.

Three exposures of 47 Tucanae by ACS/HRC through different filters, as they were read out, are used
where the variable ``CRISMIS_CRDS`` names the folder that holds them: ``test/data/hst`` of the
source distribution of crds (``pip download --no-deps --no-binary crds crds``). The overscan is
subtracted; hot pixels, which two of the exposures show in the same place, do not count. Binned by
two they have about the sampling of ACS/WFC. A fourth exposure, calibrated (an ``flt`` file, whose
flags do not count either), lies in the source distribution of spherical_geometry; the variable
``CRISMIS_SPHERE`` names its folder ``spherical_geometry/tests/data``.

Images of planets and of the Sun are given as their archives hold them, in data numbers and with
gain and read noise unknown; the nominal gain only scales the injected charge.
"""

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import fields
import numpy as np
import peers
from astropy.io import fits
from scipy.ndimage import (
    binary_dilation,
    find_objects,
    gaussian_filter,
    label,
    maximum_filter,
    median_filter,
    shift,
)

__all__ = [
    "HUBBLE",
    "SCENES",
    "TRAINED_ON",
    "Scene",
    "hubble_field",
    "hubble_hits",
    "hubble_hits_with_skirts",
    "hubble_star",
    "inject",
    "load",
    "read_scene",
    "scene_frames",
]


HUBBLE = "HST-like fields"
DRAWS = 3
"""How often hits are drawn for a scene."""

BORDER = 3
"""Outermost lines, which L.A.Cosmic leaves alone."""

TRAINED_ON = "o56502030"
"""The visit whose hits the models have learned from; its frames are not scored."""


@dataclass(frozen=True)
class Scene:
    """Where a scene lies, and its electrons per data number; ``known`` if users are told them."""

    path: str
    group: str
    gain: float
    readnoise: float
    plane: int | None = None
    known: bool = False
    binning: int = 1


SCENES = {
    "wfpc2_pc": Scene("hst/u40x010hm_c0f.fits", "WFPC2 PC, Omega Cen", 7.0, 5.2, 0, known=True),
    "lorri": Scene("fits/lor_0086422037_0x633_sci_1.fit", "planets", 19.4, 20.0),
    "onc": Scene("fits/hyb2_onc_20151203_000006_w2f_l2a.fit", "planets", 20.95, 40.0),
    "cassini": Scene("pds3/N1489034146_2.IMG", "planets", 30.0, 30.0),
    "galileo": Scene("pds3/C0532836239R.IMG", "planets", 38.0, 30.0),
    "trace": Scene("fits/trace_19980519_171_1024.fits", "corona", 12.0, 25.0),
    "xrt": Scene("fits/L1_XRT20120605_215839.9.fits", "corona", 58.0, 60.0),
}
PSFS = "acs_hrc_f475w", "acs_hrc_f555w", "acs_hrc_f814w"
HRC_GAIN, HRC_READNOISE = 2.2, 4.7
CLUSTER = {
    "f555w": "j8bt05njq_raw.fits",
    "f606w": "j8bt06o6q_raw.fits",
    "f330w": "j8bt09jcq_raw.fits",
}
CALIBRATED = "j8bt06nyq_flt.fits"
if "CRISMIS_CRDS" in os.environ:
    for binning, group in ((1, "ACS/HRC, 47 Tuc"), (2, "ACS/HRC, binned by two")):
        SCENES |= {
            f"hrc{binning}_{name}": Scene(path, group, HRC_GAIN, HRC_READNOISE, None, True, binning)
            for name, path in CLUSTER.items()
        }
    if "CRISMIS_SPHERE" in os.environ:
        SCENES["hrc1_flt"] = Scene(
            CALIBRATED, "ACS/HRC, calibrated", 1.0, HRC_READNOISE, None, True
        )


def load(name):
    """Return a scene of `SCENES` in data units (float32) and where it is usable."""
    return read_scene(SCENES[name])


def _read_hrc(path):
    """Return an exposure without overscan and bias, in data numbers."""
    data = fits.getdata(Path(os.environ["CRISMIS_CRDS"]) / path, 1).astype(np.float32)
    return data[:1024, 19:1043] - np.median(data[:, 5:17])


@cache
def _hot_pixels():
    """Return where two of the exposures of the cluster show a pixel that stands alone."""
    around = np.ones((3, 3), bool)
    around[1, 1] = False
    seen = 0
    for path in CLUSTER.values():
        data = _read_hrc(path) * HRC_GAIN
        smooth = median_filter(data, 5)
        noise = np.sqrt(HRC_READNOISE**2 + np.maximum(smooth, 0) + 8)
        alone = data - maximum_filter(data, footprint=around) > 2.5 * noise
        seen = seen + (alone & (data - smooth > 4 * noise))
    return seen >= 2


def _binned(array, by):
    rows, columns = (n // by for n in array.shape)
    return array[: rows * by, : columns * by].reshape(rows, by, columns, by).sum(axis=(1, 3))


def read_scene(scene):
    """Return the pixels of a scene (float32) and where they are usable."""
    if scene.path in CLUSTER.values():
        good = ~_hot_pixels()
        return _binned(_read_hrc(scene.path), scene.binning), _binned(~good, scene.binning) == 0
    if scene.path == CALIBRATED:
        with fits.open(Path(os.environ["CRISMIS_SPHERE"]) / CALIBRATED) as hdus:
            return hdus["SCI"].data.astype(np.float32), ~_hot_pixels() & (hdus["DQ"].data == 0)
    path = fields.data_folder() / "ingest" / scene.path
    if scene.plane is not None:
        data = np.array(fits.getdata(path)[scene.plane], dtype=np.float32)
        quality = fits.getdata(path.with_name(path.name.replace("c0f", "c1f")))[scene.plane]
        good = quality == 0
        good[:60] = good[:, :60] = False
        return data, good
    if path.suffix == ".IMG":
        import crismis

        data = np.array(crismis.read(path).data, dtype=np.float32)
    else:
        data = np.array(fits.getdata(path), dtype=np.float32)
    return data, np.isfinite(data)


def _pair_hits():
    """Yield a box around every hit of the pairs, its charge (electrons), and which pixels it is.

    The box has room for what touches the hit; with it the noise of the difference.
    """
    for first in sorted((fields.data_folder() / "truth").glob("stis_*_1.fits.gz")):
        if TRAINED_ON in first.name:
            continue
        second = first.with_name(first.name.replace("_1.fits", "_2.fits"))
        pair = [_read(path) for path in (first, second)]
        for (data, truth, seconds), (other, _, others) in (pair, pair[::-1]):
            charge = data - other * (seconds / others)
            clean = charge[truth == 0]
            sigma = 1.4826 * np.median(abs(clean - np.median(clean)))
            labels, _ = label(truth == 1, np.ones((3, 3)))
            charge, labels = np.pad(charge, 1, constant_values=-np.inf), np.pad(labels, 1)
            for i, box in enumerate(find_objects(labels), 1):
                wide = tuple(slice(part.start - 1, part.stop + 1) for part in box)
                yield charge[wide], labels[wide] == i, labels[wide] > 0, sigma


@cache
def hubble_hits():
    """Return the charge (electrons) of hits of HST/STIS, cut from pairs of exposures."""
    stamps = (np.where(own, np.maximum(charge, 0), 0) for charge, own, _, _ in _pair_hits())
    return [stamp[1:-1, 1:-1] for stamp in stamps if stamp.sum() > 100]


@cache
def hubble_hits_with_skirts():
    """Return ``(charge, own)`` of hits, the pixels that touch them included, and which are hit.

    Left out are hits that touch the edge, another hit, or what is far from clean otherwise.
    """
    stamps = []
    for charge, own, hit, sigma in _pair_hits():
        beside = binary_dilation(own, np.ones((3, 3))) & ~own
        quiet = (charge > -4 * sigma) & (charge < 6 * sigma) & ~hit
        if quiet[beside].all() and charge[own].sum() > 100:
            stamps.append((np.where(own | beside, charge, 0), own))
    return stamps


def _read(path):
    with fits.open(path) as hdus:
        return hdus["SCI"].data.astype(float), hdus["TRUTH"].data, hdus[0].header["EXPTIME"]


def own_hits(frame):
    """Return pixels that two of the methods with a vote call hits, and the neighbours of those."""
    from astroscrappy import detect_cosmics

    methods = peers.scorers()
    if "deepCR ACS-WFC" not in methods or "Cosmic-CoNN ground_imaging" not in methods:
        raise RuntimeError(
            "real scenes need deepCR and cosmic-conn: pip install deepCR cosmic-conn"
        )
    in_electrons = {"gain": frame.gain, "readnoise": frame.readnoise, "satlevel": np.inf}
    votes = detect_cosmics(frame.data, sigclip=5.0, objlim=20.0, **in_electrons)[0].astype(int)
    for name in ("deepCR ACS-WFC", "Cosmic-CoNN ground_imaging"):
        votes += methods[name](frame) > 0.5
    needed = np.ones(votes.shape, int)
    needed[BORDER:-BORDER, BORDER:-BORDER] = 2
    return binary_dilation(votes >= needed, np.ones((3, 3)))


@cache
def _prepared(name):
    scene = SCENES[name]
    data, good = load(name)
    frame = peers.Frame(name, scene.group, data, good, scene.gain, scene.readnoise)
    return data, good & ~own_hits(frame)


def noise(data, scene):
    """Return the noise in data units: shot and read noise, or what the image itself shows."""
    smooth = median_filter(data, 5)
    expected = np.sqrt(np.maximum(smooth, 0) * scene.gain + scene.readnoise**2) / scene.gain
    rough = data - median_filter(data, 3)
    return np.maximum(expected, 1.4826 * np.median(np.abs(rough)))


def truth_of(deposit, sigma):
    """Return 1 above 3 sigma and 2 for the rest of a hit and the pixels that touch it."""
    near = binary_dilation(deposit > 0, np.ones((3, 3)))
    return np.where(deposit > 3 * sigma, 1, np.where(near, 2, 0)).astype(np.uint8)


def inject(name, seed):
    """Return a scene with injected hits and its truth as a `peers.Frame`."""
    scene = SCENES[name]
    data, good = _prepared(name)
    rng = np.random.default_rng([seed, list(SCENES).index(name)])
    number = round(data.size / 1500)
    charge = fields.deposit_footprints(data.shape, number, rng, hubble_hits())
    charge += fields.deposit_footprints(data.shape, number // 6, rng)
    deposit = (charge / scene.gain).astype(np.float32)
    truth = np.where(good, truth_of(deposit, noise(data, scene)), 2).astype(np.uint8)
    image = data + deposit
    if np.array_equal(data, np.round(data)):
        image = np.round(image)
    if scene.path in CLUSTER.values():
        image = np.minimum(image, data.max())  # where the converter clips
    facts = scene.gain, scene.readnoise, "adu", scene.known
    return peers.Frame(f"{name}-{seed}", scene.group, image, truth, *facts)


def hubble_star(psf, dy, dx):
    """Return a star of unit flux in pixels of ACS/WFC, its centre moved by parts of a pixel."""
    radius = np.hypot(*(np.indices((40, 40)) - 19.5))
    taper = 0.5 + 0.5 * np.cos(np.pi * np.clip((radius - 12) / 7, 0, 1))
    moved = shift(psf, (2 * dy - 1, 2 * dx - 1), order=3)[:80, :80]
    star = np.maximum(_binned(moved, 2), 0) * taper
    return star / star.sum()


def hubble_field(seed, size=1024):
    """Return a field of stars and galaxies like an exposure of ACS/WFC as a `peers.Frame`."""
    rng = np.random.default_rng([seed, 11])
    scene = 50 + fields.sersic_galaxies((size, size), 10 ** rng.uniform(2, 4.5, 120), 2.0, rng)
    with np.load(fields.data_folder() / "psf" / "hst_psfs.npz") as archive:
        psf = gaussian_filter(archive[PSFS[seed % len(PSFS)]].astype(float), 0.65)
    for flux in 10 ** rng.uniform(2, 5.5, round(10 ** rng.uniform(2, 3))):
        star = flux * hubble_star(psf, *rng.uniform(0, 1, 2))
        fields.add_stamp(scene, star, *rng.integers(-20, size - 20, 2))
    charge, own = np.zeros((2, size, size))
    hits = hubble_hits_with_skirts()
    for k in rng.integers(len(hits), size=1500):
        turns, flipped = rng.integers(4), rng.integers(2)
        stamp, mine = (np.rot90(part, turns)[:: 1 - 2 * flipped] for part in hits[k])
        y, x = (rng.integers(size - n) for n in stamp.shape)
        window = np.s_[y : y + stamp.shape[0], x : x + stamp.shape[1]]
        if not charge[window].any():
            charge[window] += stamp
            own[window] += mine
    sigma = np.sqrt(scene + 4.5**2)
    data = fields.add_noise(scene, rng, 4.5) + charge
    truth = truth_of(np.where(own > 0, charge, 0), sigma)
    return peers.Frame(f"hubble-{seed}", HUBBLE, data.astype(np.float32), truth, 1.0, 4.5)


def scene_frames():
    """Yield two HST-like fields per filter, and every scene with three draws of hits."""
    for seed in range(2 * len(PSFS)):
        yield hubble_field(seed)
    for name in SCENES:
        for seed in range(DRAWS):
            yield inject(name, seed)
