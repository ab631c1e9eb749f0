"""Each format from a file written by hand: layout, byte order, special values."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import crismis
from crismis import IngestError
from crismis.ingest import find_images, list_images

from .conftest import imq_bytes, isis_bytes, pds3_bytes, pds4_text, vicar_bytes


def put(path, content):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("dtype", "sample_type"),
    [
        (">u2", "MSB_UNSIGNED_INTEGER"),
        ("<u2", "LSB_UNSIGNED_INTEGER"),
        ("<i2", "PC_INTEGER"),
        (">i4", "SUN_INTEGER"),
        (">f4", "IEEE_REAL"),
        ("<f4", "PC_REAL"),
        (">f8", "IEEE_REAL"),
        ("u1", "SUN_INTEGER"),
    ],
)
def test_pds3_types(tmp_path, image, dtype, sample_type):
    data = (image % 256 if dtype == "u1" else image).astype(dtype)
    path = put(tmp_path / "a.img", pds3_bytes(data, sample_type=sample_type))
    assert_array_equal(crismis.read(path).data, data)


def test_pds3_facts_and_constants(tmp_path, image):
    image[2, 3], image[4, 5] = 4095, 0
    keywords = ["INSTRUMENT_ID = CAM", "EXPOSURE_DURATION = 250.0", "TARGET_NAME = MARS"]
    keywords += ["START_TIME = 2001-032T04:05:06.7Z", "FILTER_NAME = (RED, POL)"]
    keywords += ["DETECTOR_TEMPERATURE = -20.0 <degC>"]
    block = ["MISSING_CONSTANT = 0", "HIGH_INSTR_SATURATION = 16#FFF#", "UNIT = DN"]
    path = put(tmp_path / "a.img", pds3_bytes(image.astype(">u2"), keywords=keywords, block=block))
    ccd = crismis.read(path)
    assert_array_equal(ccd.mask, (image == 0) | (image == 4095))
    assert str(ccd.unit) == "DN"
    found = [ccd.meta[k] for k in ("CREXPTIM", "CRTARGET", "CRDATE", "CRFILTER", "CRTEMP")]
    assert found == [0.25, "MARS", "2001-02-01T04:05:06.7", "RED+POL", pytest.approx(253.15)]
    assert ccd.meta["LABEL EXPOSURE_DURATION"] == 250.0


def test_pds3_special_reals_become_nan(tmp_path):
    data = np.arange(12, dtype=">f4").reshape(3, 4)
    data.view(">u4")[1, 1] = 0xFF7FFFFB
    block = ["CORE_NULL = 16#FF7FFFFB#"]
    path = put(tmp_path / "a.img", pds3_bytes(data, block=block, sample_type="IEEE_REAL"))
    ccd = crismis.read(path)
    assert_array_equal(np.argwhere(ccd.mask), [[1, 1]])
    assert np.isnan(ccd.data[1, 1])


@pytest.mark.parametrize("storage", ["BAND_SEQUENTIAL", "LINE_INTERLEAVED", "SAMPLE_INTERLEAVED"])
def test_pds3_bands(tmp_path, storage):
    cube = np.random.default_rng(1).integers(0, 60000, (3, 5, 7)).astype(">u2")
    order = {"BAND_SEQUENTIAL": (0, 1, 2), "LINE_INTERLEAVED": (1, 0, 2)}
    stored = np.ascontiguousarray(cube.transpose(order.get(storage, (1, 2, 0))))
    content = pds3_bytes(cube, block=["BANDS = 3", f"BAND_STORAGE_TYPE = {storage}"])
    path = put(tmp_path / "a.img", content.replace(cube.tobytes(), stored.tobytes()))
    assert_array_equal([c.data for c in crismis.read_all(path)], cube)
    with pytest.raises(IngestError, match="cube of 3 planes"):
        crismis.read(path)


def test_pds3_line_prefix_and_suffix(tmp_path, image):
    wide = np.full((12, 20), 7, ">u2")
    wide[:, 2:18] = image
    content = pds3_bytes(wide, block=["LINE_PREFIX_BYTES = 4", "LINE_SUFFIX_BYTES = 4"])
    path = put(tmp_path / "a.img", content.replace(b"LINE_SAMPLES = 20", b"LINE_SAMPLES = 16"))
    assert_array_equal(crismis.read(path).data, image)


def test_pds3_detached_label(tmp_path, image):
    content = pds3_bytes(image.astype(">u2"))
    records = int(content.split(b"LABEL_RECORDS = ")[1].split()[0])
    label = content[: 512 * records].replace(
        b"^IMAGE = %d" % (records + 1), b'^IMAGE = ("PIXELS.IMG", 1)'
    )
    (tmp_path / "pixels.lbl").write_bytes(label)
    with pytest.raises(IngestError, match=r"'PIXELS.IMG', which is not beside it"):
        crismis.read(tmp_path / "pixels.lbl")
    (tmp_path / "pixels.img").write_bytes(content[512 * records :].ljust(5000 * 512))
    assert_array_equal(crismis.read(tmp_path / "pixels.lbl").data, image)
    assert_array_equal(crismis.read(tmp_path / "pixels.img").data, image)
    images, skipped = find_images(tmp_path)
    assert [p.name for p in images] == ["pixels.lbl"]
    assert skipped == [(tmp_path / "pixels.img", "belongs to pixels.lbl")]


def test_pds3_truncated(tmp_path, image):
    content = pds3_bytes(image.astype(">u2"))
    start = content.index(image.astype(">u2").tobytes())
    path = put(tmp_path / "a.img", content[: start + 5 * 32 + 6])
    with pytest.raises(IngestError, match=r"promises 12 lines of 32 bytes.*holds 166.*\(5 lines\)"):
        crismis.read(path)
    ccd = crismis.read(path, allow_truncated=True)
    assert_array_equal(ccd.data[:5], image[:5])
    assert_array_equal(ccd.mask.sum(axis=1), [0] * 5 + [13] + [16] * 6)


def test_pds3_scaled_values(tmp_path, image):
    block = ["SCALING_FACTOR = 0.5", "OFFSET = 10.0", 'UNIT = "W/m**2"']
    path = put(tmp_path / "a.img", pds3_bytes(image.astype(">u2"), block=block))
    ccd = crismis.read(path)
    assert_array_equal(ccd.data, image * 0.5 + 10)
    assert ccd.meta["CRCOUNTS"] is False


def test_pds3_type_of_another_machine_goes_to_pdr(tmp_path):
    pytest.importorskip("pdr")
    # VAX F_floating: 0x4080 0000 is 1.0, 0xC100 0000 is -2.0, words first.
    data = np.array([[0x40800000, 0xC1000000]], ">u4").byteswap().view("<u2")
    content = pds3_bytes(data[:, [1, 0, 3, 2]].view("<u4"), sample_type="VAX_REAL")
    assert_array_equal(crismis.read(put(tmp_path / "a.img", content)).data, [[1.0, -2.0]])


@pytest.mark.parametrize("mode", ["LUT3", "SQROOT"])
def test_companded_pds3_says_so(tmp_path, image, mode):
    keywords = [f"SAMPLE_BIT_MODE_ID = {mode}"]
    path = tmp_path / "a.img"
    squeezed = crismis.read(put(path, pds3_bytes(image.astype(np.uint8), keywords=keywords)))
    assert squeezed.meta["CRCODING"] == "companded"
    whole = crismis.read(put(path, pds3_bytes(image.astype(">u2"), keywords=keywords)))
    assert "CRCODING" not in whole.meta


def test_map_projected_images_are_resampled(tmp_path, image):
    keywords = ["OBJECT = IMAGE_MAP_PROJECTION", "MAP_SCALE = 1.0", "END_OBJECT"]
    path = put(tmp_path / "a.img", pds3_bytes(image.astype(">u2"), keywords=keywords))
    assert crismis.read(path).meta["CRPROD"] == "resampled"


@pytest.mark.parametrize("prefix", [0, 6])
def test_vicar(tmp_path, image, prefix):
    data = image.astype("<i2")
    path = put(tmp_path / "a.vic", vicar_bytes(data, prefix=prefix))
    assert_array_equal(crismis.read(path).data, data)


def test_vicar_reals(tmp_path):
    data = np.linspace(-1, 1, 12, dtype="<f4").reshape(3, 4)
    path = put(tmp_path / "a.vic", vicar_bytes(data, form="REAL"))
    assert_array_equal(crismis.read(path).data, data)


def test_vicar_labels_with_long_names_and_foreign_letters(tmp_path, image):
    data = image.astype("<i2")
    content = vicar_bytes(data, extra="UNEVEN_BIT_WEIGHT_CORRECTION_FLAG=1 BARC='IP#'")
    ccd = crismis.read(put(tmp_path / "a.vic", content.replace(b"IP#", b"IP\x80")))
    assert_array_equal(ccd.data, data)
    assert ccd.meta["LABEL UNEVEN_BIT_WEIGHT_CORRECTION_FLAG"] == 1
    assert ccd.meta["LABEL BARC"].strip() == "IP"


def test_vicar_truncated(tmp_path, image):
    path = put(tmp_path / "a.vic", vicar_bytes(image.astype("<i2"))[:-40])
    with pytest.raises(IngestError, match=r"promises 12 lines.*\(10 lines\)"):
        crismis.read(path)


@pytest.mark.parametrize("tile", [None, (12, 16), (5, 6), (32, 32)])
def test_isis(tmp_path, image, tile):
    path = put(tmp_path / "a.cub", isis_bytes(image.astype("<u2"), tile=tile))
    ccd = crismis.read(path)
    assert_array_equal(ccd.data, image)
    assert ccd.mask is None or not ccd.mask[(image > 2) & (image < 65534)].any()


def test_isis_special_pixels(tmp_path):
    data = np.array([[0.5, 1.5, 2.5, 3.5]], "<f4")
    data.view("<u4")[0, 1:3] = 0xFF7FFFFB, 0xFF7FFFFF
    ccd = crismis.read(put(tmp_path / "a.cub", isis_bytes(data, kind="Real")))
    assert_array_equal(ccd.mask, [[False, True, True, False]])
    short = np.array([[-32768, -32764, -32752, 5]], "<i2")
    path = put(tmp_path / "b.cub", isis_bytes(short, kind="SignedWord", scale=(10.0, 0.5)))
    ccd = crismis.read(path)
    assert_array_equal(ccd.mask, [[True, True, False, False]])
    assert_array_equal(ccd.data[0, 2:], [-16366.0, 12.5])


def test_isis_bands_and_facts(tmp_path):
    cube = np.arange(24, dtype="<u2").reshape(2, 3, 4) + 10
    groups = """Group = Instrument
      InstrumentId = MDIS-NAC
      ExposureDuration = 17 <ms>
      StartTime = 2007-06-06T00:22:10.751814
    End_Group
    Group = Mapping
      ProjectionName = Sinusoidal
    End_Group"""
    path = put(tmp_path / "a.cub", isis_bytes(cube, groups=groups))
    first, second = crismis.read_all(path)
    assert_array_equal([first.data, second.data], cube)
    assert first.meta["CREXPTIM"] == pytest.approx(0.017)
    assert first.meta["CRDETEC"] == "MESSENGER/MDIS/NAC"
    assert first.meta["CRPROD"] == "resampled"


def test_pds4(tmp_path, image):
    (tmp_path / "a.dat").write_bytes(b"\xff" * 64 + image.astype("<u2").tobytes())
    image[3, 4] = 17
    extra = "<Special_Constants><missing_constant>17</missing_constant></Special_Constants>"
    (tmp_path / "a.dat").write_bytes(b"\xff" * 64 + image.astype("<u2").tobytes())
    (tmp_path / "a.xml").write_text(pds4_text("a.dat", image, extra=extra))
    ccd = crismis.read(tmp_path / "a.xml")
    assert_array_equal(ccd.data, image)
    assert_array_equal(ccd.mask, image == 17)
    assert ccd.meta["CREXPTIM"] == 0.25
    assert (ccd.meta["CRDATE"], ccd.meta["CRINSTR"]) == ("2020-01-02T03:04:05", "CAMERA")
    assert list_images(tmp_path / "a.xml")[0].names[0] == "PICTURE"
    assert_array_equal(crismis.read(tmp_path / "a.dat").data, image)


def test_pds4_scaled(tmp_path, image):
    element = "<scaling_factor>0.5</scaling_factor><value_offset>2</value_offset>"
    (tmp_path / "a.dat").write_bytes(bytes(64) + image.astype(">u2").tobytes())
    text = pds4_text("a.dat", image, data_type="UnsignedMSB2", element=element)
    (tmp_path / "a.xml").write_text(text)
    assert_array_equal(crismis.read(tmp_path / "a.xml").data, image * 0.5 + 2)


def test_pds4_truncated_and_lost(tmp_path, image):
    (tmp_path / "a.xml").write_text(pds4_text("a.dat", image))
    with pytest.raises(IngestError, match=r"points to 'a.dat', which is not beside it"):
        crismis.read(tmp_path / "a.xml")
    (tmp_path / "a.dat").write_bytes(bytes(64 + 100))
    with pytest.raises(IngestError, match=r"promises 12 lines.*holds 100"):
        crismis.read(tmp_path / "a.xml")


@pytest.mark.parametrize("seed", range(4))
def test_compressed_voyager(tmp_path, seed):
    rng = np.random.default_rng(seed)
    smooth = np.cumsum(rng.integers(-2, 3, (20, 64)), axis=1) + 100
    data = np.clip(smooth + (rng.random(smooth.shape) < 0.05) * 120, 0, 255).astype(np.uint8)
    ccd = crismis.read(put(tmp_path / "a.imq", imq_bytes(data)))
    assert_array_equal(ccd.data, data)
    assert ccd.mask is None
    assert ccd.meta["CREXPTIM"] == 0.96


def test_compressed_voyager_with_long_codes(tmp_path):
    """Frequencies like Fibonacci numbers make codes longer than the decoder's window."""
    steps = [step for i in range(1, 22) for step in [i] * int(1.618**i / 5 + 1)]
    pixels = np.cumsum([0, *steps]) % 256
    wrapped = pixels.astype(np.uint8)[: len(pixels) // 50 * 50].reshape(-1, 50)
    assert_array_equal(crismis.read(put(tmp_path / "a.imq", imq_bytes(wrapped))).data, wrapped)


def test_compressed_voyager_truncated(tmp_path):
    data = np.random.default_rng(3).integers(0, 256, (20, 30)).astype(np.uint8)
    path = put(tmp_path / "a.imq", imq_bytes(data)[:-200])
    with pytest.raises(IngestError, match="promises 20 lines"):
        crismis.read(path)
    ccd = crismis.read(path, allow_truncated=True)
    assert_array_equal(ccd.data[~ccd.mask], data[~ccd.mask])
    assert ccd.mask[-1].all()


@pytest.mark.parametrize(
    ("suffix", "dtype"), [(".png", np.uint8), (".png", np.uint16), (".tif", np.uint16)]
)
def test_pictures(tmp_path, image, suffix, dtype):
    pillow = pytest.importorskip("PIL.Image")
    data = image.astype(dtype)
    pillow.fromarray(data).save(tmp_path / f"a{suffix}")
    with pytest.warns(UserWarning, match="display values"):
        ccd = crismis.read(tmp_path / f"a{suffix}")
    assert_array_equal(ccd.data, data)
    assert ccd.meta["CRCOUNTS"] is False


def test_colour_pictures_have_planes(tmp_path):
    pillow = pytest.importorskip("PIL.Image")
    data = np.random.default_rng(2).integers(0, 256, (5, 6, 3)).astype(np.uint8)
    pillow.fromarray(data).save(tmp_path / "a.png")
    with pytest.raises(IngestError, match="cube of 3 planes"):
        crismis.read(tmp_path / "a.png")
    with pytest.warns(UserWarning, match="display values"):
        assert_array_equal(crismis.read(tmp_path / "a.png", plane=1).data, data[..., 1])


@pytest.mark.parametrize(
    ("package", "content"), [("vicar", b"LBLSIZE=100 "), ("PIL", b"\x89PNG\r\n\x1a\n" + bytes(50))]
)
def test_missing_packages_name_the_extra(tmp_path, monkeypatch, package, content):
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(IngestError, match=r'pip install "crismis\[missions\]"'):
        crismis.read(put(tmp_path / "a.dat", content))
