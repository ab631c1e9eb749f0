"""Time the simulator: a large exposure with its truth, and many isolated events."""

import argparse
import time

from crismis import Detector, simulate_exposure
from crismis.simulate import simulate_stamps

SPACE = Detector(
    "space", pitch=15.0, thickness=13.0, gain=2.0, readnoise=5.0, full_well=8e4, temperature=192.0
)
THICK = Detector("thick", pitch=10.0, thickness=100.0, diffusion=4.25)


def timed(name, limit, call):
    start = time.perf_counter()
    call()
    spent = time.perf_counter() - start
    print(f"{name:52s} {spent:7.2f} s   (limit {limit:.0f} s)")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=4096, help="pixels along a side")
    parser.add_argument("--events", type=int, default=20_000, help="events in the exposure")
    parser.add_argument("--stamps", type=int, default=100_000, help="isolated events")
    args = parser.parse_args()
    simulate_stamps(SPACE, 10, particles="orbit", seed=0)
    timed(
        f"{args.side} x {args.side} exposure with {args.events} events",
        10,
        lambda: simulate_exposure(
            SPACE,
            1000.0,
            particles="orbit",
            n_events=args.events,
            shape=(args.side, args.side),
            seed=1,
        ),
    )
    for name, device, particles in (
        ("thin space CCD", SPACE, "orbit"),
        ("thick CCD on the ground", THICK, "laboratory"),
    ):
        timed(
            f"{args.stamps} stamps, {name}",
            60,
            lambda device=device, particles=particles: simulate_stamps(
                device, args.stamps, particles=particles, seed=1
            ),
        )


if __name__ == "__main__":
    main()
