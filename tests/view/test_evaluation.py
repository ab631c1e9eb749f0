"""Confusion, ROC, calibration and training curves against counts made by hand."""

import numpy as np
import pytest

from crismis.view import plot_calibration, plot_confusion, plot_roc, plot_training


def test_confusion_rows_are_true_categories(ax):
    truth = ["track"] * 4 + ["worm"] * 2
    predicted = ["track"] * 3 + ["worm"] + ["unknown", "worm"]
    image, texts = plot_confusion(truth, predicted, ax, normalize=False)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["track", "unknown", "worm"]
    np.testing.assert_allclose(image.get_array(), [[0.75, 0, 0.25], [0, 0, 0], [0, 0.5, 0.5]])
    assert [text.get_text() for text in texts] == ["3", "", "1", "", "", "", "", "1", "1"]


def test_confusion_refuses_what_does_not_fit(ax):
    with pytest.raises(ValueError, match="truth has 1 events, predicted has 2"):
        plot_confusion(["a"], ["a", "b"], ax)
    with pytest.raises(ValueError, match=r"labels lack \['b'\]"):
        plot_confusion(["a"], ["b"], ax, labels=["a"])


def test_roc_passes_through_the_points_of_its_definition(ax):
    truth = np.array([1, 1, 0, 1, 0, 0, 0, 0, 2])
    score = np.array([9, 8, 7, 6, 5, 4, 3, 2, 99])
    (line,) = plot_roc(truth, score, ax, marks=())
    points = dict(zip(line.get_xdata(), line.get_ydata(), strict=True))
    assert points[0.2] == 1.0  # one of five clean pixels flagged when all hits are found
    assert max(line.get_xdata()) == 1


def test_roc_of_many_pixels_agrees_with_the_normal_distribution(ax):
    from scipy.stats import norm

    rng = np.random.default_rng(2)
    truth = np.arange(400_000) % 2
    line, *dots = plot_roc(truth, rng.normal(size=truth.size) + 3 * truth, ax)
    assert len(line.get_xdata()) < 5000
    found = np.interp(0.01, line.get_xdata(), line.get_ydata())
    assert found == pytest.approx(norm.sf(norm.isf(0.01) - 3), abs=0.01)
    assert dots[0].get_ydata()[0] == pytest.approx(norm.sf(norm.isf(1e-3) - 3), abs=0.02)


def test_calibrated_probabilities_lie_on_the_diagonal(ax):
    rng = np.random.default_rng(3)
    probability = rng.random(30_000)
    points, _ = plot_calibration(rng.random(30_000) < probability, probability, ax)
    x, y = points.lines[0].get_data()
    assert len(x) == 15
    np.testing.assert_allclose(x, y, atol=0.04)
    lower, upper = np.array([s[:, 1] for s in points.lines[2][0].get_segments()]).T
    inside = (lower <= x) & (x <= upper)
    assert 5 <= inside.sum() <= 15  # two thirds are expected


@pytest.mark.parametrize("function", [plot_roc, plot_calibration])
def test_one_class_alone_is_said(ax, function):
    (text,) = function(np.zeros(5, int), np.ones(5), ax)
    assert text.get_text() == "needs both hit and clean pixels"


def test_training_draws_one_line_per_curve(ax):
    lines = plot_training({"training": [3.0, 2.0], "validation": [3.0, 2.5]}, ax)
    assert [line.get_label() for line in lines] == ["training", "validation"]
    assert lines[0].get_xdata().tolist() == [1, 2]
    assert plot_training({}, ax)[0].get_text() == "no training history"
