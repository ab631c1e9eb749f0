"""Missions without a sample file, written from their published header and label definitions."""

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from numpy.testing import assert_array_equal

import crismis
from crismis import get_detector

from .conftest import pds3_bytes, vicar_bytes

# Keywords of a raw MDIS image: MDIS EDR Software Interface Specification, version 2T.
MDIS = """
MISSION_NAME = MESSENGER
INSTRUMENT_HOST_NAME = MESSENGER
DATA_SET_ID = "MESS-E/V/H-MDIS-2-EDR-RAWDATA-V1.0"
DATA_QUALITY_ID = 0000001000000000
PRODUCT_ID = EN1072174528M
TARGET_NAME = MERCURY
START_TIME = 2015-04-24T04:42:19.666463
SPACECRAFT_CLOCK_START_COUNT = "2/0072174528:989000"
INSTRUMENT_ID = MDIS-NAC
FILTER_NAME = "748 BP 53"
FILTER_NUMBER = N/A
EXPOSURE_DURATION = 17 <MS>
EXPOSURE_TYPE = AUTO
DETECTOR_TEMPERATURE = -11.62 <DEGC>
FOCAL_PLANE_TEMPERATURE = 4.07 <DEGC>
MESS:CCD_TEMP = 1139
MESS:EXPOSURE = 17
MESS:IMAGER = 1
MESS:FPU_BIN = {binned}
MESS:COMP12_8 = {companded}
MESS:COMP_ALG = 1
MESS:COMP_FST = 1
MESS:WVLRATIO = {wavelet}
MESS:PIXELBIN = 0
MESS:SUBFRAME = 0
"""


def mdis(path, data, binned=0, companded=0, wavelet=0, sample_type="MSB_UNSIGNED_INTEGER", old=()):
    text = MDIS.format(binned=binned, companded=companded, wavelet=wavelet)
    for a, b in old:
        text = text.replace(a, b)
    path.write_bytes(pds3_bytes(data, keywords=text.strip().splitlines(), sample_type=sample_type))
    return path


def test_mdis_raw_twelve_bits(tmp_path):
    data = np.random.default_rng(1).integers(0, 4096, (512, 512)).astype(">u2")
    ccd = crismis.read(mdis(tmp_path / "EN1.IMG", data, binned=1))
    assert_array_equal(ccd.data, data)
    facts = [ccd.meta[k] for k in ("CREXPTIM", "CRINSTR", "CRTARGET", "CRFILTER", "CRDATE")]
    assert facts == [0.017, "MDIS-NAC", "MERCURY", "748 BP 53", "2015-04-24T04:42:19.666463"]
    assert ccd.meta["CRTEMP"] == pytest.approx(261.53)
    assert "CRCODING" not in ccd.meta
    detector = get_detector(ccd)
    assert detector.name == "MESSENGER/MDIS/NAC"
    assert detector.binning == (2, 2)
    assert detector.pixel_area == pytest.approx((28e-4) ** 2)


def test_mdis_companded_without_table(tmp_path):
    data = np.random.default_rng(1).integers(0, 256, (1024, 1024)).astype(np.uint8)
    path = mdis(tmp_path / "EN1.IMG", data, companded=1)
    with pytest.warns(UserWarning, match=r"companded.*algorithm 1.*MDISLUTINV_0.TAB"):
        ccd = crismis.read(path)
    assert_array_equal(ccd.data, data)
    assert ccd.meta["CRCODING"] == "companded"
    assert ccd.meta["CRCOUNTS"] is False
    assert np.isnan(get_detector(ccd).gain)


def test_mdis_expanded_by_the_table_beside(tmp_path):
    data = np.random.default_rng(1).integers(0, 256, (1024, 1024)).astype(np.uint8)
    codes = np.arange(256)
    table = np.column_stack([codes, *(codes * (i + 1) for i in range(8))])
    np.savetxt(tmp_path / "mdislutinv_0.tab", table, fmt="%5d", delimiter=",")
    ccd = crismis.read(mdis(tmp_path / "EN1.IMG", data, companded=1))
    assert_array_equal(ccd.data, data * 2.0)
    assert "CRCODING" not in ccd.meta
    assert "column 1" in ccd.meta["CRDECOMP"]


def test_mdis_wavelets_are_lossy(tmp_path):
    data = np.zeros((1024, 1024), ">u2")
    assert crismis.read(mdis(tmp_path / "EN1.IMG", data, wavelet=4)).meta["CRCODING"] == "lossy"


