# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Measure the peak resident memory of identification above that of the loaded input (Linux).

The image lies in a file; a fresh interpreter loads it, notes its memory, calls
`crismis.cosmicray_learned` and notes the highest memory since. ``--huge`` does so with an image
of 26671 x 26671 pixels (a DECam mosaic, 2.8 GB) under a limit of 24 GB of address space.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "2")

import fields
import numpy as np

GOAL = 3.0
HUGE = 26671
LIMIT = 24 * 1024**3
_CHILD = """
import json, resource, sys, time, warnings
warnings.simplefilter("ignore")
path, options, limit = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
if limit:
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
import numpy as np
from astropy.nddata import CCDData
import crismis

def resident(key):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(key))

if options.pop("warm"):
    crismis.cosmicray_learned(
        CCDData(np.load(path, mmap_mode="r")[:256, :256].copy(), unit="electron"), **options
    )
ccd = CCDData(np.load(path), unit="electron")
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")
before = resident("VmRSS")
start = time.perf_counter()
out = crismis.cosmicray_learned(ccd, **options)
seconds = time.perf_counter() - start
images = (resident("VmHWM") - before) / ccd.data.nbytes
print(json.dumps({"images": images, "seconds": seconds, "flagged": float(out.hits.mean())}))
"""


def peak(path, limit=0, **options):
    """Return the peak in units of one float32 image, the seconds and the flagged fraction."""
    command = [sys.executable, "-c", _CHILD, str(path), json.dumps(options), str(limit)]
    return json.loads(subprocess.check_output(command, text=True))


def main():
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--huge", action="store_true", help=f"also {HUGE} x {HUGE}: minutes")
    parser.add_argument("--model", help="model name or file instead of the default")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    chosen = {"gain": 1.0, "readnoise": fields.READNOISE}
    if options.model:
        chosen["model"] = options.model
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "field.npy"
        data = fields.speed_field(options.size).data
        np.save(path, data)
        for repair in (False, True):
            for warm in (False, True):
                name = f"repair={repair}, {'second' if warm else 'first'} call"
                results[name] = peak(path, warm=warm, repair=repair, **chosen)
                print(f"{name:32s} {results[name]['images']:.2f} float32 images above the input")
        edged = data.copy()
        edged[0] += 500
        np.save(path, edged)
        name = "bright edge, second call"
        results[name] = peak(path, warm=True, repair=False, **chosen)
        print(f"{name:32s} {results[name]['images']:.2f} float32 images above the input")
        if options.huge:
            times = -(-HUGE // options.size)
            image = np.lib.format.open_memmap(path, "w+", np.float32, (HUGE, HUGE))
            for i in range(times):
                row = image[i * options.size : (i + 1) * options.size]
                for j in range(times):
                    cell = row[:, j * options.size : (j + 1) * options.size]
                    cell[:] = data[: cell.shape[0], : cell.shape[1]]
            image.flush()
            del image, data
            results["huge"] = peak(path, LIMIT, warm=False, repair=False, **chosen)
            print(f"{HUGE} x {HUGE} within 24 GB: {results['huge']}")
    print(f"goal: <= {GOAL} images")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
