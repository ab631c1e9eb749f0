"""What headers say, in the dialects of the observatories."""

import pytest
from astropy.io import fits

from crismis.headers import Facts


def facts(**cards):
    return Facts.from_header(cards)


def test_silent_header():
    assert Facts.from_header({}) == Facts()


def test_round_trip_through_keywords():
    given = Facts(
        detector="HST/ACS/WFC",
        gain=2.0,
        readnoise=4.5,
        exposure_time=10.0,
        date="2020-01-01T00:00:00",
        instrument="ACS",
        filter="F606W",
        target="M 31",
        temperature=192.0,
        saturation=84700.0,
        binning=(1, 2),
        product="cleaned+stacked",
        coding="lossy",
        counts=False,
    )
    header = fits.Header()
    given.to_header(header)
    assert Facts.from_header(fits.Header.fromstring(header.tostring())) == given


def test_unknown_facts_leave_no_keyword():
    header = fits.Header({"CRGAIN": 3.0, "CRPROD": "stacked"})
    Facts().to_header(header)
    assert len(header) == 0


def test_normalized_keywords_count_first():
    assert facts(CRGAIN=3.0, GAIN=1.0, TELESCOP="HST", CCDGAIN=2).gain == 3.0


def test_numbers_in_quotes_and_nonsense():
    assert facts(GAIN="1.10", RDNOISE="8.00").gain == 1.1
    assert facts(GAIN="high", EXPTIME=float("nan"), RDNOISE=True) == Facts()


def test_eso_gain_is_inverse():
    eso = {"ORIGIN": "ESO"}
    assert Facts.from_header(eso | {"GAIN": 0.5, "CONAD": 2.2}).gain == 2.2
    header = fits.Header()
    header["ORIGIN"] = "ESO-LASILLA"
    header["HIERARCH ESO DET OUT1 GAIN"] = 0.8
    header["HIERARCH ESO DET OUT1 RON"] = 9.2
    assert Facts.from_header(header).gain == pytest.approx(1.25)
    assert Facts.from_header(header).readnoise == 9.2


def test_hubble_gain_per_amplifier():
    hst = {"TELESCOP": "HST", "INSTRUME": "ACS", "DETECTOR": "WFC", "CCDAMP": "ABCD"}
    hst |= {"CCDGAIN": 2.0, "ATODGAIN": 0.0}
    hst |= {f"ATODGN{a}": g for a, g in zip("ABCD", (2.02, 1.886, 2.017, 2.011), strict=True)}
    hst |= {f"READNSE{a}": n for a, n in zip("ABCD", (4.35, 3.75, 4.05, 5.05), strict=True)}
    chip1 = Facts.from_header(hst | {"CCDCHIP": 1})
    assert chip1.gain == pytest.approx((2.02 + 1.886) / 2)
    assert Facts.from_header(hst | {"CCDCHIP": 2}).readnoise == pytest.approx(4.55)
    assert Facts.from_header(hst | {"BUNIT": "ELECTRONS"}).gain == 1.0
    assert facts(TELESCOP="HST", ATODGAIN=0.0, CCDGAIN=4).gain == 4.0


@pytest.mark.parametrize(
    ("cards", "product"),
    [
        ({"FILENAME": "j8c0d1011_crj.fits"}, "cleaned+stacked"),
        ({"FILENAME": "j8c0d1011_drz.fits"}, "cleaned+stacked+resampled"),
        ({"FILENAME": "j8c0d1011_flt.fits"}, ""),
        ({"FILENAME": "o1_raw.fits", "CRCORR": "COMPLETE"}, "cleaned+stacked"),
        ({"FILENAME": "o1_sx2.fits"}, "cleaned+stacked+resampled"),
        ({"FILENAME": "o1_flt.fits", "CRCORR": "PERFORM"}, ""),
    ],
)
def test_hubble_products(cards, product):
    assert Facts.from_header({"TELESCOP": "HST"} | cards).product == product


def test_combined_images_are_no_single_exposures():
    assert facts(NCOMBINE=5).product == "stacked"
    assert facts(NCOMBINE=1).product == ""


def test_lorri_exposure_in_milliseconds():
    found = facts(INSTRU="lor", EXPOSURE=20, SPCUTCAL="2008-10-16T00:15:14.622", FORMAT=1)
    assert found.exposure_time == 0.02
    assert found.date == "2008-10-16T00:15:14.612"
    assert found.binning == (4, 4)


@pytest.mark.parametrize(
    ("cards", "date"),
    [
        ({"DATE-OBS": "2003/10/28", "TIME-OBS": "11:30:05.234"}, "2003-10-28T11:30:05.234"),
        ({"DATE-OBS": "28/10/95"}, "1995-10-28"),
        ({"DATE-OBS": "2003-10-28T11:30:05Z"}, "2003-10-28T11:30:05"),
        ({"DATE_OBS": "2003-10-28T11:30:05", "TIME_OBS": "11:30:05"}, "2003-10-28T11:30:05"),
    ],
)
def test_dates(cards, date):
    assert Facts.from_header(cards).date == date


def test_temperature_in_celsius():
    assert facts(CCDTEMP=-79.5).temperature == pytest.approx(193.65)


def test_trace_and_near_and_hayabusa():
    assert facts(TELESCOP="TRACE", SHT_MDUR=23.2, WAVE_LEN="171").exposure_time == 23.2
    near = Facts.from_header({"NEAR-010": 89.0, "NEAR-016": -28.0, "NEAR-047": "EROS  "})
    assert near.exposure_time == pytest.approx(0.089)
    assert near.target == "EROS"
    onc = Facts.from_header(
        {"TELESCOP": "HAYABUSA2", "NAIFNAME": "HAYABUSA2_ONC-T", "XPOSURE": 0.1, "CCDTSEL": -30.0}
    )
    assert (onc.instrument, onc.exposure_time) == ("ONC-T", 0.1)
    assert onc.temperature == pytest.approx(243.15)


def test_binning_in_its_spellings():
    assert facts(CCDSUM="2 1").binning == (1, 2)
    assert facts(XBINNING=2, YBINNING=4).binning == (4, 2)
    assert facts(TELESCOP="HST", BINAXIS1=2, BINAXIS2=1).binning == (1, 2)
