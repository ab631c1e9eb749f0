"""The engine in this process: inputs, resume, replacement, failures, kills."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

import crismis
from crismis import Catalog
from crismis.errors import CatalogError
from crismis.survey import BOOKKEEPING, status

from .conftest import N_FRAMES, write_frame


def run(paths, output, **options):
    return crismis.run(paths, output, **({"workers": 0, "method": "lacosmic"} | options))


def content(output):
    """Everything in a catalog that does not tell when and where it was made, sorted."""
    catalog = Catalog(output)
    exposures = catalog.exposures
    exposures.remove_columns(BOOKKEEPING)
    exposures.sort(["path", "image"])
    events = catalog.events
    events.sort(["exposure_id", "label"])
    return [list(map(str, row)) for table in (exposures, events) for row in table.as_array()]


def test_products_and_catalog_of_an_archive(archive, tmp_path):
    summary = run(archive, tmp_path / "out")
    assert (summary.done, summary.failed, summary.images) == (N_FRAMES, 0, N_FRAMES)
    assert summary.ok
    catalog = Catalog(tmp_path / "out")
    exposures = catalog.exposures
    assert sorted(exposures["path"]) == sorted(map(str, archive.rglob("*.fits")))
    assert set(exposures["status"]) == {"ok"}
    assert (exposures["n_events"] >= 3).all()
    assert summary.events == len(catalog.events) == exposures["n_events"].sum()
    cleaned = tmp_path / "out" / exposures["cleaned"][0]
    with fits.open(cleaned) as hdus:
        assert {"CRFLAGS", "CRSEG", "CREVENTS"} <= {hdu.name for hdu in hdus}
    back = crismis.CosmicRayCCDData.read(cleaned)
    assert len(back.events) == exposures["n_events"][0]


def test_same_names_in_different_folders_do_not_collide(archive, tmp_path):
    run(archive, tmp_path / "out")
    cleaned = set(Catalog(tmp_path / "out").exposures["cleaned"])
    assert len(cleaned) == N_FRAMES
    assert all((tmp_path / "out" / name).is_file() for name in cleaned)


def test_second_run_resumes(archive, tmp_path):
    run(archive / "f0.fits", tmp_path / "out")
    file = tmp_path / "out" / "cleaned" / "f0_crismis.fits"
    before = file.stat().st_mtime_ns
    summary = run(archive, tmp_path / "out")
    assert (summary.done, summary.resumed) == (N_FRAMES - 1, 1)
    assert file.stat().st_mtime_ns == before
    summary = run(archive, tmp_path / "out")
    assert (summary.done, summary.resumed) == (0, N_FRAMES)
    run(archive, tmp_path / "undisturbed")
    names = {Path(n).stem for n in os.listdir(tmp_path / "out" / "cleaned")}
    assert len(names) == N_FRAMES


def test_overwrite_does_everything_anew_and_doubles_nothing(archive, tmp_path):
    run(archive, tmp_path / "out")
    before = content(tmp_path / "out")
    summary = run(archive, tmp_path / "out", overwrite=True)
    assert summary.done == N_FRAMES
    assert content(tmp_path / "out") == before


def test_changed_file_is_reported_and_replaced_on_request(archive, tmp_path):
    out = tmp_path / "out"
    run(archive, out)
    write_frame(archive / "f1.fits", 99)
    assert run(archive, out).changed == 1
    summary = run(archive, out, update=True)
    assert (summary.done, summary.resumed) == (1, N_FRAMES - 1)
    assert run(archive, out).changed == 0
    run(archive, tmp_path / "fresh")
    assert content(out) == [
        [v.replace("fresh", "out") for v in row] for row in content(tmp_path / "fresh")
    ]


def test_touched_but_equal_file_is_not_done_anew(archive, tmp_path):
    run(archive, tmp_path / "out")
    os.utime(archive / "f1.fits", (1, 1))
    assert run(archive, tmp_path / "out", update=True).done == 0


def test_other_settings_are_reported_and_replaced_on_request(archive, tmp_path):
    out = tmp_path / "out"
    run(archive, out)
    assert run(archive, out, sigclip=9.0).changed == N_FRAMES
    assert run(archive, out, sigclip=9.0, update=True).done == N_FRAMES
    assert len(set(Catalog(out).exposures["settings"])) == 1


def test_broken_and_missing_files_are_rows_and_do_not_stop_the_rest(archive, tmp_path):
    (archive / "broken.fits").write_bytes(b"SIMPLE  =                    T" + b" " * 50)
    (archive / "notes.txt").write_text("clouds")
    summary = run([archive, archive / "missing.fits"], tmp_path / "out")
    assert (summary.done, summary.failed, summary.skipped) == (N_FRAMES, 2, 1)
    assert {Path(path).name for path, _ in summary.errors} == {"broken.fits", "missing.fits"}
    failed = Catalog(tmp_path / "out").select("exposures", where={"status": "error"})
    errors = dict(zip((Path(p).name for p in failed["path"]), failed["error"], strict=True))
    assert "No such file" in errors["missing.fits"]
    write_frame(archive / "broken.fits", 3)
    summary = run(archive, tmp_path / "out")
    assert (summary.done, summary.failed) == (1, 0)
    assert len(Catalog(tmp_path / "out").exposures) == N_FRAMES + 2


def test_a_file_that_vanished_keeps_its_good_rows_under_update(archive, tmp_path):
    run(archive, tmp_path / "out")
    before = content(tmp_path / "out")
    files = sorted(archive.rglob("*.fits"))
    files[0].unlink()
    assert run(files, tmp_path / "out", update=True).failed == 1
    assert content(tmp_path / "out") == before


def test_list_of_paths_in_a_file(archive, tmp_path):
    listing = tmp_path / "night.lst"
    listing.write_text(f"# two frames\n{archive / 'f1.fits'}\n\n{archive / 'f2.fits'}\n")
    assert run(f"@{listing}", tmp_path / "out").done == 2


def test_pattern_and_collection(archive, tmp_path):
    from ccdproc import ImageFileCollection

    assert run(str(archive / "f[12].fits"), tmp_path / "out").done == 2
    collection = ImageFileCollection(archive, filenames=["f3.fits"])
    assert run(collection, tmp_path / "out").done == 1


def test_own_products_are_no_inputs(archive, tmp_path):
    assert run(archive, archive / "out").done == N_FRAMES
    summary = run(archive, archive / "out")
    assert (summary.done, summary.resumed) == (0, N_FRAMES)


def test_foreign_file_in_a_products_place_is_kept(archive, tmp_path):
    out = tmp_path / "out"
    run(archive / "f1.fits", out)
    foreign = out / "cleaned" / "f2_crismis.fits"
    fits.writeto(foreign, np.zeros((2, 2)))
    before = foreign.read_bytes()
    summary = run(archive, out)
    assert summary.failed == 1
    assert "was not written by crismis" in summary.errors[0][1]
    assert foreign.read_bytes() == before


def test_several_images_of_a_file_are_rows_of_their_own(tmp_path):
    from .conftest import frame

    header = fits.Header({"BUNIT": "electron", "GAIN": 1.0, "RDNOISE": 5.0})
    hdus = [fits.ImageHDU(frame(i), header, name="SCI", ver=i + 1) for i in range(2)]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(tmp_path / "two.fits")
    run(tmp_path / "two.fits", tmp_path / "out")
    exposures = Catalog(tmp_path / "out").exposures
    np.testing.assert_array_equal(exposures["image"], [0, 1])
    assert len(set(exposures["exposure_id"])) == 2
    assert sorted(exposures["cleaned"]) == [
        "cleaned/two_crismis1.fits",
        "cleaned/two_crismis2.fits",
    ]


def test_charge_of_unknown_gain_is_kept_in_data_numbers(tmp_path):
    from .conftest import frame

    fits.writeto(tmp_path / "dn.fits", frame(1), fits.Header({"BUNIT": "adu"}))
    run(tmp_path / "dn.fits", tmp_path / "out")
    assert np.isnan(Catalog(tmp_path / "out").exposures["gain"].value).all()
    events = Catalog(tmp_path / "out").events
    assert len(events) >= 3
    assert np.isnan(events["charge"].value).all()
    assert np.isnan(events["deposited_charge"].value).all()
    assert (events["charge_dn"].value > 1000).all()


def test_overlay_is_drawn_and_replaced_only_if_ours(archive, tmp_path):
    def draw(ccd, file):
        from matplotlib.image import imsave

        imsave(file, ccd.data, format="png")

    run(archive / "f1.fits", tmp_path / "out", overlay=draw)
    picture = tmp_path / "out" / "overlays" / "f1_crismis.png"
    assert b"Software\0crismis" in picture.read_bytes()
    from matplotlib.image import imread

    assert imread(picture).shape[:2] == (48, 60)
    assert run(archive / "f1.fits", tmp_path / "out", overlay=draw, overwrite=True).ok
    picture.write_bytes(b"\x89PNG\r\n\x1a\n of somebody else")
    assert not run(archive / "f1.fits", tmp_path / "out", overlay=draw, overwrite=True).ok


def test_name_that_is_no_valid_text(archive, tmp_path):
    odd = os.path.join(os.fsencode(archive), b"odd\xff.fits")
    try:
        os.rename(archive / "f1.fits", odd)
    except OSError:
        pytest.skip("the file system accepts valid text only")
    assert run(archive, tmp_path / "out").done == N_FRAMES
    assert run(archive, tmp_path / "out").resumed == N_FRAMES


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "magic"}, "method"),
        ({"workers": -1}, "workers"),
        ({"time_limit": 0}, "time_limit"),
        ({"method": "lacosmic", "fit_stars": True}, "'lacosmic' has no option fit_stars"),
        ({"method": "learned", "treshold": 0.9}, "'learned' has no option treshold"),
    ],
)
def test_wrong_arguments_are_named(archive, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        run(archive, tmp_path / "out", **options)


def test_unwritable_output_is_named(archive, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CatalogError, match="cannot write there"):
        run(archive, tmp_path / "file" / "out")


def test_state_after_the_run(archive, tmp_path):
    run(archive, tmp_path / "out")
    state = status(tmp_path / "out")
    assert not state["running"]
    assert state["exposures"] == N_FRAMES
    assert state["run"]["phase"] == "finished"
    json.dumps(state)
    with pytest.raises(CatalogError, match="crismis run"):
        status(archive)


# A program that runs crismis and kills itself without warning at a chosen moment.
DYING = """
import os, signal, sys
from pathlib import Path
import pyarrow.parquet as pq
import crismis
from crismis.survey import chain, engine, products, writer

