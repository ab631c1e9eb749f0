# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Time `crismis.cosmicray_learned` side by side with ``astroscrappy.detect_cosmics`` defaults.

A field of stars and galaxies with about 1 % hit pixels, CCDData in, gain and read noise given,
two threads. The calls take turns, so that other work on the machine hits all of them; the median
of the repeats counts, the fastest is printed beside it. Beside the ratio: the cost from 2k to 4k
squared, whether the number of threads changes a single bit, and what ``import crismis`` costs.
``--terrain`` times an image of Europa, mirrored and tiled, instead, whose gain is unknown.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path

THREADS = 2
os.environ.setdefault("OMP_NUM_THREADS", str(THREADS))
os.environ.setdefault("OPENBLAS_NUM_THREADS", str(THREADS))

import astroscrappy  # noqa: E402
import fields  # noqa: E402
import numpy as np  # noqa: E402
import scenes  # noqa: E402
from astropy.nddata import CCDData  # noqa: E402
from tables import write_table  # noqa: E402

GOALS = {"ratio": 20.0, "scaling": 4.4, "import": 1.2}
FIELD_FACTS = {"gain": 1.0, "readnoise": fields.READNOISE}
_IMPORT = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"


def contestants(ccd, model=None, facts=FIELD_FACTS):
    """Return name -> call without arguments."""
    import crismis

    chosen = {} if model is None else {"model": model}

    def learned(repair, **options):
        return crismis.cosmicray_learned(ccd, repair=repair, **options, **facts, **chosen)

    return {
        "astroscrappy.detect_cosmics, defaults": lambda: astroscrappy.detect_cosmics(ccd.data),
        "crismis, repair=False": lambda: learned(False),
        "crismis, repair=True": lambda: learned(True),
        "crismis, repair=False, fit_stars=False": lambda: learned(False, fit_stars=False),
    }


def alternate(calls, repeats):
    """Return the wall and processor seconds of every call, the calls taking turns."""
    times = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            wall, processor = time.perf_counter(), time.process_time()
            call()
            times[name].append((time.perf_counter() - wall, time.process_time() - processor))
    return times


def same_for_any_thread_count(ccd, model=None, counts=(1, 2, 3)):
    """Return whether probability and cleaned data are the same bits for each count."""
    import crismis

    chosen = {} if model is None else {"model": model}
    results = [crismis.cosmicray_learned(ccd, n_threads=n, **FIELD_FACTS, **chosen) for n in counts]
    first = results[0]
    return all(
        np.array_equal(first.probability, r.probability) and np.array_equal(first.data, r.data)
        for r in results[1:]
    )


def import_seconds(repeats):
    """Return the median seconds of importing ccdproc and crismis, each in a fresh interpreter."""
    times = {"ccdproc": [], "crismis": []}
    for _ in range(repeats):
        for name in times:
            command = [sys.executable, "-c", _IMPORT.format(name)]
            times[name].append(float(subprocess.check_output(command, text=True)))
    return {name: statistics.median(values) for name, values in times.items()}


def as_ccd(size, seed=1):
    """Return the field of the given side as a user would hold it."""
    return CCDData(fields.speed_field(size, seed).data, unit="electron")


def terrain(size):
    """Return rough terrain of the given side, an image of Europa by Galileo that is mirrored."""
    data, _ = scenes.load("galileo")
    four = np.block([[data, data[:, ::-1]], [data[::-1], data[::-1, ::-1]]])
    times = -(-size // min(four.shape))
    return CCDData(np.tile(four, (times, times))[:size, :size].copy(), unit="adu")


def report_terrain(options):
    """Time an image that is rough all over and print the medians."""
    times = alternate(contestants(terrain(options.size), options.model, {}), options.repeats)
    print(f"terrain, {options.size} x {options.size}, median seconds:")
    for name, values in times.items():
        print(f"  {name:40s} {statistics.median(t[0] for t in values):8.3f}")


def run(options):
    """Measure everything and return it as a dictionary."""
    large, small = as_ccd(options.size), as_ccd(options.size // 2)
    calls, small_calls = contestants(large, options.model), contestants(small, options.model)
    name = "crismis, repair=False"
    alternate(small_calls, 1)
    times = alternate(calls, options.repeats)
    small_times = alternate({name: small_calls[name]}, 3 * options.repeats)
    median = {n: statistics.median(t[0] for t in values) for n, values in times.items()}
    reference = median["astroscrappy.detect_cosmics, defaults"]
    imports = import_seconds(options.repeats)
    return {
        "size": options.size,
        "threads": int(os.environ["OMP_NUM_THREADS"]),
        "seconds": median,
        "fastest": {n: min(t[0] for t in values) for n, values in times.items()},
        "processor": {n: statistics.median(t[1] for t in v) for n, v in times.items()},
        "ratio": {n: reference / seconds for n, seconds in median.items()},
        "scaling": median[name] / statistics.median(t[0] for t in small_times[name]),
        "import": imports["crismis"] / imports["ccdproc"],
        "same for any thread count": same_for_any_thread_count(small, options.model),
    }


def write_docs(result, folder):
    """Write the table that the documentation shows."""
    head = ["Call", "Median (s)", "Fastest (s)", "Processor time (s)", "Times faster"]
    rows = []
    for name, seconds in result["seconds"].items():
        figures = (seconds, result["fastest"][name], result["processor"][name])
        rows.append([name, *(f"{f:.2f}" for f in figures), f"{result['ratio'][name]:.1f}"])
    write_table(folder, "speed", head, rows)


def main():
    """Run the comparison that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--model", help="model name or file instead of the default")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--docs", type=Path, help="write the table of the documentation here")
    parser.add_argument("--terrain", action="store_true", help="rough terrain instead of a field")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.terrain:
        report_terrain(options)
        return 0
    result = run(options)
    print(f"{result['size']} x {result['size']}, {result['threads']} threads: median, fastest,")
    print("processor seconds, and times faster than astroscrappy")
    for name, seconds in result["seconds"].items():
        figures = (seconds, result["fastest"][name], result["processor"][name])
        print(f"  {name:40s}", *(f"{f:8.3f}" for f in figures), f"{result['ratio'][name]:7.1f} x")
    ratio = result["ratio"]["crismis, repair=False"]
    print(f"goal ratio >= {GOALS['ratio']}: {ratio:.1f}")
    print(f"goal cost from half to full side <= {GOALS['scaling']}: {result['scaling']:.2f}")
    print(f"goal import crismis / import ccdproc <= {GOALS['import']}: {result['import']:.2f}")
    print(f"same bits for any thread count: {result['same for any thread count']}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))
    if options.docs:
        write_docs(result, options.docs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
