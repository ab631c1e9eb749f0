# Licensed under a 3-clause BSD style license - see LICENSE.rst
import numpy as np
import pytest
from scipy import ndimage

from crismis.learning import fields, scenes
from crismis.learning.fields import random_field

SHAPE = (96, 96)


@pytest.mark.parametrize("kind", ["stars", "spectrum", "planet", "terrain", "corona", "dark"])
def test_a_field_has_finite_pixels_and_three_labels(kind):
    field = random_field(3, kind, shape=SHAPE)
    assert np.isfinite(field.electrons).all()
    assert set(np.unique(field.labels)) <= {0, 1, 2}
    assert field.electrons.dtype == np.float32


def test_pixels_beside_hits_count_as_neither_on_request():
    plain = random_field(5, "dark", shape=SHAPE, density=(-2.5, -2.4))
    beside = random_field(5, "dark", shape=SHAPE, density=(-2.5, -2.4), beside=True)
    near = ndimage.binary_dilation(beside.labels == 1, np.ones((3, 3)))
    assert (plain.electrons == beside.electrons).all()
    assert (beside.labels[near] != 0).all()
    assert (plain.labels[near] == 0).any()
    assert ((plain.labels == 1) == (beside.labels == 1)).all()


def test_the_shape_of_stars_may_change_across_a_field(monkeypatch):
    def drawn(blur):
        monkeypatch.setattr(scenes, "_BLUR", blur)
        rng = np.random.default_rng(4)
        return scenes.random_scene(rng, (96, 96), "crowded", sharp=2.0, varying=1.0)

    alike = drawn(0.0)
    change = abs(drawn(0.5) - alike) / alike.mean()
    assert alike.min() >= 0
    ends = [change[y : y + 24, x : x + 24].mean() for y in (0, 72) for x in (0, 72)]
    assert max(ends) > 0.02
    assert min(ends) < 0.4 * max(ends)


def test_a_share_of_the_fields_with_planets_is_measured_by_parts():
    rough = [random_field(s, "terrain", shape=(32, 32), parts=0.5).rough for s in range(60)]
    some = [limit for limit in rough if limit is not None]
    assert 15 < len(some) < 45
    assert all(2 <= limit <= 6 for limit in some)
    assert random_field(1, "terrain", shape=(32, 32)).rough is None
    assert random_field(1, "stars", shape=(32, 32), parts=1.0).rough is None


def test_hot_pixels_count_as_clean_where_their_number_is_to_tell_them():
    for seed in range(20):
        undecided = random_field(seed, "dark", shape=SHAPE, density=(-6, -5.9), warm=3.0)
        decided = random_field(seed, "dark", shape=SHAPE, density=(-6, -5.9), warm=np.inf)
        lone = (undecided.labels == 2) & (decided.labels == 0)
        if lone.any():
            assert np.median(decided.electrons[lone]) > np.median(decided.electrons)
            return
    raise AssertionError("no field of twenty had a hot pixel")


def test_parts_of_labelled_frames_keep_image_and_labels_together():
    rng = np.random.default_rng(1)
    image = rng.normal(100, 5, (120, 150)).astype("f4")
    truth = rng.integers(0, 3, image.shape).astype("u1")
    image[truth == 1] += 1000
    for seed in range(4):
        field = random_field(seed, "labelled", shape=SHAPE, labelled=[(image, truth, 5.0)])
        assert field.labels.shape == SHAPE
        bright = field.electrons > 5 * np.median(field.electrons[field.labels == 0])
        assert (bright == (field.labels == 1)).all()
        known = field.gain == 1.0
        assert (field.readnoise == 5.0) if known else np.isnan(field.readnoise)


def test_frames_smaller_than_a_field_are_used_whole():
    frame = np.full((40, 60), 9.0, "f4"), np.zeros((40, 60), "u1"), 3.0
    field = random_field(1, "labelled", shape=SHAPE, labelled=[frame])
    assert sorted(field.labels.shape) == [40, 60]


def test_a_stop_darkens_a_part_of_a_field_but_hits_go_on(monkeypatch):
    monkeypatch.setattr(fields, "_STOPPED", 1.0)
    hits = darkened = 0
    for seed in range(20):
        lit = fields._field_stop(np.random.default_rng(seed), SHAPE)
        assert 0 <= lit.min() <= lit.max() <= 1
        darkened += (lit < 0.9).any() and (lit > 0.9).any()
        field = random_field(seed, "nebula", shape=SHAPE, density=(-2.1, -2.0))
        hits += (field.labels == 1).any()
        assert np.isfinite(field.electrons).all()
    assert darkened >= 15
    assert hits == 20
