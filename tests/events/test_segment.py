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


def draw(image, y, x, angle, length, width=0.0):
    for across in np.linspace(-width / 2, width / 2, 5):
        steps = np.linspace(-length / 2, length / 2, int(6 * length))
        rows = np.rint(y + steps * np.sin(angle) + across * np.cos(angle)).astype(int)
        columns = np.rint(x + steps * np.cos(angle) - across * np.sin(angle)).astype(int)
        image[rows, columns] = True


@pytest.mark.parametrize("angle", [0.0, 0.3, np.pi / 4, 1.2, np.pi / 2, 2.5])
@pytest.mark.parametrize("width", [0.0, 1.5])
def test_a_broken_track_is_one_event(angle, width):
    hits = np.zeros((60, 60), bool)
    draw(hits, 30, 30, angle, 40, width)
    rows, columns = np.indices(hits.shape)
    hits[np.abs(np.hypot(rows - 30, columns - 30) - 8) < 1.4] = False
    assert segment(hits, bridge=False).max() == 3
    assert segment(hits).max() == 1


def test_pieces_that_do_not_line_up_stay_apart():
    hits = np.zeros((30, 40), bool)
    hits[10, 2:14] = True
    hits[13, 15:27] = True
    hits[20, 2:14] = True
    hits[22:34, 16] = True
    assert segment(hits).max() == 4


def test_far_pieces_stay_apart():
    hits = np.zeros((5, 40), bool)
    hits[2, :12] = hits[2, 17:30] = True
    assert segment(hits).max() == 2


@pytest.mark.parametrize("angle", np.deg2rad([35, 60, 90, 120]))
@pytest.mark.parametrize("width", [0.0, 1.5])
def test_crossing_tracks_are_two_events(angle, width):
    hits = np.zeros((60, 60), bool)
    draw(hits, 30, 30, 0.4, 40, width)
    draw(hits, 31, 28, 0.4 + angle, 30, width)
    labels = segment(hits)
    assert labels.max() == 2
    apart = np.hypot(*(np.indices(hits.shape) - 30)) > 9
    first, second = np.zeros_like(hits), np.zeros_like(hits)
    draw(first, 30, 30, 0.4, 40, width)
    draw(second, 31, 28, 0.4 + angle, 30, width)
    tracks = [set(labels[track & apart].tolist()) for track in (first, second)]
    assert sorted(map(tuple, tracks)) == [(1,), (2,)]


def test_tee_and_bend_are_not_cut():
    hits = np.zeros((60, 60), bool)
    hits[10, 5:40] = hits[10:30, 20] = True
    hits[40, 5:30] = hits[40:55, 29] = True
    assert segment(hits).max() == 2


def test_empty_image():
    labels = segment(np.zeros((7, 9), bool))
    assert labels.shape == (7, 9)
    assert not labels.any()
