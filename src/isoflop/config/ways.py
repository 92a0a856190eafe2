"""Two ways to have a GPU, rented or bought: sets of prices apart, and the shipped ones of a device."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

from isoflop.config.costs import CostSet, Prices, known_names, load_sets, together
from isoflop.config.errors import ConfigError

OF_ELECTRICITY = "us_2023"
"""Electricity and its CO2 where no set was named."""
OF_RENT = ("dollars_per_gpu_hour", "dollars_per_train_gflop", "grams_co2_per_train_gflop")
"""Factors of other sets in whose place stand the hours and the electricity of a GPU that was bought."""


@dataclasses.dataclass(frozen=True)
class Bought:
    """A GPU that is bought: dollars with its share of the machine, its years, the share of them in use."""

    dollars: float
    years: float
    utilisation: float


@dataclasses.dataclass(frozen=True)
class Ways:
    """Prices of GPUs that are rented, and of GPUs that are bought.

    Attributes:
        rent: what the sets without a purchase price say together; None without any. Without an own set it may
            be electricity alone, of GPUs that are there.
        own: the purchase with the electricity of the others; None where no set has a purchase price.
        bought: of `own`.
        is_default: whether nobody named the sets.
    """

    rent: Prices | None
    own: Prices | None
    bought: Bought | None
    is_default: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all sets."""
        both = [name for each in (self.rent, self.own) if each is not None for name in each.names]
        return tuple(dict.fromkeys(both))


def load(names: Sequence[str]) -> Ways:
    """Return sets of prices (costs.load), those with a purchase price apart from the others.

    Raises:
        ConfigError: as costs.load, or two sets with a purchase price.
    """
    return apart(load_sets(list(names)))


def apart(sets: Sequence[CostSet]) -> Ways:
    """Return what sets of prices say of GPUs that are rented and that are bought. Errors as `load`."""
    bought = [each for each in sets if each.cost.is_owned]
    others = [each for each in sets if not each.cost.is_owned]
    if len(bought) > 1:
        raise ConfigError(
            f"--cost {bought[0].name} and --cost {bought[1].name} both give dollars_per_gpu_bought: "
            "leave one of them out"
        )
    rent = together(others) if others else None
    if not bought:
        return Ways(rent, None, None)
    if rent is not None and not any(key in rent.factors for key in OF_RENT):
        rent = None  # what the others price is the electricity of the GPUs that are bought
    power = [each for each in others if not set(OF_RENT) & set(each.cost.factors)]
    cost = bought[0].cost
    assert cost.dollars_per_gpu_bought is not None
    assert cost.amortised_years is not None
    assert cost.utilisation is not None
    terms = Bought(cost.dollars_per_gpu_bought, cost.amortised_years, cost.utilisation)
    return Ways(rent, together([*bought, *power]), terms)


def of_device(device: str | None) -> Ways | None:
    """Return the shipped prices of a device by its name: the last of the cloud, of a purchase, electricity.

    None where no shipped set prices an hour of it: the prices of another device say nothing of this one.
    """
    from isoflop.config.compose import conf_dir

    names = _of_device(device or "", known_names(Path(conf_dir()) / "cost"))
    if not names:
        return None
    return dataclasses.replace(load([*names, OF_ELECTRICITY]), is_default=True)


def _of_device(device: str, known: Sequence[str]) -> list[str]:
    """Return the last set of a cloud and of a purchase whose middle word is a word of the device's name."""
    words = set(re.split(r"[^a-z0-9]+", device.lower()))
    parts = [(name, name.split("_")) for name in known]
    named = [(name, part) for name, part in parts if len(part) == 3 and part[1] in words]
    newest = sorted(named, key=lambda each: each[1][2])
    rented = [name for name, part in newest if part[0] != "own"]
    owned = [name for name, part in newest if part[0] == "own"]
    return [*rented[-1:], *owned[-1:]] if rented else []
