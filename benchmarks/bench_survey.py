# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Measure `crismis.run` and `crismis.Catalog`: what an archive of 10^6 exposures would need.

Parts (all by default, each in a process of its own)::

    catalog      rates by day and filtering in a catalog of 10^7 synthetic events
    resume       reading a catalog of 10^6 exposures back to see what is left to do
    engine       what the engine adds to each image, and what it takes while it waits
    kinds        worker processes against threads of one process
    throughput   images/s and Mpix/s with 1 and 2 workers, frames of 512, 1024 and 4096 squared
    memory       resident memory of a worker over 5000 small frames
    million      all of it extrapolated to large archives

Frames hold sky, stars and hits on about 1 % of the pixels; workers run one kernel thread each. The
wall clock needs a quiet machine. Processor time per image does not: two workers that get in each
other's way (memory, locks, the engine) need more of it than one.
"""

import argparse
import contextlib
import json
import logging
import multiprocessing
import os
import resource
import shutil
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from astropy.io import fits

from crismis.survey.workers import start_workers

EVENTS_PER_MPIX = 2000
ARCHIVES = {
    "Hubble darks": {"exposures": 75_908, "mpix": 8.4, "events": 1.2e9, "like": 4096},
    "LASCO": {"exposures": 1_000_000, "mpix": 1.05, "events": 5e8, "like": 1024},
}
"""The darks of Miles et al. 2021 as one ACS or WFC3 exposure each; LASCO at 500 hits an image."""

PRICE = 0.05
"""Of a core hour, in any currency."""


# -- Frames and clocks --------------------------------------------------------------------------


def frame(size, seed):
    """Sky of 60 electrons, stars, straight hits on about 1 % of the pixels."""
    rng = np.random.default_rng(seed)
    image = np.full((size, size), 60.0)
    y, x = np.mgrid[-7:8, -7:8]
    star = (1 + (x**2 + y**2) / 2.0) ** -2.5
    star /= star.sum()
    for _ in range(max(size * size // 10_000, 10)):
        r, c = rng.integers(8, size - 8, 2)
        image[r - 7 : r + 8, c - 7 : c + 8] += star * 10 ** rng.uniform(2, 5)
    image = rng.poisson(image).astype(np.float32)
    for _ in range(int(size * size / 1e6 * EVENTS_PER_MPIX)):
        length, angle = rng.exponential(5) + 1, rng.uniform(0, np.pi)
        r, c = rng.integers(8, size - 8, 2)
        steps = np.arange(0, length, 0.7)
        rows = np.clip((r + steps * np.sin(angle)).astype(int), 0, size - 1)
        columns = np.clip((c + steps * np.cos(angle)).astype(int), 0, size - 1)
        np.add.at(image, (rows, columns), rng.uniform(200, 2000))
    return image + rng.normal(0, 5, image.shape).astype(np.float32)


def write_frames(folder, size, count, distinct=4):
    """Write frames, only some of them distinct; each file gets its own date."""
    folder.mkdir(parents=True)
    images = [frame(size, seed) for seed in range(min(distinct, count))]
    files = [folder / f"f{i:06d}.fits" for i in range(count)]
    for i, file in enumerate(files):
        header = fits.Header(
            {
                "BUNIT": "electron",
                "EXPTIME": 1000.0,
                "GAIN": 1.0,
                "RDNOISE": 5.0,
                "DATE-OBS": str(np.datetime64("2010-01-01T00:00:00") + np.timedelta64(i, "h")),
            }
        )
        fits.writeto(file, images[i % len(images)], header)
    return files


@contextlib.contextmanager
def start_threads(count):
    """One Dask worker with several threads inside this process."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=1,
            threads_per_worker=count,
            processes=False,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.ERROR,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def measured_run(files, folder, client, **options):
    """Run on a warm client; return seconds, processor seconds of workers and engine, per image."""
    import crismis

    shutil.rmtree(folder / "out", ignore_errors=True)
    workers, engine, start = worker_seconds(client), time.process_time(), time.perf_counter()
    summary = crismis.run(files, folder / "out", client=client, **options)
    assert summary.ok, summary.errors
    seconds = time.perf_counter() - start, worker_seconds(client) - workers
    return np.array([*seconds, time.process_time() - engine]) / len(files)


