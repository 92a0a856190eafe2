"""What the index needs to know of a shape, from records: its work, its gradients, its chain of products."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from pathlib import Path

from isoflop import record as records
from isoflop.record import Record
from isoflop.record.label import name_of_shape

GRADIENT_BYTES = 4
"""Bytes of a gradient: parameters and gradients are fp32, whatever the precision of products."""
FORWARD_SHARE = 1 / 3
"""Of training FLOPs, where the forward pass was not counted apart."""


@dataclasses.dataclass(frozen=True)
class Chain:
    """Matrix products, one after the other, from input to output; `a_depth` of them with each of the depth,
    None where the model has none."""

    products: int
    a_depth: int | None


def chain_of(family: str, depth: int | None, block: str | None = None) -> Chain | None:
    """Return the chain of one of isoflop's families; None of others.

    Attention is two products, scores and mixing; what runs beside another branch, such as a shortcut that is
    a product, lengthens no chain. A test counts them on the models themselves (parallel/chain.py).
    """
    a_depth, ends = {
        "mlp": (1, 1),  # hidden layers, and the readout
        "resnet": (9 if block == "bottleneck" else 6, 2),  # three stages; stem and readout
        "convmixer": (2, 2),  # depthwise and pointwise; patches and readout
        "vit": (6, 2),  # queries with keys and values, scores, mixing, output, and two of the perceptron
        "gpt": (6, 1),  # the embedding is looked up
    }.get(family, (0, 0))
    return Chain(depth * a_depth + ends, a_depth) if depth is not None and a_depth else None


@dataclasses.dataclass(frozen=True)
class Shape:
    """A model at a batch size. An example is an image, or a byte of text.

    Attributes:
        label: such as `vit w512 d6`.
        family: of the model.
        width, depth: None where the family has none.
        train_flops_per_example, forward_flops_per_example: 2 a multiply-accumulate.
        gradients: numbers that are averaged in each step, one a parameter.
        chain: of matrix products that cannot be parted; None where it is not known.
        batch_size: examples of a step, of all devices together.
        row_size: examples that cannot be parted: 1, or the bytes of a window.
    """

    label: str
    family: str
    width: int | None
    depth: int | None
    train_flops_per_example: float
    forward_flops_per_example: float
    gradients: int
    chain: Chain | None
    batch_size: int
    row_size: int = 1

    @property
    def rows(self) -> int:
        """Rows of a batch, which devices share: images, or windows."""
        return max(1, self.batch_size // self.row_size)

    @property
    def step_flops(self) -> float:
        """Training FLOPs of a step, of all devices together."""
        return self.train_flops_per_example * self.batch_size

    @property
    def step_chain(self) -> int:
        """Products in a row of a step: forward, and back for the gradients of the inputs.

        The gradients of the weights hang on these and on nothing else, so that they lengthen no chain.
        """
        return 2 * self.chain.products if self.chain else 0


@dataclasses.dataclass(frozen=True)
class Timed:
    """A shape with the seconds of its steps in one run, on `devices` devices."""

    shape: Shape
    step_seconds: float
    device: str
    peak_flops_per_second: float | None
    ceiling_flops_per_second: float | None
    devices: int


@dataclasses.dataclass(frozen=True)
class Stored:
    """Shapes of a sweep, one a label and batch size, the smallest first; their runs; what was left out."""

    shapes: tuple[Shape, ...]
    timed: tuple[Timed, ...]
    left_out: tuple[str, ...]


def read(directory: Path) -> Stored:
    """Return the shapes of a sweep's records. No torch is needed.

    Raises:
        ValueError: no folder of records, or none of a finished run whose FLOPs and parameters are known.
    """
    folder = directory / "records"
    if not folder.is_dir():
        raise ValueError(f"{directory}: no records folder here: give the folder of a sweep")
    found: list[Timed] = []
    left_out: list[str] = []
    for path in sorted(p for p in folder.glob("*.json") if not p.name.startswith(".")):
        try:
            made = records.read(path)
        except (records.RecordError, OSError) as error:
            left_out.append(f"{path.stem}: {error}")
            continue
        timed = _timed(made)
        if isinstance(timed, str):
            left_out.append(f"{path.stem}: {timed}")
        else:
            found.append(timed)
    if not found:
        why = f" ({left_out[0]})" if left_out else ""
        raise ValueError(f"{folder}: no finished run whose work and parameters are known{why}")
    shapes = {(each.shape.label, each.shape.batch_size): each.shape for each in found}
    return Stored(
        tuple(sorted(shapes.values(), key=lambda shape: (shape.train_flops_per_example, shape.batch_size))),
        tuple(found),
        tuple(left_out),
    )


def _timed(made: Record) -> Timed | str:
    """Return the shape and timing of a record, or why it gives none."""
    work, optim, parameters = made.compute, made.optim, made.model.parameters
    if made.state != "done":
        return made.reason or made.state
    if work is None or work.train_flops_per_example is None:
        return "its FLOPs are unknown"
    if parameters is None or optim is None or optim.batch_size is None or made.time is None:
        return "its parameters, batch size or time are unknown"
    settings = made.cell.get("model", {})
    forward = work.forward_macs_per_example
    train = work.train_flops_per_example
    shape = Shape(
        label=name_of_shape(made.model.family, made.model.architecture, made.model.width, made.model.depth),
        family=made.model.family,
        width=made.model.width,
        depth=made.model.depth,
        train_flops_per_example=train,
        forward_flops_per_example=train * FORWARD_SHARE if forward is None else 2 * forward,
        gradients=parameters,
        chain=chain_of(made.model.family, made.model.depth, settings.get("block")),
        batch_size=optim.batch_size,
        row_size=int(settings.get("context") or 1),
    )
    steps = work.examples_seen / optim.batch_size
    launch = _devices(made)
    return Timed(
        shape,
        made.time.train_seconds / steps if steps else math.nan,
        made.provenance.device,
        made.time.peak.flops_per_second if made.time.peak else None,
        made.time.ceiling.flops_per_second if made.time.ceiling else None,
        launch,
    )


def _devices(made: Record) -> int:
    """Return the devices of a run: its hardware burden over that of one; 1 where neither is known."""
    time = made.time
    if time is None or time.peak is None or time.hardware_burden_flops is None or not time.train_seconds:
        return 1
    return max(1, round(time.hardware_burden_flops / (time.peak.flops_per_second * time.train_seconds)))


def one_device(timed: Iterable[Timed]) -> tuple[Timed, ...]:
    """Return the runs of one device of the kind that most of them have, for the rate of one."""
    alone = [each for each in timed if each.devices == 1 and math.isfinite(each.step_seconds)]
    names = [each.device for each in alone]
    most = max(dict.fromkeys(names), key=names.count) if names else None
    return tuple(each for each in alone if each.device == most)
