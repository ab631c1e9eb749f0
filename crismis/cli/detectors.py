"""``crismis detectors``: the table of detectors, with sources."""

from pathlib import Path
from typing import Annotated

import typer

from .app import app


@app.command()
def detectors(
    name: Annotated[str, typer.Argument(help="Show one detector with all sources.")] = "",
    add: Annotated[Path | None, typer.Option("--add", help="TOML with more detectors.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
):
    """List what is known of detectors; a dash is a number that no source gives."""
    import json

    from ..detectors import get_detector, list_detectors, load_detectors

    try:
        if add is not None:
            load_detectors(add)
        found = [get_detector(name)] if name else list_detectors()
    except (KeyError, OSError, ValueError) as error:
        typer.echo(f"crismis: {error.args[0] if error.args else error}", err=True)
        raise typer.Exit(2) from None
    if as_json:
        typer.echo(json.dumps([_plain(d) for d in found], indent=1))
    elif name:
        typer.echo(_card(found[0]))
    else:
        typer.echo(_table(found))


_COLUMNS = (
    ("pitch", "pitch/um"),
    ("thickness", "thick/um"),
    ("shape", "rows x columns"),
    ("gain", "e-/DN"),
    ("readnoise", "noise/e-"),
    ("full_well", "well/e-"),
    ("temperature", "T/K"),
    ("readout_wait", "wait/s"),
    ("hit_rate", "hits/cm2/s"),
    ("launch", "launch"),
    ("location", "location"),
)


def _plain(detector):
    import math
    from dataclasses import asdict

    return {
        key: None if isinstance(value, float) and math.isnan(value) else value
        for key, value in asdict(detector).items()
    }


def _text(value):
    if isinstance(value, tuple) and value and isinstance(value[0], str):
        return " ".join(value)
    if isinstance(value, tuple):
        return " x ".join(str(v) for v in value) or "-"
    if isinstance(value, float):
        return "-" if value != value else f"{value:g}"
    return value or "-"


def _table(found):
    rows = [("name", *(title for _, title in _COLUMNS))]
    rows += [(d.name, *(_text(getattr(d, key)) for key, _ in _COLUMNS)) for d in found]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _card(detector):
    lines = [detector.name]
    for key, title in (*_COLUMNS, ("kind", "kind"), ("overscan", "overscan")):
        source = detector.sources.get(key)
        lines.append(
            f"  {title}: {_text(getattr(detector, key))}" + (f"  [{source}]" if source else "")
        )
    return "\n".join(lines)
