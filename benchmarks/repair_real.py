"""How far repaired pixels of real frames are from the undisturbed ones, ours beside astroscrappy's.

Footprints of even index of a laboratory CCD are put on real frames, whose own pixels are then the
truth: their noise is part of every error, so that 1 is the least mean square. Only pixels with
injected charge that astroscrappy flags count, and none within two pixels of what it calls a hit in
the frame itself. As its mask leaves faint skirts of the hits, which spoil what is made of them, two
lines more tell how repair does whose mask holds all charge. Run::

    python benchmarks/repair_real.py [--seeds N] [--size N]
"""

import argparse
import time
from dataclasses import replace

import astroscrappy
import fields
import numpy as np
import scenes
from astropy.io import fits
from repair import Noise, repair, report
from scipy.ndimage import binary_dilation, median_filter


def _wide_field(plane):
    return scenes.Scene("hst/u40x010hm_c0f.fits", "WFPC2", 7.0, 5.2, plane, known=True)


REAL = {
    "WFPC2 PC, Omega Cen": _wide_field(0),
    "WFPC2 WF, Omega Cen": _wide_field(2),
    # The read noise is what the frame itself shows.
    "LORRI": replace(scenes.SCENES["lorri"], readnoise=27.0),
    "EFOSC2": None,
}


def real_scene(name):
    """Return a frame in electrons, where it is good, and its read noise."""
    scene = REAL[name]
    if scene is not None:
        data, good = scenes.read_scene(scene)
        return data * np.float32(scene.gain), good, scene.readnoise
    path = fields.data_folder() / "truth" / "efosc2_image_Q1010_1.fits.gz"
    with fits.open(path) as hdus:
        data, truth = hdus["SCI"].data.astype(np.float32), hdus["TRUTH"].data
        return data, truth == 0, float(hdus[0].header["RDNOISE"])


def measure(name, seed, size):
    """Yield scene, method, error in units of the noise, pull and seconds for one cut-out."""
    rng = np.random.default_rng([seed, 5])
    scene, good, readnoise = real_scene(name)
    corner = [int(rng.integers(0, max(n - size, 0) + 1)) for n in scene.shape]
    part = tuple(slice(c, c + size) for c in corner)
    scene = np.ascontiguousarray(np.where(good, scene, np.median(scene[good]))[part])
    settings = {"gain": 1.0, "readnoise": readnoise, "satlevel": np.inf}
    own = astroscrappy.detect_cosmics(scene, sigclip=5.0, objlim=20.0, **settings)[0]
    clear = good[part] & ~binary_dilation(own, np.ones((5, 5)))
    deposit = fields.deposit_footprints(scene.shape, scene.size // 1500, rng, fields.footprints(0))
    image = (scene + deposit).astype(np.float32)
    sigma = np.sqrt(np.maximum(median_filter(scene, 5), 0) + readnoise**2)
    for cleantype in ("meanmask", "medmask", "idw"):
        hits, cleaned = astroscrappy.detect_cosmics(image, cleantype=cleantype, **settings)
        counted = np.zeros_like(hits)
        counted[8:-8, 8:-8] = (hits & clear & (deposit > 3 * sigma))[8:-8, 8:-8]
        yield name, f"astroscrappy {cleantype}", ((cleaned - scene) / sigma)[counted], None, 0.0
    noise = Noise(1.0, readnoise**2)
    for label, mask in (("", hits.astype(bool)), (", all charge", hits | (deposit > 0))):
        for method in ("interpolate", "median"):
            start = time.perf_counter()
            values, variance = repair(image, mask, ~good[part], noise, method, n_threads=1)
            seconds = (time.perf_counter() - start) / mask.sum()
            error = (values - scene[mask])[counted[mask]]
            pull = error / np.sqrt(variance[counted[mask]] + sigma[counted] ** 2)
            yield name, f"crismis {method}{label}", error / sigma[counted], pull, seconds


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--size", type=int, default=400)
    report(measure, REAL, parser.parse_args())


if __name__ == "__main__":
    main()
