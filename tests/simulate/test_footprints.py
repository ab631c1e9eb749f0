"""Footprints: selecting, moving, cutting and drawing."""

import numpy as np
import pytest

from crismis.simulate import Footprints

IMAGES = [np.array([[5.0, 0.0], [7.0, 90.0]]), np.array([[3.0]]), np.array([[0.0, 0.0]])]


@pytest.fixture
def prints():
    return Footprints.from_images(IMAGES)


def test_counts_and_totals(prints):
    assert prints.n_pixels.tolist() == [3, 1, 0]
    assert prints.total.tolist() == [102.0, 3.0, 0.0]


def test_select_and_threshold(prints):
    assert prints.select([1, 0]).total.tolist() == [3.0, 102.0]
    assert prints.above(6.0).n_pixels.tolist() == [2, 0, 0]


def test_shift_and_cut(prints):
    moved = prints.shifted([0, -1, 0], [-1, 0, 0])
    assert moved.inside((9, 9)).total.tolist() == [90.0, 0.0, 0.0]
    assert moved.image((9, 9)).sum() == 90.0


def test_overlaps_add_in_the_image(prints):
    np.testing.assert_array_equal(prints.image((2, 2)), [[8.0, 0.0], [7.0, 90.0]])


def test_table_round_trip(prints):
    again = Footprints.from_table(prints.to_table(), 3)
    assert again.total.tolist() == prints.total.tolist()
    assert again.n_pixels.tolist() == prints.n_pixels.tolist()


def test_stamp_of_nothing_is_empty(prints):
    assert prints.stamp(2, (3, 3)).sum() == 0


def test_mismatched_columns_are_refused():
    with pytest.raises(ValueError, match="offsets end at 2"):
        Footprints([0, 2], [1], [1], [1.0])
