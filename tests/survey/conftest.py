"""A small archive: frames with hits, a broken file, a text, two files of one name."""

import numpy as np
import pytest
from astropy.io import fits

N_FRAMES = 6


def frame(seed, shape=(48, 60)):
    """Sky with Poisson noise and five bright straight hits."""
    rng = np.random.default_rng(seed)
    image = rng.normal(100, 5, shape)
    for _ in range(5):
        y, x = rng.integers(6, 40, 2)
        image[y, x : x + rng.integers(2, 6)] += 2000
    return image.astype(np.float32)


def write_frame(path, seed, **cards):
    header = fits.Header(
        {
            "BUNIT": "electron",
            "EXPTIME": 100.0,
            "DATE-OBS": f"2011-07-{seed % 28 + 1:02d}T10:00:00",
            "GAIN": 1.0,
            "RDNOISE": 5.0,
            "INSTRUME": "TEST",
            **cards,
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    fits.writeto(path, frame(seed), header, overwrite=True)


@pytest.fixture
def archive(tmp_path):
    """Folder with six frames, two of them of the same name in different folders."""
    folder = tmp_path / "archive"
    for seed in range(N_FRAMES - 1):
        write_frame(folder / f"f{seed}.fits", seed)
    write_frame(folder / "night2" / "f0.fits", N_FRAMES - 1)
    return folder
