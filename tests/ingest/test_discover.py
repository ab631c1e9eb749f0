"""Walking folders, patterns and collections."""

import numpy as np
import pytest
from astropy.io import fits
from ccdproc import ImageFileCollection

from crismis.ingest import find_images


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "night").mkdir()
    for name in ("b.fits", "a.fits", "night/c.fits"):
        fits.writeto(tmp_path / name, np.zeros((3, 4), np.float32))
    (tmp_path / "notes.txt").write_text("clouds")
    (tmp_path / "broken.fits").write_bytes(b"SIMPLE  = no")
    table = fits.BinTableHDU.from_columns([fits.Column("a", "J", array=[1])])
    table.writeto(tmp_path / "table.fits")
    (tmp_path / "loop").symlink_to(tmp_path)
    return tmp_path


def names(paths):
    return [p.name for p in paths]


def test_folder(folder):
    images, skipped = find_images(folder)
    assert names(images) == ["a.fits", "b.fits", "broken.fits", "c.fits"]
    reasons = {p.name: why for p, why in skipped}
    assert reasons == {
        "notes.txt": "unknown format",
        "table.fits": "there is no image in this FITS file",
    }


def test_every_file_once(folder):
    (folder / "again.fits").symlink_to(folder / "a.fits")
    images, _ = find_images([folder / "a.fits", folder, str(folder / "*.fits")])
    assert names(images).count("a.fits") + names(images).count("again.fits") == 1


def test_pattern(folder):
    images, _ = find_images(str(folder / "*" / "c.fits"))
    assert set(names(images)) == {"c.fits"}


def test_named_files_stay(folder):
    images, skipped = find_images([folder / "notes.txt", folder / "gone.fits"])
    assert names(images) == ["notes.txt", "gone.fits"]
    assert skipped == []


def test_collection_of_ccdproc(folder):
    (folder / "broken.fits").unlink()
    collection = ImageFileCollection(folder, filenames=["a.fits", "b.fits"])
    images, _ = find_images(collection)
    assert names(images) == ["a.fits", "b.fits"]
