"""Seconds and joules of a training step by shape and device, as measured; unknown where no run measured them.

Two sources, in this order: the finished runs in the sweep's own folder, and step_costs.csv, which ships with
isoflop. A step is that of the same shape, input size, batch and precision on a device of the same name;
nothing is interpolated between shapes or scaled between devices.
"""

from __future__ import annotations

import csv
import dataclasses
import importlib.resources
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from isoflop import record as records
from isoflop.config import Config
from isoflop.record import Record
from isoflop.sweep.planning import RunPlan, Site

FILE = "step_costs.csv"
OF_SHAPE = (
    *("family", "architecture", "width", "depth", "block", "patch", "kernel", "head_width"),
    *("context", "feedforward", "function", "sha256", "arguments"),
)
"""Settings of the model that the work of a step depends on."""


@dataclasses.dataclass(frozen=True)
class Step:
    """What is known to have the same cost: one step of a shape on a device."""

    device: str
    precision: str
    model: tuple[Any, ...]
    input_shape: tuple[int, ...]
    batch_size: int


@dataclasses.dataclass(frozen=True)
class StepCost:
    """Median seconds and joules of a step over `runs` runs; joules are None where no run metered them."""

    seconds: float
    joules: float | None
    runs: int


def step_of(config: Config, plan: RunPlan, site: Site) -> Step:
    """Return the step of a planned run on the device it is planned for."""
    compute = config.precision.compute
    return Step(
        site.device,
        site.precision if compute == "auto" else compute,
        _shape_of(config.identity["model"]),
        plan.input_shape,
        config.optim.batch_size,
    )


def _shape_of(settings: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what a step depends on of a model's settings, as a record holds them."""
    values = (settings.get(name) for name in OF_SHAPE)
    return tuple(
        msgspec.json.encode(value, order="sorted") if isinstance(value, dict) else value for value in values
    )


def measured_in(directory: Path) -> dict[Step, StepCost]:
    """Return the costs of the steps that finished runs in a sweep's folder took."""
    paths = sorted((directory / "records").glob("[!.]*.json"))
    return from_records(_read(paths))


def _read(paths: Iterable[Path]) -> Iterable[Record]:
    for path in paths:
        try:
            yield records.read(path)
        except (records.RecordError, OSError):
            continue  # isoflop status names it; a plan does without


def from_records(finished: Iterable[Record]) -> dict[Step, StepCost]:
    """Return the costs of the steps of finished runs: medians over runs of training seconds and metered
    joules, each over the run's steps."""
    seconds: dict[Step, list[float]] = {}
    joules: dict[Step, list[float]] = {}
    for record in finished:
        if record.time is None or record.data is None or record.optim is None or not record.optim.steps:
            continue
        precision, shape, batch_size = (
            record.provenance.precision,
            record.data.input_shape,
            record.optim.batch_size,
        )
        if precision is None or shape is None or batch_size is None:
            continue  # a training loop of the user's own
        model = _shape_of(record.cell["model"])
        step = Step(record.provenance.device, precision, model, shape, batch_size)
        seconds.setdefault(step, []).append(record.time.train_seconds / record.optim.steps)
        if record.energy is not None:
            joules.setdefault(step, []).append(record.energy.energy_joules / record.optim.steps)
    return {
        step: StepCost(
            statistics.median(every),
            statistics.median(joules[step]) if step in joules else None,
            len(every),
        )
        for step, every in seconds.items()
    }


def shipped() -> dict[Step, StepCost]:
    """Return the measured steps of step_costs.csv."""
    text = importlib.resources.files("isoflop.sweep").joinpath(FILE).read_text(encoding="utf-8")
    return dict(map(_of_row, csv.DictReader(text.splitlines())))


def _of_row(row: Mapping[str, str]) -> tuple[Step, StepCost]:
    known: dict[str, Any] = {
        "family": row["family"],
        "width": int(row["width"]),
        "depth": int(row["depth"]),
        "block": row["block"] or None,
    }
    step = Step(
        row["device"],
        row["precision"],
        tuple(known.get(name) for name in OF_SHAPE),
        (int(row["channels"]), int(row["height"]), int(row["pixels_wide"])),
        int(row["batch_size"]),
    )
    return step, StepCost(float(row["seconds_per_step"]), float(row["joules_per_step"]), int(row["runs"]))
