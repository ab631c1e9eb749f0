"""The engine on Dask workers: dying, hanging and healthy ones."""

import logging
from pathlib import Path

import pytest

import crismis
from crismis import Catalog

from .conftest import N_FRAMES
from .test_engine import content, run

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def client():
    """Two worker processes that their nannies start again."""
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def draw_unless(act, name):
    """An overlay function that acts for the input of one name."""

    def draw(ccd, file):
        if name in file.name:
            act(file)
        file.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(30))

    return draw


def test_cluster_gives_the_catalog_of_this_process(archive, tmp_path, client):
    summary = run(archive, tmp_path / "out", client=client)
    assert (summary.done, summary.failed) == (N_FRAMES, 0)
    run(archive, tmp_path / "calm")
    assert content(tmp_path / "out") == content(tmp_path / "calm")


def test_worker_killed_once_costs_nothing(archive, tmp_path, client):
    killed = tmp_path / "killed"

    def kill_once(file):
        import os
        import signal

        if not killed.exists():
            killed.write_text("")
            os.kill(os.getpid(), signal.SIGKILL)

    summary = run(archive, tmp_path / "out", client=client, overlay=draw_unless(kill_once, "f2"))
    assert killed.exists()
    assert (summary.done, summary.failed) == (N_FRAMES, 0)
    run(archive, tmp_path / "calm", overlay=draw_unless(print, "none"))
    assert content(tmp_path / "out") == content(tmp_path / "calm")
    assert not list((tmp_path / "out").rglob("*.part"))


@pytest.mark.slow
def test_file_that_always_kills_its_worker_is_an_error_and_blames_no_other(
    archive, tmp_path, client
):
    def kill(file):
        import os
        import signal

        os.kill(os.getpid(), signal.SIGKILL)

    summary = run(archive, tmp_path / "out", client=client, overlay=draw_unless(kill, "f2"))
    assert (summary.done, summary.failed) == (N_FRAMES - 1, 1)
    assert Path(summary.errors[0][0]).name == "f2.fits"
    assert "worker died" in summary.errors[0][1]
    failed = Catalog(tmp_path / "out").select("exposures", where={"status": "error"})
    assert [Path(p).name for p in failed["path"]] == ["f2.fits"]


@pytest.mark.slow
def test_file_that_hangs_is_ended_by_the_time_limit(archive, tmp_path, client):
    def hang(file):
        import time

        time.sleep(100)

    summary = run(
        archive,
        tmp_path / "out",
        client=client,
        time_limit=4,
        overlay=draw_unless(hang, "f3"),
    )
    assert (summary.done, summary.failed) == (N_FRAMES - 1, 1)
    assert "time limit of 4 s" in summary.errors[0][1]


@pytest.mark.slow
def test_file_that_needs_too_much_memory_is_an_error(archive, tmp_path):
    def devour(file):
        import time

        hoard = []
        while True:
            hoard.append(b"x" * 20_000_000)
            time.sleep(0.01)

    summary = crismis.run(
        archive,
        tmp_path / "out",
        workers=2,
        method="lacosmic",
        memory_limit="800 MB",
        overlay=draw_unless(devour, "f1"),
    )
    assert (summary.done, summary.failed) == (N_FRAMES - 1, 1)
    assert "out of memory" in summary.errors[0][1]


def test_workers_without_nanny_take_no_time_limit(archive, tmp_path):
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address="127.0.0.1:0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        assert run(archive, tmp_path / "out", client=client, time_limit=0.001).ok
    assert "no time limit" in (tmp_path / "out" / "crismis.log").read_text()


def test_existing_scheduler_by_address(archive, tmp_path, client):
    from typer.testing import CliRunner

    import crismis.cli.run  # noqa: F401
    from crismis.cli import app

    arguments = ["run", str(archive), "-o", str(tmp_path / "out"), "--method", "lacosmic"]
    arguments += ["--no-overlay", "--scheduler", client.scheduler.address]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert len(Catalog(tmp_path / "out").exposures) == N_FRAMES
    client.wait_for_workers(2)  # it is still there


def test_no_scheduler_at_the_address_is_wrong_usage(archive, tmp_path):
    from typer.testing import CliRunner

    import crismis.cli.run  # noqa: F401
    from crismis.cli import app

    arguments = ["run", str(archive), "-o", str(tmp_path / "out"), "--scheduler", "magic://x"]
    assert CliRunner().invoke(app, arguments).exit_code == 2


def test_workers_share_the_cores(client):
    from crismis.survey.chain import Settings
    from crismis.survey.workers import n_cores, with_threads

    assert with_threads(Settings(), None).options == {"n_threads": n_cores()}
    assert with_threads(Settings(), client).options == {"n_threads": max(n_cores() // 2, 1)}
    chosen = Settings(options={"n_threads": 3})
    assert with_threads(chosen, client) is chosen
