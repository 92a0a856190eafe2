"""isoflop: how error falls as training compute grows, measured on real hardware."""

import importlib
from typing import TYPE_CHECKING, Any

from isoflop import extras

if TYPE_CHECKING:
    from isoflop.meter.energy.energy_meter import EnergyMeter as EnergyMeter
    from isoflop.runner.recorder.accelerate import AccelerateRecorder as AccelerateRecorder
    from isoflop.runner.recorder.errors import RecorderError as RecorderError
    from isoflop.runner.recorder.lightning import LightningRecorder as LightningRecorder
    from isoflop.runner.recorder.recorder import Recorder as Recorder
    from isoflop.runner.recorder.transformers import TransformersRecorder as TransformersRecorder

__version__ = "0.1.0"
_HOMES = {
    "EnergyMeter": "isoflop.meter.energy.energy_meter",
    "Recorder": "isoflop.runner.recorder.recorder",
    "RecorderError": "isoflop.runner.recorder.errors",
    "LightningRecorder": "isoflop.runner.recorder.lightning",
    "TransformersRecorder": "isoflop.runner.recorder.transformers",
    "AccelerateRecorder": "isoflop.runner.recorder.accelerate",
}
"""Name -> module that defines it, imported when the name is first asked for."""
__all__ = ["EnergyMeter", "Recorder", "RecorderError", "__version__"]


def __getattr__(name: str) -> Any:
    """`isoflop.Recorder` and the other names of _HOMES, loaded when they are first asked for."""
    if name in _HOMES:
        with extras.explained(f"isoflop.{name}"):
            return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module isoflop has no attribute {name}")
