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


def write(refused: dict[str, str], runs: tuple[PlannedRun, ...], directory: Path) -> None:
    """Write DIR/left_out.json, for the table of the levers.

    What other sweeps into the folder left out stays; a lever that `runs`, which are trained now, have is
    taken off the list.

    Raises:
        ConfigError: the file that is there is no such list.
        OSError: it cannot be read or written.
    """
    path, trained = directory / FILE, {each.config.lever.name for each in runs}
    before = {}
    if path.is_file():
        try:
            listed = msgspec.json.decode(path.read_bytes(), type=list[dict[str, str]])
            before = {each["lever"]: each["why"] for each in listed}
        except (msgspec.DecodeError, KeyError) as error:
            raise ConfigError(f"{path} is not what isoflop writes ({error}): delete it") from error
    now = {name: why for name, why in (before | refused).items() if name not in trained}
    if now != before:
        lines = [{"lever": name, "why": why} for name, why in now.items()]
        directory.mkdir(parents=True, exist_ok=True)
        records.write_bytes(path, msgspec.json.format(msgspec.json.encode(lines)) + b"\n")
