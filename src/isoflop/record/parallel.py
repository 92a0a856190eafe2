"""What DIR/parallel holds: one file for each payload and number of workers whose seconds were measured."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Literal

import msgspec

from isoflop.record.checks import problem
from isoflop.record.resources import Energy, PeakRate
from isoflop.record.setting import Provenance
from isoflop.record.store import RecordError, write_bytes

PARALLEL_SCHEMA = 1
FOLDER = "parallel"

Payload = Literal["training", "matmul", "cg"]
Scaling = Literal["strong", "weak"]


@dataclasses.dataclass(frozen=True)
class SplitTiming:
    """Seconds of one timing with a barrier before each exchange, the mean over the workers.

    `waiting_seconds` are spent in barriers, `communication_seconds` in exchanges, `compute_seconds` are all
    others: the three add up to `wall_seconds`.
    """

    wall_seconds: float
    compute_seconds: float
    communication_seconds: float
    waiting_seconds: float


@dataclasses.dataclass(frozen=True)
class ParallelRecord:
    """Seconds of one payload on a number of workers.

    Attributes:
        schema: of this file.
        group_id: hash of the payload, its size and the device: records that have it in common are compared.
        payload: training, matmul (dense matrix product) or cg (sparse conjugate gradient).
        scaling: strong: the work of one worker is shared; weak: each worker has as much. One worker is the
            base of both, and is stored as strong.
        workers: processes, on `nodes` nodes.
        size: the payload and its size in words.
        settings: what defines the payload on one worker, and `engine`, which took the training steps.
        steps: training steps, products or iterations of a timing.
        flops_per_step: of all workers together, 2 for each multiply-accumulate.
        exchanges_per_step, exchanged_bytes_per_step: collectives or messages of a worker, and the bytes that
            it hands over to them: of training, those of its gradients and running statistics. How many bytes
            cross a link follows from the algorithm of the library and is not measured.
        wall_seconds: of each timing without barriers, of the slowest worker.
        split: of further timings, with barriers. They lack what a step hides by communicating while it
            computes, so they may be longer.
        barrier_seconds: median of a barrier that nobody is late for, a part of every waiting.
        residual: how far the result is from a check of its own, relative; None for training.
        peak: of one worker.
        energy: of all timings without barriers, and the seconds between them.
    """

    schema: int
    group_id: str
    payload: Payload
    scaling: Scaling
    workers: int
    nodes: int
    backend: Literal["none", "gloo", "nccl"]
    size: str
    settings: dict[str, Any]
    steps: int
    flops_per_step: float | None
    flops_per_step_reason: str | None
    exchanges_per_step: float
    exchanged_bytes_per_step: float
    wall_seconds: tuple[float, ...]
    split: tuple[SplitTiming, ...]
    barrier_seconds: float | None
    barrier_seconds_reason: str | None
    residual: float | None
    residual_reason: str | None
    peak: PeakRate | None
    peak_reason: str | None
    energy: Energy | None
    energy_reason: str | None
    provenance: Provenance


class _Head(msgspec.Struct):
    schema: int


_HEAD = msgspec.json.Decoder(_Head)
_RECORD = msgspec.json.Decoder(ParallelRecord)


def path_of(directory: Path, payload: Payload, scaling: Scaling, workers: int, group_id: str) -> Path:
    """Return where the record of a measurement lies in DIR/parallel."""
    return directory / FOLDER / f"{payload}-{scaling}-{workers}-{group_id}.json"


def write(record: ParallelRecord, directory: Path) -> Path:
    """Write `record` atomically to its place in `directory` and return the path.

    Raises:
        OSError: disk full or not writable; an older record stays as it was.
    """
    assert problem(record) is None, problem(record)
    path = path_of(directory, record.payload, record.scaling, record.workers, record.group_id)
    write_bytes(path, msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")
    return path


def read(path: Path) -> ParallelRecord:
    """Read one record.

    Raises:
        RecordError: the file is damaged, no such record, or of a newer schema.
        OSError: it cannot be opened.
    """
    payload = path.read_bytes()
    remedy = "remove it and measure again"
    try:
        if (schema := _HEAD.decode(payload).schema) > PARALLEL_SCHEMA:
            raise RecordError(
                f"{path}: schema {schema} of isoflop parallel is newer than this isoflop reads "
                f"({PARALLEL_SCHEMA}): upgrade isoflop"
            )
        record = _RECORD.decode(payload)
    except msgspec.ValidationError as error:
        raise RecordError(f"{path}: not a record of isoflop parallel ({error}): {remedy}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordError(f"{path}: damaged ({error}): {remedy}") from error
    if reason := problem(record):
        raise RecordError(f"{path}: {reason}: {remedy}")
    return record


def read_all(directory: Path) -> tuple[ParallelRecord, ...]:
    """Return the records of DIR/parallel by payload, scaling and number of workers; () where there is none.

    Raises:
        RecordError, OSError: as `read`.
    """
    records = [read(path) for path in sorted((directory / FOLDER).glob("[!.]*.json"))]
    order = ("training", "matmul", "cg")
    return tuple(sorted(records, key=lambda r: (order.index(r.payload), r.group_id, r.scaling, r.workers)))
