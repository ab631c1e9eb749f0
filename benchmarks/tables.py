# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Write the tables that the documentation shows, with the version and the day they are of."""

import csv
import datetime
import platform
from importlib.metadata import version

__all__ = ["write_table"]

PEERS = {"astroscrappy": "astroscrappy", "deepCR": "deepCR", "cosmic_conn": "Cosmic-CoNN"}


def write_table(folder, name, head, rows):
    """Write ``name.csv`` and ``name.txt``, the line that says when and with what it was made."""
    import crismis

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([head, *rows])
    versions = [f"crismis ``{crismis.__version__}``"]
    for package, title in PEERS.items():
        try:
            versions.append(f"{title} {version(package)}")
        except ModuleNotFoundError:
            continue
    today = datetime.datetime.now(datetime.UTC).date()
    line = f"Measured on {today} with {', '.join(versions)}, Python {platform.python_version()}.\n"
    (folder / f"{name}.txt").write_text(line, encoding="utf-8")
