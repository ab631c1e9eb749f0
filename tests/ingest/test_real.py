"""Real files of many missions: shape, type, facts, and pixels beside independent readers."""

import warnings
from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import crismis
from crismis import IngestError
from crismis.ingest import find_images

# file -> shape, dtype, unit, instrument, seconds, detector
EXPECTED = {
    "fits/L1_XRT20120605_215839.9.fits": (
        *((384, 384), "float32", "DN / s", "XRT", 8.19174, "Hinode/XRT"),
    ),
    "fits/NEOS_SCI_2024239174545_cord.fits": (
        *((512, 512), "float32", "adu", "NEOSSat_Science", 10.0026, "NEOSSat"),
    ),
    "fits/compressed_dash.fits": ((2048, 3072), "uint16", "adu", None, None, None),
    "fits/hyb2_onc_20151203_000006_w2f_l2a.fit": (
        *((1024, 1024), "int16", "DN", "ONC-W2", 0.0041, "Hayabusa2/ONC-W2"),
    ),
    "fits/lor_0034974377_0x630_sci_1_cropped.fit": (
        *((3, 25), "float32", "DN", "LORRI", 0.02, "NewHorizons/LORRI"),
    ),
    "fits/lor_0086422037_0x633_sci_1.fit": (
        *((256, 256), "float32", "DN", "LORRI", 9.967, "NewHorizons/LORRI"),
    ),
    "fits/trace_19980519_171_1024.fits": (
        *((1024, 1024), "int16", "DN", "TRACE", 23.1719, "TRACE"),
    ),
    "hst/o56502030_raw.fits": ((1034, 532), "uint16", "ct", "STIS", 1350.0, "HST/STIS/CCD"),
    "hst/u40x010hm_c0f.fits": ((800, 800), "float32", "DN", "WFPC2", 100.0, "HST/WFPC2/PC"),
    "hst/u40x010hm_c1f.fits": ((800, 800), "int16", "", "WFPC2", 100.0, "HST/WFPC2/PC"),
    "pds3/6300r.img": ((800, 800), "uint8", "adu", "SSI", 0.0458333, "Galileo/SSI"),
    "pds3/C0532836239R.IMG": ((800, 800), "uint8", "adu", "SSI", 0.0125003, "Galileo/SSI"),
    "pds3/C2069302_RAW.IMG": ((800, 800), "uint8", "adu", "ISS WAC", 15.36, "Voyager/ISS/WAC"),
    "pds3/N1489034146_2.IMG": ((1024, 1024), "uint16", "adu", "ISSNA", 1.2, "Cassini/ISS/NAC"),
    "pds3/c4400436.imq": (
        *((800, 800), "uint8", "adu", "NARROW_ANGLE_CAMERA", 0.12, "Voyager/ISS/NAC"),
    ),
    "pds3/m0126865998f4_2p_iof.lbl": ((244, 537), "float32", "", "MSI", 0.089, "NEAR/MSI"),
    "pds3/m0126865998f4_2p_iof.fit": ((244, 537), "float32", "", "MSI", 0.089, "NEAR/MSI"),
    "pds4/CAS-MCO-2016-11-26T22.50.27.381-PAN-00005-B1.xml": (
        *((280, 2048), "float32", "DN", "CaSSIS", 0.00144, "TGO/CaSSIS"),
    ),
    "pds4/MY36_015782_024_0_PAN_cropped.xml": (
        *((3, 500), "float32", "", "CaSSIS", 0.001018, "TGO/CaSSIS"),
    ),
    "isis/c4400436.cub": (
        *((800, 800), "uint8", "adu", "NARROW_ANGLE_CAMERA", 0.12, "Voyager/ISS/NAC"),
    ),
}
DAMAGED = {
    "pds3/1M189529263EFF64KCP2977M2F1_cropped.IMG": r"1043 records of 2048 bytes.*holds 18500",
    "pds3/N1472853667_1.cropped.img": r"1024 lines of 1048 bytes.*holds 10480.*\(10 lines\)",
    "pds3/N1472853667_1.cropped.lbl": r"1028 records of 1048 bytes.*holds 14672",
    "pds3/nacl.img": r"52225 records of 5064 bytes.*holds 54290",
}


@pytest.fixture(scope="session")
def ingest(real_data):
    return real_data / "ingest"


@pytest.mark.parametrize("name", EXPECTED)
def test_read(ingest, name):
    shape, dtype, unit, instrument, exposure, detector = EXPECTED[name]
    ccd = crismis.read_all(ingest / name)[0]
    assert ccd.shape == shape
    assert ccd.data.dtype == np.dtype(dtype)
    assert str(ccd.unit) == unit
    assert ccd.meta.get("CRINSTR") == instrument
    assert ccd.meta.get("CREXPTIM") == pytest.approx(exposure)
    assert ccd.meta.get("CRDETEC") == detector
    assert ccd.mask is None or ccd.mask.shape == shape


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged(ingest, name):
    with pytest.raises(IngestError, match=DAMAGED[name]):
        crismis.read(ingest / name)
    assert crismis.read(ingest / name, allow_truncated=True).data.ndim == 2


