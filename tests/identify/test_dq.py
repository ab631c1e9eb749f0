"""Data-quality arrays: bits in, hits out, copies of HST files."""

import gzip
import json
import subprocess
import sys

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.nddata.bitmask import BitFlagNameMap
from typer.testing import CliRunner

from crismis import IngestError, cosmicray_learned
from crismis.cli.app import app, load_commands
from crismis.identify.dq import flag_hits
from crismis.identify.masks import dq_from_hits, mask_from_dq

load_commands()


def write_flt(path, instrument="ACS", unit="ELECTRONS"):
    """Write a file like HST's flt, with two images, and return the hits in each."""
    rng = np.random.default_rng(1)
    primary = fits.PrimaryHDU()
    primary.header.update({"TELESCOP": "HST", "INSTRUME": instrument, "EXPTIME": 500.0})
    primary.header.update({"READNSEA": 4.0, "CCDGAIN": 1.0, "ATODGAIN": 1.0, "READNSE": 4.0})
    hdus, hits = fits.HDUList([primary]), {}
    for version in (1, 2):
        image = rng.normal(50, 8, (60, 70)).astype(np.float32)
        hit = np.zeros(image.shape, bool)
        hit[10 * version, 20:26] = hit[40, 50] = True
        image += 2000 * hit
        quality = np.zeros(image.shape, np.int16)
        quality[5, 5], quality[50] = 16, 4
        science = fits.ImageHDU(image, name="SCI", ver=version)
        science.header["BUNIT"] = unit
        hdus += [science, fits.ImageHDU(quality, name="DQ", ver=version)]
        hits[version] = hit
    hdus.writeto(path)
    return hits


@pytest.mark.parametrize(("instrument", "bit"), [("ACS", 4096), ("WFC3", 4096), ("STIS", 8192)])
def test_the_copy_differs_by_the_bit_alone(tmp_path, instrument, bit):
    hits = write_flt(tmp_path / "a_flt.fits", instrument)
    (tmp_path / "out").mkdir()
    result = flag_hits(tmp_path / "a_flt.fits", tmp_path / "out", readnoise=4.0)
    assert result["bit"] == bit
    with (
        fits.open(tmp_path / "a_flt.fits") as before,
        fits.open(tmp_path / "out" / "a_flt.fits") as after,
    ):
        for version, hit in hits.items():
            np.testing.assert_array_equal(before["SCI", version].data, after["SCI", version].data)
            old, new = before["DQ", version].data, after["DQ", version].data
            assert new.dtype == old.dtype
            np.testing.assert_array_equal(new & ~bit, old)
            marked = (new & bit) != 0
            assert marked[hit].mean() > 0.9
            assert (marked & ~hit).sum() <= 2
            assert result["hits"][version] == marked.sum()
            assert after["DQ", version].header["CRDQBIT"] == bit
        assert repr(before[0].header) == repr(after[0].header)


def test_gzip_another_bit_and_existing_copies(tmp_path):
    write_flt(tmp_path / "a_flt.fits")
    packed = tmp_path / "a_flt.fits.gz"
    packed.write_bytes(gzip.compress((tmp_path / "a_flt.fits").read_bytes()))
    out = tmp_path / "out.fits"
    assert flag_hits(packed, out, bit=1024, readnoise=4.0)["bit"] == 1024
    assert (fits.getdata(out, ("DQ", 1)) & 1024).any()
    with pytest.raises(IngestError, match="exists already"):
        flag_hits(packed, out, readnoise=4.0)
    flag_hits(packed, out, overwrite=True, readnoise=4.0)
    assert (fits.getdata(out, ("DQ", 1)) & 4096).any()
    with pytest.raises(IngestError, match="exists already"):
        flag_hits(out, out, overwrite=True, readnoise=4.0)
    assert not list(tmp_path.glob("*.part"))


