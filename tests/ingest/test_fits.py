"""FITS in its many forms, written by the tests or real."""

import gzip
import shutil

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData, StdDevUncertainty
from numpy.testing import assert_array_equal

import crismis
from crismis import IngestError


@pytest.fixture
def image():
    return np.arange(12, dtype=np.float32).reshape(3, 4)


def write(path, *hdus):
    fits.HDUList(list(hdus)).writeto(path)
    return path


def test_plain(tmp_path, image):
    header = fits.Header({"BUNIT": "DN", "EXPTIME": 12.5, "GAIN": 2.0, "INSTRUME": "X"})
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(image, header))
    ccd = crismis.read(path)
    assert_array_equal(ccd.data, image)
    assert ccd.data.dtype.isnative
    assert ccd.unit == u.DN
    assert ccd.meta["CREXPTIM"] == 12.5
    assert ccd.meta["CRGAIN"] == 2.0


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("adu", u.adu),
        ("ADU", u.adu),
        ("COUNTS", u.ct),
        ("counts/s", u.ct / u.s),
        ("ELECTRONS", u.electron),
        ("electrons/s", u.electron / u.s),
        ("ELECTRONS/SEC", u.electron / u.s),
        ("e-", u.electron),
        ("DN/s", u.DN / u.s),
        ("MJy/sr", u.MJy / u.sr),
        ("COUNTS S-1", u.ct / u.s),
        ("DN s**-1", u.DN / u.s),
        ("counts / pixel", u.ct),
        ("electrons/s/pix", u.electron / u.s),
        ("photoelectron", u.electron),
        ("detected electrons", u.electron),
        ("Corrected DN", u.DN),
        ("Data Value", u.DN),
        ("I/F", u.dimensionless_unscaled),
        ("Mean Solar Brightness", u.dimensionless_unscaled),
        ("UNITLESS", u.dimensionless_unscaled),
    ],
)
def test_units(tmp_path, image, text, unit):
    header = fits.Header({"BUNIT": text})
    assert crismis.read(write(tmp_path / "a.fits", fits.PrimaryHDU(image, header))).unit == unit


def test_electrons_have_gain_one(tmp_path, image):
    header = fits.Header({"BUNIT": "ELECTRONS", "CCDGAIN": 4.0, "GAIN": 4.0})
    assert crismis.read(write(tmp_path / "a.fits", fits.PrimaryHDU(image, header))).meta[
        "CRGAIN"
    ] == (1.0)


def test_unknown_unit_names_the_remedy(tmp_path, image):
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(image, fits.Header({"BUNIT": "furlong^"})))
    with pytest.raises(IngestError, match=r"furlong.*unit="):
        crismis.read(path)
    assert crismis.read(path, unit="electron").unit == u.electron


def test_gzip_and_tile_compression(tmp_path, image):
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(image))
    with path.open("rb") as plain, gzip.open(tmp_path / "a.fits.gz", "wb") as packed:
        shutil.copyfileobj(plain, packed)
    assert_array_equal(crismis.read(tmp_path / "a.fits.gz").data, image)
    shutil.move(tmp_path / "a.fits.gz", tmp_path / "gzipped_without_saying.fits")
    assert_array_equal(crismis.read(tmp_path / "gzipped_without_saying.fits").data, image)
    whole = image.astype(np.int16)
    path = write(tmp_path / "b.fits.fz", fits.PrimaryHDU(), fits.CompImageHDU(whole, name="SCI"))
    assert_array_equal(crismis.read(path).data, whole)


def image_set(version, image, bits, bunit="ELECTRONS"):
    header = fits.Header({"BUNIT": bunit, "EXPTIME": 100.0 * version, "CCDCHIP": 3 - version})
    return [
        fits.ImageHDU(image * version, header, name="SCI", ver=version),
        fits.ImageHDU(np.sqrt(image + 1), name="ERR", ver=version),
        fits.ImageHDU(bits.astype(np.int16), name="DQ", ver=version),
    ]


def test_image_sets_of_hubble(tmp_path, image):
    bits = np.zeros(image.shape, int)
    bits[0, 0], bits[0, 1], bits[1, 1], bits[2, 2], bits[2, 3] = 16, 256, 8192, 4, 64
    primary = fits.PrimaryHDU()
    primary.header.update(TELESCOP="HST", INSTRUME="ACS", DETECTOR="WFC", CCDAMP="ABCD")
    primary.header.update(READNSEA=4.0, READNSEB=5.0, READNSEC=6.0, READNSED=8.0)
    path = write(
        tmp_path / "j_flt.fits", primary, *image_set(1, image, bits), *image_set(2, image, bits)
    )
    first, second = crismis.read_all(path)
    assert_array_equal(first.data, image)
    assert_array_equal(second.data, 2 * image)
    assert_array_equal(first.flags, bits)
    assert_array_equal(np.argwhere(first.mask), [[0, 0], [2, 2]])
    assert isinstance(first.uncertainty, StdDevUncertainty)
    assert_array_equal(first.uncertainty.array, np.sqrt(image + 1))
    assert (first.meta["CREXPTIM"], second.meta["CREXPTIM"]) == (100.0, 200.0)
    assert (first.meta["CRRDNOIS"], second.meta["CRRDNOIS"]) == (7.0, 4.5)
    assert first.meta["CRDETEC"] == "HST/ACS/WFC"
    assert_array_equal(crismis.read(path).data, image)
    assert_array_equal(crismis.read(path, hdu=("sci", 2)).data, 2 * image)
    assert_array_equal(crismis.read(path, hdu=4).data, 2 * image)
    with pytest.raises(IngestError, match=r"no image 'X'.*SCI"):
        crismis.read(path, hdu="X")


