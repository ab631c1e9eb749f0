"""The sheet of spallation candidates: one cut-out each, in order, side by side."""

import numpy as np
import pytest
from astropy.table import QTable

from crismis.view import plot_candidates


def test_cut_outs_lie_side_by_side_in_order_and_within_the_axes(ax):
    stamps = [np.full((33, 33), float(number)) for number in range(5)]
    for number, stamp in enumerate(stamps):
        stamp[10 + number, 16] = 100  # an event to tell the cut-outs apart
    table = QTable(
        {"n_prongs": [3, 4, 5, 3, 3], "chance_probability": [1e-5, 1e-4, 0.001, 0.01, 0.1]}
    )
    images = plot_candidates(table, stamps, ax, columns=2)
    assert [int(np.argmax(image.get_array()[:, 16])) for image in images] == [10, 11, 12, 13, 14]
    corners = np.array([image.get_extent() for image in images])
    assert corners[:, 0].tolist() == pytest.approx([0, 36.3, 0, 36.3, 0])
    assert (np.diff(corners[::2, 2]) < -33).all()
    assert ax.get_xlim()[1] >= corners[:, 1].max()
    assert ax.get_ylim()[0] <= corners[:, 2].min()
    assert [text.get_text() for text in ax.texts][:2] == [
        "3 prongs, p = 1e-05",
        "4 prongs, p = 1e-04",
    ]


def test_pixels_without_a_value_do_not_spoil_a_cut_out(ax):
    stamp = np.random.default_rng(1).normal(0, 1, (20, 20))
    stamp[0, 0] = np.nan
    table = QTable({"n_prongs": [3], "chance_probability": [0.1]})
    (image,) = plot_candidates(table, [stamp], ax)
    assert np.isfinite(image.get_clim()).all()


def test_no_candidates_are_said(ax):
    assert plot_candidates(QTable(), [], ax) == []
    assert ax.texts[0].get_text() == "no candidates"
