"""Morphology against photutils, scikit-image and formulas written out per event."""

import numpy as np
import photutils
import pytest
from packaging.version import Version
from photutils.segmentation import SegmentationImage, SourceCatalog
from scipy import ndimage

from crismis.events import measure


@pytest.fixture(scope="module")
def field():
    rng = np.random.default_rng(2)
    data = rng.normal(0, 1, (300, 300))
    for _ in range(150):
        y, x = rng.uniform(20, 280, 2)
        angle, length = rng.uniform(0, np.pi), rng.uniform(0, 18)
        steps = np.linspace(0, length, 60)
        rows = (y + steps * np.sin(angle)).astype(int)
        columns = (x + steps * np.cos(angle)).astype(int)
        np.add.at(data, (rows, columns), 40.0)
    labels, _ = ndimage.label(data > 8, structure=np.ones((3, 3)))
    return data, labels.astype(np.int32)


def test_equal_to_photutils(field):
    data, labels = field
    ours = measure(labels, data)
    flat = data - 0.0
    for label, background in zip(ours["label"], ours["background"], strict=True):
        flat[labels == label] -= background
    catalog = SourceCatalog(flat, SegmentationImage(labels))
    for name in ("x_centroid", "y_centroid", "bbox_xmin", "bbox_ymax"):
        np.testing.assert_allclose(ours[name], getattr(catalog, name), rtol=1e-6, err_msg=name)
    alike = np.ones(len(ours["label"]), bool)
    if Version(photutils.__version__) >= Version("3.1"):
        # It widens all events thinner than a pixel, 3.0 and we only those of little area.
        alike = ours["size_sigma"] ** 2 * (1 - ours["anisotropy"]) > 1 / 12
        assert np.count_nonzero(alike) > 20
    elongation = catalog.elongation[alike]
    np.testing.assert_allclose(ours["elongation"][alike], elongation, rtol=1e-6)
    turn = np.deg2rad(ours["orientation"] - catalog.orientation.value)[alike]
    np.testing.assert_allclose(np.sin(turn), 0, atol=1e-6)
    np.testing.assert_allclose(ours["charge"], catalog.segment_flux, rtol=1e-6)
    np.testing.assert_allclose(ours["peak"], catalog.max_value, rtol=1e-6)


def test_miles_size_and_shape_written_out(field):
    data, labels = field
    ours = measure(labels, data)
    for i in range(0, len(ours["label"]), 7):
        y, x = np.nonzero(labels == ours["label"][i])
        p = np.maximum(data[y, x] - ours["background"][i], 0)
        x_mean, y_mean = (p * x).sum() / p.sum(), (p * y).sum() / p.sum()
        xx = (p * (x - x_mean) ** 2).sum() / p.sum()
        yy = (p * (y - y_mean) ** 2).sum() / p.sum()
        xy = (p * (x - x_mean) * (y - y_mean)).sum() / p.sum()
        assert ours["size_sigma"][i] == pytest.approx(np.sqrt((xx + yy) / 2))
        shape = np.sqrt(((xx - yy) ** 2 + 4 * xy**2) / (xx + yy) ** 2) if xx + yy else 0
        assert ours["anisotropy"][i] == pytest.approx(shape)


def test_background_is_robust_and_skips_masked_pixels_and_other_events():
    data = np.full((30, 30), 10.0)
    data[15, 15], data[15, 17], data[13, 13] = 110.0, 900.0, 1e6
    labels = np.zeros(data.shape, int)
    labels[15, 15], labels[15, 17] = 1, 2
    bad = np.zeros(data.shape, bool)
    bad[13, 13] = True
    event = measure(labels, data, bad=bad)
    np.testing.assert_allclose(event["charge"], [100, 890])


def test_curvature_of_a_circular_arc():
    angle = np.linspace(-0.5, 0.5, 400)
    labels = np.zeros((60, 80), int)
    labels[
        np.rint(50 - 40 * np.cos(angle)).astype(int), np.rint(40 + 40 * np.sin(angle)).astype(int)
    ] = 1
    event = measure(labels, labels * 100.0)
    assert event["curvature"][0] == pytest.approx(1 / 40, rel=0.15)


def test_straightness_and_prongs_of_a_line_a_corner_and_a_cross():
    labels = np.zeros((40, 80), int)
    labels[20, 5:25] = 1
    labels[5, 30:46] = labels[5:21, 45] = 2
    labels[20, 50:71] = labels[10:31, 60] = 3
    labels[35, 5] = 4
    event = measure(labels, labels.astype(float))
    assert event["straightness"][0] == pytest.approx(1)
    assert event["straightness"][1] == pytest.approx(np.sqrt(0.5), abs=0.05)
    assert event["n_branches"].tolist() == [0, 0, 2, 0]
    assert event["n_prongs"].tolist() == [2, 2, 4, 0]


def test_orientation_and_length_as_scikit_image_defines_them(field):
    from skimage.measure import regionprops_table

    labels = field[1]
    even = (labels > 0) * 5.0
    ours = measure(labels, even)
    theirs = regionprops_table(labels, properties=("area", "centroid", "orientation"))
    np.testing.assert_array_equal(ours["n_pixels"], theirs["area"])
    np.testing.assert_allclose(ours["x_centroid"], theirs["centroid-1"])
    np.testing.assert_allclose(ours["y_centroid"], theirs["centroid-0"])
    long = ours["elongation"] > 1.2
    turn = np.deg2rad(ours["orientation"]) + theirs["orientation"] - np.pi / 2
    np.testing.assert_allclose(np.sin(turn[long]), 0, atol=1e-6)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="probability has shape"):
        measure(np.zeros((3, 3), int), np.zeros((3, 3)), probability=np.zeros(3))
