"""isoflop levers: each lever against the baseline, what it moves, saves and costs, in one table."""

from __future__ import annotations

import argparse
from pathlib import Path

from isoflop.cli import dialect, output, rows
from isoflop.config import ConfigError

EXAMPLES = """examples:
  isoflop sweep sweep=levers && isoflop levers results/levers     train, then compare
  isoflop levers results/levers --plot levers.svg                 and the curves with their gains
  isoflop levers results/levers --where 'lever != "muon"' --json levers.json"""


def add(add_verb: output.AddVerb) -> None:
    """Add the verb to the parser."""
    verb = add_verb("levers", _levers, "What each lever moves, saves and costs against the baseline")
    verb.epilog, verb.formatter_class = EXAMPLES, argparse.RawDescriptionHelpFormatter
    text = "the folder of a sweep whose runs differ in lever, or its table.csv"
    verb.add_argument("directory", metavar="PATH", type=Path, help=text)
    output.add_json(verb)
    text = "write the figure (png, svg or pdf), and its data as CSV beside it"
    verb.add_argument("--plot", metavar="FILE", type=Path, help=text)
    verb.add_argument("--y", metavar="COL", help="the error or loss (default: what the runs are judged on)")
    law = "of all curves: power_law or power_law_floor (default: with a floor where the runs call for it)"
    verb.add_argument("--law", metavar="LAW", help=law)
    dialect.add_where(verb)
    level = "level of the intervals in per cent (95); tests are made at 100 less it"
    verb.add_argument("--level", type=float, default=95.0, metavar="P", help=level)
    verb.add_argument("--resamples", type=int, default=1000, help="of intervals and tests (default 1000)")
    verb.add_argument("--seed-of-resamples", type=int, default=0, metavar="N", help="their seed (default 0)")
    verb.add_argument(
        "--mixed", action="store_true", help="compare several code versions, machines or data sets"
    )


def _levers(options: argparse.Namespace) -> int:
    from isoflop.api import levers
    from isoflop.cli.terminal import console, levers_table
    from isoflop.curve.compare.contrast import Settings
    from isoflop.curve.levers import compare

    if options.json:
        output.check_target(options.json)
    if options.plot is not None:
        output.check_figure(options.plot, "--plot", [options.directory])
    if not options.directory.exists():
        raise ConfigError(f"{options.directory}: no such folder or file")
    output.check_resamples(options.resamples)
    settings = Settings(
        law=options.law,
        resamples=options.resamples,
        seed=options.seed_of_resamples,
        level=rows.level(options),
        mixed=options.mixed,
    )
    settings.check()
    report = compare.compare(levers.read(options.directory, options.y, options.where), settings)
    if options.plot is not None:
        from isoflop.report.figures import levers as drawing

        drawing.write(report, options.plot)
    if options.json:
        return output.write_json(report, options.json)
    levers_table.show(report, console.OUT)
    if options.plot is not None:
        console.OUT.print(f"written: {options.plot}", markup=False)
    return output.DONE
