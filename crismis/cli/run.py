"""``crismis run``: the whole chain over files and folders."""

import json
from pathlib import Path

import typer

from .app import app


@app.command()
def run(
    paths: list[str] = typer.Argument(
        ..., metavar="FILES|FOLDER...", help="Images: files, folders, patterns, or @LIST."
    ),
    output: Path = typer.Option(..., "-o", "--output", metavar="OUT", help="Output folder."),
    method: str = typer.Option("learned", help="learned or lacosmic."),
    threshold: float = typer.Option(None, help="Least probability of a hit (learned)."),
    model: Path = typer.Option(None, help="Model file for identification."),
    detector: str = typer.Option(None, help="Name of the detector; by default from the header."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Do every file anew."),
    update: bool = typer.Option(
        False, "--update", help="Do changed files, and those done with other settings, anew."
    ),
    cleaned: bool = typer.Option(True, help="Write cleaned FITS images."),
    overlay: bool = typer.Option(True, help="Write overlay pictures."),
    ecsv: bool = typer.Option(False, "--ecsv", help="Export the catalog as ECSV, too."),
    workers: int = typer.Option(None, help="Worker processes; 0 for none."),
    scheduler: str = typer.Option(None, help="Address of a Dask scheduler, tcp://..."),
    time_limit: float = typer.Option(None, help="Seconds that a file may take."),
    memory_limit: str = typer.Option("auto", help="Memory for each worker, such as '4 GB'."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Print errors only."),
    as_json: bool = typer.Option(False, "--json", help="Print the summary as JSON."),
):
    """Find, repair, measure and catalog the cosmic-ray hits of images; run again to resume.

    Exit code 0: all done, 1: some inputs failed, 2: wrong usage.
    """
    from ..survey import Catalog
    from ..survey import run as survey_run

    options = {"threshold": threshold, "model": model, "detector": detector}
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
                overlay=_draw_overlay if overlay else None,
                overwrite=overwrite,
                update=update,
                time_limit=time_limit,
                memory_limit=memory_limit,
                progress=talk,
                on_start=_announce if talk else None,
                **{name: value for name, value in options.items() if value is not None},
            )
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
    if ecsv:
        Catalog(output).export(output)
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


def _draw_overlay(ccd, file):
    """Draw the image with its events; lives here because view is above survey."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from ..view import plot_overlay

    figure = Figure(figsize=(8, 8), layout="constrained")
    FigureCanvasAgg(figure)
    plot_overlay(ccd, ax=figure.add_subplot())
    figure.savefig(file, format="png", dpi=150)
