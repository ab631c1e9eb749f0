"""What all tests share: where real data are, and quiet Matplotlib."""

import os
from pathlib import Path

import matplotlib
import pytest

matplotlib.use("agg")

_HERE = Path(__file__).resolve()


def _data_folder():
    given = os.environ.get("CRISMIS_DATA")
    return Path(given) if given else _HERE.parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def real_data():
    """Folder of real frames; the test is skipped where it is absent."""
    folder = _data_folder()
    if not folder.is_dir():
        pytest.skip(f"real frames are not at {folder}; set CRISMIS_DATA to their folder")
    return folder
