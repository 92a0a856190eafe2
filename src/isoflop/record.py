"""The record: one JSON file per run, the only thing the training and the fitting half share.

This module is the schema and the atomic reading and writing of it; it imports nothing of isoflop.
Unknown is a typed state: every nullable field `x` stands beside `x_reason`, and exactly one of the two
is None. No number in a record is NaN or infinite.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import functools
import math
import os
import tempfile
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

SCHEMA = 2


def _from_1(raw: dict[str, Any]) -> dict[str, Any]:
    """Schema 1 knew no horizons, parametrizations, learning-rate grids or compile time."""
    optim, timing = raw["optim"], raw["time"]
    if optim is not None:
        optim = optim | {"parametrization": "standard", "lr_interior": None}
        optim["lr_interior_reason"] = "no learning-rate grid was tried"
    if timing is not None:
        timing = timing | {"compile_seconds": 0.0}
    return raw | {"schema": 2, "horizon": 1.0, "optim": optim, "time": timing}


MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _from_1}
"""Older schema number -> function that returns the same record in the next schema."""

State = Literal["done", "failed", "diverged", "oom", "interrupted"]
Grade = Literal["A", "B", "C", "D"]


class RecordError(ValueError):
    """A record cannot be read: damaged, of a newer schema, or not a record."""


class RecordBusyError(RuntimeError):
    """Another process is working on the same run."""


@dataclasses.dataclass(frozen=True)
class ErrorRate:
    """Share of images classified wrongly, in [0, 1]; the interval is Wilson's 95% for `test`."""

    test: float
    val: float
    ci_low: float
    ci_high: float
    test_n: int
    val_n: int


@dataclasses.dataclass(frozen=True)
class Loss:
    """Mean cross-entropy in nats; `train` is over as many training images as the test set holds, at most."""

    test: float
    val: float
    train: float


@dataclasses.dataclass(frozen=True)
class CurvePoint:
    """One evaluation during training, on the validation part; meters exclude the evaluation itself."""

    step: int
    examples: int
    seconds: float
    val_error: float
    val_loss: float
    train_flops: float | None
    train_flops_reason: str | None
    energy_joules: float | None
    energy_joules_reason: str | None


@dataclasses.dataclass(frozen=True)
class Compute:
    """Floating-point work. One multiply-accumulate (MAC) is 2 FLOPs; `train_flops` is forward and backward
    of convolutions, linear layers and attention for the examples really seen (docs/method.md)."""

    examples_seen: int
    forward_macs_per_example: float | None
    forward_macs_per_example_reason: str | None
    train_flops_per_example: float | None
    train_flops_per_example_reason: str | None
    train_flops: float | None
    train_flops_reason: str | None
    train_to_forward_ratio: float | None
    train_to_forward_ratio_reason: str | None
    inference_flops_per_example: float | None
    inference_flops_per_example_reason: str | None
    eval_flops: float | None
    eval_flops_reason: str | None
    optimizer_flops: float | None
    optimizer_flops_reason: str | None
    forward_macs_by_op: dict[str, float]
    uncounted_ops: tuple[str, ...]
    counters_agree: bool


@dataclasses.dataclass(frozen=True)
class DeviceEnergy:
    """What one board's sensors said over the window (of the replay where the cell was replayed)."""

    uuid: str
    name: str
    counter_joules: float | None
    counter_joules_reason: str | None
    integral_joules: float | None
    integral_joules_reason: str | None
    idle_watts: float | None
    idle_watts_reason: str | None
    mean_watts: float | None
    mean_watts_reason: str | None
    peak_watts: float | None
    peak_watts_reason: str | None
    power_field: str
    polls: int
    coverage: float
    longest_gap_seconds: float


@dataclasses.dataclass(frozen=True)
class Energy:
    """Joules of the training window, summed over boards. `energy_joules` is raw (idle power included) and is
    the figure to use; `net_joules` subtracts the idle baseline and is never clipped."""

    energy_joules: float
    used: Literal["counter", "integral"]
    replayed: bool
    window_seconds: float
    counter_joules: float | None
    counter_joules_reason: str | None
    integral_joules: float | None
    integral_joules_reason: str | None
    idle_watts: float | None
    idle_watts_reason: str | None
    net_joules: float | None
    net_joules_reason: str | None
    coverage: float
    longest_gap_seconds: float
    grade: Grade
    grade_reasons: tuple[str, ...]
    devices: tuple[DeviceEnergy, ...]


@dataclasses.dataclass(frozen=True)
class PeakRate:
    """Dense peak arithmetic rate of the device for the data type used, with where the figure is from."""

    flops_per_second: float
    dtype: str
    source: str


