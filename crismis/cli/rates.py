"""``crismis rates``: particle rates over a catalog."""

import json
from pathlib import Path
from typing import Annotated

import typer

from .app import app

__all__ = ["rates"]


@app.command()
def rates(
    catalog: Annotated[Path, typer.Argument(metavar="CATALOG", help="Output of crismis run.")],
    by: Annotated[
        str, typer.Option(help="exposure, hour, day, week, month, year, or a column.")
    ] = "day",
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN=VALUE", help="Only these exposures; may be repeated."),
    ] = None,
    category: Annotated[
        list[str] | None, typer.Option(help="Count only these categories; may be repeated.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="TABLE", help="Write as ECSV.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
):
    """Print hits per cm2 and second with 68 % intervals, and which bins stand out."""
    from ..physics import rates as measure_rates

    try:
        conditions = dict(_split(text) for text in where or [])
        table = measure_rates(catalog, by=by, where=conditions, category=category)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if output is not None:
        table.write(output, format="ascii.ecsv", overwrite=True)
    if as_json:
        typer.echo(json.dumps([_plain(row) for row in table], indent=1))
    elif output is None:
        typer.echo("\n".join(table.pformat(max_lines=-1, max_width=-1)))


def _split(text):
    column, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--where {text!r} is not COLUMN=VALUE")
    try:
        return column, float(value)
    except ValueError:
        return column, value


def _plain(row):
    return {name: _number(row[name]) for name in row.colnames}


def _number(value):
    if hasattr(value, "isot"):
        return value.isot
    value = getattr(value, "value", value)
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and value != value else value
