"""``crismis spallation``: rank candidates for spallation events in a catalog."""

from pathlib import Path
from typing import Annotated

import typer

from .app import app

__all__ = ["spallation"]


@app.command()
def spallation(
    catalog: Annotated[Path, typer.Argument(metavar="CATALOG", help="Output of crismis run.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="Where the sheet goes.")
    ] = Path("spallation"),
    most: Annotated[int, typer.Option(min=1, help="Candidates on the sheet of cut-outs.")] = 48,
):
    """Search the cleaned images of a catalog and write a ranked table and a sheet of cut-outs."""
    from matplotlib.figure import Figure

    from ..physics import search_catalog
    from ..view import plot_candidates

    table, stamps = search_catalog(catalog, most=most)
    output.mkdir(parents=True, exist_ok=True)
    table.write(output / "candidates.ecsv", format="ascii.ecsv", overwrite=True)
    typer.echo(f"{len(table)} candidates in {output / 'candidates.ecsv'}")
    if stamps:
        columns = 8
        rows = -(-len(stamps) // columns)
        figure = Figure(figsize=(1.6 * columns, 1.9 * rows), layout="constrained")
        plot_candidates(table, stamps, figure.add_subplot(), columns=columns)
        figure.savefig(output / "candidates.png", dpi=100)
        typer.echo(f"cut-outs in {output / 'candidates.png'}")