def test_files_that_cannot_be_flagged_are_named(tmp_path):
    CCDData(np.ones((5, 5)), unit="adu").write(tmp_path / "plain.fits")
    with pytest.raises(IngestError, match="no extensions SCI and DQ"):
        flag_hits(tmp_path / "plain.fits", tmp_path / "out.fits")
    (tmp_path / "text.fits").write_text("no FITS")
    with pytest.raises(IngestError, match="cannot be read as FITS"):
        flag_hits(tmp_path / "text.fits", tmp_path / "out.fits")
    write_flt(tmp_path / "b_flt.fits", "NICMOS")
    with pytest.raises(IngestError, match="no bit is known for instrument 'NICMOS'"):
        flag_hits(tmp_path / "b_flt.fits", tmp_path / "out.fits")
    assert not (tmp_path / "out.fits").exists()


def test_the_command_reports_and_exits_with_one_if_a_file_fails(tmp_path):
    write_flt(tmp_path / "a_flt.fits")
    (tmp_path / "text.fits").write_text("no FITS")
    done = subprocess.run(
        [sys.executable, "-m", "crismis", "dq", "--json", "-o", str(tmp_path / "out")]
        + [str(tmp_path / name) for name in ("a_flt.fits", "text.fits")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert answer["done"][0]["bit"] == 4096
    assert "cannot be read as FITS" in answer["failed"][0]["error"]


def test_the_command_prints_a_line_for_each_copy_and_replaces_none_unasked(tmp_path):
    hits = write_flt(tmp_path / "a_flt.fits")
    command = ["dq", str(tmp_path / "a_flt.fits"), "-o", str(tmp_path / "out"), "--bit", "64"]
    first = CliRunner().invoke(app, command)
    assert first.exit_code == 0, first.output
    assert "bit 64 set for SCI 1: " in first.output
    quality = fits.getdata(tmp_path / "out" / "a_flt.fits", ("DQ", 2))
    assert ((quality & 64) != 0)[hits[2]].all()
    second = CliRunner().invoke(app, command)
    assert second.exit_code == 1
    assert "a_flt.fits" in second.output
    assert CliRunner().invoke(app, [*command, "--overwrite"]).exit_code == 0


def test_a_real_stis_file_with_two_images(real_data, tmp_path):
    result = flag_hits(
        real_data / "ingest/hst/o56502030_raw.fits", tmp_path / "out.fits", gain=1.0, readnoise=5.0
    )
    assert list(result["hits"]) == [1, 2]
    for version, count in result["hits"].items():
        marked = (fits.getdata(tmp_path / "out.fits", ("DQ", version)) & 8192) != 0
        assert marked.sum() == count
        # As they were read out, with the bias, which makes hardly a difference.
        truth = fits.getdata(
            real_data / f"truth/stis_spectrum_o56502030_{version}.fits.gz", "TRUTH"
        )
        assert marked[truth == 1].mean() > 0.95
        assert marked[truth == 0].mean() < 0.003


def test_bits_by_name_make_the_mask_of_an_image():
    class Bits(BitFlagNameMap):
        HOT = 16
        SATURATED = 256

    quality = np.zeros((40, 40), np.int16)
    quality[10, 10], quality[20, 20] = 16, 256
    mask = mask_from_dq(quality, ignore="SATURATED", names=Bits)
    np.testing.assert_array_equal(np.argwhere(mask), [[10, 10]])
    image = np.random.default_rng(2).normal(100, 11, (40, 40))
    image[10, 10] += 5000
    image[30, 10:13] += 2000
    ccd = CCDData(image, unit="electron", mask=mask)
    out = cosmicray_learned(ccd, readnoise=5.0)
    marked = dq_from_hits(out, quality, bit=8192)
    np.testing.assert_array_equal((marked & 8192) != 0, out.hits)
    assert marked[10, 10] == 16
    assert quality.max() == 256


@pytest.mark.parametrize("bit", [0, 3, 65536, -4096])
def test_a_bit_must_be_one_that_fits(bit):
    with pytest.raises(ValueError, match="bit must be a power of two"):
        dq_from_hits(np.ones((2, 2), bool), np.zeros((2, 2), np.int16), bit=bit)
