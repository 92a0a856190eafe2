"""The command of a campaign: its options, the order of its phases, its exit code."""

from __future__ import annotations

import argparse
import dataclasses
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from isoflop import signals
from isoflop.config import ConfigError
from isoflop.runner import provenance
from isoflop.sweep.campaign import budget, journal, summary
from isoflop.sweep.campaign.journal import LeftOut, PhaseReport
from isoflop.sweep.campaign.phases import Phases
from isoflop.sweep.campaign.plan import FULL, REHEARSAL, Phase, Plan
from isoflop.sweep.campaign.sweeps import Say

DONE, FAILED, INPUT, INTERRUPTED = 0, 1, 2, 75
"""Exit codes, as those of `isoflop`: what was left out by the stated order is no failure."""
DESCRIPTION = """Measure a curve on one GPU in a few minutes: ceilings, a recipe under which large networks
train, sweeps by compute and by data, held-out points, joules. Needs neither network nor figures; the pages
are made from the records, on any machine, by --report. The same command goes on where an earlier one
ended."""
EPILOG = """What does not fit into the time is left out in this order: the second data set; then, within each
sweep, further seeds before first ones and costly runs before cheap ones; then whole phases from the last to
the first. Time that a phase leaves over passes to the next one, and at the end to what was left out."""


def show(text: str) -> None:
    """Write to standard output at once: on a lent machine the log may be all that survives."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a campaign, or report on one, and return the exit code."""
    try:
        options = _parser().parse_args(arguments)
        if options.report is not None:
            return report(options.report)
        plan = REHEARSAL if options.rehearse else FULL
        chosen = choose(plan, options.phases)
        if not 0 < options.minutes < float("inf"):
            raise ConfigError(f"--minutes {options.minutes:g}: give a number above 0")
        if options.out.exists() and not options.out.is_dir():
            raise ConfigError(f"--out {options.out}: a file has this name: give a folder")
        return run(plan, chosen, options.out, 60 * options.minutes)
    except ConfigError as error:
        sys.stderr.write(f"campaign: {error}\n")
        return INPUT
    except OSError as error:
        sys.stderr.write(f"campaign: {error}\n")
        return FAILED
    except KeyboardInterrupt:
        sys.stderr.write("campaign: interrupted: the same command goes on\n")
        return INTERRUPTED


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, as those of `isoflop`."""

    def error(self, message: str) -> NoReturn:
        """Raise ConfigError."""
        raise ConfigError(f"{message}: see --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="campaign", description=DESCRIPTION, epilog=EPILOG, allow_abbrev=False)
    parser.add_argument(
        "--minutes", type=float, default=8.0, help="wall-clock time for all of it (default 8)"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("results/campaign"), metavar="DIR", help="its folder"
    )
    parser.add_argument("--phases", metavar="A,B", help=f"only these of {', '.join(FULL.names)}")
    parser.add_argument("--rehearse", action="store_true", help="the same at toy size, in seconds on a CPU")
    parser.add_argument("--report", type=Path, metavar="DIR", help="fits and pages of a campaign's folder")
    return parser


def choose(plan: Plan, names: str | None) -> tuple[Phase, ...]:
    """Return the phases that --phases names, in the plan's order. Raises ConfigError."""
    wanted = plan.names if names is None else tuple(name.strip() for name in names.split(","))
    if unknown := [name for name in wanted if name not in plan.names]:
        raise ConfigError(f"--phases {unknown[0]}: give one or more of {', '.join(plan.names)}")
    return tuple(phase for phase in plan.phases if phase.name in wanted)


