"""--cost: dollars and CO2 of runs that are done, from their joules, hours or FLOPs."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from isoflop import record
from isoflop.config import Config

METAVAR = "SET"
TEXT = "dollars and CO2 by this set of prices, such as us_2023, or a YAML file (may be repeated)"


def add_option(parser: argparse.ArgumentParser, text: str = TEXT) -> None:
    """Add --cost, which may be repeated; `chosen` reads it."""
    parser.add_argument("--cost", metavar=METAVAR, action="append", help=text)


def chosen(options: argparse.Namespace) -> Any:
    """Return the prices (config.costs.Prices) that --cost names, None without it.

    Raises:
        ConfigError: as config.costs.load.
    """
    from isoflop.config import costs

    return costs.load(options.cost) if options.cost else None


def of_config(config: Config) -> Any:
    """Return the prices (config.costs.Prices) of a configuration's cost=, None where it has none."""
    from isoflop.config.costs import CostSet, together

    return together([CostSet("cost=", config.cost)]) if config.cost.factors else None


def of_finished(
    configs: Iterable[Config], directory: Path, overrides: Sequence[str], config_dir: str | None
) -> str | None:
    """Return a line where cost= cannot reach runs, as they are done and their records are not changed.

    Args:
        configs: of all runs.
        directory: of their records.
        overrides: of the command, which name the set of prices.
        config_dir: a folder of the user's own Hydra groups, or None.
    """
    kept = sum(
        any(_is_priced_otherwise(directory, run_id, config) for run_id in config.point_ids.values())
        for config in configs
        if config.cost.factors
    )
    if not kept:
        return None
    runs = "1 finished run keeps its prices" if kept == 1 else f"{kept} finished runs keep their prices"
    return (
        f"cost: {runs}, as records are not changed: isoflop report {directory} "
        f"--cost {_named(overrides, config_dir)} prices all of them"
    )


def _is_priced_otherwise(directory: Path, run_id: str, config: Config) -> bool:
    found = record.find(record.path_of(directory, run_id))
    return found is not None and found.state == "done" and found.cost != config.cost.factors


def _named(overrides: Sequence[str], config_dir: str | None) -> str:
    """Return what --cost has to be given for the cost= of these overrides."""
    name = next((text.partition("=")[2] for text in overrides if text.startswith("cost=")), "")
    own = Path(config_dir or ".") / "cost" / f"{name}.yaml"
    if not name or name == "custom" or any(text.startswith("cost.") for text in overrides):
        return "FILE.yaml (these factors, one a line)"
    return str(own) if config_dir is not None and own.is_file() else name
