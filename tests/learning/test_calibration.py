# Licensed under a 3-clause BSD style license - see LICENSE.rst
import numpy as np
import pytest
from scipy.special import expit

from crismis.identify.judge import load_judge
from crismis.learning.calibration import fit_slope
from crismis.learning.dataset import Samples, clipped, sample_probability
from crismis.learning.fields import random_field


def images(slope, spread, n=60, pixels=1500):
    """Pixels of images whose log odds are wrong by a number of each, and by a common factor."""
    rng = np.random.default_rng(2)
    image = np.repeat(np.arange(n), pixels)
    logits = rng.normal(-1, 2, image.size)
    true = slope * logits + spread * rng.normal(size=n)[image]
    labels = (rng.random(image.size) < expit(true)).astype("u1")
    weights = np.ones(image.size, "f4")
    return Samples(expit(logits)[:, None], np.zeros((n, 1)), image, labels, weights)


@pytest.mark.parametrize("slope", [0.7, 1.0, 1.6])
@pytest.mark.parametrize("spread", [0, 2])
def test_the_slope_is_that_within_images(slope, spread):
    assert fit_slope(images(slope, spread)) == pytest.approx(slope, rel=0.05)


def test_images_with_few_hits_or_few_clean_pixels_tell_no_slope():
    samples = images(1.5, 0, n=2)
    samples.labels[samples.field == 0] = 0
    samples.labels[samples.field == 1] = 1
    assert fit_slope(samples) == 1


def test_samples_of_a_finished_model_are_its_probabilities_of_decided_pixels():
    field = random_field(3, "stars", shape=(160, 160), undecidable=(0.0, 3.0), beside=True)
    samples = sample_probability(field, np.random.default_rng(1), load_judge("space"))
    assert samples.inputs.shape == (len(samples.labels), 1)
    assert samples.inputs.min() > 0.01
    assert set(samples.labels.tolist()) == {0, 1}
    assert samples.inputs[samples.labels == 1].mean() > 0.8


def test_a_level_of_clipping_that_is_known_stays():
    field = random_field(3, "stars", shape=(64, 64))
    field.saturation = 900.0
    assert clipped(field).saturation == 900.0
