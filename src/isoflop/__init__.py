"""isoflop: how error falls as training compute grows, measured on real hardware.

The names of `isoflop.__all__` are the Python API (docs/api.md). Each is loaded when it is first asked for, so
that `import isoflop` takes milliseconds and needs none of the packages that only some of them use.
"""

import importlib
from typing import TYPE_CHECKING, Any

from isoflop import extras

if TYPE_CHECKING:
    from isoflop.api.batch import CriticalBatchFit as CriticalBatchFit
    from isoflop.api.batch import critical_batch as critical_batch
    from isoflop.api.check import Check as Check
    from isoflop.api.check import check as check
    from isoflop.api.compare import Comparison as Comparison
    from isoflop.api.compare import compare as compare
    from isoflop.api.costed import Costed as Costed
    from isoflop.api.figures import plot_calibration as plot_calibration
    from isoflop.api.figures import plot_comparison as plot_comparison
    from isoflop.api.figures import plot_critical_batch as plot_critical_batch
    from isoflop.api.figures import plot_fit as plot_fit
    from isoflop.api.figures import plot_gain as plot_gain
    from isoflop.api.figures import plot_residuals as plot_residuals
    from isoflop.api.figures import save_figure as save_figure
    from isoflop.api.fit import fit as fit
    from isoflop.api.fitted import Fit as Fit
    from isoflop.api.flops import count_flops as count_flops
    from isoflop.api.forecast import forecast as forecast
    from isoflop.api.levers import Levers as Levers
    from isoflop.api.levers import levers as levers
    from isoflop.api.load import load as load
    from isoflop.api.parallel import Predicted as Predicted
    from isoflop.api.parallel import predict_parallel as predict_parallel
    from isoflop.api.plan_runs import PlannedSweep as PlannedSweep
    from isoflop.api.plan_runs import plan_runs as plan_runs
    from isoflop.api.report import write_report as write_report
    from isoflop.api.training import run_config as run_config
    from isoflop.api.training import run_sweep as run_sweep
    from isoflop.meter.energy.energy_meter import EnergyMeter as EnergyMeter
    from isoflop.runner.recorder.accelerate import AccelerateRecorder as AccelerateRecorder
    from isoflop.runner.recorder.errors import RecorderError as RecorderError
    from isoflop.runner.recorder.lightning import LightningRecorder as LightningRecorder
    from isoflop.runner.recorder.recorder import Recorder as Recorder
    from isoflop.runner.recorder.transformers import TransformersRecorder as TransformersRecorder

__version__ = "0.1.0"
_HOMES = {
    "load": "isoflop.api.load",
    "fit": "isoflop.api.fit",
    "Fit": "isoflop.api.fitted",
    "forecast": "isoflop.api.forecast",
    "Costed": "isoflop.api.costed",
    "plan_runs": "isoflop.api.plan_runs",
    "PlannedSweep": "isoflop.api.plan_runs",
    "compare": "isoflop.api.compare",
    "Comparison": "isoflop.api.compare",
    "levers": "isoflop.api.levers",
    "Levers": "isoflop.api.levers",
    "critical_batch": "isoflop.api.batch",
    "CriticalBatchFit": "isoflop.api.batch",
    "check": "isoflop.api.check",
    "Check": "isoflop.api.check",
    "predict_parallel": "isoflop.api.parallel",
    "Predicted": "isoflop.api.parallel",
    "write_report": "isoflop.api.report",
    "plot_fit": "isoflop.api.figures",
    "plot_residuals": "isoflop.api.figures",
    "plot_calibration": "isoflop.api.figures",
    "plot_comparison": "isoflop.api.figures",
    "plot_critical_batch": "isoflop.api.figures",
    "plot_gain": "isoflop.api.figures",
    "save_figure": "isoflop.api.figures",
    "run_config": "isoflop.api.training",
    "run_sweep": "isoflop.api.training",
    "count_flops": "isoflop.api.flops",
    "EnergyMeter": "isoflop.meter.energy.energy_meter",
    "Recorder": "isoflop.runner.recorder.recorder",
    "RecorderError": "isoflop.runner.recorder.errors",
    "LightningRecorder": "isoflop.runner.recorder.lightning",
    "TransformersRecorder": "isoflop.runner.recorder.transformers",
    "AccelerateRecorder": "isoflop.runner.recorder.accelerate",
}
"""Name -> module that defines it, imported when the name is first asked for."""
__all__ = [
    "Check",
    "Comparison",
    "Costed",
    "CriticalBatchFit",
    "EnergyMeter",
    "Fit",
    "Levers",
    "PlannedSweep",
    "Recorder",
    "RecorderError",
    "__version__",
    "check",
    "compare",
    "count_flops",
    "critical_batch",
    "fit",
    "forecast",
    "levers",
    "load",
    "plan_runs",
    "plot_calibration",
    "plot_comparison",
    "plot_critical_batch",
    "plot_fit",
    "plot_gain",
    "plot_residuals",
    "predict_parallel",
    "run_config",
    "run_sweep",
    "save_figure",
    "write_report",
]


def __getattr__(name: str) -> Any:
    """`isoflop.Recorder` and the other names of _HOMES, loaded when they are first asked for."""
    if name in _HOMES:
        with extras.explained(f"isoflop.{name}"):
            return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module isoflop has no attribute {name}")


def __dir__() -> list[str]:
    """The names that `__getattr__` loads too, for completion in notebooks."""
    return sorted({*globals(), *_HOMES})