def test_mdis_calibrated_radiance(tmp_path):
    data = np.full((512, 512), 30.0, "<f4")
    data.view("<u4")[3, 4] = 0xFF7FFFFB
    old = [("MDIS-2-EDR-RAWDATA", "MDIS-4-CDR-CALDATA")]
    path = mdis(tmp_path / "CN1.IMG", data, companded=1, sample_type="PC_REAL", old=old)
    block = b'CORE_NULL = 16#FF7FFFFB#\r\nUNIT = "W/m**2/sr/um"\r\nEND_OBJECT'
    path.write_bytes(path.read_bytes().replace(b"END_OBJECT", block, 1))
    content = path.read_bytes()
    extra = len(block) - len(b"END_OBJECT")
    end = content.index(b"END\r\n") + 5
    path.write_bytes(content[:end] + content[end + extra :])
    ccd = crismis.read(path)
    assert ccd.unit == u.W / u.m**2 / u.sr / u.um
    assert_array_equal(np.argwhere(ccd.mask), [[3, 4]])
    assert ccd.meta["CRCOUNTS"] is False
    assert "CRCODING" not in ccd.meta


def solar(path, data, **cards):
    header = fits.Header()
    header.update(cards)
    fits.writeto(path, data, header)
    return path


# Keywords of level-0.5 images: LASCO header definition (lasco_hdr_tags, NRL).
LASCO = {
    "FILENAME": "22096635.fts",
    "DATE-OBS": "2000/07/14",
    "TIME-OBS": "10:54:07.123",
    "P1COL": 20,
    "P1ROW": 1,
    "P2COL": 1043,
    "P2ROW": 1024,
    "SUMROW": 0,
    "SUMCOL": 0,
    "LEBXSUM": 1,
    "LEBYSUM": 1,
    "EXPTIME": 25.0965,
    "TELESCOP": "SOHO",
    "INSTRUME": "LASCO",
    "DETECTOR": "C2",
    "READPORT": "C",
    "FILTER": "Orange",
    "POLAR": "Clear",
    "NMISSING": 1,
}


def test_lasco(tmp_path):
    data = np.random.default_rng(1).integers(400, 9000, (1024, 1024)).astype(np.int16)
    data[32:64, 96:128] = 0
    ccd = crismis.read(solar(tmp_path / "22096635.fts", data, **LASCO))
    assert_array_equal(ccd.data, data)
    assert ccd.unit == u.DN
    assert_array_equal(ccd.mask, data == 0)
    facts = [ccd.meta[k] for k in ("CREXPTIM", "CRDATE", "CRFILTER", "CRDETEC")]
    assert facts == [25.0965, "2000-07-14T10:54:07.123", "Orange+Clear", "SOHO/LASCO/C2"]
    detector = get_detector(ccd)
    assert detector.binning == (1, 1)
    assert detector.readout_wait == 10.5


def test_lasco_c3_summed(tmp_path):
    cards = LASCO | {"DETECTOR": "C3", "LEBXSUM": 2, "LEBYSUM": 2, "EXPTIME": 19.1}
    ccd = crismis.read(solar(tmp_path / "3.fts", np.ones((512, 512), np.int16), **cards))
    assert get_detector(ccd).name == "SOHO/LASCO/C3"
    assert get_detector(ccd).binning == (2, 2)


def test_eit(tmp_path):
    data = np.full((1024, 1024), 860, np.int16)
    data[0, 0] = 0
    cards = {"TELESCOP": "SOHO", "INSTRUME": "EIT", "WAVELNTH": 195, "EXPTIME": 12.6}
    cards |= {"DATE_OBS": "2000-07-14T10:48:10.432Z", "CCDTEMP": -67.2, "FILTER": "Clear"}
    ccd = crismis.read(solar(tmp_path / "efz20000714.104810.fts", data, **cards))
    assert (ccd.meta["CRDETEC"], ccd.meta["CRFILTER"]) == ("SOHO/EIT", "195")
    assert ccd.meta["CRTEMP"] == pytest.approx(205.95)
    assert ccd.mask.sum() == 1


@pytest.mark.parametrize(
    ("cards", "product"),
    [
        ({}, None),
        ({"N_IMAGES": 3}, "stacked"),
        ({"COSMICS": 1523}, "cleaned"),
        ({"COSMICS": -1, "N_IMAGES": 1}, None),
    ],
)
def test_secchi(tmp_path, cards, product):
    header = {"TELESCOP": "STEREO", "OBSRVTRY": "STEREO_A", "INSTRUME": "SECCHI"}
    header |= {"DETECTOR": "COR2", "EXPTIME": 6.0, "DATE-OBS": "2012-07-23T02:54:00.005"}
    header |= {"SUMROW": 1, "SUMCOL": 1, "IPSUM": 2.0}
    data = np.ones((1024, 1024), np.uint16)
    ccd = crismis.read(solar(tmp_path / "a.fts", data, **header, **cards))
    assert ccd.meta.get("CRPROD") == product
    assert ccd.meta["CRDETEC"] == "STEREO/SECCHI"
    assert get_detector(ccd).binning == (2, 2)


