"""The configuration: what Hydra composes, checked once and frozen.

Hydra itself is imported by `compose` alone, which is not imported here.
"""

from isoflop.config.convert import from_dict, to_dict
from isoflop.config.keys import check_names, flatten, groups, names
from isoflop.config.schema import (
    Config,
    ConfigError,
    CostConfig,
    DataConfig,
    LeverConfig,
    MeterConfig,
    ModelConfig,
    OptimConfig,
    PrecisionConfig,
    ScheduleConfig,
    SweepConfig,
    TrackerConfig,
)

__all__ = [
    "Config",
    "ConfigError",
    "CostConfig",
    "DataConfig",
    "LeverConfig",
    "MeterConfig",
    "ModelConfig",
    "OptimConfig",
    "PrecisionConfig",
    "ScheduleConfig",
    "SweepConfig",
    "TrackerConfig",
    "check_names",
    "flatten",
    "from_dict",
    "groups",
    "names",
    "to_dict",
]
