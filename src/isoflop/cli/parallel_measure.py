"""isoflop parallel without --predict: measure strong and weak scaling, or show what a folder holds."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isoflop.cli import output
from isoflop.config import ConfigError

if TYPE_CHECKING:
    from isoflop.config import Config
    from isoflop.parallel.measure.jobs import Ask, Device

PAYLOADS, SCALINGS = "training,matmul,cg", "strong,weak"
SIZES = {"cpu": (768, 48), "cuda": (8192, 192)}
"""Rows of the matrices and points along an edge of the grid: tens of milliseconds on a core, and enough work
to fill a GPU."""


def add_options(verb: argparse._ArgumentGroup) -> None:
    """Add the options of measuring."""
    verb.add_argument("--workers", metavar="N,N", help="such as 1,2,4 (default: 1, 2, 4, ... up to all)")
    verb.add_argument("--one-worker", action="store_true", help="measure only the rates of one worker")
    verb.add_argument("--payload", metavar="P,P", default=PAYLOADS, help=f"of {PAYLOADS} (all)")
    verb.add_argument("--scaling", metavar="S,S", default=SCALINGS, help=f"of {SCALINGS} (both)")
    verb.add_argument("--repeats", metavar="N", type=int, default=7, help="timings of each (7, at least 5)")
    verb.add_argument("--seconds", metavar="S", type=float, default=0.2, help="length of a timing (0.2)")
    verb.add_argument("--matrix", metavar="ROWS", type=int, help="rows of the matrices (768, 8192 on a GPU)")
    verb.add_argument("--grid", metavar="SIDE", type=int, help="points along an edge (48, 192 on a GPU)")
    verb.add_argument("--again", action="store_true", help="measure even what is measured")


def run(options: argparse.Namespace) -> int:
    """Measure, or show the folder that is given in place of overrides."""
    if options.json:
        output.check_target(options.json)
    given = options.overrides
    if len(given) == 1 and "=" not in given[0]:
        return _show_folder(Path(given[0]), options)
    from isoflop.config import compose
    from isoflop.parallel.measure import run as measuring
    from isoflop.track import parallel as tracker

    config, device = measuring.machine(compose.compose_config(given, options.config_dir))
    ask = _ask(options, config, device)
    tracker.check(config.tracker)
    measuring.check(config, ask, device, one_worker=options.one_worker)
    records = measuring.measure(config, ask, device, output.print_line)
    return _finish(records, config, options)


def _show_folder(directory: Path, options: argparse.Namespace) -> int:
    """Print what DIR/parallel holds; nothing is written."""
    from isoflop.record import parallel

    if not directory.is_dir():
        raise ConfigError(f"{directory}: no such folder: give overrides such as model=mlp, or a folder")
    if not (records := parallel.read_all(directory)):
        raise ConfigError(
            f"{directory}: holds no measurement of isoflop parallel: measure with out={directory}"
        )
    return _print(records, options)


def _ask(options: argparse.Namespace, config: Config, device: Device) -> Ask:
    from isoflop.parallel.measure import jobs

    rows, side = SIZES[device.kind]
    if options.one_worker:
        if options.workers:
            raise ConfigError("--one-worker is in place of --workers: give one of the two")
        workers: tuple[int, ...] = (1,)
    elif options.workers:
        workers = jobs.of_text(options.workers)
    else:
        workers = jobs.doubling(device.per_node * config.launch.nodes)
    return jobs.Ask(
        workers=workers,
        payloads=jobs.named(options.payload, jobs.PAYLOADS, "--payload"),  # type: ignore[arg-type]
        scalings=jobs.named(options.scaling, jobs.SCALINGS, "--scaling"),  # type: ignore[arg-type]
        repeats=options.repeats,
        seconds=options.seconds,
        rows=options.matrix or rows,
        side=options.grid or side,
        again=options.again,
    )


def _finish(records: Any, config: Config, options: argparse.Namespace) -> int:
    """Write the figure, send both to the tracker, and print the table."""
    from isoflop.parallel import scaling, tracked
    from isoflop.report import scaling_panel
    from isoflop.track import parallel as tracker

    groups = scaling.groups(records)
    scaling_panel.write_figures(groups, config.directory)
    tracker.send(config, tracked.rows(groups))
    return _print(records, options)


def _print(records: Any, options: argparse.Namespace) -> int:
    from isoflop.cli.terminal import console, scaling_table
    from isoflop.parallel import scaling

    groups = scaling.groups(records)
    if options.json:
        return output.write_json({"groups": groups, "records": records}, options.json)
    scaling_table.show(groups, console.OUT)
    return output.DONE
