"""isoflop meter: the energy, time and power of any program."""

from __future__ import annotations

import argparse
from pathlib import Path

from isoflop.cli import output


def add(add_verb: output.AddVerb) -> None:
    """Add the verb to the parser."""
    verb = add_verb("meter", _meter, "Meter any program: isoflop meter -- python train.py")
    verb.usage = "isoflop meter [--idle S] [--gpu UUID] [--polls FILE] [--json FILE] -- COMMAND..."
    verb.add_argument("--idle", type=float, default=0.0, help="seconds of idle baseline before the command")
    verb.add_argument("--period", type=float, default=0.1, help="seconds between polls (default 0.1)")
    verb.add_argument("--gpu", action="append", metavar="UUID", help="a GPU (default: those CUDA would use)")
    verb.add_argument("--polls", metavar="FILE", type=Path, help="keep every poll in this file")
    output.add_json(verb)


def _meter(options: argparse.Namespace) -> int:
    from isoflop.meter.energy import command

    if options.json:
        output.check_target(options.json)
    metered = command.meter(
        options.command,
        gpus=options.gpu,
        idle_seconds=options.idle,
        period_seconds=options.period,
        polls_path=options.polls,
    )
    command.print_report(metered)
    if options.json:
        output.write_json(metered, options.json)
    return metered.exit_code
