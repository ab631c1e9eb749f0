"""The HTML report: what it says, what it survives, and how it behaves in a real browser."""

import re
import shutil
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from typer.testing import CliRunner

import crismis.cli.report
import crismis.cli.run  # noqa: F401
from crismis.errors import CatalogError
from crismis.taxonomy import Category
from crismis.view import unusual_events, write_report

pytest.importorskip("jinja2")

HOSTILE = '"><script>document.title="owned"</script><img src=x onerror=alert(1)>\'&amp;'


def make_catalog(folder, n_exposures, n_events=6, seed=1, names=None):
    """A catalog as a run leaves it, written straight to Parquet by its public schema."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from crismis.survey import arrow_schema

    rng = np.random.default_rng(seed)
    exposures, events = [], []
    for number in range(n_exposures):
        name = names[number] if names else f"/data/night{number % 7}/image{number:04d}.fits"
        failed = number % 10 == 9
        row = {
            "exposure_id": number + 1,
            "path": name,
            "image": 0,
            "status": "error" if failed else "ok",
            "error": "truncated after 3 rows" if failed else None,
            "instrument": ["MDIS", "LORRI"][number % 2],
            "target": HOSTILE if number == 3 else "MERCURY",
            "date": np.datetime64("2011-07-26", "us") + np.timedelta64(number, "h"),
            "exposure_time": float(number % 5 + 1),
            "live_area": 2.0,
            "live_time": 10.0,
            "n_events": 0 if failed else n_events,
            "software": "1.0",
            "method": "learned",
            "model": "identify 1234",
        }
        row |= {f"n_{category}": 0 for category in Category}
        if not failed:
            row["n_track"] = n_events
            row["rate"] = n_events / 20 + number / 1000
            row["rate_lower"], row["rate_upper"] = row["rate"] * 0.8, row["rate"] * 1.2
            for label in range(n_events):
                charge = float(rng.lognormal(7, 1))
                events.append(
                    {
                        "exposure_id": number + 1,
                        "label": label + 1,
                        "x_centroid": 20.0,
                        "y_centroid": 30.0,
                        "charge": charge,
                        "energy": charge * 3.65e-3,
                        "length": float(rng.lognormal(1, 0.5)),
                        "width": 1.0,
                        "n_pixels": 5,
                        "category": "track",
                    }
                )
        exposures.append(row)
    for table, rows in (("exposures", exposures), ("events", events)):
        target = Path(folder) / "catalog" / table
        target.mkdir(parents=True)
        schema = arrow_schema(table)
        filled = [{name: row.get(name) for name in schema.names} for row in rows]
        pq.write_table(pa.Table.from_pylist(filled, schema=schema), target / "part-0.parquet")
    return Path(folder)


class Outline(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = make_catalog(tmp_path_factory.mktemp("out"), 40)
    return write_report(folder, folder / "report.html", title="Mercury & more")


def test_nothing_is_loaded_from_elsewhere(page):
    text = page.read_text()
    sources = [attrs.get("src") or attrs.get("href") for _, attrs in Outline(text).tags]
    assert all(source.startswith(("data:", "#")) for source in sources if source)
    assert not re.search(r"@import|url\(\s*['\"]?http", text)
    assert "default-src 'none'" in text


def test_summary_and_rows_are_in_the_page_itself(page):
    outline = Outline(page.read_text())
    assert "Mercury & more" in outline.text
    assert sum(tag == "tr" for tag, _ in outline.tags) > 40
    assert "image0007.fits" in outline.text
    assert "truncated after 3 rows" in outline.text
    assert "216" in outline.text  # events of 36 good exposures
    assert "identify 1234" in outline.text


def test_hostile_names_and_headers_stay_text(tmp_path):
    folder = make_catalog(tmp_path, 5, names=[f"/data/{HOSTILE}{i}.fits" for i in range(5)])
    outline = Outline(write_report(folder, tmp_path / "r.html", title=HOSTILE).read_text())
    assert [tag for tag, _ in outline.tags].count("script") == 1
    assert not any("onerror" in attrs for _, attrs in outline.tags)
    assert HOSTILE in outline.text


def test_an_empty_catalog_makes_a_report(tmp_path):
    folder = make_catalog(tmp_path, 0)
    text = Outline(write_report(folder, tmp_path / "r.html").read_text()).text
    assert "No events" in text
    assert "No rate against time: no exposure is selected" in text


def test_a_missing_catalog_is_named(tmp_path):
    with pytest.raises(CatalogError, match="there is no catalog"):
        write_report(tmp_path, tmp_path / "r.html")


def test_unusual_events_are_the_far_ones_and_no_artefacts():
    rng = np.random.default_rng(1)
    charge = rng.lognormal(7, 0.5, 200)
    charge[17], charge[18] = 1e6, 1e8
    category = np.array(["track"] * 200, dtype="U20")
    category[18] = "source"
    category[5] = "spallation_star"
    rows, reasons = unusual_events(Table({"charge": charge, "category": category}), 2)
    assert rows.tolist() == [17, 5]
    assert reasons[0].startswith("charge, ")


def test_unusual_events_of_nothing_are_none():
    rows, reasons = unusual_events(Table({"charge": [np.nan], "category": ["track"]}))
    assert len(rows) == len(reasons) == 0


def test_command_reports_a_catalog_and_refuses_what_is_none(tmp_path, page):
    from crismis.cli import app

    target = tmp_path / "r.html"
    result = CliRunner().invoke(app, ["report", str(page.parent), "-o", str(target)])
    assert result.exit_code == 0
    assert "MB" in result.output
    assert target.read_text().startswith("<!DOCTYPE html>")
    result = CliRunner().invoke(app, ["report", str(page.parent), "-o", "/no/such/r.html"])
    assert result.exit_code == 2
    result = CliRunner().invoke(app, ["report", str(tmp_path / "nowhere")])
    assert isinstance(result.exception, CatalogError)


def test_cut_outs_show_the_pixels_of_the_input(tmp_path):
    from astropy.io import fits

    from crismis import Catalog
    from crismis.view.report import _stamps

    data = np.zeros((60, 50), np.float32)
    data[30, 15:25] = 500
    fits.PrimaryHDU(data).writeto(tmp_path / "image.fits")
    folder = make_catalog(tmp_path, 1, names=[str(tmp_path / "image.fits")])
    catalog = Catalog(folder)
    stamps, missing = _stamps(catalog, catalog.exposures, catalog.events, np.array([0]))
    assert missing == 0
    assert stamps[0].data.sum() == 5000


def test_command_runs_on_images_and_writes_regions(tmp_path):
    pytest.importorskip("regions")
    from astropy.io import fits

    from crismis.cli import app

    data = np.random.default_rng(1).normal(100, 5, (64, 64)).astype("f4")
    data[30, 15:25] += 900
    header = fits.Header({"BUNIT": "electron", "RDNOISE": 3.0, "EXPTIME": 10.0})
    fits.PrimaryHDU(data, header).writeto(tmp_path / "image.fits")
    run = ["run", str(tmp_path / "image.fits"), "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(app, [*run, "--workers", "0", "--regions", "--quiet"])
    assert result.exit_code == 0, result.output
    (regions,) = (tmp_path / "out" / "regions").glob("*.reg")
    assert "tag={" in regions.read_text()
    report = ["report", str(tmp_path / "image.fits"), "-o", str(tmp_path / "r.html")]
    result = CliRunner().invoke(app, report)
    assert result.exit_code == 0, result.output
    assert "image.fits" in (tmp_path / "r.html").read_text()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    pytest.importorskip("selenium", reason="selenium drives the browser")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("no chromium with its chromedriver on this machine")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    profile = tmp_path_factory.mktemp("profile")
    for flag in (
        "headless",
        "no-sandbox",
        "disable-gpu",
        "disable-quic",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        f"user-data-dir={profile}",
    ):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(driver))
    yield browser
    browser.quit()


@pytest.fixture
def shown(browser, page):
    browser.set_window_size(1300, 900)
    browser.get(page.as_uri())
    return browser


def column(browser, number):
    return browser.execute_script(
        "return Array.from(document.querySelectorAll('#table tbody tr:not([hidden])'),"
        f" row => row.cells[{number}].textContent)"
    )


def headers(browser):
    return browser.find_elements("css selector", "#table thead button")


def test_columns_sort_up_and_down_by_number(shown):
    seconds = headers(shown)[4]
    seconds.click()
    values = [float(text) for text in column(shown, 4)]
    assert values == sorted(values)
    assert len(values) == 40
    seconds.click()
    values = [float(text) for text in column(shown, 4)]
    assert values == sorted(values, reverse=True)
    header = shown.find_elements("css selector", "#table th")[4]
    assert header.get_attribute("aria-sort") == "descending"


def test_unknown_values_come_last_either_way(shown):
    for _ in range(2):
        headers(shown)[7].click()
        assert column(shown, 7)[-4:] == [""] * 4


def test_filters_combine_and_say_how_many_are_left(shown):
    from selenium.webdriver.support.ui import Select

    shown.find_element("id", "find").send_keys("night3 mercury")
    assert len(column(shown, 0)) == 5  # six, of which one aims at something else
    Select(shown.find_element("id", "instrument")).select_by_visible_text("MDIS")
    assert set(column(shown, 1)) == {"MDIS"}
    left = len(column(shown, 0))
    assert shown.find_element("id", "shown").text == f"{left} of 40 exposures"
    Select(shown.find_element("id", "instrument")).select_by_visible_text("all")
    shown.find_element("id", "find").clear()
    Select(shown.find_element("id", "status")).select_by_visible_text("error")
    assert len(column(shown, 0)) == 4


def test_keyboard_reaches_and_works_the_table(shown):
    from selenium.webdriver.common.keys import Keys

    shown.find_element("id", "find").send_keys("image00", Keys.TAB, Keys.NULL)
    for _ in range(12):
        focused = shown.switch_to.active_element
        if focused.tag_name == "button":
            break
        focused.send_keys(Keys.TAB)
    assert shown.switch_to.active_element.text == "File"
    shown.switch_to.active_element.send_keys(Keys.ENTER)
    shown.switch_to.active_element.send_keys(Keys.SPACE)
    names = column(shown, 0)
    assert names == sorted(names, reverse=True)


def test_a_narrow_screen_scrolls_the_table_not_the_page(browser, page):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True},
    )
    try:
        browser.get(page.as_uri())
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 400
        wide = "const box = document.querySelector('#table').parentNode;"
        assert browser.execute_script(wide + "return box.scrollWidth > box.clientWidth")
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_console_stays_silent(shown):
    for header in headers(shown):
        header.click()
    assert shown.get_log("browser") == []
    assert shown.title == "Mercury & more"


def test_without_javascript_everything_is_readable(browser, page):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(page.as_uri())
        assert len(browser.find_elements("css selector", "#table tbody tr")) == 40
        assert not browser.find_element("id", "find").is_displayed()
        assert browser.find_element("css selector", ".figures img").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_text_contrasts_with_what_lies_behind(shown):
    pairs = shown.execute_script(
        """
        const opaque = color => !/^rgba\\(.*, 0\\)$/.test(color);
        const seen = new Set();
        document.querySelectorAll('body *').forEach(element => {
          if (!Array.from(element.childNodes).some(n => n.nodeType === 3 && n.data.trim())) return;
          if (element.closest('script, style') || !element.offsetParent) return;
          let behind = element;
          while (behind && !opaque(getComputedStyle(behind).backgroundColor)) {
            behind = behind.parentElement;
          }
          const back = behind ? getComputedStyle(behind).backgroundColor : 'rgb(255, 255, 255)';
          seen.add(getComputedStyle(element).color + '|' + back);
        });
        return Array.from(seen);
        """
    )
    assert len(pairs) >= 3
    for pair in pairs:
        front, back = (
            np.array([float(n) for n in re.findall(r"[\d.]+", color)[:3]]) / 255
            for color in pair.split("|")
        )
        weights = np.array([0.2126, 0.7152, 0.0722])
        light = sorted(
            weights @ np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
            for c in (front, back)
        )
        assert (light[1] + 0.05) / (light[0] + 0.05) >= 4.5, pair


def test_a_thousand_exposures_stay_small_and_open_fast(browser, tmp_path):
    folder = make_catalog(tmp_path, 1000, n_events=5)
    page = write_report(folder, tmp_path / "report.html")
    assert page.stat().st_size <= 20e6
    start = time.perf_counter()
    browser.get(page.as_uri())
    browser.find_element("id", "shown")
    assert time.perf_counter() - start <= 3
    start = time.perf_counter()
    headers(browser)[5].click()
    assert len(column(browser, 0)) == 1000
    assert time.perf_counter() - start <= 3
