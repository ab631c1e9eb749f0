"""Write the oldest dependencies that pyproject.toml allows as pinned requirements to a file."""

import re
import sys
import tomllib
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
EXTRAS = ("missions", "report", "test")


def pinned(requirement):
    """Turn a lower bound into the version itself."""
    found = re.match(r"([\w.-]+(?:\[[\w,]+\])?)\s*>=\s*([\w.]+)", requirement)
    if found is None:
        raise SystemExit(f"{requirement}: give a lower bound in pyproject.toml")
    return f"{found[1]}=={found[2]}"


optional = PROJECT["optional-dependencies"]
wanted = [*PROJECT["dependencies"], *(name for extra in EXTRAS for name in optional[extra])]
lines = [pinned(requirement) for requirement in wanted if not requirement.startswith("crismis[")]
Path(sys.argv[1]).write_text("\n".join(lines) + "\n")
