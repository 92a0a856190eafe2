"""The record: one JSON file per run, the only thing the training and the fitting half share.

The package holds the schema and its atomic reading and writing; it imports nothing of the rest of isoflop.
"""

from isoflop.record.checks import known, problem, unknown
from isoflop.record.learning import CurvePoint, ErrorRate, Loss, LossInterval, TrainingInterval
from isoflop.record.lever import Inference, LeverFacts
from isoflop.record.migrations import MIGRATIONS
from isoflop.record.resources import Ceiling, Compute, DeviceEnergy, Energy, Grade, PeakRate, Spent, Timing
from isoflop.record.schema import SCHEMA, Record, State
from isoflop.record.setting import DataFacts, Gpu, ModelFacts, OptimFacts, Provenance, Slurm, TextFacts
from isoflop.record.store import (
    KeptRecordError,
    RecordBusyError,
    RecordError,
    append_bytes,
    claim,
    find,
    find_state,
    is_done,
    naming,
    newer_schema,
    path_of,
    read,
    read_split_sha256,
    read_state,
    read_user_files,
    write,
    write_bytes,
)

__all__ = [
    "MIGRATIONS",
    "SCHEMA",
    "Ceiling",
    "Compute",
    "CurvePoint",
    "DataFacts",
    "DeviceEnergy",
    "Energy",
    "ErrorRate",
    "Gpu",
    "Grade",
    "Inference",
    "KeptRecordError",
    "LeverFacts",
    "Loss",
    "LossInterval",
    "ModelFacts",
    "OptimFacts",
    "PeakRate",
    "Provenance",
    "Record",
    "RecordBusyError",
    "RecordError",
    "Slurm",
    "Spent",
    "State",
    "TextFacts",
    "Timing",
    "TrainingInterval",
    "append_bytes",
    "claim",
    "find",
    "find_state",
    "is_done",
    "known",
    "naming",
    "newer_schema",
    "path_of",
    "problem",
    "read",
    "read_split_sha256",
    "read_state",
    "read_user_files",
    "unknown",
    "write",
    "write_bytes",
]
