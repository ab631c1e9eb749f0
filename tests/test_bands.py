# Licensed under a 3-clause BSD style license - see LICENSE.rst
import pytest

from crismis.bands import BAND, bands


@pytest.mark.parametrize("rows", [0, 1, BAND, BAND + 1, 3 * BAND - 1])
def test_bands_hold_each_row_once(rows):
    covered = [row for first, last in bands(rows) for row in range(first, last)]
    assert covered == list(range(rows))


def test_no_band_is_higher_than_asked_for():
    assert max(last - first for first, last in bands(100, 7)) == 7
