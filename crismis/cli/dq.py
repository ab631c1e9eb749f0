"""``crismis dq``: write hits into the data-quality arrays of copies of HST files."""

import json
from pathlib import Path
from typing import Annotated

import typer

from .app import app


@app.command()
def dq(
    paths: Annotated[list[Path], typer.Argument(metavar="FILES...", help="HST flt or flc files.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="Folder for the copies.")
    ],
    bit: Annotated[
        int | None,
        typer.Option(help="Bit to set; by default 4096 for ACS and WFC3, 8192 for STIS."),
    ] = None,
    threshold: Annotated[float, typer.Option(help="Least probability of a hit.")] = 0.5,
    grow: Annotated[float, typer.Option(help="Radius in pixels by which hits grow.")] = 0.0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace copies.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
):
    """Mark cosmic-ray hits in the DQ arrays of copies of HST files.

    AstroDrizzle resets bit 4096 of its input unless it is called with resetbits=0.
    Exit code 0: all done, 1: some inputs failed, 2: wrong usage.
    """
    from ..errors import CrismisError
    from ..identify.dq import flag_hits

    output.mkdir(parents=True, exist_ok=True)
    done, failed = [], []
    for path in paths:
        try:
            options = {"threshold": threshold, "grow": grow}
            result = flag_hits(path, output, bit=bit, overwrite=overwrite, **options)
        except (CrismisError, ValueError) as error:
            failed.append({"path": str(path), "error": str(error)})
            typer.echo(f"crismis: {error}", err=True)
            continue
        done.append(result)
        if not as_json:
            counts = ", ".join(f"SCI {v}: {n}" for v, n in result["hits"].items())
            typer.echo(f"{result['output']}: bit {result['bit']} set for {counts} pixels")
    if as_json:
        typer.echo(json.dumps({"done": done, "failed": failed}))
    raise typer.Exit(1 if failed else 0)
