"""Sets of prices by name or file (conf/cost, docs/cost.md), and what several of them say together."""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from isoflop.config.convert import readable
from isoflop.config.schema import ConfigError, CostConfig

NONE_CHOSEN = ("none", "custom")
"""Files of conf/cost that price nothing: the default of a run, and the one whose factors are overrides."""
DOLLARS_OF_USE = ("dollars_per_gpu_hour", "dollars_per_kwh")
"""Prices of what a run used, in place of which a price per FLOP may stand."""
KEYS = tuple(field.name for field in dataclasses.fields(CostConfig))


@dataclasses.dataclass(frozen=True)
class CostSet:
    """The factors of one cost file: its name, or the file's name where it is the user's own."""

    name: str
    cost: CostConfig


@dataclasses.dataclass(frozen=True)
class Prices:
    """What one set of prices says, or several together.

    Attributes:
        factors: key of CostConfig -> value, as a record keeps them.
        named: key -> name of the set that gives it.
        sources: name of a set -> where its numbers are from.
        not_added: sentences on factors that are not applied, since another holds them already.
        dollars_per_kwh_not_added: the price of a kWh among those: of electricity where a GPU is bought.
    """

    factors: dict[str, float]
    named: dict[str, str]
    sources: dict[str, str]
    not_added: tuple[str, ...] = ()
    dollars_per_kwh_not_added: float | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the sets in the order in which they were given."""
        return tuple(self.sources)


def known_names(folder: Path) -> tuple[str, ...]:
    """Return the names of the sets in a folder of cost files that price something."""
    return tuple(sorted(path.stem for path in folder.glob("*.yaml") if path.stem not in NONE_CHOSEN))


def load(names: Sequence[str], folder: Path | None = None) -> Prices:
    """Return what the named sets of prices say together.

    Args:
        names: of sets in conf/cost, such as us_2023, or paths of YAML files of the same keys, which need not
            give them all.
        folder: the folder of named sets; None for the one that is shipped.

    Raises:
        ConfigError: no such set or file, a key or a value that cannot be, or two sets that price one thing.
    """
    return together(load_sets(names, folder))


def load_sets(given: Sequence[str], folder: Path | None = None) -> list[CostSet]:
    """Return the named sets one by one; arguments and errors as `load`."""
    if twice := next((name for name in given if given.count(name) > 1), None):
        raise ConfigError(f"--cost {twice} is given twice: give it once")
    sets = [load_one(name, folder=folder) for name in given]
    # A file is called by its last part where that tells it apart: the page then holds no machine's folders.
    short = [each.name for each in sets]
    return [
        each if short.count(each.name) == 1 else CostSet(name, each.cost)
        for each, name in zip(sets, given, strict=True)
    ]


def load_one(name: str, option: str = "--cost", folder: Path | None = None) -> CostSet:
    """Return one set of prices; arguments as in `load`, `option` is what a message calls it.

    Raises:
        ConfigError: no such set or file, or a key or a value that cannot be.
    """
    from isoflop.config import compose

    folder = folder or compose.conf_dir() / "cost"
    own = name.endswith((".yaml", ".yml")) or os.sep in name
    path = Path(name) if own else folder / f"{name}.yaml"
    if not path.is_file():
        raise ConfigError(f"{option} {name}: no such file" if own else _unknown(name, option, folder))
    cost = read(path, f"{option} {name}")
    if not cost.factors:
        known = ", ".join(known_names(folder))
        raise ConfigError(f"{option} {name}: it prices nothing: give one of {known}")
    return CostSet(path.name if own else name, cost)


def _unknown(name: str, option: str, folder: Path) -> str:
    known = known_names(folder)
    near = difflib.get_close_matches(name, known, 1, 0.5)
    meant = f"did you mean {near[0]}? " if near else ""
    several = f"repeat {option} for each set. " if "," in name else ""
    return (
        f"{option} {name}: no such set of prices: {meant}{several}Known are {', '.join(known)}; "
        "or give a YAML file of your own"
    )


def read(path: Path, named: str) -> CostConfig:
    """Return a cost file; keys that it leaves out are not applied.

    Args:
        path: of the file.
        named: what a message calls it, such as `--cost my.yaml`.

    Raises:
        ConfigError: it is no YAML of these keys, or a value cannot be.
    """
    from isoflop.config import compose

    raw = compose.read_yaml(path, named)
    unknown = [str(key) for key in raw if key not in KEYS]
    if unknown:
        near = difflib.get_close_matches(unknown[0], KEYS, 1, 0.5)
        meant = f"did you mean {near[0]}? " if near else ""
        raise ConfigError(
            f"{named}: unknown key {unknown[0]}: {meant}The keys, with their units, are {', '.join(KEYS)}"
        )
    filled: dict[str, Any] = dict.fromkeys(KEYS) | raw
    try:
        return msgspec.convert(filled, CostConfig)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{named}: {readable(str(error), filled)}") from error


def together(sets: Sequence[CostSet]) -> Prices:
    """Return what several sets say together.

    Each thing is priced by one set. A set's price of a GPU-hour holds its electricity, unless the same set
    prices that too, or the GPU is bought: a price of a kWh from another set is then not added, or electricity
    would be paid for twice. PUE is that of the room, so it multiplies all energy, whichever set it is from.

    Raises:
        ConfigError: two sets give the same factor, or a price per FLOP stands beside a price of use.
    """
    named: dict[str, str] = {}
    factors: dict[str, float] = {}
    for each in sets:
        for key, value in each.cost.factors.items():
            if key in named:
                raise ConfigError(
                    f"--cost {named[key]} and --cost {each.name} both give {key}: leave one of them out"
                )
            named[key], factors[key] = each.name, value
    for per_flop, others in (
        ("dollars_per_train_gflop", DOLLARS_OF_USE),
        ("grams_co2_per_train_gflop", ("grams_co2_per_kwh",)),
    ):
        both = next((key for key in others if key in factors), None)
        if per_flop in factors and both is not None:
            raise ConfigError(_alternatives(named, per_flop, both))
    not_added, price = [], None
    hour, energy = (named.get(key) for key in DOLLARS_OF_USE)
    owned = {each.name for each in sets if each.cost.is_owned}
    if hour is not None and energy is not None and hour != energy and hour not in owned:
        price = factors.pop("dollars_per_kwh")
        del named["dollars_per_kwh"]
        not_added.append(
            f"The {price:g} dollars a kWh of {energy} are not added: an hour of {hour} holds its electricity "
            "(for a machine of your own, give both in one file)."
        )
    if "pue" in factors and not {"dollars_per_kwh", "grams_co2_per_kwh"} & set(factors):
        del factors["pue"], named["pue"]  # what it multiplied is not added
    sources = {each.name: str(each.cost.source) for each in sets}
    return Prices(factors, named, sources, tuple(not_added), price)


def _alternatives(named: dict[str, str], per_flop: str, other: str) -> str:
    what = "dollars" if per_flop.startswith("dollars") else "CO2"
    return (
        f"--cost {named[per_flop]} and --cost {named[other]} both price {what} ({per_flop} and {other}): "
        "leave one of them out"
    )
