"""Segmentation of hits into events."""

import numpy as np
import pytest

from crismis.events import segment


def test_corners_connect():
    assert segment(np.eye(4, dtype=bool)).max() == 1


def test_hysteresis_keeps_weak_pixels_only_beside_a_seed():
    labels = segment(np.array([[0.3, 0.6, 0.3, 0.1, 0.4, 0.4]]), seed=0.5, grow=0.2)
    np.testing.assert_array_equal(labels, [[1, 1, 1, 0, 0, 0]])


def test_pixels_outside_within_never_belong():
    labels = segment(np.ones((1, 3)), within=np.array([[True, False, True]]))
    np.testing.assert_array_equal(labels, [[1, 0, 2]])


@pytest.mark.parametrize(("seed", "grow"), [(0.2, 0.5), (1.5, 0.5), (0.5, 0.0)])
def test_disordered_thresholds(seed, grow):
    with pytest.raises(ValueError, match="grow"):
        segment(np.zeros((2, 2)), seed=seed, grow=grow)


def test_only_images():
    with pytest.raises(ValueError, match="2-D"):
        segment(np.zeros(5))