def run(plan: Plan, chosen: Sequence[Phase], directory: Path, seconds: float) -> int:
    """Execute the phases within a time, write summary.md after each, show it at the end.

    Raises:
        ConfigError: the input of a phase that is not optional cannot be used; nothing has been trained.
        KeyboardInterrupt: asked to stop; everything that was done is written.
    """
    began = time.monotonic()

    def elapsed() -> float:
        return time.monotonic() - began

    def say(line: str) -> None:
        show(f"{elapsed():6.1f} s  {line}")

    with signals.interrupting():
        directory.mkdir(parents=True, exist_ok=True)
        phases = Phases(plan, chosen, directory, say)
        (directory / journal.PHASES).touch()  # by which --report knows the folder of a campaign
        prepared, reports = elapsed(), dict[str, PhaseReport]()
        try:
            for phase, end in _turns(chosen):
                limit = max(0.0, prepared + end * (seconds - prepared) - elapsed())
                before = reports.get(phase.name)
                if before and not (_may_go_on(before) and limit > plan.start_seconds):
                    continue
                reports[phase.name] = _guarded(phases, phase, limit, directory, say)
        finally:
            show(summary.write(directory))
    return FAILED if any(each.state == "failed" for each in reports.values()) else DONE


def _turns(chosen: Sequence[Phase]) -> Iterator[tuple[Phase, float]]:
    """Yield the phases in the order of execution, each with the share of the time at whose end it must stop.

    Sweeps have further turns in what was left over: just before held-out runs, which are thus predicted from
    all that has fitted, and before phases without a share.
    """
    ends = budget.ends([phase.share for phase in chosen])
    spare = next((i for i, phase in enumerate(chosen) if not phase.share), len(chosen))
    for i, phase in enumerate(chosen[:spare]):
        if phase.held_out and i:
            # The share of the held-out runs is kept for them.
            yield from ((earlier, ends[i - 1]) for earlier in chosen[:i] if earlier.kind == "sweep")
        yield phase, ends[i]
    for phase in chosen[:spare]:
        if phase.kind == "sweep":
            yield phase, ends[spare - 1]
    yield from zip(chosen[spare:], ends[spare:], strict=True)


def _may_go_on(report: PhaseReport) -> bool:
    """Return whether time that is left over may go to what the phase left out."""
    return report.state in ("partial", "left out")


def _guarded(phases: Phases, phase: Phase, limit: float, directory: Path, say: Say) -> PhaseReport:
    """Execute a phase and write its line, whatever happens: an error costs only this phase.

    Raises:
        KeyboardInterrupt: asked to stop; the phase's line says so.
    """
    say(f"== {phase.name}, at most {limit:.0f} s")
    began, started_at = time.monotonic(), provenance.now()

    def write(report: PhaseReport) -> PhaseReport:
        seconds = time.monotonic() - began
        complete = dataclasses.replace(report, started_at=started_at, seconds=seconds)
        journal.append(complete, directory / journal.PHASES)
        say(f"== {phase.name}: {report.state} in {seconds:.0f} s")
        return complete

    try:
        report = phases.execute(phase, limit)
    except KeyboardInterrupt:
        write(PhaseReport(phase.name, "interrupted", limit))
        raise
    except ConfigError as error:
        if phase.optional:
            left_out = (LeftOut("all of it", str(error)),)
            report = PhaseReport(phase.name, "unavailable", limit, left_out=left_out)
        else:
            report = PhaseReport(phase.name, "failed", limit, failures=(str(error),))
    except Exception as error:
        traceback.print_exc()
        sys.stderr.flush()
        report = PhaseReport(phase.name, "failed", limit, failures=(f"{type(error).__name__}: {error}",))
    report = write(report)
    summary.write(directory)
    return report


def report(directory: Path) -> int:
    """Fit every sweep of a campaign and make its page; return the worst exit code of `isoflop report`.

    Raises:
        ConfigError: the folder is not that of a campaign, or holds no records of a sweep.
    """
    if not (directory / journal.PHASES).is_file():
        raise ConfigError(f"--report {directory}: no {journal.PHASES} here: give the folder of a campaign")
    folders = summary.sweep_folders(directory)
    if not folders:
        raise ConfigError(f"--report {directory}: no records of a sweep here: nothing was trained yet")
    codes = []
    for folder in folders:
        show(f"== {folder}")
        command = [sys.executable, "-m", "isoflop", "report", str(folder)]
        codes.append(subprocess.run(command, check=False).returncode)
    show(summary.write(directory))
    return max(codes)
