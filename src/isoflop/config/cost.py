"""The section `cost` of the configuration."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import msgspec

HOURS_PER_YEAR = 8760.0
OF_PURCHASE = ("dollars_per_gpu_bought", "amortised_years", "utilisation")
"""Keys that price an hour of a GPU that was bought."""


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
    dollars_per_gpu_bought: Annotated[float, msgspec.Meta(ge=0, le=1e6)] | None = None
    """Purchase price of one GPU with its share of the machine, in place of a price of an hour."""
    amortised_years: Annotated[float, msgspec.Meta(gt=0, le=20)] | None = None
    """Years over which the purchase is spread."""
    utilisation: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    """Share of the hours of those years in which a GPU that was bought is used."""

    def __post_init__(self) -> None:
        """Refuse a factor without a source, a cost counted twice, and a factor that lacks its partner."""
        bought = (self.dollars_per_gpu_bought, self.amortised_years, self.utilisation)
        if any(v is not None for v in bought) and None in bought:
            raise ValueError(
                "dollars_per_gpu_bought, amortised_years and utilisation make an hour of a GPU that was "
                "bought together: give all three"
            )
        if self.dollars_per_gpu_hour is not None and self.is_owned:
            raise ValueError(
                "dollars_per_gpu_hour and dollars_per_gpu_bought both price an hour: give one of them"
            )
        if self.factors and not (self.source and self.source.strip()):
            raise ValueError("a cost factor needs its source: set source to where the number is from")
        metered = (self.factors.get("dollars_per_gpu_hour"), self.dollars_per_kwh)
        if self.dollars_per_train_gflop is not None and metered != (None, None):
            raise ValueError(
                "dollars_per_train_gflop already holds hours and energy: set the other dollars to null"
            )
        if self.grams_co2_per_train_gflop is not None and self.grams_co2_per_kwh is not None:
            raise ValueError("give one of grams_co2_per_kwh and grams_co2_per_train_gflop, not both")
        if self.pue is not None and self.dollars_per_kwh is None and self.grams_co2_per_kwh is None:
            raise ValueError("pue multiplies energy: set dollars_per_kwh or grams_co2_per_kwh too")

    @property
    def is_owned(self) -> bool:
        """Whether it prices a GPU that is bought, whose hours do not hold their electricity."""
        return self.dollars_per_gpu_bought is not None

    @property
    def factors(self) -> dict[str, float]:
        """The factors that were chosen. Of a GPU that was bought, an hour has its share of the purchase:
        dollars / (years x 8760 hours x utilisation)."""
        named = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        bought, years, used = (named.pop(name) for name in OF_PURCHASE)
        del named["source"]
        if bought is not None:
            named["dollars_per_gpu_hour"] = bought / (years * HOURS_PER_YEAR * used)
        return {name: value for name, value in named.items() if value is not None}