def test_cube(tmp_path, image):
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(np.stack([image, image + 1])))
    with pytest.raises(IngestError, match=r"cube of 2 planes.*plane=0 \.\.\. 1"):
        crismis.read(path)
    assert_array_equal(crismis.read(path, plane=1).data, image + 1)
    assert [c.meta["CRPLANE"] for c in crismis.read_all(path)] == [0, 1]
    with pytest.raises(IngestError, match=r"not 2"):
        crismis.read(path, plane=2)


def test_one_dimension_is_no_image(tmp_path):
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(np.arange(5.0)))
    with pytest.raises(IngestError, match=r"1 axes \(5,\), no image"):
        crismis.read(path)


def test_table_only(tmp_path):
    table = fits.BinTableHDU.from_columns([fits.Column("a", "J", array=[1, 2])])
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(), table)
    with pytest.raises(IngestError, match=r"there is no image"):
        crismis.read(path)


def test_truncated(tmp_path):
    image = np.arange(40000, dtype=np.int16).reshape(200, 200) // 3
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(image))
    path.write_bytes(path.read_bytes()[: 2880 + 100 * 400])
    with pytest.raises(IngestError, match=r"promises 80000 bytes.*holds 40000"):
        crismis.read(path)
    ccd = crismis.read(path, allow_truncated=True)
    assert_array_equal(ccd.data[:100], image[:100])
    assert ccd.mask[100:].all()
    assert not ccd.mask[:100].any()


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "empty"), (b"hello", "unknown format"), (None, "no such file")]
)
def test_no_image_at_all(tmp_path, content, reason):
    path = tmp_path / "a.fits"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(IngestError, match=reason):
        crismis.read(path)


def test_folder(tmp_path):
    with pytest.raises(IngestError, match=r"is a folder"):
        crismis.read(tmp_path)


def test_unified_reading_stays_unambiguous(tmp_path, image):
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(image))
    assert_array_equal(CCDData.read(path, format="crismis").data, image)
    assert_array_equal(CCDData.read(path, unit="adu").data, image)


def test_world_coordinates_go_through(tmp_path, image):
    header = fits.Header()
    header.update(CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CRVAL1=10.0, CRVAL2=20.0)
    header.update(CRPIX1=1.0, CRPIX2=1.0, CDELT1=-0.1, CDELT2=0.1)
    ccd = crismis.read(write(tmp_path / "a.fits", fits.PrimaryHDU(image, header)))
    assert ccd.wcs.pixel_to_world_values(0, 0) == pytest.approx((10.0, 20.0))
    ccd.write(tmp_path / "b.fits")
    again = CCDData.read(tmp_path / "b.fits")
    assert again.wcs.pixel_to_world_values(3, 2) == pytest.approx(
        ccd.wcs.pixel_to_world_values(3, 2)
    )
    assert again.meta["CRHDU"] == "PRIMARY"


def test_what_ccddata_wrote_reads_back(tmp_path, image):
    mask = image > 9
    ccd = CCDData(image, unit="electron", mask=mask, uncertainty=StdDevUncertainty(image + 1))
    ccd.write(tmp_path / "a.fits")
    again = crismis.read(tmp_path / "a.fits")
    assert_array_equal(again.mask, mask)
    assert_array_equal(again.uncertainty.array, image + 1)
    assert again.unit == u.electron


def test_data_quality_stored_as_reals(tmp_path, image):
    primary = fits.PrimaryHDU(header=fits.Header({"TELESCOP": "HST", "INSTRUME": "ACS"}))
    quality = np.zeros(image.shape, np.float32)
    quality[1, 2], quality[0, 0] = 16, np.nan  # hot
    hdus = [primary, fits.ImageHDU(image, name="SCI"), fits.ImageHDU(quality, name="DQ")]
    path = write(tmp_path / "a_flt.fits", *hdus)
    ccd = crismis.read(path)
    assert ccd.flags.dtype.kind == "i"
    assert_array_equal(np.argwhere(ccd.flags), [[1, 2]])
    assert ccd.mask[1, 2]
    hdus[2].data += np.float32(0.5)
    assert crismis.read(write(tmp_path / "b_flt.fits", *hdus)).flags is None