@pytest.mark.parametrize("line", ["TRACE_UNSPIKE run", "aia_prep despiked", "cosmics.pro 1.2"])
def test_despiked_images_say_so(tmp_path, line):
    path = solar(tmp_path / "a.fits", np.ones((8, 8), np.int16), TELESCOP="TRACE", SHT_MDUR=2.0)
    fits.setval(path, "HISTORY", value=line)
    assert crismis.read(path).meta["CRPROD"] == "cleaned"


def hubble(path, suffix, sets=2, **primary):
    hdus = [fits.PrimaryHDU()]
    hdus[0].header.update({"TELESCOP": "HST", "FILENAME": f"x{suffix}.fits"} | primary)
    for version in range(1, sets + 1):
        header = fits.Header({"BUNIT": "ELECTRONS", "CCDCHIP": 3 - version})
        data = np.full((6, 8), float(version), np.float32)
        hdus.append(fits.ImageHDU(data, header, name="SCI", ver=version))
        hdus.append(fits.ImageHDU(np.sqrt(data), name="ERR", ver=version))
        bits = np.zeros((6, 8), np.int16)
        bits[0, :4] = 4096, 8192, 256, 512
        hdus.append(fits.ImageHDU(bits, name="DQ", ver=version))
    fits.HDUList(hdus).writeto(path)
    return path


def test_wfc3(tmp_path):
    cards = {"INSTRUME": "WFC3", "DETECTOR": "UVIS", "EXPTIME": 500.0, "CCDAMP": "ABCD"}
    cards |= {"CCDGAIN": 1.5, "FILTER": "F606W", "DATE-OBS": "2012-01-02", "TIME-OBS": "03:04:05"}
    cards |= {f"READNSE{a}": 3.0 + i / 10 for i, a in enumerate("ABCD")}
    first, second = crismis.read_all(hubble(tmp_path / "i_flt.fits", "_flt", **cards))
    assert first.meta["CRDETEC"] == "HST/WFC3/UVIS"
    assert (first.meta["CRGAIN"], first.meta["CREXPTIM"]) == (1.0, 500.0)
    assert first.meta["CRRDNOIS"] == pytest.approx(3.25)
    assert second.meta["CRRDNOIS"] == pytest.approx(3.05)
    assert first.meta["CRDATE"] == "2012-01-02T03:04:05"
    # Earlier cosmic-ray bits and saturation stay out of the mask; a bad pixel is in it.
    assert_array_equal(np.argwhere(first.mask), [[0, 3]])
    assert_array_equal(first.flags[0, :4], [4096, 8192, 256, 512])


def test_acs_drizzled(tmp_path):
    path = hubble(tmp_path / "j_drc.fits", "_drc", sets=1, INSTRUME="ACS", DETECTOR="WFC")
    assert crismis.read(path).meta["CRPROD"] == "cleaned+stacked+resampled"


def test_mosaic_of_many_chips(tmp_path):
    hdus = [fits.PrimaryHDU()]
    hdus[0].header.update(INSTRUME="DECam", EXPTIME=90.0, FILTER="r")
    for i, name in enumerate(("S29", "N1", "N31")):
        header = fits.Header({"GAINA": 4.0, "GAINB": 4.4, "RDNOISEA": 6.0, "RDNOISEB": 7.0})
        data = np.full((8, 6), i, np.int16)
        hdus.append(fits.CompImageHDU(data, header, name=name))
    fits.HDUList(hdus).writeto(tmp_path / "c4d.fits.fz")
    chips = crismis.read_all(tmp_path / "c4d.fits.fz")
    assert [c.data[0, 0] for c in chips] == [0, 1, 2]
    assert [c.meta["CRHDU"] for c in chips] == ["S29", "N1", "N31"]
    assert chips[1].meta["CRGAIN"] == pytest.approx(4.2)
    assert chips[1].meta["CREXPTIM"] == 90.0
    assert chips[1].meta["CRDETEC"] == "Blanco/DECam"
    assert crismis.read(tmp_path / "c4d.fits.fz", hdu="n1").data[0, 0] == 1


