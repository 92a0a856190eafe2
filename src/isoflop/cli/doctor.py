"""isoflop doctor: what this machine can measure, and how fast it really is."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from isoflop import extras
from isoflop.cli import output
from isoflop.config import ConfigError


def add(add_verb: output.AddVerb) -> None:
    """Add the verb to the parser."""
    verb = add_verb("doctor", _doctor, "Say what this machine can measure, what it cannot, and why")
    verb.add_argument("--measure", action="store_true", help="measure the roofline's ceilings, and keep them")
    verb.add_argument("--seconds", type=float, help="how long to measure in all (default 10)")
    verb.add_argument(
        "--dtype", metavar="A,B", help="of fp32, tf32, bf16, fp16, fp8 (default: all it trains in)"
    )
    verb.add_argument("--threads", type=int, help="measure the CPU with so many threads")
    verb.add_argument("--anyway", action="store_true", help="keep them even if the device was not idle")
    verb.add_argument("--cpu", action="store_true", help="measure the CPU where there is a GPU too")
    output.add_json(verb)


def _doctor(options: argparse.Namespace) -> int:
    from isoflop import doctor

    if options.measure:
        return _measure(options)
    for option in ("seconds", "dtype", "threads", "cpu", "anyway"):
        if getattr(options, option) not in (None, False):
            raise ConfigError(f"--{option} needs --measure")
    findings = doctor.examine(Path(os.environ.get("ISOFLOP_DATA", ".data")), Path())
    if options.json:
        return output.write_json(findings, options.json)
    from isoflop.cli.terminal import console

    for finding in findings:
        able = "yes" if finding.ok else "no "
        console.OUT.print(f"{able}  {finding.subject:9} {finding.detail}", markup=False)
    return output.DONE


def _measure(options: argparse.Namespace) -> int:
    extras.check("isoflop doctor --measure", "torch")
    from isoflop import doctor
    from isoflop.cli.terminal import console

    ceilings = doctor.measure(
        seconds=options.seconds,
        dtypes=options.dtype,
        threads=options.threads,
        on_cpu=options.cpu,
        anyway=options.anyway,
    )
    if options.json:
        output.write_json(ceilings, options.json)
    else:
        for each in ceilings:
            console.OUT.print(doctor.describe(each), markup=False)
    if message := doctor.refusal(ceilings):
        return output.print_error(message, output.FAILED, debug=False)
    return output.DONE
