"""isoflop plan: the next runs, which shrink an interval most for what they cost, as a sweep file."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from isoflop.cli import dialect, output, prices, rows
from isoflop.config import ConfigError

RESAMPLES = 400


def add(add_verb: output.AddVerb) -> None:
    """Add the verb to the parser."""
    text = "The next runs, which shrink an interval most for what they cost, as a sweep file"
    verb = add_verb("plan", _plan, text)
    verb.usage = "isoflop plan [PATH] --budget B [--goal G] [options] [OVERRIDES of a first sweep]"
    verb.add_argument(
        "directory", metavar="PATH", type=Path, nargs="?", help=f"{dialect.PATH}; none: a first sweep"
    )
    output.add_json(verb)
    verb.add_argument("--budget", metavar="B", help="20gpuh, 30cpumin, 1e9gflops, 500usd, 10kwh or 3kgco2")
    verb.add_argument("--minutes", metavar="M", type=float, help="of one device, instead of --budget")
    verb.add_argument(
        "--goal",
        metavar="G",
        default="exponent",
        help="exponent (default), irreducible_error, error=0.05 or loss=2.5",
    )
    verb.add_argument(
        "--out", metavar="D", type=Path, help="folder of the sweep file (default PATH/plan, or plan)"
    )
    output.add_config_dir(verb)
    verb.add_argument("--device", metavar="NAME", help="part of a device's name, such as h200")
    verb.add_argument(
        "--gpu-tflops", metavar="V", type=float, help="TFLOP/s that one GPU sustains, not as measured"
    )
    verb.add_argument("--gpu-watts", metavar="W", type=float, help="its power meanwhile")
    prices.add_option(verb)
    dialect.add_axes(verb)
    dialect.add_grouping(verb)
    dialect.add_where(verb)
    verb.add_argument("--chance", type=float, metavar="V", help="the error of guessing, as a fraction")
    verb.add_argument(
        "--mixed", action="store_true", help="fit several code versions, machines or experiments together"
    )
    verb.add_argument(
        "--level", type=float, default=95.0, metavar="P", help="level of the intervals in per cent (95)"
    )
    verb.add_argument(
        "--resamples", type=int, default=RESAMPLES, help=f"bootstrap resamples (default {RESAMPLES})"
    )
    verb.add_argument("--seed-of-resamples", type=int, default=0, metavar="N", help="their seed (default 0)")
    # What the options of `fit` that this verb lacks are in api.rows and fit.Method.
    verb.set_defaults(wild=False, energy_grade="C", exclude=None)


def _plan(options: argparse.Namespace) -> int:
    from isoflop.api import plan_runs
    from isoflop.plan import proposal_text

    if options.json:
        output.check_target(options.json)
    made = make(options)
    folder = options.out
    if folder is None and not options.json:
        folder = Path(plan_runs.FOLDER) if made.source is None else Path(made.source) / plan_runs.FOLDER
    if made.files and folder is not None:
        made = plan_runs.saved(made, folder)
    if options.json:
        return output.write_json(made, options.json)
    print("\n".join(proposal_text.lines(made)))
    return output.DONE


def make(options: argparse.Namespace) -> Any:
    """Return the plan (plan.proposal.Proposal). Nothing is written."""
    from isoflop.api import plan_runs, planned_source, planned_start
    from isoflop.api.forecast import Ask
    from isoflop.plan import goal

    overrides = list(options.overrides)
    if options.directory is not None and "=" in str(options.directory) and not options.directory.exists():
        overrides.insert(0, str(options.directory))
        options.directory = None
    ask = Ask(device=options.device, gpu_tflops=options.gpu_tflops, gpu_watts=options.gpu_watts)
    ask.check()
    wanted = planned_source.Wanted(
        goal.parse(options.goal),
        plan_runs.asked_budget(options.budget, options.minutes),
        ask,
        prices.chosen(options),
    )
    if options.directory is None:
        return planned_start.of_nothing(wanted, overrides, options.config_dir, rows.level(options))
    if overrides:
        raise ConfigError(
            f"{overrides[0]}: the runs of {options.directory} have their own recipe: leave it out"
        )
    method = rows.method_of(options)
    options = argparse.Namespace(**(vars(options) | {"cost": None}))  # prices apply to costs, not to rows
    if options.directory.is_dir():
        dialect.refuse_of_folder(options)
        chosen, folder = _of_sweep(options, wanted), options.directory
    else:
        chosen, folder = rows.of_file(options), None
        if chosen.axes is None:
            raise ConfigError(f"{options.directory}: say --x and --y")
    return planned_source.of_source(
        chosen, str(options.directory), folder, dataclasses.replace(method), wanted
    )


def _of_sweep(options: argparse.Namespace, wanted: Any) -> Any:
    from isoflop.table import aggregate

    table = aggregate.aggregate(options.directory, None)
    options.y = wanted.y_of(table.rows, options.y)
    return rows.of_sweep(options, table, custom=True)
