"""The section `cost` of the configuration."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import msgspec


@dataclasses.dataclass(frozen=True)
class CostConfig:
    """Factors for dollars and CO2, with their source; null means not applied, and null is the default.

    The upper limits are several times anything seen: beyond them a unit was mistaken. docs/cost.md has the
    arithmetic.
    """

    dollars_per_gpu_hour: Annotated[float, msgspec.Meta(ge=0, le=1000)] | None
    """Dollars for an hour of one GPU, its electricity included."""
    dollars_per_kwh: Annotated[float, msgspec.Meta(ge=0, le=10)] | None
    """Dollars for a kWh that was metered."""
    dollars_per_train_gflop: Annotated[float, msgspec.Meta(ge=0, le=1)] | None
    """Dollars for 1e9 training FLOPs, in place of hours and energy."""
    grams_co2_per_kwh: Annotated[float, msgspec.Meta(ge=0, le=3000)] | None
    """Grams of CO2 for a kWh that was metered."""
    grams_co2_per_train_gflop: Annotated[float, msgspec.Meta(ge=0, le=1000)] | None
    """Grams of CO2 for 1e9 training FLOPs, in place of energy."""
    pue: Annotated[float, msgspec.Meta(ge=1, le=5)] | None
    """Power usage effectiveness of the room, which multiplies energy."""
    source: str | None
    """Where the numbers are from; needed with any of them."""

    def __post_init__(self) -> None:
        """Refuse a factor without a source, a cost counted twice, and a PUE that multiplies nothing."""
        if self.factors and not (self.source and self.source.strip()):
            raise ValueError("a cost factor needs its source: set source to where the number is from")
        metered = (self.dollars_per_gpu_hour, self.dollars_per_kwh)
        if self.dollars_per_train_gflop is not None and metered != (None, None):
            raise ValueError(
                "dollars_per_train_gflop already holds hours and energy: set the other dollars to null"
            )
        if self.grams_co2_per_train_gflop is not None and self.grams_co2_per_kwh is not None:
            raise ValueError("give one of grams_co2_per_kwh and grams_co2_per_train_gflop, not both")
        if self.pue is not None and self.dollars_per_kwh is None and self.grams_co2_per_kwh is None:
            raise ValueError("pue multiplies energy: set dollars_per_kwh or grams_co2_per_kwh too")

    @property
    def factors(self) -> dict[str, float]:
        """The factors that were chosen."""
        named = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "source"}
        return {name: value for name, value in named.items() if value is not None}
