"""``crismis status``: how far a run is, or what it did."""

import json
from pathlib import Path
from typing import Annotated

import typer

from .app import app


@app.command()
def status(
    output: Annotated[Path, typer.Argument(metavar="OUT", help="Output folder of crismis run.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
):
    """Tell how far a run is, or what the last one did."""
    from ..survey import status as survey_status

    state = survey_status(output)
    if as_json:
        typer.echo(json.dumps(state, indent=1))
        return
    last = state["run"]
    finished = last.get("done", 0) + last.get("failed", 0)
    if state["running"]:
        rate = finished / last["seconds"] if last.get("seconds") else 0
        left = f"{(last['to_do'] - finished) / rate:.0f} s remaining" if rate else "starting"
        typer.echo(f"running: {finished} of {last.get('to_do')} files, {rate:.2f} files/s, {left}")
    elif last.get("phase") == "finished":
        typer.echo(f"finished at {last['updated']}: {finished} files in {last['seconds']:.1f} s")
    else:
        typer.echo(f"stopped at {last.get('updated')}: run the same command again to resume")
    typer.echo(
        f"catalog: {state['exposures']} exposures, {state['failed']} with an error, "
        f"{state['events']} events"
    )
