"""Images: limits, rebinning, outlines, legends, sky coordinates and damaged input."""

import time
import tracemalloc

import matplotlib.pyplot as plt
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.table import QTable
from astropy.wcs import WCS
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from photutils.segmentation import SegmentationImage

from crismis import CosmicRayCCDData, Flag
from crismis.taxonomy import ARTEFACTS, PARTICLES, Category
from crismis.view import (
    CATEGORY_COLORS,
    image_norm,
    plot_before_after,
    plot_image,
    plot_overlay,
    plot_probability,
    write_overlay,
)


@pytest.fixture
def ccd():
    labels = np.zeros((50, 80), np.int32)
    labels[10, 20:40] = 1
    labels[30:32, 60:62] = 2
    data = np.random.default_rng(3).normal(100, 5, labels.shape)
    return CosmicRayCCDData(
        data,
        unit="electron",
        segmentation=SegmentationImage(labels),
        events=QTable({"label": [1, 2], "category": ["track", "hot_pixel"]}),
    )


def edges_of(patch):
    """The unit edges of an outline as a set of pairs of corners."""
    pairs = patch.get_path().vertices.reshape(-1, 2, 2)
    return {tuple(map(tuple, pair)) for pair in pairs.tolist()}


def test_outline_runs_round_the_pixels_of_an_event(ax, ccd):
    overlay = plot_overlay(ccd, ax)
    expected = {((x - 0.5, y), (x + 0.5, y)) for x in range(20, 40) for y in (9.5, 10.5)}
    expected |= {((x, 9.5), (x, 10.5)) for x in (19.5, 39.5)}
    assert edges_of(overlay.outlines["track"]) == expected


def test_colours_are_those_of_the_categories_and_the_legend_counts_events(ax, ccd):
    overlay = plot_overlay(ccd, ax)
    assert to_hex(overlay.outlines["track"].get_edgecolor()).upper() == CATEGORY_COLORS["track"]
    assert [text.get_text() for text in overlay.legend.get_texts()] == [
        "track (1)",
        "hot pixel (1)",
    ]


def test_an_artefact_has_a_broken_outline(ax, ccd):
    overlay = plot_overlay(ccd, ax)
    assert 0 < len(edges_of(overlay.outlines["hot_pixel"])) < 8


def test_only_wanted_categories_are_outlined(ax, ccd):
    assert set(plot_overlay(ccd, ax, categories=["track"]).outlines) == {"track"}


def test_events_without_a_category_are_unknown(ax, ccd):
    ccd.events = QTable({"label": [1, 2]})
    assert set(plot_overlay(ccd, ax).outlines) == {"unknown"}


def test_an_image_without_events_has_its_hits_outlined(ax):
    flags = np.zeros((20, 20), np.uint8)
    flags[5, 5] = Flag.HIT | Flag.REPAIRED
    flags[9, 9] = Flag.SATURATED
    overlay = plot_overlay(CosmicRayCCDData(np.ones((20, 20)), unit="adu", flags=flags), ax)
    assert len(edges_of(overlay.outlines["hit"])) == 4


@pytest.mark.parametrize("empty", ["plain", "no events"])
def test_nothing_to_outline_gives_the_bare_image(ax, empty):
    ccd = CCDData(np.ones((20, 20)), unit="adu")
    labels = None if empty == "plain" else np.zeros((20, 20), int)
    events = None if empty == "plain" else QTable({"label": np.zeros(0, int)})
    overlay = plot_overlay(ccd, ax, segmentation=labels, events=events)
    assert overlay.outlines == {}
    assert overlay.legend is None


def test_segmentation_of_another_shape_is_refused(ax, ccd):
    with pytest.raises(ValueError, match=r"segmentation has shape \(3, 3\)"):
        plot_overlay(ccd, ax, segmentation=np.ones((3, 3), int))


def test_a_repaired_image_is_drawn_as_it_was_before(ax):
    flags = np.zeros((20, 20), np.uint8)
    flags[4, 7] = Flag.HIT | Flag.REPAIRED
    ccd = CosmicRayCCDData(np.ones((20, 20)), unit="adu", flags=flags, replaced=np.array([900.0]))
    drawn = plot_overlay(ccd, ax).image.get_array()
    assert drawn[4, 7] == 900
    assert drawn.sum() == 399 + 900


def test_a_cube_is_refused(ax):
    with pytest.raises(ValueError, match=r"two axes.*\(2, 3, 4\)"):
        plot_image(np.zeros((2, 3, 4)), ax)


