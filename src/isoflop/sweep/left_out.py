"""Levers of a sweep that the device or the model cannot have, left out with one line each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from isoflop import record as records
from isoflop.config import Config, ConfigError
from isoflop.extras import MissingExtraError
from isoflop.sweep import children, searched
from isoflop.sweep.grid import PlannedRun

FILE = "left_out.json"


def split(runs: tuple[PlannedRun, ...]) -> tuple[tuple[PlannedRun, ...], dict[str, str]]:
    """Return the runs whose lever can be had here, and lever -> why not of the others.

    Raises:
        ConfigError: none of several levers can be had, or the only one cannot.
    """
    first = {each.config.lever.name: each.config for each in reversed(runs)}
    if all(config.lever.is_none for config in first.values()):
        return runs, {}
    refused: dict[str, str] = children.call_in_child("looking at the levers", refusals, list(first.values()))
    if refused and len(refused) == len(first):
        raise ConfigError(next(iter(refused.values())))
    return tuple(each for each in runs if each.config.lever.name not in refused), refused


def refusals(configs: Sequence[Config]) -> dict[str, str]:
    """Return lever -> the line that refuses it, of those that this device cannot have. Imports torch."""
    from isoflop.runner.prepare import check_device, pick_device

    refused = {}
    for config in configs:
        try:
            searched.check(config)
            check_device(config, pick_device(config.launch))
        except (ConfigError, MissingExtraError) as error:
            refused[config.lever.name] = str(error)
    return refused


def write(refused: dict[str, str], directory: Path) -> None:
    """Write DIR/left_out.json, for the table of the levers; nothing where nothing was left out."""
    if refused:
        lines = [{"lever": name, "why": why} for name, why in refused.items()]
        directory.mkdir(parents=True, exist_ok=True)
        records.write_bytes(directory / FILE, msgspec.json.format(msgspec.json.encode(lines)) + b"\n")