def worker_seconds(client):
    """Processor time used by all workers so far."""
    return sum(client.run(time.process_time).values())


def resident():
    """Resident memory of this process in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return float("nan")


def peak():
    """Highest resident memory of this process so far in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def report(text):
    """Print now, also into a file."""
    print(text, flush=True)


# -- Parts --------------------------------------------------------------------------------------


def throughput(folder, quick):
    """Images per second with 1 and 2 workers, cleaned images written or not."""
    plan = [(512, 16, True), (1024, 8, True)] if quick else None
    plan = plan or [(512, 60, True), (1024, 24, True), (1024, 24, False), (4096, 4, True)]
    rows = []
    for size, count, cleaned in plan:
        frames = write_frames(folder / f"{size}{cleaned}", size, count, distinct=count)
        alone = None
        for workers in (1, 2):
            with start_workers(workers) as client:
                options = {"cleaned": cleaned, "n_threads": 1}
                measured_run(frames[: 2 * workers], folder, client, **options)
                figures = measured_run(frames, folder, client, **options)
            alone = figures if alone is None else alone
            row = {
                "size": size,
                "cleaned": cleaned,
                "workers": workers,
                "images_per_s": 1 / figures[0],
                "mpix_per_s": size * size / 1e6 / figures[0],
                "efficiency": alone[0] / figures[0] / workers,
                "worker_cpu_s": figures[1],
                "efficiency_cpu": alone[1] / figures[1],
                "engine_cpu_ms": figures[2] * 1e3,
                **sizes(folder / "out", count, size),
            }
            rows.append(row)
            report("  ".join(f"{name} {value:.4g}" for name, value in row.items()))
    return rows


def sizes(out, count, size):
    """Bytes of the products of a run."""
    import crismis

    total = {
        name: sum(f.stat().st_size for f in (out / name).rglob("*") if f.is_file())
        for name in ("catalog/exposures", "catalog/events", "cleaned")
    }
    return {
        "bytes_per_exposure": total["catalog/exposures"] / count,
        "bytes_per_event": total["catalog/events"] / len(crismis.Catalog(out).events),
        "cleaned_bytes_per_pixel": total["cleaned"] / count / size**2,
    }


def kinds(folder, quick):
    """Two processes against two threads of one process."""
    size, count = 1024, 6 if quick else 20
    frames = write_frames(folder / "kinds", size, count)
    result = {}
    for name, start in (("processes", start_workers), ("threads", start_threads)):
        with start(2) as client:
            options = {"n_threads": 1, "time_limit": None}
            measured_run(frames[:4], folder, client, **options)
            seconds, cpu, _ = measured_run(frames, folder, client, **options)
        result[name] = {"images_per_s": 1 / seconds, "worker_cpu_s": cpu}
        report(f"two {name:10} {1 / seconds:6.2f} images/s of {size}^2, processor {cpu:.3f} s each")
    return result


def engine(folder, quick):
    """What the engine adds to each of many tiny images, and what it takes while it waits."""
    import crismis

    count = 100 if quick else 400
    frames = write_frames(folder / "engine", 64, count)
    parts = ("read_time", "identify_time", "categorize_time", "write_time")
    with start_workers(1) as client:
        options = {"cleaned": False, "n_threads": 1}
        measured_run(frames[:20], folder, client, **options)
        start = time.process_time()
        time.sleep(5)
        waiting = (time.process_time() - start) / 5
        seconds, _, cpu = measured_run(frames, folder, client, **options)
    rows = crismis.Catalog(folder / "out").exposures
    work = float(sum(rows[part].to_value("s").sum() for part in parts)) / count
    result = {
        "cpu_ms": cpu * 1e3,
        "waiting_cpu_ms_per_s": waiting * 1e3,
        "wall_ms": (seconds - work) * 1e3,
        "work_ms": work * 1e3,
    }
    report(
        f"processor {result['cpu_ms']:.1f} ms per image, of which by the clock "
        f"{waiting * seconds * 1e3:.1f} ms ({result['waiting_cpu_ms_per_s']:.1f} ms per second); "
        f"wall clock beyond the work {result['wall_ms']:.1f} ms per image ({work * 1e3:.1f} ms)"
    )
    return result


