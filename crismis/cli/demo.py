"""``crismis demo``: simulate an exposure and do the main job on it."""

from pathlib import Path
from typing import Annotated

import typer

from .app import app

__all__ = ["demo"]


@app.command()
def demo(
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="OUT", help="Folder for the products.")
    ] = Path("demo-output"),
    seed: Annotated[int, typer.Option(help="Seed of the simulated exposure.")] = 1,
    size: Annotated[int, typer.Option(min=64, max=8192, help="Rows and columns.")] = 1024,
):
    """Simulate an exposure like Hubble's, then find, name, repair and measure its hits."""
    from ..survey import Catalog, run
    from .run import draw_overlay

    output.mkdir(parents=True, exist_ok=True)
    exposure = output / "exposure.fits"
    truth = _simulate(exposure, seed, size)
    summary = run([exposure], output / "results", workers=0, overlay=draw_overlay, overwrite=True)
    for path, error in summary.errors:
        typer.echo(f"failed: {path}: {error}", err=True)
    if not summary.ok:
        raise typer.Exit(1)
    row = Catalog(output / "results").exposures[0]
    _print_table(row, truth)
    typer.echo(f"exposure          {exposure}")
    for name in ("cleaned", "overlay"):
        typer.echo(f"{name:<17} {output / 'results' / str(row[name])}")
    typer.echo(f"catalog           {output / 'results'}  (open with crismis.Catalog)")


def _simulate(path, seed, size):
    """Write an exposure of stars and galaxies and return the table of its true hits."""
    from ..detectors import get_detector
    from ..simulate import scenes, simulate_exposure

    area = size * size / 1024**2

    def field(shape, rng):
        return scenes.random_field(shape, rng, n_stars=int(120 * area), n_galaxies=int(120 * area))

    image = simulate_exposure(
        # No handbook gives the thickness; thinned devices of this kind have about 15 um.
        get_detector("HST/ACS/WFC").evolve(thickness=15.0),
        500.0,
        scene=field,
        particles="orbit",
        shape=(size, size),
        seed=seed,
        unit="electron",
    )
    image.write(path, overwrite=True)
    return image.truth["events"]


def _print_table(row, truth):
    from rich.console import Console
    from rich.table import Table

    from ..taxonomy import Category

    table = Table(title="Cosmic-ray hits of the simulated exposure")
    table.add_column("category")
    table.add_column("events", justify="right")
    for category in Category:
        if found := int(row[f"n_{category}"]):
            table.add_row(str(category), str(found))
    table.add_section()
    table.add_row("all found", str(int(row["n_events"])))
    table.add_row("simulated and visible", str(int((truth["n_visible"] > 0).sum())))
    Console().print(table)
    typer.echo(f"identified in     {row['identify_time']:.2f}")
    typer.echo(
        f"rate              {row['rate']:.3f} (68 %: {row['rate_lower'].value:.3f} to "
        f"{row['rate_upper'].value:.3f})"
    )
