"""isoflop: how error falls as training compute grows, measured on real hardware."""

import importlib
from typing import Any

__version__ = "0.1.0"
__all__ = ["EnergyMeter", "__version__"]


def __getattr__(name: str) -> Any:
    """`isoflop.EnergyMeter`, loaded when it is first asked for."""
    if name == "EnergyMeter":
        return importlib.import_module("isoflop.meter.energy.energy_meter").EnergyMeter
    raise AttributeError(f"module isoflop has no attribute {name}")
