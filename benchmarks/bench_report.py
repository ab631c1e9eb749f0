# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Size of the HTML report of many exposures, and how fast headless Chromium opens it.

The exposures are simulated, run through the whole chain and kept as cleaned images, so that the
report holds its galleries. Needs selenium, Chromium and its driver.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

import crismis
from crismis.view import write_report

DETECTOR = crismis.Detector(
    "example", pitch=15.0, thickness=40.0, gain=1.0, readnoise=5.0, diffusion=5.0, readout_wait=0.0
)
GOAL_MB, GOAL_SECONDS = 20, 3


def make_report(folder, exposures, size):
    """Simulate, run and report; return the report's path."""
    sky = np.full((size, size), 40.0)
    for number in range(exposures):
        image = crismis.simulate_exposure(
            DETECTOR, 600.0, scene=sky, shape=sky.shape, rate=2.0, unit="electron", seed=number
        )
        image.meta["DATE-OBS"] = f"20{number // 100:02d}-03-{number % 28 + 1:02d}T00:00:00"
        image.meta["OBJECT"] = f"field {number % 17}"
        image.write(folder / f"image{number:05d}.fits")
    crismis.run([folder], folder / "out", workers=0)
    start = time.perf_counter()
    page = write_report(folder / "out", folder / "report.html")
    print(f"written in {time.perf_counter() - start:.1f} s")
    return page


def opening_times(page, exposures, repeats):
    """Seconds until the page is loaded and its table answers, in fresh browsers."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in ("headless", "no-sandbox", "disable-gpu", "disable-background-networking"):
        options.add_argument(f"--{flag}")
    seconds = []
    for _ in range(repeats):
        browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        try:
            start = time.perf_counter()
            browser.get(page.as_uri())
            rows = browser.execute_script("return document.querySelectorAll('tbody tr').length")
            seconds.append(time.perf_counter() - start)
            assert rows >= exposures
        finally:
            browser.quit()
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--exposures", type=int, default=1000)
    parser.add_argument("--size", type=int, default=128, help="pixels along a side")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        page = make_report(Path(folder), args.exposures, args.size)
        size = page.stat().st_size / 1e6
        print(f"{args.exposures} exposures: {size:.1f} MB (goal <= {GOAL_MB})")
        seconds = statistics.median(opening_times(page, args.exposures, args.repeats))
        print(f"opens in {seconds:.2f} s, median of {args.repeats} (goal <= {GOAL_SECONDS})")


if __name__ == "__main__":
    main()