def test_sky_coordinates_are_used_where_the_image_has_them():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
    wcs.wcs.cdelt = -1e-4, 1e-4
    labels = np.zeros((30, 30), int)
    labels[4:6, 4:6] = 1
    figure = plt.figure()
    overlay = plot_overlay(
        CCDData(np.ones((30, 30)), unit="adu", wcs=wcs), segmentation=labels, max_size=10
    )
    assert overlay.image.axes.wcs is wcs
    figure.canvas.draw()
    labels = [coordinate.get_axislabel() for coordinate in overlay.image.axes.coords]
    assert labels == ["right ascension", "declination"]
    plt.close(figure)


def test_rebinning_keeps_every_hit_and_the_pixel_scale(ax):
    data = np.full((301, 205), 7.0)
    data[299, 203] = 900.0
    data[0, 0] = np.nan
    image = plot_image(data, ax, max_size=100)
    drawn = image.get_array()
    assert drawn.shape == (76, 52)
    assert drawn[74, 50] == 900
    assert drawn[0, 0] == 7  # NaN does not spoil its block
    assert image.get_extent() == [-0.5, 207.5, -0.5, 303.5]


def test_rebinned_outline_surrounds_the_event(ax):
    labels = np.zeros((400, 400), np.int32)
    labels[201, 100:110] = 1
    overlay = plot_overlay(np.ones((400, 400)), ax, segmentation=labels, max_size=100)
    (x0, y0), (x1, y1) = overlay.outlines["unknown"].get_path().get_extents().get_points()
    assert x0 <= 99.5 < 109.5 <= x1 <= 112
    assert y0 <= 200.5 < 201.5 <= y1 <= 204


def test_the_input_is_left_alone(ax, ccd):
    before = ccd.data.copy()
    plot_overlay(ccd, ax, max_size=20)
    np.testing.assert_array_equal(ccd.data, before)


@pytest.mark.parametrize(
    "data",
    [
        np.full((9, 9), np.nan),
        np.zeros((9, 9)),
        np.full((9, 9), 5, np.uint8),
        np.array([[np.inf, 1.0], [2.0, -np.inf]]),
    ],
    ids=["nan", "constant", "constant 8-bit", "infinite"],
)
def test_limits_are_finite_and_ordered_for_odd_images(data):
    norm = image_norm(data)
    assert np.isfinite([norm.vmin, norm.vmax]).all()
    assert norm.vmin < norm.vmax


def test_eight_bit_images_are_drawn_linearly_and_electrons_with_asinh():
    ramp = np.arange(256).reshape(16, 16)
    middle = image_norm(ramp.astype(np.uint8))(127.5)
    assert middle == pytest.approx(0.5, abs=0.01)
    assert image_norm(ramp.astype(float))(127.5) > 0.6


def test_limits_of_faint_scene_are_not_set_by_hits():
    data = np.random.default_rng(1).normal(100, 5, (512, 512))
    data[::40, ::40] = 1e5  # 0.07 % of the pixels
    norm = image_norm(data)
    assert 80 < norm.vmin < 100 < norm.vmax < 150


def test_before_and_after_share_their_greys():
    figure, axes = plt.subplots(1, 2)
    after = np.random.default_rng(1).normal(100, 5, (20, 20))
    before = after.copy()
    before[3] = 5000
    first, second = plot_before_after(before, after, axes)
    assert first.norm is second.norm
    assert second.norm.vmax < 200
    plt.close(figure)


def test_before_and_after_must_have_one_shape():
    with pytest.raises(ValueError, match=r"before has shape \(3, 3\)"):
        plot_before_after(np.ones((3, 3)), np.ones((4, 4)))


def test_probability_has_a_scale_from_zero_to_one(ax, ccd):
    probability = np.zeros(ccd.shape, np.float32)
    probability[4, 4] = 0.3
    ccd.probability = probability
    image = plot_probability(ccd, ax, threshold=0.2)
    assert image.get_clim() == (0, 1)
    assert len(ax.figure.axes) == 2
    assert len(edges_of(ax.patches[0])) == 4


def test_an_image_without_probability_is_refused(ax):
    with pytest.raises(ValueError, match="run cosmicray_learned first"):
        plot_probability(CCDData(np.ones((4, 4)), unit="adu"), ax)


def test_overlay_of_a_megapixel_takes_about_a_second(tmp_path):
    rng = np.random.default_rng(5)
    labels = np.zeros((1024, 1024), np.int32)
    rows, columns = rng.integers(5, 1019, (2, 500))
    for label, (row, column) in enumerate(zip(rows, columns, strict=True), 1):
        labels[row, column - 4 : column + 4] = label
    ccd = CosmicRayCCDData(
        rng.normal(100, 5, labels.shape).astype("f4"),
        unit="adu",
        segmentation=labels,
        events=QTable({"label": np.arange(1, 501), "category": ["track"] * 500}),
    )
    write_overlay(ccd, tmp_path / "warm-up.png")
    start = time.process_time()
    path = write_overlay(ccd, tmp_path / "overlay.png", title="one megapixel")
    assert time.process_time() - start < 2
    assert path.read_bytes().startswith(b"\x89PNG")


