"""A mosaic of 26671 x 26671 pixels, on which astroscrappy crashes, within 24 GB."""

import resource
import sys

import numpy as np
import pytest
from astropy.nddata import CCDData

from crismis import cosmicray_lacosmic, cosmicray_learned

SIDE = 26671


def memory():
    """Physical memory in bytes, 0 where it cannot be told."""
    try:
        from os import sysconf

        return sysconf("SC_PAGE_SIZE") * sysconf("SC_PHYS_PAGES")
    except (ImportError, ValueError, OSError):
        return 0


@pytest.mark.slow
@pytest.mark.skipif(memory() < 24e9, reason="needs 24 GB of memory")
@pytest.mark.parametrize("identify", [cosmicray_learned, cosmicray_lacosmic])
def test_the_mosaic_of_astroscrappy_78(identify):
    rng = np.random.default_rng(1)
    image = np.empty((SIDE, SIDE), np.float32)
    part = rng.normal(100, 11, (1024, SIDE)).astype(np.float32)
    for top in range(0, SIDE, 1024):
        image[top : top + 1024] = part[: SIDE - top]
    places = np.array([[0, 4097, 20000, SIDE - 1], [0, 12000, SIDE - 2, 7]])
    image[tuple(places)] += 3000
    out = identify(CCDData(image, unit="electron"), readnoise=5.0)
    assert out.hits[tuple(places)].all()
    assert out.hits.mean() < 1e-3
    assert (out.data[tuple(places)] < 200).all()
    if sys.platform == "linux":
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 < 24e9
