"""``crismis info``: what the reader understood of each image."""

from typing import Annotated

import typer

from .app import app


@app.command()
def info(
    paths: Annotated[list[str], typer.Argument(help="Files, folders, or patterns.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
    allow_truncated: Annotated[
        bool, typer.Option("--allow-truncated", help="Read what there is of damaged files.")
    ] = False,
):
    """Print what the reader understands: one line per image.

    Files that hold no image are listed with the reason; files that cannot be read make the
    exit code 1.
    """
    import json

    from ..ingest.describe import describe

    failed = False
    for row in describe(paths, allow_truncated=allow_truncated):
        failed |= "error" in row
        typer.echo(json.dumps(row) if as_json else _line(row), err="error" in row and not as_json)
    raise typer.Exit(1 if failed else 0)


def _line(row):
    if "error" in row:
        return f"{row['path']}: ERROR {row['error']}"
    if "skipped" in row:
        return f"{row['path']}: skipped, {row['skipped']}"
    rows, columns = row["shape"]
    parts = [
        f"{columns} x {rows} {row['dtype']} {row['unit']}",
        row["detector"] or row["instrument"],
        row["filter"],
        row["target"],
        row["date"],
        _with_unit(row["exposure_time"], "s"),
        _with_unit(row["gain"], "e-/DN"),
        _with_unit(row["readnoise"], "e- rms"),
        f"{100 * row['masked']:.2f} % masked" if row["masked"] else None,
        row["product"] and f"no single exposure: {row['product']}",
        row["coding"],
        None if row["counts"] else "values are no counts",
    ]
    plane = "" if row["plane"] is None else f", plane {row['plane']}"
    return f"{row['path']} [{row['hdu']}{plane}]: " + ", ".join(p for p in parts if p)


def _with_unit(value, unit):
    return None if value is None else f"{value:.6g} {unit}"
