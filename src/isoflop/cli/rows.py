"""The rows that a verb fits, and how: of a sweep's folder or of a table of the user's own."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from isoflop.cli import output, prices
from isoflop.config import ConfigError


def choice(options: argparse.Namespace) -> Any:
    """Return which columns and rows the options choose (api.rows.Choice)."""
    from isoflop.api.rows import Choice
    from isoflop.cli import check

    return Choice(
        x=getattr(options, "x", None),
        y=getattr(options, "y", None),
        group=getattr(options, "group", None),
        seed=getattr(options, "seed", None),
        counts=getattr(options, "counts", None),
        chance=options.chance,
        where=options.where,
        by=getattr(options, "by", None),
        named=check.named_columns(options),
        prices=prices.chosen(options),
        **{name: getattr(options, name, None) for name in ("x_unit", "y_unit", "x_label", "y_label")},
    )


def of_sweep(options: argparse.Namespace, runs: Any, *, custom: bool) -> Any:
    """Return the rows of a sweep's table that --where keeps (api.rows.Rows); one pair of axes if `custom`."""
    from isoflop.api import rows

    return rows.of_sweep(runs, options.directory, choice(options), custom=custom)


def of_file(options: argparse.Namespace) -> Any:
    """Return the rows of a table of the user's own (api.rows.Rows)."""
    from isoflop.api import rows

    return rows.of_file(options.directory, choice(options))


def fit(options: argparse.Namespace, method: Any, chosen: Any) -> Any:
    """Return the fits of the rows (FitFile), with what was said of the table."""
    from isoflop.api import rows

    hold_out = getattr(options, "hold_out", None)
    source = str(options.directory)
    return rows.fit(chosen, method, source=source, exclude=options.exclude, hold_out=hold_out)


def method_of(options: argparse.Namespace) -> Any:
    """Return the checked `fit.Method` of the options. Raises ConfigError or ValueError."""
    from isoflop.curve import fit
    from isoflop.curve.laws import LAWS

    output.check_resamples(options.resamples)
    laws = getattr(options, "laws", None)
    method = fit.Method(
        laws=tuple(name.strip() for name in laws.split(",")) if laws else tuple(LAWS),
        resamples=options.resamples,
        seed=options.seed_of_resamples,
        least_energy_grade=options.energy_grade,
        of_frontier=getattr(options, "frontier", False),
        quantile=getattr(options, "quantile", None),
        wild=options.wild,
        level=level(options),
        fix=fixed(options),
        chance=options.chance,
        independent=_independent(options),
        mixed=options.mixed,
    )
    method.check()
    return method


def _independent(options: argparse.Namespace) -> bool:
    """Whether the rows are known to be configurations: a sweep's, or where --group or --seed says so."""
    named = (getattr(options, "group", None), getattr(options, "seed", None))
    return options.directory.is_dir() or any(name is not None for name in named)


def kept_draws(options: argparse.Namespace) -> Any:
    """Return what collects the draws of --draws, None without it. Raises ConfigError for a file of no use."""
    from isoflop.curve import draws

    if getattr(options, "draws", None) is None:
        return None
    try:
        draws.check(Path(options.draws))
    except ValueError as error:
        raise ConfigError(f"--draws {error}") from None
    return draws.Draws()


def level(options: argparse.Namespace) -> float:
    """Return the share of --level. Raises ConfigError where it is no per cent between 50 and 100."""
    given: float = options.level
    if not 50 < given < 100:
        raise ConfigError(f"--level {given:g}: give per cent above 50 and below 100, such as 90")
    return given / 100


def fixed(options: argparse.Namespace) -> tuple[tuple[str, float], ...]:
    """Return the names and values of --fix. Raises ConfigError where one is not NAME=NUMBER or is twice."""
    pairs: dict[str, float] = {}
    for text in getattr(options, "fix", None) or ():
        name, sign, value = (part.strip() for part in text.partition("="))
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if not name or not sign or number != number or number in (float("inf"), float("-inf")):
            raise ConfigError(f"--fix {text}: give NAME=NUMBER, such as E=0")
        if name in pairs:
            raise ConfigError(f"--fix {text}: {name} is fixed twice")
        pairs[name] = number
    return tuple(pairs.items())
