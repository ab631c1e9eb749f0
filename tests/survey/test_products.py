"""Names and files of products: safe, unique, stable, never outside the output folder."""

import re

import pytest

from crismis.survey.products import as_text, identity, product_names, write_overlay

PNG = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + bytes(17) + b"rest"


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("n4dk01.fits", "n4dk01"),
        ("n4dk01_raw.fits.gz", "n4dk01_raw"),
        ("image.FIT.FZ", "image"),
        ("N1489034146_2.IMG", "N1489034146_2"),
        ("a b&c.fits", "a_b_c"),
        ("...fits", "image"),
        (".hidden.fits", "hidden"),
        ("..", "image"),
        ("été.fits", "_t_"),
        ("a\nb.fits", "a_b"),
        ("x" * 300 + ".fits", "x" * 120),
        ("L1_XRT20120605_215839.9.fits", "L1_XRT20120605_215839.9"),
    ],
)
def test_stem_is_the_safe_name_of_the_input(name, stem):
    assert product_names([f"/in/{name}"], {}) == {f"/in/{name}": stem}


def test_every_stem_is_a_plain_file_name():
    odd = [f"/in/{chr(i)}{chr(i)}x.fits" for i in range(1, 0x250) if chr(i) != "/"]
    for stem in product_names(odd, {}).values():
        assert re.fullmatch(r"[A-Za-z0-9_+-][A-Za-z0-9._+-]*", stem)


def test_equal_names_get_a_digest_of_their_path():
    names = product_names(["/a/f.fits", "/b/f.fits", "/c/F.fits", "/a/f.fits.gz"], {})
    assert names["/a/f.fits"] == "f"
    assert len({stem.casefold() for stem in names.values()}) == 4
    assert names["/b/f.fits"] == f"f-{identity('/b/f.fits'):016x}"


def test_names_do_not_depend_on_what_came_before():
    first = product_names(["/a/f.fits"], {})
    second = product_names(["/b/f.fits", "/a/f.fits"], first)
    assert second["/a/f.fits"] == "f"
    assert second["/b/f.fits"] != "f"
    assert product_names(["/b/f.fits"], second) == {"/b/f.fits": second["/b/f.fits"]}


def test_identity_is_fixed_and_fits_in_63_bits():
    assert identity("/a/f.fits", 0) == identity("/a/f.fits", "0") != identity("/a/f.fits", 1)
    assert all(0 <= identity(i) < 2**63 for i in range(100))


def test_as_text_keeps_names_that_are_no_text_apart():
    assert as_text("/a/f\udcff.fits") != as_text("/a/f\udcfe.fits")


def test_overlay_that_is_no_png_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no PNG"):
        write_overlay(lambda ccd, file: file.write_bytes(b"GIF89a"), None, tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_overlay_that_fails_leaves_the_old_one(tmp_path):
    file = tmp_path / "a.png"
    write_overlay(lambda ccd, file: file.write_bytes(PNG), None, file)
    before = file.read_bytes()

    def fail(ccd, file):
        file.write_bytes(PNG[:12])
        raise RuntimeError("no ink")

    with pytest.raises(RuntimeError, match="no ink"):
        write_overlay(fail, None, file)
    assert file.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
