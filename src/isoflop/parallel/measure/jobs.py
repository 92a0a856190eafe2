"""What is to be measured: payloads of a size, on numbers of workers. Torch-free."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from isoflop.config import Config
from isoflop.parallel.measure import sizes
from isoflop.record.label import name_of_shape
from isoflop.record.parallel import Payload, Scaling

PAYLOADS: tuple[Payload, ...] = ("training", "matmul", "cg")
SCALINGS: tuple[Scaling, ...] = ("strong", "weak")
LEAST_REPEATS = 5


@dataclasses.dataclass(frozen=True)
class Ask:
    """What a user wants to have measured.

    Attributes:
        workers: numbers of workers, 1 first and increasing.
        payloads, scalings: which of PAYLOADS and SCALINGS.
        repeats: timings without barriers, and as many with.
        seconds: about how long a timing of one worker takes.
        rows: of the square matrices, for one worker and strong scaling.
        side: points along an edge of the grid of the conjugate gradient.
        again: measure even what is measured.
    """

    workers: tuple[int, ...]
    payloads: tuple[Payload, ...] = PAYLOADS
    scalings: tuple[Scaling, ...] = SCALINGS
    repeats: int = LEAST_REPEATS
    seconds: float = 0.2
    rows: int = 768
    side: int = 48
    again: bool = False


@dataclasses.dataclass(frozen=True)
class Device:
    """What a worker is: a core of the processor, or a GPU; `name` is that of the chip, `per_node` how many
    there are."""

    kind: str
    name: str
    per_node: int


@dataclasses.dataclass(frozen=True)
class Job:
    """One payload on a number of workers, with the fields of ParallelRecord.

    Attributes:
        amount: the size there: examples of a batch, rows of the matrices or planes of the grid.
        steps: of a timing; None: as many as take Ask.seconds, which one worker finds out.
    """

    payload: Payload
    scaling: Scaling
    workers: int
    group_id: str
    size: str
    settings: dict[str, Any]
    amount: int
    steps: int | None = None


@dataclasses.dataclass(frozen=True)
class Assignment:
    """What the workers of one number of workers do, in order."""

    directory: str
    jobs: tuple[Job, ...]
    repeats: int
    seconds: float


def jobs(ask: Ask, config: Config, device: Device, workers: int) -> tuple[Job, ...]:
    """Return the jobs of a number of workers; one worker, the base of both scalings, has one a payload."""
    scalings = ask.scalings if workers > 1 else SCALINGS[:1]
    return tuple(
        _job(payload, scaling, ask, config, device, workers)
        for payload in ask.payloads
        for scaling in scalings
    )


def _job(payload: Payload, scaling: Scaling, ask: Ask, config: Config, device: Device, workers: int) -> Job:
    size, settings, base = _payload(payload, ask, config)
    shared = {"device": device.name, "threads": config.launch.threads, "precision": config.precision.compute}
    amount = base if scaling == "strong" else sizes.weak(payload, base, workers)
    return Job(payload, scaling, workers, _digest([payload, settings, shared]), size, settings, amount)


def _payload(payload: Payload, ask: Ask, config: Config) -> tuple[str, dict[str, Any], int]:
    """Return (size in words, settings, amount of one worker)."""
    if payload == "matmul":
        return f"{ask.rows} x {ask.rows}", {"rows": ask.rows}, ask.rows
    if payload == "cg":
        return f"{ask.side} x {ask.side} x {ask.side} points", {"side": ask.side}, ask.side
    model, batch = config.model, config.optim.batch_size
    shape = name_of_shape(model.family_name, model.name, model.width, model.depth)
    unit = "bytes" if config.data.is_text else "examples"
    # Of the shape: what changes a step's work, without seed, learning rate and length.
    settings = {"shape_id": config.shape_id, "shape": shape, "data": config.data.name, "batch_size": batch}
    return f"{shape}, batch of {batch} {unit}", settings, batch


def _digest(value: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()[:12]


def of_text(text: str) -> tuple[int, ...]:
    """Return the numbers of workers of `1,2,4`. Raises ValueError for what is no list of whole numbers."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--workers {text}: give whole numbers with commas, such as 1,2,4") from None


def doubling(most: int) -> tuple[int, ...]:
    """Return 1, 2, 4, ... up to `most`, which is the last of them."""
    numbers = [1]
    while 2 * numbers[-1] < most:
        numbers.append(2 * numbers[-1])
    return (*numbers, most) if most > 1 else tuple(numbers)


def named(given: str, known: Sequence[str], option: str) -> tuple[str, ...]:
    """Return the parts of a list with commas. Raises ValueError for one that is not among `known`."""
    parts = tuple(dict.fromkeys(given.split(",")))
    if unknown := [part for part in parts if part not in known]:
        raise ValueError(f"{option} {unknown[0]}: choose from {', '.join(known)}")
    return parts
