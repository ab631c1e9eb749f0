# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Measure `crismis.run` and `crismis.Catalog`: what an archive of 10^6 exposures would need.

Parts (all by default)::

    throughput   images/s and Mpix/s with 1 and 2 workers, frames of 512, 1024 and 4096 squared
    kinds        worker processes against threads of one process
    overhead     what the engine adds to each image
    memory       resident memory per worker over thousands of small frames
    catalog      rates by day and filtering in a catalog of 10^7 synthetic events
    plan         time to resume: a catalog of 10^6 exposures read back

Frames hold sky, stars and about 1 % hit pixels; each worker runs as many kernel threads as its
share of the cores.
"""

import argparse
import json
import resource
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from astropy.io import fits

DETECTOR = "HST/ACS/WFC"
EVENTS_PER_MPIX = 2000


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
    """Write frames; a few distinct ones are enough, each file gets its own date."""
    folder.mkdir(parents=True)
    images = [frame(size, seed) for seed in range(min(distinct, count))]
    for i in range(count):
        header = fits.Header(
            {
                "BUNIT": "electron",
                "EXPTIME": 1000.0,
                "GAIN": 1.0,
                "RDNOISE": 5.0,
                "DATE-OBS": str(np.datetime64("2010-01-01T00:00:00") + np.timedelta64(i, "h")),
            }
        )
        fits.writeto(folder / f"f{i:06d}.fits", images[i % len(images)], header)


def timed_run(frames, output, client, **options):
    """Run on a warm client; return the summary and the seconds."""
    import crismis

    shutil.rmtree(output, ignore_errors=True)
    start = time.perf_counter()
    summary = crismis.run(frames, output, client=client, **options)
    assert summary.ok, summary.errors
    return summary, time.perf_counter() - start


class Pool:
    """Dask workers on this machine with modules loaded, kernel threads as `crismis.run` sets."""

    def __init__(self, workers, processes=True):
        import logging

        from distributed import Client, LocalCluster

        count = workers if processes else 1
        self.cluster = LocalCluster(
            n_workers=count,
            threads_per_worker=1 if processes else workers,
            processes=processes,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.ERROR,
        )
        self.client = Client(self.cluster)

    def __enter__(self):
        return self.client

    def __exit__(self, *exception):
        self.client.close()
        self.cluster.close()


def processor_seconds(client):
    """Processor time used by all workers so far, and by this process."""
    return sum(client.run(time.process_time).values()), time.process_time()


def throughput(folder, sizes, products):
    """Images per second with 1 and 2 workers of one kernel thread each.

    Beside the wall clock, which other work on the machine disturbs: processor time per image.
    Two workers that get in each other's way (memory, locks, the engine) need more of it.
    """
    rows = []
    for size in sizes:
        count = {512: 240, 1024: 120, 2048: 48, 4096: 12}[size]
        frames = folder / f"frames{size}"
        if not frames.exists():
            write_frames(frames, size, count)
        seconds, processor, engine = {}, {}, {}
        for workers in (1, 2):
            with Pool(workers) as client:
                options = {"cleaned": products, "n_threads": 1}
                warm = sorted(frames.iterdir())[: 4 * workers]
                timed_run(warm, folder / "warm", client, **options)
                before = processor_seconds(client)
                runs = [timed_run(frames, folder / "out", client, **options)[1] for _ in range(3)]
                after = processor_seconds(client)
                seconds[workers] = min(runs)
                processor[workers] = (after[0] - before[0]) / 3 / count
                engine[workers] = (after[1] - before[1]) / 3 / count
        for workers in (1, 2):
            rate = count / seconds[workers]
            row = {
                "size": size,
                "workers": workers,
                "cleaned": products,
                "images_per_s": rate,
                "mpix_per_s": rate * size * size / 1e6,
                "efficiency": seconds[1] / seconds[workers] / workers,
                "worker_cpu_ms": processor[workers] * 1e3,
                "engine_cpu_ms": engine[workers] * 1e3,
                "efficiency_cpu": processor[1] / processor[workers],
            }
            rows.append(row)
            print(
                f"{size:5d}^2  {workers} worker(s)  cleaned={products!s:5}  {rate:8.2f} images/s "
                f"{row['mpix_per_s']:8.2f} Mpix/s  efficiency {row['efficiency']:.2f}  processor "
                f"{row['worker_cpu_ms']:.0f} ms per image ({row['efficiency_cpu']:.2f}), engine "
                f"{row['engine_cpu_ms']:.1f} ms",
                flush=True,
            )
    return rows


def kinds(folder, size=1024, count=60):
    """Two processes against two threads of one process."""
    frames = folder / f"kinds{size}"
    write_frames(frames, size, count)
    result = {}
    for name, processes in (("processes", True), ("threads", False)):
        with Pool(2, processes) as client:
            options = {"n_threads": 1, "time_limit": None}
            timed_run(sorted(frames.iterdir())[:8], folder / "warm", client, **options)
            result[name] = count / min(
                timed_run(frames, folder / "out", client, **options)[1] for _ in range(3)
            )
        print(f"{name:10} {result[name]:8.2f} images/s of {size}^2", flush=True)
    return result


def overhead(folder, count=400):
    """Seconds per image that the engine adds: wall time minus the work itself, one worker."""
    frames = folder / "overhead"
    write_frames(frames, 64, count)
    result = {}
    for name, workers in (("one worker", 1), ("this process", 0)):
        import crismis

        if workers:
            with Pool(1) as client:
                timed_run(sorted(frames.iterdir())[:20], folder / "warm", client)
                start = time.process_time()
                _, seconds = timed_run(frames, folder / "out", client)
                engine = time.process_time() - start
        else:
            _, seconds = timed_run(frames, folder / "out", None, workers=0)
            engine = None
        rows = crismis.Catalog(folder / "out").exposures
        parts = ("read_time", "identify_time", "categorize_time", "write_time")
        work = float(sum(rows[part].to_value("s").sum() for part in parts))
        result[name] = {"engine_ms": (seconds - work) / count * 1e3, "work_ms": work / count * 1e3}
        if engine is not None:
            result[name]["engine_cpu_ms"] = engine / count * 1e3
        print(name, {key: round(value, 2) for key, value in result[name].items()}, flush=True)
    return result


def memory(folder, count=5000):
    """Resident memory of a worker and of this process while small frames go by."""
    frames = folder / "memory"
    write_frames(frames, 128, count)
    samples = []
    with Pool(1) as client:
        step = max(count // 20, 1)
        files = sorted(map(str, frames.iterdir()))
        for start in range(0, count, step):
            timed = files[start : start + step]
            import crismis

            crismis.run(timed, folder / "memory_out", client=client, cleaned=False)
            worker = next(iter(client.run(_resident).values()))
            samples.append((start + len(timed), worker, _resident()))
            print(
                f"{samples[-1][0]:6d} images  worker {worker:7.1f} MB  this process "
                f"{samples[-1][2]:7.1f} MB",
                flush=True,
            )
    images, worker, driver = np.array(samples).T
    half = len(images) // 2
    slope = np.polyfit(images[half:], worker[half:], 1)[0] * 1e3
    print(f"worker grows by {slope:.2f} MB per 1000 images in the second half")
    return {
        "samples": samples,
        "worker_mb_per_1000": slope,
        "driver_mb_per_1000": np.polyfit(images[half:], driver[half:], 1)[0] * 1e3,
    }


def _resident():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return float("nan")


def catalog(folder, n_events=10_000_000, n_exposures=5000):
    """Write, count by day and filter a catalog of synthetic events."""
    import pyarrow as pa

    import crismis
    from crismis.survey.catalog import CatalogWriter
    from crismis.survey.schema import arrow_schema
    from crismis.taxonomy import Category

    rng = np.random.default_rng(1)
    out = folder / "catalog"
    writer = CatalogWriter(out / "catalog")
    per_exposure, batch = n_events // n_exposures, 250
    start = time.perf_counter()
    for first in range(0, n_exposures, batch):
        ids = np.arange(first, first + batch)
        dates = np.datetime64("2010-01-01", "us") + ids * np.timedelta64(2 * 3600, "s")
        kinds = rng.choice(
            ["spot", "track", "worm", "blend"], batch * per_exposure, p=[0.5, 0.35, 0.1, 0.05]
        )
        counts = {
            f"n_{c}": (kinds.reshape(batch, -1) == c.value).sum(axis=1).astype(np.int32)
            for c in Category
        }
        exposures = {
            "exposure_id": ids,
            "path": [f"/archive/f{i}.fits" for i in ids],
            "image": np.zeros(batch, np.int32),
            "status": ["ok"] * batch,
            "date": dates,
            "live_area": np.full(batch, 37.7),
            "live_time": np.full(batch, 1000.0),
            "n_events": np.full(batch, per_exposure, np.int32),
            **counts,
        }
        events = {
            "exposure_id": np.repeat(ids, per_exposure),
            "date": np.repeat(dates, per_exposure),
            "category": kinds,
        }
        writer.commit(
            _table(arrow_schema("exposures"), exposures, batch, rng),
            _table(arrow_schema("events"), events, batch * per_exposure, rng),
        )
    writer.compact()
    written = time.perf_counter() - start
    size = sum(file.stat().st_size for file in out.rglob("*.parquet"))
    opened = crismis.Catalog(out)
    jobs = {
        "rates by day": lambda: crismis.rates(opened.path, by="day"),
        "count events by day and category": lambda: opened.count("events", by=["day", "category"]),
        "filter category and energy, 4 columns": lambda: opened.select(
            "events",
            columns=["date", "energy", "length", "category"],
            where=[("category", "==", "track"), ("energy", ">", "900 keV")],
        ),
        "filter category and energy, all columns": lambda: opened.select(
            "events", where=[("category", "==", "track"), ("energy", ">", "900 keV")]
        ),
        "iterate over everything": lambda: sum(len(piece) for piece in opened.iterate("events")),
    }
    result = {
        "bytes_per_event": size / n_events,
        "write_s": written,
        "parts": len(list(out.rglob("*.parquet"))),
    }
    print(f"{n_events} events: written in {written:.1f} s, {size / n_events:.1f} bytes each")
    for name, job in jobs.items():
        pa.default_memory_pool().release_unused()
        before = _resident()
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            answer = job()
            seconds.append(time.perf_counter() - start)
        result[name] = {"seconds": min(seconds), "median": statistics.median(seconds)}
        rows = answer if isinstance(answer, int) else len(answer)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{name:42} {min(seconds):6.2f} s  ({rows} rows, resident {before:.0f} MB before, "
            f"peak so far {peak:.0f} MB)",
            flush=True,
        )
    result["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return result


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


def plan(folder, n_exposures=1_000_000):
    """Open a catalog of 10^6 exposures for resuming, and plan."""
    from crismis.survey.catalog import CatalogWriter
    from crismis.survey.engine import Summary, _plan
    from crismis.survey.schema import arrow_schema

    rng = np.random.default_rng(1)
    out = folder / "plan" / "catalog"
    writer = CatalogWriter(out)
    paths = [f"/archive/night{i // 1000:05d}/exposure_{i:08d}.fits" for i in range(n_exposures)]
    for first in range(0, n_exposures, 50_000):
        n = min(50_000, n_exposures - first)
        known = {
            "exposure_id": np.arange(first, first + n),
            "path": paths[first : first + n],
            "image": np.zeros(n, np.int32),
            "status": ["ok"] * n,
            "settings": ["same"] * n,
            "checksum": [f"{i:064x}" for i in range(first, first + n)],
            "cleaned": [f"cleaned/exposure_{i:08d}_crismis.fits" for i in range(first, first + n)],
        }
        writer.commit(
            _table(arrow_schema("exposures"), known, n, rng), arrow_schema("events").empty_table()
        )
    del writer
    before, start = _resident(), time.perf_counter()
    known = CatalogWriter(out).known
    opened = time.perf_counter() - start
    tasks = _plan(paths, known, "same", Summary("out"), False, False)
    planned = time.perf_counter() - start - opened
    assert not tasks
    result = {"open_s": opened, "plan_s": planned, "memory_mb": _resident() - before}
    print(f"{n_exposures} exposures: {result}")
    return result


def main():
    """Run the parts asked for and write their figures as JSON."""
    parts = ("throughput", "kinds", "overhead", "memory", "catalog", "plan")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", default=[], help=", ".join(parts))
    parser.add_argument("--sizes", default="512,1024,4096")
    parser.add_argument("--frames", type=int, default=5000, help="for memory")
    parser.add_argument("--events", type=int, default=10_000_000, help="for catalog")
    parser.add_argument("--json", type=Path, help="file for the figures, extended if it exists")
    options = parser.parse_args()
    figures = json.loads(options.json.read_text()) if options.json and options.json.exists() else {}
    with tempfile.TemporaryDirectory(prefix="crismis_bench_") as scratch:
        folder = Path(scratch)
        for part in options.parts or parts:
            print(f"== {part}", flush=True)
            if part == "throughput":
                sizes = [int(size) for size in options.sizes.split(",")]
                figures[part] = [
                    *throughput(folder, sizes, True),
                    *throughput(folder, sizes, False),
                ]
            elif part == "memory":
                figures[part] = memory(folder, options.frames)
            elif part == "catalog":
                figures[part] = catalog(folder, options.events)
            else:
                figures[part] = {"kinds": kinds, "overhead": overhead, "plan": plan}[part](folder)
            if options.json:
                options.json.write_text(json.dumps(figures, indent=1, default=float))


if __name__ == "__main__":
    main()
