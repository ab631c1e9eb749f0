"""A small archive of frames with hits, two of one name; small tables for the catalog."""

import numpy as np
import pyarrow as pa
import pytest
from astropy.io import fits

from crismis.survey.schema import arrow_schema
from crismis.survey.writer import CatalogWriter

N_FRAMES = 6
DAY = np.datetime64("2011-07-26T10:00", "us")


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


def exposures_of(paths, **columns):
    n = len(paths)
    known = {
        "exposure_id": [hash(path) & 0xFFFF for path in paths],
        "path": paths,
        "image": [0] * n,
        "status": ["ok"] * n,
        "date": DAY + np.arange(n) * np.timedelta64(12, "h"),
        "live_area": [2.0] * n,
    } | columns
    return table_of("exposures", n, known)


def events_of(exposures, per_exposure=3, **columns):
    ids = np.repeat(exposures["exposure_id"].to_numpy(), per_exposure)
    n = len(ids)
    known = {
        "exposure_id": ids,
        "date": np.repeat(exposures["date"].to_numpy(), per_exposure),
        "label": np.tile(np.arange(1, per_exposure + 1), exposures.num_rows),
        "energy": np.arange(n, dtype=np.float32),
        "category": np.resize(["spot", "track", "worm"], n),
    } | columns
    return table_of("events", n, known)


def table_of(name, n, known):
    schema = arrow_schema(name)
    return pa.table(
        [
            pa.array(known[f.name], f.type) if f.name in known else pa.nulls(n, f.type)
            for f in schema
        ],
        schema=schema,
    )


def fill(folder, *batches):
    writer = CatalogWriter(folder / "catalog")
    for paths in batches:
        exposures = exposures_of(paths)
        writer.commit(exposures, events_of(exposures))
    return writer
