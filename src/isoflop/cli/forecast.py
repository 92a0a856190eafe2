"""isoflop forecast: what an error costs, and which error a budget buys."""

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
    text = "What an error costs and what a budget buys, of a sweep or of your own table"
    verb = add_verb("forecast", _forecast, text)
    verb.add_argument("directory", metavar="PATH", type=Path, help=dialect.PATH)
    output.add_json(verb)
    _add_questions(verb)
    prices.add_option(verb)
    dialect.add_axes(verb)
    dialect.add_grouping(verb)
    dialect.add_where(verb)
    verb.add_argument("--chance", type=float, metavar="V", help="the error of guessing, as a fraction")
    verb.add_argument("--laws", metavar="A,B", help="only these laws")
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
    verb.add_argument(
        "--full", action="store_true", help="all amounts of every law, not of the average alone"
    )
    # What the options of `fit` that this verb lacks are in api.rows and fit.Method.
    verb.set_defaults(wild=False, energy_grade="C", exclude=None)


def _add_questions(verb: argparse.ArgumentParser) -> None:
    """Add targets, budgets, device and queries."""
    verb.add_argument(
        "--error",
        metavar="V",
        nargs="+",
        type=float,
        default=[],
        help="errors as fractions, such as 0.05 0.01",
    )
    verb.add_argument(
        "--loss", metavar="V", nargs="+", type=float, default=[], help="losses, in the unit of y"
    )
    verb.add_argument(
        *("--budget",),
        metavar="B",
        nargs="+",
        default=[],
        help="what it buys: 20gpuh, 1e9gflops, 500usd, 10kwh, 3kgco2",
    )
    verb.add_argument("--device", metavar="NAME", help="part of a device's name, such as h200")
    verb.add_argument(
        "--queries-per-day", metavar="N", type=float, help="examples that the trained model answers a day"
    )
    verb.add_argument(
        "--gpu-tflops", metavar="V", type=float, help="TFLOP/s that one GPU sustains, not as measured"
    )
    verb.add_argument("--gpu-watts", metavar="W", type=float, help="its power meanwhile")
    verb.add_argument(
        *("--gpus",),
        metavar="N,N",
        help="is it reachable with so many GPUs, by when, rented or bought, such as 1,4,16",
    )
    verb.add_argument("--deadline", metavar="D", help="by when, with --gpus: 12h, 30d")
    verb.add_argument(
        *("--link",), metavar="NAME", help="how they are joined: nvlink4, ethernet-100, 12GB/s,20us"
    )


def _gpus(text: str | None) -> tuple[int, ...]:
    if text is None:
        return ()
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--gpus {text}: give whole numbers that increase, such as 1,4,16") from None


def _forecast(options: argparse.Namespace) -> int:
    from isoflop.plan import text

    if options.json:
        output.check_target(options.json)
    made = make(options)
    if options.json:
        return output.write_json(made, options.json)
    print("\n".join(text.lines(made, every_law=options.full)))
    return output.DONE


def make(options: argparse.Namespace) -> Any:
    """Return the forecast of costs (plan.result.CostForecast). Nothing is written."""
    from isoflop.api import firm, forecast

    ask = forecast.Ask(
        tuple(options.error),
        tuple(options.loss),
        tuple(options.budget),
        options.device,
        options.queries_per_day,
        options.gpu_tflops,
        options.gpu_watts,
        _gpus(options.gpus),
        options.deadline,
        options.link,
    )
    ask.check()
    method, chosen_prices = rows.method_of(options), firm.prices_of(options.cost, ask.gpus)
    options = argparse.Namespace(**(vars(options) | {"cost": None}))  # prices apply to answers, not to rows
    if options.directory.is_dir():
        dialect.refuse_of_folder(options)
        chosen = _of_sweep(options, ask)
    else:
        chosen = rows.of_file(options)
        if chosen.axes is None:
            raise ConfigError(f"{options.directory}: say --x and --y")
    return forecast.make_forecast(
        chosen, str(options.directory), dataclasses.replace(method), ask, chosen_prices
    )


def _of_sweep(options: argparse.Namespace, ask: Any) -> Any:
    from isoflop.api import forecast
    from isoflop.table import aggregate

    table = aggregate.aggregate(options.directory, None)
    options.y = forecast.y_of(ask, table.rows, options.y)
    return rows.of_sweep(options, table, custom=True)
