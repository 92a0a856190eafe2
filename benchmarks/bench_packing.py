#!/usr/bin/env python3
"""Examples per second of 1 to 16 processes that train one small model on a GPU, with MPS and without.

usage: python benchmarks/bench_packing.py [--at-once 1 2 4 8 16] [--mps yes no] [OVERRIDES]

Prints a line per case: the rate of all processes together, and its ratio to one process without MPS. Without
a GPU the processes share the CPU, which only shows that the script works.
"""

from __future__ import annotations

import argparse

from isoflop.config.compose import compose_config
from isoflop.sweep.local import mps, packing

RUN = ("data=digits", "model=resnet", "model.width=4", "model.depth=1", "optim=sgd", "launch.threads=1")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--mps", nargs="+", choices=["no", "yes"], default=["no", "yes"])
    options, overrides = parser.parse_known_args()
    config = compose_config([*RUN, *overrides], None)
    single: float | None = None
    for use_mps in options.mps:
        with mps.daemon(wanted=use_mps == "yes") as environment:
            if use_mps == "yes" and not environment:
                print("MPS could not be started")
                continue
            with packing.PackingProbe(config, environment) as probe:
                for number in options.at_once:
                    probe.grow_to(number)
                    rate = probe.rate()
                    single = single or rate
                    result = f"{rate:.0f} examples/s, {rate / single:.2f} x" if rate and single else "failed"
                    print(f"MPS {use_mps:3} {number:3d} at once: {result}", flush=True)


if __name__ == "__main__":
    main()
