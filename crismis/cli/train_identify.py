# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""``crismis train identify``: fit the judge of pixels to simulated and real scenes."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ._train_app import train


@train.command()
def identify(
    config: Annotated[
        Path | None, typer.Option(help="TOML file with a table [identify]; else the defaults.")
    ] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="Model file to write.")] = Path(
        "identify.crm"
    ),
    work: Annotated[
        Path | None, typer.Option(help="Folder for samples and states; OUTPUT.work by default.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that draw fields.")] = 2,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the optimizer.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print the model card.")] = False,
):
    """Train a model that identifies hits; a stopped run continues where it was."""
    from rich.progress import Progress

    from ..learning.identification import IdentifyConfig, train_identify

    try:
        settings = IdentifyConfig.load(config) if config else IdentifyConfig()
        with Progress(disable=as_json) as progress:
            bars = {}

            def report(step, done, total):
                if step not in bars:
                    bars[step] = progress.add_task(step, total=total)
                progress.update(bars[step], completed=done)

            card = train_identify(
                settings, output, folder=work, workers=workers, n_threads=threads, report=report
            )
    except (ImportError, OSError, ValueError) as error:
        typer.echo(f"crismis: {error}", err=True)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps(card, indent=1))
    else:
        typer.echo(f"{output}: {json.dumps(card['metrics'])}")