def test_lsst_exposure(tmp_path):
    image = np.ones((5, 6), np.float32)
    planes = np.zeros((5, 6), np.int32)
    planes[0, :3] = 1 << 0, 1 << 3, 1 << 8
    header = fits.Header({"MP_BAD": 0, "MP_CR": 3, "HIERARCH MP_NO_DATA": 8})
    fits.HDUList(
        [
            fits.PrimaryHDU(),
            fits.ImageHDU(image, fits.Header({"BUNIT": "adu"}), name="IMAGE"),
            fits.ImageHDU(planes, header, name="MASK"),
            fits.ImageHDU(image * 4, name="VARIANCE"),
        ]
    ).writeto(tmp_path / "calexp.fits")
    (ccd,) = crismis.read_all(tmp_path / "calexp.fits")
    assert_array_equal(np.argwhere(ccd.mask), [[0, 0], [0, 2]])
    assert_array_equal(ccd.flags, planes)
    assert ccd.uncertainty.uncertainty_type == "var"
    assert_array_equal(ccd.uncertainty.array, image * 4)


def cassini(path, data, **changes):
    facts = {"INSTRUMENT_ID": "ISSWA", "GAIN_MODE_ID": "29 ELECTRONS PER DN"}
    facts |= {"DATA_CONVERSION_TYPE": "TABLE", "INST_CMPRS_TYPE": "LOSSLESS"}
    facts |= {"INSTRUMENT_MODE_ID": "SUM2", "EXPOSURE_DURATION": 680.0} | changes
    extra = " ".join(f"{k}={v!r}" for k, v in facts.items())
    form = {"u": "BYTE", "i": "HALF", "f": "REAL"}[data.dtype.kind]
    path.write_bytes(vicar_bytes(data, extra=extra, form=form))
    return path


def test_cassini_table(tmp_path):
    data = np.arange(256, dtype=np.uint8).reshape(16, 16)
    ccd = crismis.read(cassini(tmp_path / "W1.IMG", data))
    # First, some and last codes of the table in appendix F1 of the ISS Calibration Report.
    assert_array_equal(ccd.data.ravel()[[0, 1, 63, 64, 128, 255]], [1, 3, 342, 351, 1156, 4095])
    assert ccd.meta["CRGAIN"] == 27.68
    assert ccd.meta["CREXPTIM"] == pytest.approx(0.68)
    assert get_detector(ccd).binning == (2, 2)


def test_cassini_other_codings(tmp_path):
    data = np.arange(256, dtype=np.uint8).reshape(16, 16)
    plain = crismis.read(cassini(tmp_path / "1.IMG", data, DATA_CONVERSION_TYPE="8LSB"))
    assert_array_equal(plain.data, data)
    lossy = crismis.read(cassini(tmp_path / "2.IMG", data, INST_CMPRS_TYPE="LOSSY"))
    assert lossy.meta["CRCODING"] == "lossy"
    assert lossy.meta["CRCOUNTS"] is False


@pytest.mark.parametrize(
    ("text", "unit"),
    [("I/F", u.one), ("PHOT/CM^2/S/NM/STER", u.ph / (u.cm**2 * u.s * u.nm * u.sr))],
)
def test_calibrated_cassini_images_hold_light_and_no_counts(tmp_path, text, unit):
    data = np.linspace(0.01, 0.09, 4096, dtype="<f4").reshape(64, 64)
    changes = {"DATA_CONVERSION_TYPE": "12BIT", "UNITS": text}
    ccd = crismis.read(cassini(tmp_path / "1_CALIB.IMG", data, **changes))
    assert_array_equal(ccd.data, data)
    assert ccd.unit == unit
    assert ccd.meta["CRCOUNTS"] is False
    assert "CRSATUR" not in ccd.meta
    assert np.isnan(get_detector(ccd).gain)


def test_galileo_despiked_on_board(tmp_path):
    extra = "MISSION='GALILEO' SENSOR='SSI' EXP=200.0 ENCODING_TYPE='NONE' GAIN=2 "
    extra += "SCETYEAR=1996 SCETDAY=32 SCETHOUR=3 SCETMIN=4 SCETSEC=5 ICT_DESPIKE_THRESHOLD=30"
    data = np.ones((8, 8), np.uint8)
    (tmp_path / "g.img").write_bytes(vicar_bytes(data, extra=extra, form="BYTE"))
    ccd = crismis.read(tmp_path / "g.img")
    assert (ccd.meta["CRPROD"], ccd.meta["CRDATE"]) == ("cleaned", "1996-02-01T03:04:05")
    assert ccd.meta["CREXPTIM"] == 0.2
    assert "CRGAIN" not in ccd.meta