def memory(folder, quick):
    """Resident memory of a worker and of the gathering process while small frames go by."""
    import crismis

    count, steps = (400, 8) if quick else (5000, 25)
    files = write_frames(folder / "memory", 128, count)
    samples = []
    with start_workers(1) as client:
        for piece in np.array_split(files, steps):
            crismis.run(list(piece), folder / "out", client=client, cleaned=False, n_threads=1)
            worker = next(iter(client.run(resident).values()))
            done = (samples[-1][0] if samples else 0) + len(piece)
            samples.append((done, worker, resident()))
            report("{:6d} images  worker {:7.1f} MB  gathering {:7.1f} MB".format(*samples[-1]))
    images, *resident_mb = np.array(samples).T
    half = steps // 2
    slopes = [np.polyfit(images[half:], mb[half:], 1)[0] * 1e3 for mb in resident_mb]
    report("second half: worker {:+.2f}, gathering {:+.2f} MB per 1000 images".format(*slopes))
    return {"samples": samples, "worker_mb_per_1000": slopes[0], "gather_mb_per_1000": slopes[1]}


def catalog(folder, quick):
    """Write, count by day and filter a catalog of synthetic events."""
    import crismis
    from crismis.survey.writer import CatalogWriter

    n_events, n_exposures, batch = (500_000 if quick else 10_000_000), 5000, 250
    rng = np.random.default_rng(1)
    writer = CatalogWriter(folder / "catalog")
    start = time.perf_counter()
    for first in range(0, n_exposures, batch):
        ids = np.arange(first, first + batch)
        writer.commit(*synthetic(ids, n_events // n_exposures, rng))
    writer.compact()
    result = {"events": n_events, "write_s": time.perf_counter() - start, "write_mb": peak()}
    size = sum(file.stat().st_size for file in folder.rglob("*.parquet"))
    report(
        f"{n_events} events written in {result['write_s']:.1f} s, {size / n_events:.0f} bytes each "
        f"(random numbers), peak memory {peak():.0f} MB"
    )
    opened = crismis.Catalog(folder)
    where = [("category", "==", "track"), ("energy", ">", "900 keV")]
    columns = ["date", "energy", "length", "category"]
    jobs = {
        "rates_by_day": lambda: crismis.rates(opened.path, by="day"),
        "count_by_day": lambda: opened.count("events", by=["day", "category"]),
        "filter": lambda: opened.select("events", columns=columns, where=where),
        "filter_all_columns": lambda: opened.select("events", where=where),
        "iterate": lambda: [len(piece) for piece in opened.iterate("events")],
    }
    for name, job in jobs.items():
        start = time.perf_counter(), time.process_time()
        n = len(job())
        result[name] = time.perf_counter() - start[0]
        cpu = time.process_time() - start[1]
        report(
            f"{name:20} {result[name]:6.2f} s, processor {cpu:.2f} s, {n} rows, "
            f"peak memory so far {peak():.0f} MB"
        )
    return result | {"read_mb": peak()}


def synthetic(ids, per_exposure, rng):
    """Rows of exposures and events with random contents."""
    from crismis.survey.schema import arrow_schema
    from crismis.taxonomy import Category

    n = len(ids)
    dates = np.datetime64("2010-01-01", "us") + ids * np.timedelta64(2 * 3600, "s")
    words = rng.choice(
        ["spot", "track", "worm", "blend"], n * per_exposure, p=[0.5, 0.35, 0.1, 0.05]
    )
    exposures = {
        "exposure_id": ids,
        "path": [f"/archive/night{i // 1000:05d}/exposure_{i:08d}.fits" for i in ids],
        "image": np.zeros(n, np.int32),
        "status": ["ok"] * n,
        "settings": ["same"] * n,
        "checksum": [f"{i:064x}" for i in ids],
        "cleaned": [f"cleaned/exposure_{i:08d}_crismis.fits" for i in ids],
        "date": dates,
        "live_area": np.full(n, 37.7),
        "live_time": np.full(n, 1000.0),
        "n_events": np.full(n, per_exposure, np.int32),
        **{
            f"n_{c}": (words.reshape(n, -1) == c.value).sum(axis=1).astype(np.int32)
            for c in Category
        },
    }
    events = {
        "exposure_id": np.repeat(ids, per_exposure),
        "date": np.repeat(dates, per_exposure),
        "category": words,
    }
    return (
        _table(arrow_schema("exposures"), exposures, n, rng),
        _table(arrow_schema("events"), events, n * per_exposure, rng),
    )


def _table(schema, known, n, rng):
    import pyarrow as pa

    columns = []
    for field in schema:
        if field.name in known:
            columns.append(pa.array(known[field.name]).cast(field.type))
        elif schema.metadata[b"crismis_table"] == b"events" and pa.types.is_floating(field.type):
            columns.append(pa.array(rng.exponential(300, n).astype(np.float32), field.type))
        else:
            columns.append(pa.nulls(n, field.type))
    return pa.table(columns, schema=schema)


def resume(folder, quick):
    """Open a catalog of 10^6 exposures and see that nothing is left to do."""
    from crismis.survey.engine import Summary, _plan
    from crismis.survey.writer import CatalogWriter

    n, batch, rng = (50_000 if quick else 1_000_000), 50_000, np.random.default_rng(1)
    writer, paths = CatalogWriter(folder / "catalog"), []
    for first in range(0, n, batch):
        exposures, events = synthetic(np.arange(first, first + batch), 0, rng)
        paths += exposures["path"].to_pylist()
        writer.commit(exposures, events)
    del writer, exposures, events
    before, start = resident(), time.perf_counter()
    tasks = _plan(paths, CatalogWriter(folder / "catalog").known, "same", Summary(""), False, False)
    assert not tasks
    result = {"exposures": n, "seconds": time.perf_counter() - start, "mb": resident() - before}
    report(f"{n} exposures: {result['seconds']:.1f} s, {result['mb']:.0f} MB")
    return result


# -- What follows -------------------------------------------------------------------------------


def million(figures):
    """Extrapolate the figures to large archives."""
    answers = {}
    for name, archive in ARCHIVES.items():
        rows = [row for row in figures["throughput"] if row["cleaned"]]
        nearest = min(rows, key=lambda row: abs(row["size"] - archive["like"]))["size"]
        one, two = (row for row in rows if row["size"] == nearest)
        seconds = two["worker_cpu_s"] / (nearest**2 / 1e6) * archive["mpix"]
        hours = seconds * archive["exposures"] / 3600
        bytes_ = (
            one["bytes_per_event"] * archive["events"]
            + one["bytes_per_exposure"] * archive["exposures"]
        )
        feed = 1e3 / figures["engine"]["cpu_ms"]
        answers[name] = {
            "exposures": f"{archive['exposures']:,}",
            "10^6 pixels each, assumed": f"{archive['mpix']:g}",
            "events, known or assumed": f"{archive['events']:.1e}",
            "processor time per exposure": f"{seconds:.2f} s",
            "core hours": f"{hours:.0f}",
            f"cost at {PRICE} per core hour": f"{hours * PRICE:.0f}",
            "days on 2 workers": f"{hours / 2 / 24:.1f}",
            "hours on 32 workers": f"{hours / 32:.1f}",
            "catalog": f"{bytes_ / 1e9:.0f} GB",
            "cleaned images, if written": "{:.1f} TB".format(
                one["cleaned_bytes_per_pixel"] * archive["mpix"] * archive["exposures"] / 1e6
            ),
            "workers that one gathering process feeds": f"{feed * seconds:.0f}",
            "memory for resuming": "{:.0f} MB".format(
                figures["resume"]["mb"] * archive["exposures"] / figures["resume"]["exposures"]
            ),
        }
    names = list(answers)
    for row in answers[names[0]]:
        report(f"{row:42} " + "".join(f"{answers[name][row]:>14}" for name in names))
    return answers


def write_docs(folder, figures):
    """Write the tables that the documentation shows."""
    from tables import write_table

    write_table(
        folder,
        "survey",
        [
            "Frame",
            "Cleaned written",
            "Workers",
            "Images/s",
            "Mpix/s",
            "Efficiency by the clock",
            "Processor s per image",
            "Efficiency by processor time",
        ],
        [
            [
                f"{row['size']} x {row['size']}",
                "yes" if row["cleaned"] else "no",
                row["workers"],
                f"{row['images_per_s']:.2f}",
                f"{row['mpix_per_s']:.2f}",
                f"{row['efficiency']:.2f}",
                f"{row['worker_cpu_s']:.2f}",
                f"{row['efficiency_cpu']:.2f}",
            ]
            for row in figures["throughput"]
        ],
    )
    samples = [
        [n, f"{worker:.1f}", f"{own:.1f}"] for n, worker, own in figures["memory"]["samples"]
    ]
    write_table(folder, "survey_memory", ["images", "worker", "gathering process"], samples)
    write_table(folder, "survey_figures", ["What", "Measured", "Goal"], _figure_rows(figures))
    answers = figures["million"]
    names = list(answers)
    rows = [[row, *(answers[name][row] for name in names)] for row in answers[names[0]]]
    write_table(folder, "survey_million", ["", *names], rows)


def _figure_rows(figures):
    engine, memory, catalog, kinds = (
        figures[part] for part in ("engine", "memory", "catalog", "kinds")
    )
    n = f"{catalog['events']:.0e}"
    return [
        [
            "other load of the machine" + " (with ``--quick``)" * figures["quick"],
            f"{figures['load']:.1f} on {figures['cores']} cores",
            "0",
        ],
        ["processor time of the engine per image", f"{engine['cpu_ms']:.1f} ms", "10 ms"],
        ["the same while it waits", f"{engine['waiting_cpu_ms_per_s']:.0f} ms per second", ""],
        [
            "wall clock beyond the work, one worker",
            f"{engine['wall_ms']:.1f} ms per image",
            "10 ms",
        ],
        *(
            [
                f"two {name}, 1024 x 1024",
                f"{kind['images_per_s']:.2f} images/s, {kind['worker_cpu_s']:.2f} s processor each",
                "",
            ]
            for name, kind in kinds.items()
        ),
        [
            "growth of a worker, second half of the small frames",
            f"{memory['worker_mb_per_1000']:+.2f} MB per 1000 images",
            "0",
        ],
        [
            "the same of the gathering process",
            f"{memory['gather_mb_per_1000']:+.2f} MB per 1000 images",
            "",
        ],
        [f"`crismis.rates` by day, {n} events", f"{catalog['rates_by_day']:.2f} s", "10 s"],
        ["counting events by day and category", f"{catalog['count_by_day']:.2f} s", "10 s"],
        ["filter by category and energy, four columns", f"{catalog['filter']:.2f} s", "2 s"],
        ["the same, all columns", f"{catalog['filter_all_columns']:.2f} s", "2 s"],
        [
            "peak memory writing, reading",
            f"{catalog['write_mb']:.0f}, {catalog['read_mb']:.0f} MB",
            "",
        ],
        [
            f"resuming with {figures['resume']['exposures']:.0e} exposures done",
            f"{figures['resume']['seconds']:.1f} s, {figures['resume']['mb']:.0f} MB",
            "",
        ],
    ]


PARTS = {part.__name__: part for part in (catalog, resume, engine, kinds, throughput, memory)}


def main():
    """Run the parts asked for, each in a fresh process; keep and print their figures."""
    names = (*PARTS, "million")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", default=names, help=", ".join(names))
    parser.add_argument("--quick", action="store_true", help="fewer and smaller, about a minute")
    parser.add_argument("--json", type=Path, help="file for the figures, extended if it exists")
    parser.add_argument("--docs", type=Path, metavar="FOLDER", help="write tables there")
    options = parser.parse_args()
    figures = json.loads(options.json.read_text()) if options.json and options.json.exists() else {}
    figures |= {"load": os.getloadavg()[0], "cores": os.cpu_count(), "quick": options.quick}
    fresh = multiprocessing.get_context("spawn")
    for part in options.parts:
        report(f"== {part}")
        if part == "million":
            figures[part] = million(figures)
        else:
            with (
                tempfile.TemporaryDirectory(prefix="crismis_bench_") as scratch,
                ProcessPoolExecutor(1, mp_context=fresh) as pool,
            ):
                figures[part] = pool.submit(PARTS[part], Path(scratch), options.quick).result()
        if options.json:
            options.json.write_text(json.dumps(figures, indent=1, default=float))
    if options.docs:
        write_docs(options.docs, figures)


if __name__ == "__main__":
    main()