@dataclasses.dataclass(frozen=True)
class Timing:
    """Seconds from a monotonic clock. `train_seconds` excludes warm-up (of which `compile_seconds` went into
    compiling or capturing the step), evaluation and data preparation."""

    train_seconds: float
    warmup_seconds: float
    compile_seconds: float
    eval_seconds: float
    setup_seconds: float
    examples_per_second: float
    achieved_flops_per_second: float | None
    achieved_flops_per_second_reason: str | None
    mfu: float | None
    mfu_reason: str | None
    peak: PeakRate | None
    peak_reason: str | None


@dataclasses.dataclass(frozen=True)
class Spent:
    """What this point cost; a trunk that several points share is counted once, at the point that first needed
    it. `flops` and `joules` are those of training; `seconds` is all wall time, with set-up, evaluation and
    replays, of which `wasted_seconds` is work whose result was thrown away."""

    flops: float | None
    flops_reason: str | None
    joules: float | None
    joules_reason: str | None
    seconds: float
    wasted_seconds: float


@dataclasses.dataclass(frozen=True)
class ModelFacts:
    """Shape of the model; `width` and `depth` are the dials of its family."""

    family: str
    architecture: str
    width: int | None
    width_reason: str | None
    depth: int | None
    depth_reason: str | None
    parameters: int | None
    parameters_reason: str | None


@dataclasses.dataclass(frozen=True)
class OptimFacts:
    """What the optimizer really used. `lr` is the peak of the schedule; `lr_interior` says whether it was the
    best of a grid and not at its edge."""

    name: str
    lr: float
    weight_decay: float
    batch_size: int
    parametrization: str
    lr_interior: bool | None
    lr_interior_reason: str | None
    steps: int | None
    steps_reason: str | None


@dataclasses.dataclass(frozen=True)
class DataFacts:
    """What the model saw. `split_sha256` is over the train, validation and test indices."""

    name: str
    fraction: float
    train_n: int
    val_n: int
    test_n: int
    classes: int
    chance_error: float
    image_shape: tuple[int, int, int]
    split_sha256: str


@dataclasses.dataclass(frozen=True)
class Gpu:
    """One graphics card as NVML names it."""

    name: str
    uuid: str
    driver: str
    power_limit_watts: float | None
    power_limit_watts_reason: str | None


@dataclasses.dataclass(frozen=True)
class Slurm:
    """The SLURM job that ran the cell."""

    job: str
    array: str
    node: str


@dataclasses.dataclass(frozen=True)
class Provenance:
    """Where a record comes from: code, machine, command. Not part of the run's identity."""

    isoflop_version: str
    git_commit: str | None
    git_commit_reason: str | None
    dirty: bool | None
    dirty_reason: str | None
    command: str
    versions: dict[str, str]
    host: str
    cpu: str
    device: str
    precision: str
    threads: int
    deterministic: bool
    started_at: str
    gpu: Gpu | None
    gpu_reason: str | None
    slurm: Slurm | None
    slurm_reason: str | None


@dataclasses.dataclass(frozen=True)
class Record:
    """One point of the curve, or the account of why there is none.

    `cell` is the configuration that defines the point; `horizon` is the share of its whole length at which it
    was cooled down (1 without cooldowns), and `trunk_id` joins the points of one trunk. `cost` holds the
    factors the user chose (dollars_per_gpu_hour, dollars_per_kwh, grams_co2_per_kwh, pue), and only those.
    """

    schema: int
    run_id: str
    config_id: str
    trunk_id: str
    horizon: float
    cell: dict[str, Any]
    attempt: int
    state: State
    reason: str | None
    seed: int
    cost: dict[str, float]
    model: ModelFacts
    provenance: Provenance
    spent: Spent
    curve: tuple[CurvePoint, ...]
    optim: OptimFacts | None
    optim_reason: str | None
    data: DataFacts | None
    data_reason: str | None
    error: ErrorRate | None
    error_reason: str | None
    loss: Loss | None
    loss_reason: str | None
    compute: Compute | None
    compute_reason: str | None
    energy: Energy | None
    energy_reason: str | None
    time: Timing | None
    time_reason: str | None


@functools.cache
def _fields(kind: type) -> tuple[tuple[str, bool], ...]:
    """(name, nullable beside a reason) of each field that is not itself a reason."""
    hints = typing.get_type_hints(kind)
    names = [f.name for f in dataclasses.fields(kind)]
    return tuple((n, f"{n}_reason" in hints) for n in names if not n.endswith("_reason"))


