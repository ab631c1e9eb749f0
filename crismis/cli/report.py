"""``crismis report``: what a catalog holds, as one HTML file."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from .app import app


@app.command()
def report(
    source: Annotated[
        list[str],
        typer.Argument(
            metavar="CATALOG|FILES...", help="Output folder of crismis run, or images to look at."
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="HTML file to write.")
    ] = Path("report.html"),
    title: Annotated[str, typer.Option(help="Heading of the report.")] = "Cosmic-ray hits",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
):
    """Write a report of a catalog, or of images, that opens in any browser without a network."""
    from ..errors import CatalogError
    from ..survey import Catalog
    from ..view import write_report

    if not output.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {output.parent}", param_hint="-o")
    try:
        catalog = Catalog(source[0]) if len(source) == 1 else None
    except CatalogError:
        if not Path(source[0]).exists():
            raise
        catalog = None
    if catalog is not None:
        write_report(catalog, output, title=title)
    else:
        _report_images(source, output, title)
    if not quiet:
        typer.echo(f"{output}: {output.stat().st_size / 1e6:.1f} MB")


def _report_images(paths, output, title):
    from ..survey import run
    from ..view import write_report
    from .run import draw_overlay

    with TemporaryDirectory(prefix="crismis-") as folder:
        run(paths, folder, overlay=draw_overlay)
        write_report(folder, output, title=title)
