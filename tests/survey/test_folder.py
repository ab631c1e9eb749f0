"""The output folder: one run at a time, nobody else's files."""

import json
import os
import socket
import subprocess
import sys
import time

import pytest

from crismis.errors import CatalogError
from crismis.survey import folder
from crismis.survey.folder import OutputFolder, status

HOLDER = """
import sys, time
from crismis.survey.folder import OutputFolder
with OutputFolder(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def held(tmp_path):
    """An output folder that another process is using."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", HOLDER, tmp_path / "out"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"held\n"
    yield tmp_path / "out", process
    process.kill()
    process.wait()
    process.stdout.close()


def enter(path):
    with OutputFolder(path):
        pass


def test_second_run_on_one_output_is_refused_by_name(held):
    path, process = held
    with pytest.raises(CatalogError, match=f"process {process.pid} on {socket.gethostname()}"):
        enter(path)
    process.kill()
    process.wait()
    enter(path)


def leave_behind(path, **run):
    """The mark that a run of another machine left."""
    enter(path)
    mark = json.loads((path / "crismis.json").read_text())
    mark["run"] |= {"pid": 1, "host": "elsewhere"} | run
    (path / "crismis.json").write_text(json.dumps(mark))


def test_run_of_another_machine_counts_while_it_gives_signs_of_life(tmp_path):
    leave_behind(tmp_path, phase="running")
    with pytest.raises(CatalogError, match="process 1 on elsewhere"):
        enter(tmp_path)
    os.utime(tmp_path / "crismis.json", (1, 1))
    enter(tmp_path)


def test_finished_run_of_another_machine_does_not_count(tmp_path):
    leave_behind(tmp_path, phase="finished")
    enter(tmp_path)


def test_gives_signs_of_life(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "_PULSE", 0.01)
    mark = tmp_path / "crismis.json"
    with OutputFolder(tmp_path):
        os.utime(mark, (1, 1))
        until = time.monotonic() + 5
        while mark.stat().st_mtime == 1 and time.monotonic() < until:
            time.sleep(0.01)
    assert mark.stat().st_mtime > 1


def test_lock_is_free_after_a_refusal_and_after_the_end(tmp_path):
    with OutputFolder(tmp_path), pytest.raises(CatalogError, match=f"process {os.getpid()}"):
        enter(tmp_path)
    enter(tmp_path)


def test_folder_with_foreign_files_in_our_places_is_refused_and_untouched(tmp_path):
    (tmp_path / "catalog").mkdir()
    (tmp_path / "catalog" / "stars.txt").write_text("mine")
    with pytest.raises(CatalogError, match="catalog that crismis did not make"):
        enter(tmp_path)
    assert [p.name for p in tmp_path.rglob("*")] == ["catalog", "stars.txt"]


def test_foreign_files_beside_ours_are_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    enter(tmp_path)
    enter(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"name": "other"}', "\xff"])
def test_mark_that_is_not_ours_is_refused(tmp_path, content):
    (tmp_path / "crismis.json").write_text(content, encoding="latin-1")
    with pytest.raises(CatalogError, match="did not make"):
        enter(tmp_path)


def test_newer_format_is_refused(tmp_path):
    enter(tmp_path)
    mark = tmp_path / "crismis.json"
    mark.write_text(json.dumps(json.loads(mark.read_text()) | {"format": 99}))
    with pytest.raises(CatalogError, match="99"):
        enter(tmp_path)


def test_half_written_products_of_a_killed_run_are_removed(tmp_path):
    enter(tmp_path)
    left = tmp_path / "cleaned" / ".f0_crismis.123.fits.part"
    left.write_bytes(b"half")
    enter(tmp_path)
    assert not left.exists()


def test_state_is_visible_while_running(held):
    from crismis.survey.writer import CatalogWriter

    path, process = held
    CatalogWriter(path / "catalog")
    assert status(path)["running"]
    process.kill()
    process.wait()
    assert not status(path)["running"]
