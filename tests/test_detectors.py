"""The table of detectors and how images find theirs."""

import math
import re

import numpy as np
import pytest
from astropy.nddata import CCDData
from numpy.testing import assert_array_equal

import crismis
from crismis.detectors import Detector, get_detector, list_detectors, load_detectors

NUMBERS = (
    *("pitch", "thickness", "gain", "readnoise", "full_well", "temperature", "diffusion"),
    *("readout_wait", "hit_rate"),
)


@pytest.fixture
def own_detectors(monkeypatch):
    monkeypatch.setattr("crismis.detectors._USER", {})


@pytest.mark.parametrize("detector", list_detectors(), ids=lambda d: d.name)
def test_every_number_has_its_source(detector):
    known = [name for name in NUMBERS if not math.isnan(getattr(detector, name))]
    known += [name for name in ("shape", "overscan") if getattr(detector, name)]
    assert set(known) == set(detector.sources)
    assert all(len(source) > 3 for source in detector.sources.values())
    assert detector.location
    assert re.fullmatch(r"(\d{4}-\d\d-\d\d)?", detector.launch)
    assert len(detector.shape) == 2
    assert bool(detector.overscan) == bool(detector.raw_shape)


def test_case_does_not_matter():
    assert get_detector("hst/acs/wfc").name == "HST/ACS/WFC"


def test_unknown_name_tells_the_known_ones():
    with pytest.raises(KeyError, match=r"no detector is named 'HST/XYZ'.*HST/ACS/WFC"):
        get_detector("HST/XYZ")


def test_area_of_hubble_chips():
    # Areas that Miles et al. 2021 use: 37.748 cm2 for both chips of ACS/WFC, 4.624 for STIS.
    wfc, stis = get_detector("HST/ACS/WFC"), get_detector("HST/STIS/CCD")
    assert 2 * np.prod(wfc.shape) * wfc.pixel_area == pytest.approx(37.748, abs=0.001)
    assert np.prod(stis.shape) * stis.pixel_area == pytest.approx(4.624, abs=0.001)
    assert stis.evolve(binning=(1, 2)).pixel_area == 2 * stis.pixel_area


def ccd(**meta):
    return CCDData(np.zeros((2, 2)), unit="adu", meta=meta)


def test_image_finds_its_detector():
    image = ccd(TELESCOP="HST", INSTRUME="WFPC2", DETECTOR=3, ATODGAIN=14.0)
    found = get_detector(image)
    assert found.name == "HST/WFPC2/WF"
    assert found.gain == 14.0
    assert found.readnoise == get_detector("HST/WFPC2/WF").readnoise


def test_normalized_keyword_counts_first():
    image = ccd(CRDETEC="hst/acs/hrc", TELESCOP="HST", INSTRUME="ACS", DETECTOR="WFC")
    assert get_detector(image).name == "HST/ACS/HRC"


def test_name_that_is_not_known_here_does_no_harm():
    assert get_detector(ccd(CRDETEC="MY/CAMERA")) is None
    assert get_detector(ccd()) is None


def test_no_gain_where_values_are_no_counts():
    found = get_detector(ccd(INSTRU="lor", CRCOUNTS=False))
    assert found.name == "NewHorizons/LORRI"
    assert math.isnan(found.gain)


def test_own_detectors_from_toml(tmp_path, own_detectors):
    path = tmp_path / "mine.toml"
    path.write_text(
        '["Backyard/CCD"]\npitch = 9.0\nshape = [100, 200]\nmatch = {INSTRUME = "MINE"}\n'
    )
    assert [d.name for d in load_detectors(path)] == ["Backyard/CCD"]
    assert get_detector("backyard/ccd").pitch == 9.0
    assert get_detector(ccd(INSTRUME="mine")).name == "Backyard/CCD"
    assert "Backyard/CCD" in [d.name for d in list_detectors()]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('["X"]\npixel = 9.0', r"'X' has unknown keys \['pixel'\]"),
        ('["X"]\npitch = -9.0', "'X': pitch must be positive"),
        ('["X"]\npitch = "wide"', "'X'"),
        ('["X"]\nkind = "film"', "kind must be one of CCD"),
    ],
)
def test_wrong_tables_are_refused(tmp_path, own_detectors, text, message):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_detectors(path)


def test_overscan_is_not_live():
    wfc = get_detector("HST/ACS/WFC")
    live = wfc.live((2068, 4144))
    assert live.sum() == 2048 * 4096
    assert not live[:, :24].any()
    assert not live[2048:].any()
    assert wfc.live((2048, 4096)).all()


def test_overscan_of_binned_images():
    stis = get_detector("HST/STIS/CCD").evolve(binning=(1, 2))
    live = stis.live((1044, 531))
    assert_array_equal(np.unique(np.nonzero(live)[0]), np.arange(20, 1044))
    assert live[20].sum() == 511


def test_public_names():
    assert crismis.get_detector is get_detector
    assert crismis.Detector is Detector
