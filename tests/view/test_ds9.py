"""DS9 region files read back by astropy-regions, and event tables as TOPCAT reads them."""

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable, Table
from astropy.wcs import WCS

from crismis.view import events_to_regions, write_regions

regions = pytest.importorskip("regions")


@pytest.fixture
def events():
    return QTable(
        {
            "label": [4, 9],
            "x_centroid": [30.5, 3.0] * u.pix,
            "y_centroid": [12.25, 7.0] * u.pix,
            "length": [20.0, 2.0] * u.pix,
            "width": [1.5, 2.0] * u.pix,
            "orientation": [35.0, 0.0] * u.deg,
            "bbox_xmin": [20, 2] * u.pix,
            "bbox_xmax": [40, 4] * u.pix,
            "bbox_ymin": [5, 6] * u.pix,
            "bbox_ymax": [19, 8] * u.pix,
            "energy": [3.5, 0.1] * u.keV,
            "category": ["track", "hot_pixel"],
        }
    )


def test_an_event_is_an_ellipse_along_its_long_axis(events):
    track, _ = events_to_regions(events)
    assert (track.center.x, track.center.y) == (30.5, 12.25)
    assert track.width == 22
    assert track.angle == 35 * u.deg


def test_a_file_brings_back_position_colour_and_tag(events, tmp_path):
    path = write_regions(events, tmp_path / "image.reg")
    track, hot = regions.Regions.read(path, format="ds9")
    assert (track.center.x, track.center.y) == pytest.approx((30.5, 12.25))
    assert track.meta["tag"] == ["track"]
    assert hot.meta["tag"] == ["hot_pixel"]
    assert str(track.meta["text"]) == "4"
    assert "color=#56B4E9" in path.read_text()


def test_ds9_counts_pixels_from_one(events, tmp_path):
    path = write_regions(events, tmp_path / "image.reg")
    assert "ellipse(31.5000,13.2500" in path.read_text()


def test_a_box_or_circle_stands_in_for_unknown_axes(events):
    del events["length"]
    box = events_to_regions(events)[0]
    assert (box.width, box.height) == (23, 17)
    del events["bbox_xmin"]
    assert events_to_regions(events)[0].radius == 3


def test_sky_regions_lie_where_the_sky_coordinates_say(events):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
    wcs.wcs.crval = 150.0, 2.0
    wcs.wcs.crpix = 31.5, 13.25
    wcs.wcs.cdelt = -1e-4, 1e-4
    track = events_to_regions(events, wcs=wcs)[0]
    assert track.center.ra.deg == pytest.approx(150)
    assert track.center.dec.deg == pytest.approx(2)


@pytest.mark.parametrize("nothing", [None, QTable({"label": np.zeros(0, int)})])
def test_no_events_make_an_empty_file_that_still_opens(nothing, tmp_path):
    path = write_regions(nothing, tmp_path / "image.reg")
    assert len(regions.Regions.read(path, format="ds9")) == 0
    with pytest.raises(OSError, match="exists"):
        write_regions(nothing, path, overwrite=False)


def test_events_without_a_place_are_left_out(events):
    events["x_centroid"][0] = np.nan * u.pix
    assert [region.meta["text"] for region in events_to_regions(events)] == ["9"]


@pytest.mark.parametrize(("form", "name"), [("votable", "e.vot"), ("ascii.ecsv", "e.ecsv")])
def test_event_tables_open_in_topcat_with_their_units(events, tmp_path, form, name):
    events.write(tmp_path / name, format=form)
    back = Table.read(tmp_path / name, format=form)
    assert back["energy"].unit == u.keV
    assert back["category"].tolist() == ["track", "hot_pixel"]
    np.testing.assert_allclose(back["x_centroid"], [30.5, 3.0])
