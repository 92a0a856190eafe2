#!/usr/bin/env python3
"""Examples per second of 1, 2, 4, 8 and 16 processes training one small cell on a GPU, with MPS and without.

usage: python benchmarks/bench_packing.py [--at-once 1 2 4 8 16] [--mps yes no] [OVERRIDES]

Prints a line a case: all processes together, and beside one process without MPS. Without a GPU the processes
share the CPU: a rehearsal.
"""

from __future__ import annotations

import argparse

from isoflop.config.compose import compose_config
from isoflop.sweep.local import mps, packing

CELL = ("data=digits", "model=resnet", "model.width=4", "model.depth=1", "optim=sgd", "launch.threads=1")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--mps", nargs="+", choices=["no", "yes"], default=["no", "yes"])
    given, overrides = parser.parse_known_args()
    config = compose_config([*CELL, *overrides], None)
    alone: float | None = None
    for served in given.mps:
        with mps.daemon(wanted=served == "yes") as environment:
            if served == "yes" and not environment:
                print("MPS could not be started")
                continue
            with packing.Probe(config, environment) as probe:
                for number in given.at_once:
                    probe.grow_to(number)
                    rate = probe.rate()
                    alone = alone or rate
                    told = f"{rate:.0f} examples/s, {rate / alone:.2f} x" if rate and alone else "failed"
                    print(f"MPS {served:3} {number:3d} at once: {told}", flush=True)


if __name__ == "__main__":
    main()
