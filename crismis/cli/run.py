"""``crismis run``: the whole chain over files and folders."""

import json
from pathlib import Path
from typing import Annotated

import typer

from .app import app


@app.command()
def run(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="FILES|FOLDER...", help="Images: files, folders, patterns, or @LIST."
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="OUT", help="Output folder.")],
    method: Annotated[str, typer.Option(help="learned or lacosmic.")] = "learned",
    threshold: Annotated[
        float | None, typer.Option(help="Least probability of a hit (learned).")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="Model file for identification.")] = None,
    fit_stars: Annotated[
        bool | None,
        typer.Option(help="Fit stars, to find more hits on them (learned; done by default)."),
    ] = None,
    detector: Annotated[
        str | None, typer.Option(help="Name of the detector; by default from the header.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Do every file anew.")] = False,
    update: Annotated[
        bool,
        typer.Option(
            "--update", help="Do changed files, and those done with other settings, anew."
        ),
    ] = False,
    cleaned: Annotated[bool, typer.Option(help="Write cleaned FITS images.")] = True,
    overlay: Annotated[bool, typer.Option(help="Write overlay pictures.")] = True,
    regions: Annotated[
        bool, typer.Option("--regions", help="Write DS9 region files of the events, too.")
    ] = False,
    ecsv: Annotated[bool, typer.Option("--ecsv", help="Export the catalog as ECSV, too.")] = False,
    workers: Annotated[int | None, typer.Option(help="Worker processes; 0 for none.")] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler, tcp://...")
    ] = None,
    time_limit: Annotated[float, typer.Option(help="Seconds that a file may take.")] = 3600.0,
    memory_limit: Annotated[
        str, typer.Option(help="Memory for each worker, such as '4 GB'.")
    ] = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
):
    """Find, repair, measure and catalog the cosmic-ray hits of images; run again to resume.

    Exit code 0: all done, 1: some inputs failed, 2: wrong usage.
    """
    from ..errors import CrismisError
    from ..survey import Catalog
    from ..survey import run as survey_run

    options = {
        "threshold": threshold,
        "model": model,
        "fit_stars": fit_stars,
        "detector": detector,
    }
    talk = not quiet and not as_json
    with _client(scheduler) as client:
        try:
            summary = survey_run(
                paths,
                output,
                client=client,
                workers=workers,
                method=method,
                cleaned=cleaned,
                overlay=draw_overlay if overlay else None,
                overwrite=overwrite,
                update=update,
                time_limit=time_limit,
                memory_limit=memory_limit,
                progress=talk,
                on_start=_announce if talk else None,
                **{name: value for name, value in options.items() if value is not None},
            )
        except CrismisError:
            raise
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
    if ecsv:
        Catalog(output).export(output)
    if regions:
        from ..view import write_catalog_regions

        write_catalog_regions(output)
    if as_json:
        typer.echo(json.dumps(summary.to_dict(), indent=1))
    elif not quiet:
        _report(summary)
    for path, error in summary.errors if not as_json else ():
        typer.echo(f"failed: {path}: {error}", err=True)
    raise typer.Exit(0 if summary.ok else 1)


def _client(scheduler):
    from contextlib import nullcontext

    if scheduler is None:
        return nullcontext()
    from distributed import Client

    try:
        return Client(scheduler, timeout=20)
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"no Dask scheduler at {scheduler}: {error}") from None


def _announce(client):
    from importlib.util import find_spec

    if find_spec("bokeh"):
        typer.echo(f"dashboard: {client.dashboard_link}", err=True)


def _report(summary):
    rate = summary.pixels / 1e6 / summary.seconds if summary.seconds else 0
    typer.echo(
        f"{summary.inputs} files: {summary.done} done, {summary.failed} failed, "
        f"{summary.resumed} done before, {summary.skipped} no images\n"
        f"{summary.images} images, {summary.events} events in {summary.seconds:.1f} s "
        f"({rate:.1f} Mpix/s)\nresults in {summary.output}"
    )
    if summary.changed:
        typer.echo(
            f"{summary.changed} files changed since they were done, or other settings are asked "
            "for: --update does them anew"
        )


def draw_overlay(ccd, file):
    """Draw the image with its events; lives here because view is above survey."""
    from ..view import write_overlay

    write_overlay(ccd, file, format="png")