def problem(value: Any, where: str = "record") -> str | None:
    """The first thing in `value` that a record may not hold, in words, or None.

    Checks that numbers are finite and that each nullable field has either a value or a reason.
    """
    if isinstance(value, float):
        return None if math.isfinite(value) else f"{where} is {value}"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for name, nullable in _fields(type(value)):
            inner = getattr(value, name)
            if nullable and (inner is None) == (getattr(value, f"{name}_reason") is None):
                return f"{where}.{name} and {where}.{name}_reason must be exactly one of them None"
            if found := problem(inner, f"{where}.{name}"):
                return found
        return None
    if isinstance(value, dict):
        items = [(f"{where}.{k}", v) for k, v in value.items()]
    elif isinstance(value, (tuple, list)):
        items = [(f"{where}[{i}]", v) for i, v in enumerate(value)]
    else:
        return None
    return next((found for at, v in items if (found := problem(v, at))), None)


def unknown(reason: str, *names: str) -> types.MappingProxyType[str, Any]:
    """Keyword arguments that leave each of `names` unknown for `reason`: Compute(..., **unknown(...))."""
    pairs = dict.fromkeys(names) | {f"{name}_reason": reason for name in names}
    return types.MappingProxyType(pairs)


def known(**values: Any) -> types.MappingProxyType[str, Any]:
    """Keyword arguments for nullable fields that are known: value set, reason None."""
    return types.MappingProxyType(values | {f"{name}_reason": None for name in values})


def path_of(directory: Path, run_id: str) -> Path:
    """Where the record of `run_id` lives in a sweep's folder."""
    return directory / "records" / f"{run_id}.json"


def write_bytes(path: Path, payload: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

    Raises:
        OSError: the disk is full or the folder cannot be written; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        part.chmod(0o666 & ~umask)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write(record: Record, directory: Path) -> Path:
    """Write `record` atomically to its place in `directory` and return the path.

    Raises:
        OSError: disk full or not writable; an older record of the run stays as it was.
    """
    assert problem(record) is None, problem(record)
    path = path_of(directory, record.run_id)
    write_bytes(path, msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")
    return path


class _Head(msgspec.Struct):
    schema: int
    state: State = "failed"


_HEAD = msgspec.json.Decoder(_Head)
_RECORD = msgspec.json.Decoder(Record)


@contextlib.contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    """Turn what the decoder says of a bad file into one line that says what to do."""
    try:
        yield
    except msgspec.ValidationError as error:
        raise RecordError(f"{path}: not a record ({error}): remove it and run the cell again") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordError(f"{path}: damaged ({error}): remove it and run the cell again") from error


def _head(payload: bytes, path: Path) -> _Head:
    with _damage_named(path):
        head = _HEAD.decode(payload)
    if head.schema > SCHEMA:
        raise RecordError(
            f"{path}: schema {head.schema} is newer than this isoflop reads ({SCHEMA}): upgrade isoflop"
        )
    return head


def read_state(path: Path) -> State:
    """Only the state of a record: parses the whole file but checks little. Raises as `read` does."""
    return _head(path.read_bytes(), path).state


def is_done(path: Path) -> bool:
    """Whether there is a readable record of a finished point at `path`."""
    try:
        return read_state(path) == "done"
    except (RecordError, OSError):
        return False


def read(path: Path) -> Record:
    """Read one record, migrating older schemas.

    Raises:
        RecordError: the file is truncated, not a record, or of a newer schema.
        OSError: the file cannot be opened.
    """
    payload = path.read_bytes()
    schema = _head(payload, path).schema
    with _damage_named(path):
        if schema == SCHEMA:
            record = _RECORD.decode(payload)
        else:
            raw: dict[str, Any] = msgspec.json.decode(payload)
            for older in range(schema, SCHEMA):
                if older not in MIGRATIONS:
                    raise RecordError(f"{path}: schema {older} was never released: remove the file")
                raw = MIGRATIONS[older](raw)
            record = msgspec.convert(raw, Record)
    if found := problem(record):
        raise RecordError(f"{path}: {found}: remove it and run the cell again")
    return record


@contextlib.contextmanager
def claim(directory: Path, run_id: str) -> Iterator[None]:
    """Hold the run for this process; the system lets go when the process ends, however it ends.

    A byte-range lock on one file, at an offset taken from the run's hash: no lock files to clean up.

    Raises:
        RecordBusyError: another process holds it.
        OSError: the folder cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("a") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, int(run_id[:15], 16))
        except (BlockingIOError, PermissionError):
            raise RecordBusyError(
                f"{path_of(directory, run_id)}: another process is running this cell: wait for it or end it"
            ) from None
        yield
