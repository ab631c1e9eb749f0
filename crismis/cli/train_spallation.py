"""``crismis train spallation``: learn to tell spallation stars from tracks that meet by chance."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from ._train_app import train


@train.command()
def spallation(
    output: Annotated[Path, typer.Option("-o", "--output", help="Model file to write.")] = Path(
        "spallation.crm"
    ),
    frames: Annotated[int, typer.Option(min=10, help="Simulated frames to learn from.")] = 400,
    seed: Annotated[int, typer.Option(min=0, help="Of the first frame; the others follow.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the model's card.")] = False,
):
    """Learn the ranking of spallation stars on simulated frames of many detectors."""
    from ..learning.spallation import fit_ranking, simulate_stars
    from ..network import save_model

    seeds = range(seed, seed + frames)
    try:
        with typer.progressbar(seeds, label="simulating", file=sys.stderr) as bar:
            parts = [simulate_stars(1, seed=number) for number in bar]
        arrays, card = fit_ranking(type(parts[0]).join(parts), name=output.stem, seed=seed)
    except ValueError as error:
        typer.echo(f"crismis: {error}", err=True)
        raise typer.Exit(1) from None
    save_model(output, arrays, card)
    if as_json:
        typer.echo(json.dumps(card))
    else:
        for name in ("frames", "events", "least_probability", "held_out_recall_of_vertices"):
            typer.echo(f"{name}: {card[name]}")
