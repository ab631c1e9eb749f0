# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""What a second pass on the cleaned image adds to the hits of the first.

    python benchmarks/second_pass.py

Simulated fields of 256 x 256 pixels, several per kind, and the real frames with truth, for
`crismis.cosmicray_learned` and for `crismis.cosmicray_lacosmic` with few and many iterations.
Printed are the pixels added as a share of the first pass's hits, over all frames of a group, and
the largest share of a single one.
"""

import argparse
import os
import warnings
from collections import defaultdict
from functools import partial
from itertools import chain

os.environ.setdefault("OMP_NUM_THREADS", "2")

import accuracy
import numpy as np
from astropy.nddata import CCDData

from crismis import cosmicray_lacosmic, cosmicray_learned

METHODS = {
    "learned": cosmicray_learned,
    "L.A.Cosmic, niter=4": partial(cosmicray_lacosmic, niter=4),
    "L.A.Cosmic, niter=12": partial(cosmicray_lacosmic, niter=12),
}


def added(frame, method):
    """Return the numbers of the first pass's hits and of those that the second adds."""
    facts = {"gain": frame.gain, "readnoise": frame.readnoise}
    first = method(CCDData(frame.data, unit="adu"), **facts)
    second = method(CCDData(first.data, unit="adu"), **facts)
    return first.hits.sum(), np.count_nonzero(second.hits & ~first.hits)


def main():
    """Print a table, a line per group of frames and method."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10, help="fields per kind and star width")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    counts = defaultdict(list)
    for frame in chain(accuracy.simulated_frames(options.seeds, 256), accuracy.truth_frames()):
        for name, method in METHODS.items():
            counts[frame.group, name].append(added(frame, method))
    print(f"{'':38s}frames    hits  added  largest single")
    for (group, name), rows in counts.items():
        hits, more = np.array(rows, float).T
        share, largest = more.sum() / hits.sum(), np.max(more / np.maximum(hits, 1))
        print(f"{group:16s}{name:22s}{len(rows):6d}{hits.sum():8.0f}{share:7.2%}{largest:10.2%}")


if __name__ == "__main__":
    main()
