"""Files that lie, loop or hold garbage: one clear error, bounded memory and time."""

import gzip
import os
import re
import time
import tracemalloc
import warnings

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import crismis
from crismis import IngestError
from crismis.ingest import find_images

from .conftest import imq_bytes, isis_bytes, pds3_bytes, pds4_text, vicar_bytes

MEGABYTES = 1 << 20


@pytest.fixture(scope="module", autouse=True)
def _packages_are_loaded():
    """Keep the time and memory of first imports out of the measurements."""
    for package in ("vicar", "pdr", "PIL.Image"):
        pytest.importorskip(package)


def cards(*lines):
    return "".join(line.ljust(80) for line in (*lines, "END")).ljust(2880).encode()


def refused(path, reason="", **options):
    """Read, expecting a clear error soon and without much memory."""
    tracemalloc.start()
    start = time.process_time()
    try:
        error = attempt(lambda: crismis.read(path, **options))
        assert time.process_time() - start < 20
        assert tracemalloc.get_traced_memory()[1] < 200 * MEGABYTES
    finally:
        tracemalloc.stop()
    assert isinstance(error, IngestError), error
    assert str(path) in str(error)
    assert re.search(reason, str(error))


def attempt(function):
    """Return what a function returns, or its clear error; other errors pass."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return function()
        except IngestError as error:
            return error


@pytest.mark.parametrize("allow", [False, True])
@pytest.mark.parametrize("side", [10**6, 10**12])
def test_absurd_fits(tmp_path, side, allow):
    header = cards(
        "SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 2", f"NAXIS1  = {side}", "NAXIS2  = 9999"
    )
    path = tmp_path / "a.fits"
    path.write_bytes(header + bytes(2880))
    refused(path, allow_truncated=allow)
    with gzip.open(tmp_path / "a.fits.gz", "wb") as file:
        file.write(header + bytes(2880))
    refused(tmp_path / "a.fits.gz", allow_truncated=allow)


@pytest.mark.parametrize(
    "wrong",
    [
        ("BITPIX  = 8", "NAXIS   = 2", "NAXIS1  = -5", "NAXIS2  = 5"),
        ("BITPIX  = 7", "NAXIS   = 2", "NAXIS1  = 5", "NAXIS2  = 5"),
        ("BITPIX  = 8", "NAXIS   = 999", "NAXIS1  = 5", "NAXIS2  = 5"),
        ("BITPIX  = 8", "NAXIS   = 2", "NAXIS1  = 0", "NAXIS2  = 0"),
        ("BITPIX  = 8", "NAXIS   = 'two'"),
        ("BITPIX  = 8",),
    ],
)
def test_nonsense_fits(tmp_path, wrong):
    path = tmp_path / "a.fits"
    path.write_bytes(cards("SIMPLE  = T", *wrong) + bytes(2880))
    refused(path)


def test_absurd_tile_compression(tmp_path):
    path = tmp_path / "a.fits"
    hdus = [fits.PrimaryHDU(), fits.CompImageHDU(np.zeros((20, 20), np.int16))]
    fits.HDUList(hdus).writeto(path)
    content = path.read_bytes()
    path.write_bytes(
        content.replace(b"ZNAXIS1 =                   20", b"ZNAXIS1 =          99999999999")
    )
    refused(path)


def test_gzip_that_expands_without_end(tmp_path):
    path = tmp_path / "a.fits.gz"
    with gzip.open(path, "wb", compresslevel=9) as file:
        for _ in range(100):
            file.write(bytes(MEGABYTES))
    refused(path, "unknown format")


def test_damaged_gzip(tmp_path):
    path = tmp_path / "a.fits.gz"
    path.write_bytes(b"\x1f\x8b" + b"garbage" * 100)
    refused(path, "gzip")


@pytest.mark.parametrize("allow", [False, True])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"LINES = 12", b"LINES = 1000000000000"),
        (b"LINES = 12", b"LINES = 1000000"),
        (b"LINES = 12", b"LINES = -12"),
        (b"LINES = 12", b"LINES = TWELVE"),
        (b"LINE_SAMPLES = 16", b"LINE_SAMPLES = 99999999999999999999999"),
        (b"SAMPLE_BITS = 16", b"SAMPLE_BITS = 16000"),
        (b"SAMPLE_TYPE = MSB_UNSIGNED_INTEGER", b"SAMPLE_TYPE = VAX_REAL LINES = 1000000"),
        (b"^IMAGE = ", b"^IMAGE = 99999999999"),
        (b"^IMAGE = ", b"^IMAGE = -"),
        (b"OBJECT = IMAGE", b"LINE_PREFIX_BYTES = 3\r\nOBJECT = PICTURE"),
    ],
)
def test_absurd_pds3(tmp_path, image, old, new, allow):
    path = tmp_path / "a.img"
    path.write_bytes(pds3_bytes(image.astype(">u2")).replace(old, new, 1))
    refused(path, allow_truncated=allow)


def test_pds3_label_without_end(tmp_path):
    path = tmp_path / "a.lbl"
    path.write_bytes(b"PDS_VERSION_ID = PDS3\r\n" + b"A = (((((" * 500_000)
    refused(path)


def test_pds3_nested_objects(tmp_path):
    path = tmp_path / "a.lbl"
    path.write_bytes(b"PDS_VERSION_ID = PDS3\r\n" + b"OBJECT = X\r\n" * 100_000)
    refused(path, "nests more than")


def test_pds3_label_that_points_to_itself(tmp_path):
    path = tmp_path / "a.lbl"
    path.write_text(
        'PDS_VERSION_ID = PDS3\r\n^IMAGE = "a.lbl"\r\nOBJECT = IMAGE\r\nLINES = 9\r\n'
        "LINE_SAMPLES = 9999\r\nSAMPLE_BITS = 8\r\nEND_OBJECT\r\nEND\r\n"
    )
    refused(path, "promises 9 lines")
    find_images(tmp_path)


def test_pds3_pointer_leads_nowhere_else(tmp_path, image):
    (tmp_path / "secret.dat").write_bytes(bytes(1000))
    folder = tmp_path / "inner"
    folder.mkdir()
    (folder / "a.lbl").write_text(
        'PDS_VERSION_ID = PDS3\r\n^IMAGE = "../secret.dat"\r\nOBJECT = IMAGE\r\nLINES = 5\r\n'
        "LINE_SAMPLES = 5\r\nSAMPLE_BITS = 8\r\nEND_OBJECT\r\nEND\r\n"
    )
    refused(folder / "a.lbl", "not beside it")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"LBLSIZE=", b"LBLSIZE=99999999"),
        (b"NL=12", b"NL=120000000000"),
        (b"NL=12", b"NL=-1"),
        (b"NS=16", b"NS='x'"),
        (b"FORMAT='HALF'", b"FORMAT='COMP'"),
        (b"NBB=0", b"NBB=99999999"),
        (b"'", b"("),
    ],
)
def test_absurd_vicar(tmp_path, image, old, new):
    path = tmp_path / "a.vic"
    path.write_bytes(vicar_bytes(image.astype("<i2")).replace(old, new))
    refused(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Lines = 12", b"Lines = 1000000000000"),
        (b"Samples = 16", b"Samples = 0"),
        (b"Type = UnsignedWord", b"Type = Words"),
        (b"StartByte = 4097", b"StartByte = 99999999999"),
        (b"Group = Pixels", b"Group = Colours"),
        (b"Format = BandSequential", b"Format = Tile TileLines = 999999999 TileSamples = 999999"),
    ],
)
def test_absurd_isis(tmp_path, image, old, new):
    path = tmp_path / "a.cub"
    path.write_bytes(isis_bytes(image.astype("<u2")).replace(old, new))
    refused(path)
    refused(path, allow_truncated=True)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<elements>12<", "<elements>1000000000000<"),
        ("<elements>12<", "<elements>-4<"),
        ("UnsignedLSB2", "ASCII_String"),
        ("</Product_Observational>", ""),
        ('<offset unit="byte">64<', '<offset unit="byte">x<'),
        ("<Observation_Area>", '<!ENTITY a "a">'),
    ],
)
def test_absurd_pds4(tmp_path, image, old, new):
    (tmp_path / "a.dat").write_bytes(bytes(64) + image.tobytes())
    (tmp_path / "a.xml").write_text(pds4_text("a.dat", image).replace(old, new))
    refused(tmp_path / "a.xml")


def test_entities_that_multiply(tmp_path):
    text = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    text += "".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(9))
    (tmp_path / "a.xml").write_text(text + "]><Product_Observational>&j;</Product_Observational>")
    refused(tmp_path / "a.xml", "entities")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"LINES = 12", b"LINES = 99"),
        (b"^IMAGE = 23", b"^IMAGE = 99"),
        (b"^ENGINEERING_TABLE = 22", b"^ENGINEERING_TABLE = 21"),
        (b"\x12\x01", b"\xff\xff"),
    ],
)
def test_absurd_compressed_voyager(tmp_path, image, old, new):
    path = tmp_path / "a.imq"
    path.write_bytes(imq_bytes((image % 256).astype(np.uint8)).replace(old, new))
    found = attempt(lambda: crismis.read(path))
    assert str(path) in str(found) if isinstance(found, IngestError) else found.shape == image.shape


def test_picture_of_absurd_size(tmp_path):
    pillow = pytest.importorskip("PIL.Image")
    path = tmp_path / "a.png"
    pillow.fromarray(np.zeros((4, 4), np.uint8)).save(path)
    content = bytearray(path.read_bytes())
    content[16:24] = (60000).to_bytes(4, "big") * 2
    path.write_bytes(bytes(content))
    refused(path)


def test_links_and_devices(tmp_path):
    loop = tmp_path / "loop.fits"
    loop.symlink_to(loop)
    refused(loop, "cannot be opened")
    pipe = tmp_path / "pipe.fits"
    os.mkfifo(pipe)
    refused(pipe, "is no regular file")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "up").symlink_to(tmp_path)
    images, skipped = find_images(tmp_path)
    assert images == []
    assert {p.name for p, _ in skipped} == {"loop.fits", "pipe.fits"}


def test_many_zeros(tmp_path):
    path = tmp_path / "a.fits"
    path.write_bytes(bytes(100_000))
    refused(path, "unknown format")


def seeds():
    """One valid small file of every format."""
    image = np.random.default_rng(7).integers(0, 4096, (12, 16)).astype(np.uint16)
    primary = fits.PrimaryHDU(image.astype(np.int16), fits.Header({"BUNIT": "DN", "EXPTIME": 2.0}))
    return {
        "a.fits": b"".join(
            (primary.header.tostring().encode(), primary.data.astype(">i2").tobytes())
        ),
        "a.img": pds3_bytes(image.astype(">u2"), keywords=["EXPOSURE_DURATION = 7 <MS>"]),
        "a.vic": vicar_bytes(image.astype("<i2"), prefix=4),
        "a.cub": isis_bytes(image.astype("<u2"), tile=(5, 6)),
        "a.imq": imq_bytes((image % 256).astype(np.uint8)),
        "a.xml": pds4_text("a.dat", image).encode(),
        "a.dat": bytes(64) + image.tobytes(),
    }


SEEDS = seeds()


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    name=st.sampled_from([n for n in SEEDS if n != "a.dat"]),
    changes=st.lists(st.tuples(st.integers(0, 2500), st.binary(max_size=12)), max_size=6),
    cut=st.integers(0, 4000),
    allow=st.booleans(),
)
def test_mutations_give_an_image_or_a_clear_error(tmp_path, name, changes, cut, allow):
    content = bytearray(SEEDS[name])
    for place, new in changes:
        content[place : place + len(new)] = new
    path = tmp_path / name
    path.write_bytes(bytes(content[: len(content) - cut] if cut < 2000 else content))
    (tmp_path / "a.dat").write_bytes(SEEDS["a.dat"])
    found = attempt(lambda: crismis.read_all(path, allow_truncated=allow))
    if isinstance(found, IngestError):
        assert name in str(found) or "a.dat" in str(found)
    else:
        assert all(isinstance(c, CCDData) and c.data.ndim == 2 for c in found)


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    start=st.sampled_from(
        [
            b"SIMPLE  =",
            b"PDS_VERSION_ID",
            b"LBLSIZE=",
            b"Object = IsisCube",
            b"CCSD3ZF HUFFMAN_FIRST_DIFFERENCE",
        ]
        + [b"<?xml?><Product_X>", b"\x89PNG\r\n\x1a\n", b"II*\0", b"\xff\xd8\xff", b"\x1f\x8b", b""]
    ),
    rest=st.binary(max_size=400),
)
def test_garbage_gives_a_clear_error(tmp_path, start, rest):
    path = tmp_path / "garbage"
    path.write_bytes(start + rest)
    with pytest.raises(IngestError, match="garbage"):
        crismis.read(path)
