# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""``crismis evaluate``: how well a model does on frames with truth."""

import json
from pathlib import Path
from typing import Annotated

import typer

from .app import app


@app.command()
def evaluate(
    frames: Annotated[
        list[Path],
        typer.Argument(help="FITS files with HDUs SCI and TRUTH (0 clean, 1 hit, 2 undecidable)."),
    ],
    model: Annotated[
        str | None, typer.Option(help="Model name or file; by default the image chooses.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
):
    """Measure true-positive rates at fixed false-positive rates, precision and calibration."""
    from ..learning.evaluation import evaluate_frame

    rows = []
    for path in frames:
        try:
            rows.append({"frame": path.name} | evaluate_frame(path, model=model))
        except (KeyError, OSError, ValueError) as error:
            typer.echo(f"crismis: {path}: {error}", err=True)
            raise typer.Exit(1) from None
        if not as_json:
            values = " ".join(f"{k} {v:.4f}" for k, v in rows[-1].items() if k != "frame")
            typer.echo(f"{path.name}: {values}")
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
