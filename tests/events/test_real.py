"""The shipped classifier on real hits that it was not trained on."""

import numpy as np
import pytest

from crismis.events import get_classifier
from crismis.learning.categorize import describe_cutout


def test_track_against_worm_on_hits_of_phone_cameras(real_data):
    with np.load(real_data / "hits" / "credo_hits.npz") as content:
        images, truth = content["images"], content["labels"].astype(str)
    features = np.array([describe_cutout(image) for image in images])
    assert np.mean(get_classifier().predict(features) == truth) >= 0.90


@pytest.mark.parametrize("turn", [1, 4])
def test_names_of_real_hits_do_not_change_when_turned(real_data, turn):
    with np.load(real_data / "hits" / "credo_hits.npz") as content:
        images = content["images"][::5]
    turned = [np.rot90(image.T if turn > 3 else image, turn % 4) for image in images]
    names = [
        get_classifier().predict(
            np.array([describe_cutout(np.ascontiguousarray(i)) for i in batch])
        )
        for batch in (images, turned)
    ]
    np.testing.assert_array_equal(*names)
