"""From what the user names to a list of files."""

import pytest

from crismis.errors import IngestError
from crismis.survey.inputs import gather_inputs

from .conftest import N_FRAMES


def names(paths, output):
    files, _ = gather_inputs(paths, output)
    return [file.rpartition("/")[2] for file in files]


def test_each_file_once_whatever_names_it(archive, tmp_path):
    paths = [archive, archive / "f1.fits", str(archive / "f*.fits")]
    assert len(names(paths, tmp_path / "out")) == N_FRAMES


def test_paths_are_absolute(archive, tmp_path, monkeypatch):
    monkeypatch.chdir(archive)
    assert gather_inputs("f1.fits", tmp_path)[0] == [str(archive / "f1.fits")]


def test_list_may_hold_folders_patterns_and_comments(archive, tmp_path):
    listing = tmp_path / "night.lst"
    listing.write_text(f"# a comment\n{archive}/f[12].fits\n\n  {archive / 'night2'}  \n")
    assert names(f"@{listing}", tmp_path / "out") == ["f1.fits", "f2.fits", "f0.fits"]


def test_file_whose_name_starts_with_the_sign_of_a_list(archive, tmp_path, monkeypatch):
    (archive / "f1.fits").rename(archive / "@f1.fits")
    monkeypatch.chdir(archive)
    assert names("@f1.fits", tmp_path / "out") == ["@f1.fits"]


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_unreadable_list_is_named(tmp_path, content):
    listing = tmp_path / "night.lst"
    if content:
        listing.write_bytes(content)
    with pytest.raises(IngestError, match=r"night\.lst.*list of files"):
        gather_inputs(f"@{listing}", tmp_path / "out")


def test_products_of_the_output_are_left_out_by_their_real_place(archive, tmp_path):
    out = archive / "out"
    (out / "cleaned").mkdir(parents=True)
    (archive / "f1.fits").rename(out / "cleaned" / "f1_crismis.fits")
    link = tmp_path / "link"
    link.symlink_to(archive)
    assert len(names(link, out)) == N_FRAMES - 1