def raw_fits(path, hdu=0):
    """A FITS reader of twenty lines: cards, then big-endian numbers."""
    with path.open("rb") as file:
        for _ in range(hdu + 1):
            cards = {}
            while "END" not in cards:
                block = file.read(2880).decode("ascii")
                for card in (block[i : i + 80] for i in range(0, 2880, 80)):
                    value = card[10:].split("/")[0].strip() if card[8:9] == "=" else ""
                    cards.setdefault(card[:8].strip(), value)
            sides = [int(cards[f"NAXIS{i + 1}"]) for i in range(int(cards["NAXIS"]))][::-1]
            bits = int(cards["BITPIX"])
            count = int(np.prod(sides)) if sides else 0
            content = file.read(-(-count * abs(bits) // 8 // 2880) * 2880)
    kind = f">{'f' if bits < 0 else 'i'}{abs(bits) // 8}"
    data = np.frombuffer(content, kind, count).reshape(sides)
    zero = float(cards.get("BZERO") or 0)
    return data.astype(np.int64) + int(zero) if zero else data


@pytest.mark.parametrize(
    ("name", "hdu"),
    [
        ("fits/L1_XRT20120605_215839.9.fits", 0),
        ("fits/NEOS_SCI_2024239174545_cord.fits", 0),
        ("fits/hyb2_onc_20151203_000006_w2f_l2a.fit", 1),
        ("fits/lor_0034974377_0x630_sci_1_cropped.fit", 0),
        ("fits/lor_0086422037_0x633_sci_1.fit", 0),
        ("fits/trace_19980519_171_1024.fits", 0),
        ("hst/o56502030_raw.fits", 1),
        ("pds3/m0126865998f4_2p_iof.fit", 0),
    ],
)
def test_pixels_of_fits(ingest, name, hdu):
    assert_array_equal(crismis.read_all(ingest / name)[0].data, raw_fits(ingest / name, hdu))


def test_four_chips_of_wfpc2(ingest):
    chips = crismis.read_all(ingest / "hst/u40x010hm_c0f.fits")
    pixels = raw_fits(ingest / "hst/u40x010hm_c0f.fits")
    bits = raw_fits(ingest / "hst/u40x010hm_c1f.fits")
    assert len(chips) == 4
    for i, chip in enumerate(chips):
        assert_array_equal(chip.data, pixels[i])
        assert_array_equal(chip.flags, bits[i])
        assert_array_equal(chip.mask, (bits[i] & (1 | 2 | 4 | 16 | 32 | 128)) != 0)
    assert [c.meta["CRDETEC"][-2:] for c in chips] == ["PC", "WF", "WF", "WF"]
    centers = [c.wcs.pixel_to_world(400, 400) for c in chips]
    assert all(20 < a.separation(b).arcsec < 160 for a, b in pairwise(centers))
    with pytest.raises(IngestError, match="cube of 4 planes"):
        crismis.read(ingest / "hst/u40x010hm_c0f.fits")


def test_both_image_sets_of_stis(ingest):
    first, second = crismis.read_all(ingest / "hst/o56502030_raw.fits")
    assert_array_equal(second.data, raw_fits(ingest / "hst/o56502030_raw.fits", 4))
    assert (first.meta["CREXPTIM"], second.meta["CREXPTIM"]) == (1350.0, 1425.0)
    assert first.meta["CRBIN1"], first.meta["CRBIN2"] == (2, 1)


def test_lorri_quality_plane(ingest):
    path = ingest / "fits/lor_0034974377_0x630_sci_1_cropped.fit"
    ccd = crismis.read(path)
    assert_array_equal(ccd.flags, raw_fits(path, 2))
    assert_array_equal(ccd.uncertainty.array, raw_fits(path, 1))
    assert_array_equal(ccd.mask, ccd.flags == 32)


@pytest.mark.parametrize(
    "name", ["6300r.img", "C0532836239R.IMG", "C2069302_RAW.IMG", "N1489034146_2.IMG"]
)
def test_pixels_of_vicar(ingest, name):
    vicar = pytest.importorskip("vicar")
    from crismis.ingest.cassini import TWELVE_BITS

    pixels = vicar.VicarImage.from_file(str(ingest / "pds3" / name)).data_2d
    expected = TWELVE_BITS[pixels] if name.startswith("N") else pixels
    assert_array_equal(crismis.read(ingest / "pds3" / name).data, expected)


def test_pixels_of_pds3(ingest):
    pdr = pytest.importorskip("pdr")
    from crismis.ingest.cassini import TWELVE_BITS

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        near = pdr.read(str(ingest / "pds3/m0126865998f4_2p_iof.lbl"))["IMAGE"]
        cassini = pdr.read(str(ingest / "pds3/N1472853667_1.cropped.lbl"))["IMAGE"]
    assert_array_equal(crismis.read(ingest / "pds3/m0126865998f4_2p_iof.lbl").data, near)
    ours = crismis.read(ingest / "pds3/N1472853667_1.cropped.lbl", allow_truncated=True)
    assert_array_equal(ours.data, TWELVE_BITS[cassini.view(np.uint8)])


def test_pixels_of_pds4(ingest):
    pds4_tools = pytest.importorskip("pds4_tools")
    path = ingest / "pds4/MY36_015782_024_0_PAN_cropped.xml"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        array = pds4_tools.read(str(path), quiet=True)[0].data
    # The label calls the axis of 500 Sample and counts it first; the rows of 500 are lines.
    expected = np.asarray(array).reshape(3, 500)
    ccd = crismis.read(path)
    assert_array_equal(ccd.data[~ccd.mask], expected[~ccd.mask])
    assert_array_equal(ccd.mask, expected < -1e38)
    assert np.isnan(ccd.data[ccd.mask]).all()


def test_pixels_of_a_label_that_others_refuse(ingest):
    path = ingest / "pds4/CAS-MCO-2016-11-26T22.50.27.381-PAN-00005-B1.xml"
    expected = np.fromfile(path.with_suffix(".dat"), "<f4").reshape(280, 2048)
    assert_array_equal(crismis.read(path).data, expected)
    assert_array_equal(crismis.read(path.with_suffix(".dat")).data, expected)


def test_compressed_voyager_equals_the_isis_cube(ingest):
    """The same exposure, once as Huffman codes, once as ISIS decoded it."""
    coded = crismis.read(ingest / "pds3/c4400436.imq")
    cube = crismis.read(ingest / "isis/c4400436.cub")
    assert_array_equal(coded.data, cube.data)
    assert_array_equal(cube.mask, (cube.data == 0) | (cube.data == 255))
    stored = np.frombuffer((ingest / "isis/c4400436.cub").read_bytes(), np.uint8)
    assert_array_equal(cube.data, stored[65536 : 65536 + 640000].reshape(800, 800))


def test_expanded_values_of_lroc(ingest):
    """Code 45 lies on the segment 0.125 x + 25 of the label: values 160 to 167."""
    ccd = crismis.read(ingest / "pds3/nacl.img", allow_truncated=True)
    codes = np.frombuffer((ingest / "pds3/nacl.img").read_bytes(), np.uint8)
    codes = codes[3637 : 3637 + 50640].reshape(10, 5064)
    assert set(ccd.data[codes == 45]) == {163.5}
    order = np.argsort(codes, axis=None)
    assert (np.diff(ccd.data.ravel()[order]) >= 0).all()


def test_picture_warns_of_display_values(ingest):
    with pytest.warns(UserWarning, match="display values"):
        ccd = crismis.read(ingest / "mdis_jpeg/EN0215720156M.jpg")
    assert ccd.shape == (1024, 1024)
    assert ccd.meta["CRCOUNTS"] is False


def test_lossy_and_ratio_images_say_so(ingest):
    onc = crismis.read(ingest / "fits/hyb2_onc_20151203_000006_w2f_l2a.fit")
    assert onc.meta["CRCODING"] == "lossy"
    assert crismis.read(ingest / "pds3/6300r.img").meta["CRCODING"] == "lossy"
    near = crismis.read(ingest / "pds3/m0126865998f4_2p_iof.lbl")
    assert near.meta["CRCOUNTS"] is False
    assert "CRCODING" not in near.meta


def test_folder_lists_every_image_once(ingest):
    images, skipped = find_images(ingest)
    names = {str(p.relative_to(ingest)) for p in images}
    left = {str(p.relative_to(ingest)): why for p, why in skipped}
    pairs = ["pds3/m0126865998f4_2p_iof", "pds4/MY36_015782_024_0_PAN_cropped"]
    pairs += ["pds4/CAS-MCO-2016-11-26T22.50.27.381-PAN-00005-B1", "hst/u40x010hm_c0f"]
    assert all(sum(n.startswith(pair) for n in names) == 1 for pair in pairs)
    assert left["hst/u40x010hm_c1f.fits"] == "belongs to u40x010hm_c0f.fits"
    assert left["mdis_jpeg/EN0215720156M.xml"] == "unknown format"
    assert len(names) + len(left) == sum(p.is_file() for p in ingest.rglob("*"))


def test_images_survive_fits(ingest, tmp_path):
    names = ["fits/lor_0034974377_0x630_sci_1_cropped.fit", "pds3/N1472853667_1.cropped.lbl"]
    names += ["pds3/6300r.img", "pds4/MY36_015782_024_0_PAN_cropped.xml", "isis/c4400436.cub"]
    names += ["mdis_jpeg/EN0215720156M.jpg"]
    for i, path in enumerate(ingest / name for name in names):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ccd = crismis.read_all(path, allow_truncated=True)[0]
        ccd.write(tmp_path / f"{i}.fits")
        again = crismis.read(tmp_path / f"{i}.fits")
        assert_array_equal(again.data, ccd.data)
        assert again.unit == ccd.unit
        for keyword in ("CRDETEC", "CREXPTIM", "CRGAIN", "CRCOUNTS", "CRDATE", "CRTEMP"):
            assert again.meta.get(keyword) == ccd.meta.get(keyword)