def test_overlay_of_a_large_image_copies_no_plane(tmp_path):
    data = np.zeros((4096, 4096), np.float32)
    labels = np.zeros(data.shape, np.int32)
    labels[100, 100:140] = 1
    tracemalloc.start()
    write_overlay(data, tmp_path / "large.png", segmentation=labels, width=600)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < data.nbytes / 2


@pytest.mark.parametrize("shape", [(600, 200), (2000, 60), (60, 600), (64, 64), (2500, 2300)])
def test_a_written_overlay_fits_its_width_with_ticks_title_and_legend(tmp_path, monkeypatch, shape):
    figures = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *a, **k: (figures.append(self), save(self, *a, **k))
    )
    labels = np.zeros(shape, np.int32)
    labels[10, 5 : 5 + len(Category)] = np.arange(1, len(Category) + 1)
    events = QTable({"label": np.arange(1, len(Category) + 1), "category": list(Category)})
    path = write_overlay(
        np.ones(shape), tmp_path / "a.png", events=events, segmentation=labels, title="a"
    )
    (figure,) = figures
    assert plt.imread(path).shape[1] == 1200
    (ax,) = figure.axes
    around = ax.get_tightbbox()
    assert around.x0 >= 0
    assert around.y0 >= 0
    assert around.x1 <= figure.bbox.width
    assert around.y1 <= figure.bbox.height
    # The picture is of the shape of the image, and next to nothing is wasted.
    assert ax.bbox.width / ax.bbox.height == pytest.approx(shape[1] / shape[0], rel=0.02)
    wanted = max(around.height, ax.get_legend().get_window_extent().height)
    assert figure.bbox.height - wanted < 45


def test_outlines_of_a_crowded_image_keep_close_to_their_events(ax):
    labels = np.zeros((700, 700), np.int32)
    labels[::10, ::10] = np.arange(1, 4901).reshape(70, 70)
    crowded = plot_overlay(np.ones(labels.shape), ax, segmentation=labels)
    lonely = plot_overlay(np.ones(labels.shape), ax, segmentation=(labels == 2485).astype(int))
    corners = [overlay.outlines["unknown"].get_path().vertices for overlay in (crowded, lonely)]
    assert corners[0][:, 0].min() == -1.5 + 1  # no margin left of the first column
    assert np.ptp(corners[1], axis=0).tolist() == [5, 5]  # one pixel and two on each side


def test_the_sky_of_a_rebinned_image_is_grey(ax):
    data = np.random.default_rng(2).normal(100, 5, (1500, 1500)).astype(np.float32)
    data[::50, ::50] = 4000
    image = plot_image(data, ax, max_size=300)
    drawn = np.asarray(image.get_array())
    sky = image.norm(np.median(drawn))
    assert 0.3 < sky < 0.8
    assert image.norm(drawn.max()) >= 1
    before, after = plot_before_after(data, data, (ax, ax), max_size=300)
    assert before.norm is after.norm
    assert after.norm.vmax == image.norm.vmax


def linear(color):
    channels = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


# Machado, Oliveira & Fernandes 2009, severity 1.0.
VISION = {
    "full": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
               [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
               [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
               [0.004733, 0.691367, 0.303900]],
}  # fmt: skip


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("group", [PARTICLES, ARTEFACTS], ids=["particles", "artefacts"])
def test_colour_blind_readers_tell_categories_apart(vision, group):
    from skimage.color import rgb2lab

    seen = [np.clip(VISION[vision] @ linear(CATEGORY_COLORS[name]), 0, 1) for name in group]
    gamma = np.where(
        np.array(seen) <= 0.0031308,
        12.92 * np.array(seen),
        1.055 * np.array(seen) ** (1 / 2.4) - 0.055,
    )
    lab = rgb2lab(gamma[None])[0]
    distance = np.linalg.norm(lab[:, None] - lab[None], axis=2)
    assert distance[~np.eye(len(lab), dtype=bool)].min() > 15  # 2.3 is just noticeable


def test_every_category_has_a_colour():
    assert set(CATEGORY_COLORS) == set(Category)


def test_real_frames_of_8_and_16_bits_are_drawn(real_data, ax):
    path = next((real_data / "ingest" / "hst").glob("*c0f*"), None)
    if path is None:
        pytest.skip("no WFPC2 frame in the folder of real frames")
    with fits.open(path) as hdus:
        cube = hdus[0].data
    image = plot_image(cube[0], ax)
    assert image.norm.vmin < np.median(cube[0]) < image.norm.vmax
