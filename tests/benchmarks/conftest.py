# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Makes the scripts of the folder ``benchmarks`` importable, or skips where it is absent."""

import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch):
    """Put the folder on the path, as Python does for a script started there."""
    if not FOLDER.is_dir():
        pytest.skip(f"the benchmark scripts are not at {FOLDER}")
    monkeypatch.setattr(sys, "path", [str(FOLDER), *sys.path])