moment, count, archive, output = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
place, name = {
    "identified": (chain, "_identify"),
    "renamed": (products.Path, "replace"),
    "row": (pq, "write_table"),
    "decision": (writer, "_sync_folder"),
}[moment]
method = getattr(place, name)

def dying(*args, **kwargs):
    global count
    count -= 1
    if count == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return method(*args, **kwargs)

engine._FLUSH_EXPOSURES = 2
setattr(place, name, dying)
crismis.run(archive, output, workers=0, method="lacosmic")
print("survived")
"""


def python(program, *arguments, **options):
    """Start a Python that finds what this one finds."""
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", program, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


@pytest.mark.parametrize(
    ("moment", "count"),
    [
        ("renamed", 3),
        ("row", 4),
        ("decision", 5),
        *(
            pytest.param(*moment, marks=pytest.mark.slow)
            for moment in (
                ("identified", 4),
                ("decision", 2),
                *(("renamed", count) for count in (1, 2, 6, 8, 10, 13)),
            )
        ),
    ],
)
def test_killed_run_continues_to_the_same_catalog(archive, tmp_path, moment, count):
    out = tmp_path / "out"
    with python(DYING, moment, count, archive, out) as dead:
        _, said = dead.communicate(timeout=300)
    assert dead.returncode == -signal.SIGKILL, said
    summary = run(archive, out)
    assert summary.ok
    run(archive, tmp_path / "calm")
    assert content(out) == content(tmp_path / "calm")
    assert not list(out.rglob("*.part"))
    assert not list((out / "catalog" / ".staging").rglob("*.*"))


def test_full_disk_fails_the_file_and_not_the_run(archive, tmp_path):
    resource = pytest.importorskip("resource")
    out = tmp_path / "out"

    def no_large_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    program = (
        "import sys, crismis; s = crismis.run(sys.argv[1], sys.argv[2], workers=0, "
        "method='lacosmic'); print(s.done, s.failed)"
    )
    with python(program, archive, out, preexec_fn=no_large_files) as limited:
        counts, said = limited.communicate(timeout=300)
    assert counts.split() == ["0", str(N_FRAMES)], said
    assert not list((out / "cleaned").iterdir())
    assert run(archive, out).done == N_FRAMES
    run(archive, tmp_path / "calm")
    assert content(out) == content(tmp_path / "calm")


def test_disk_full_for_the_catalog_stops_the_run_and_costs_nothing(archive, tmp_path, monkeypatch):
    import pyarrow.parquet as pq

    out = tmp_path / "out"
    run(archive / "f1.fits", out)

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pq, "write_table", full)
        with pytest.raises(CatalogError, match="No space left on device"):
            run(archive, out)
    state = status(out)
    assert (state["running"], state["run"]["phase"]) == (False, "stopped")
    assert state["exposures"] == 1
    assert run(archive, out).ok
    run(archive, tmp_path / "calm")
    assert content(out) == content(tmp_path / "calm")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes anywhere")
def test_products_folder_that_became_unwritable_fails_files_and_not_the_run(archive, tmp_path):
    run(archive / "f1.fits", tmp_path / "out")
    (tmp_path / "out" / "cleaned").chmod(0o500)
    try:
        summary = run(archive, tmp_path / "out")
    finally:
        (tmp_path / "out" / "cleaned").chmod(0o700)
    assert (summary.resumed, summary.failed) == (1, N_FRAMES - 1)
    assert "Permission denied" in summary.errors[0][1]
    assert run(archive, tmp_path / "out").done == N_FRAMES - 1


@pytest.mark.parametrize("vanishes", ["before", "during"])
def test_file_that_vanishes_is_a_row_and_the_rest_is_done(archive, tmp_path, vanishes):
    files = sorted(archive.rglob("*.fits"))
    if vanishes == "before":
        files[-1].unlink()

    def draw(ccd, file):
        files[-1].unlink(missing_ok=True)
        file.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(30))

    summary = run(files, tmp_path / "out", overlay=draw)
    assert (summary.done, summary.failed) == (N_FRAMES - 1, 1)
    assert "No such file" in summary.errors[0][1]


def test_nothing_in_a_file_places_a_product_elsewhere_or_is_run(tmp_path):
    evil = f"__import__('os').mkdir({str(tmp_path / 'run')!r})"
    cards = {"OBJECT": "../../escaped", "EXTNAME": "/escaped", "FILENAME": "../escaped.fits"}
    cards |= {"INSTRUME": evil, "FILTER": evil, "GAIN": "1.0; import os"}
    archive = tmp_path / "in" / "deep"
    for name in ("..%2f..%2fescaped.fits", "-o escaped.fits", "..\\escaped.fits", "a\nb.fits"):
        write_frame(archive / name, 1, **cards)
    before = set(tmp_path.rglob("*"))
    summary = run(archive, tmp_path / "out", readnoise=5.0)
    assert summary.images + summary.failed == 4
    after = set(tmp_path.rglob("*")) - before
    assert all(path.is_relative_to(tmp_path / "out") for path in after)
    assert len(list((tmp_path / "out" / "cleaned").iterdir())) == summary.images


@pytest.mark.slow
@pytest.mark.parametrize("products", [1, 3, N_FRAMES])
def test_whole_run_with_its_workers_killed_continues_to_the_same_catalog(
    archive, tmp_path, products
):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "crismis", "run", archive, "-o", out, "--workers", "2"]
    with subprocess.Popen(
        [*command, "--method", "lacosmic", "--no-overlay", "--quiet"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        until = time.monotonic() + 300
        while len(list(out.glob("cleaned/*.fits"))) < products and time.monotonic() < until:
            time.sleep(0.01)
        process.kill()
    assert len(list(out.glob("cleaned/*.fits"))) >= products
    assert run(archive, out).ok
    run(archive, tmp_path / "calm")
    assert content(out) == content(tmp_path / "calm")
