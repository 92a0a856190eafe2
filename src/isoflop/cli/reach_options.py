"""The options of what a lower error takes: targets, and what one GPU does (api/reach.py)."""

from __future__ import annotations

import argparse
from typing import Any


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add --target, --gpu-tflops and --gpu-watts."""
    parser.add_argument(
        "--target",
        metavar="Y",
        action="append",
        type=float,
        help="an error such as 0.05, or a loss, to say what it takes (may be repeated)",
    )
    parser.add_argument(
        "--gpu-tflops",
        metavar="V",
        type=float,
        help="TFLOP/s that one GPU sustains in training: FLOPs to GPU-hours",
    )
    parser.add_argument(
        "--gpu-watts",
        metavar="W",
        type=float,
        help="its power meanwhile: GPU-hours to kWh",
    )


def chosen(options: argparse.Namespace) -> Any:
    """Return what was chosen (api.reach.Reach)."""
    from isoflop.api.reach import Reach

    return Reach(tuple(options.target or ()), options.gpu_tflops, options.gpu_watts)
