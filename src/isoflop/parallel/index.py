"""How well a shape will run on N devices, before anything is trained: the step as a sum of what it waits for.

Data parallelism: every device holds the whole model and takes its share of the batch, and the gradients are
averaged in each step. With b = B/N examples a device, a forward pass takes F b / R + L t seconds and the
backward pass as much with its own FLOPs: R is the rate that the device sustains, L the chain of products that
cannot be parted (shapes.Chain), t the least time of one of them. L t is the serial part of Amdahl's law: it
is the same on any number of devices.

A ring all-reduce of g bytes takes 2 (N - 1)/N g/W + 2 (N - 1) l seconds, of bandwidth W and latency l
(Patarasuk and Yuan, Bandwidth optimal all-reduce algorithms for clusters of workstations, 2009). Gradients go
in buckets as in torch's DistributedDataParallel (Li et al., PyTorch Distributed, 2020), the last layers'
first, and a bucket may go when the backward pass has made its gradients; these are taken to come evenly along
the backward pass. What the backward pass does not hide, the step waits for.

Left out: the optimizer (the same on every device), reading data, stragglers, statistics of batch
normalisation (parallel to the backward pass), and that all-reduces slow what runs beside them. Each makes the
index too good. That the time of a layer does not shrink with the batch makes it too bad where part of it is
reading and writing activations.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from isoflop.parallel import limits
from isoflop.parallel.intervals import Bounded
from isoflop.parallel.links import Link
from isoflop.parallel.shapes import GRADIENT_BYTES, Shape

Array = npt.NDArray[np.float64]

FIRST_BUCKET_BYTES = 2**20
BUCKET_BYTES = 25 * 2**20
"""Sizes of the first bucket and of the others: the defaults of torch's DistributedDataParallel."""
USEFUL = 0.5
"""A number of devices is useful up to which at least this share of each is used."""
DEPTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Depths of the same FLOPs that are compared, times the shape's own."""

Bound = Literal["communication", "the chain of layers", "rows of the batch"]


@dataclasses.dataclass(frozen=True)
class Device:
    """One device.

    Attributes:
        name: as people call it.
        flops_per_second: that it sustains in the products of large layers (R).
        layer_seconds: least time of one product of the chain with what stands around it (t).
        source: where both are from.
    """

    name: str
    flops_per_second: float
    layer_seconds: float
    source: str


@dataclasses.dataclass(frozen=True)
class Step:
    """Seconds of a step on N devices.

    Attributes:
        devices: N.
        compute_seconds: forward and backward.
        communication_seconds: of all buckets, whatever hides them.
        waiting_seconds: communication that the backward pass does not hide.
    """

    devices: int
    compute_seconds: float
    communication_seconds: float
    waiting_seconds: float

    @property
    def seconds(self) -> float:
        """Of the whole step."""
        return self.compute_seconds + self.waiting_seconds

    @property
    def apart_seconds(self) -> float:
        """Of the step if nothing were hidden."""
        return self.compute_seconds + self.communication_seconds

    @property
    def hidden_seconds(self) -> float:
        """Of the step if everything could be hidden: the longer of the two."""
        return max(self.compute_seconds, self.communication_seconds)


@dataclasses.dataclass(frozen=True)
class Scaled:
    """N devices against one.

    Attributes:
        devices: N.
        step: with the whole batch shared (strong scaling).
        efficiency: S/N of it, S the speed-up.
        efficiency_apart, efficiency_hidden: if no communication were hidden, and if all could be.
        speedup: S.
        parallel_fraction: alpha_eff of S, None on one device.
        weak_efficiency: of N batches, one a device, as examples a second.
    """

    devices: int
    step: Step
    efficiency: float
    efficiency_apart: float
    efficiency_hidden: float
    speedup: float
    parallel_fraction: float | None
    weak_efficiency: float


@dataclasses.dataclass(frozen=True)
class Measured:
    """Measured efficiency of training a shape on `devices` workers, with the interval of its timings."""

    devices: int
    efficiency: Bounded
    device: str


@dataclasses.dataclass(frozen=True)
class Alternative:
    """A shape of the same FLOPs and about the same parameters, with another depth.

    Attributes:
        depth, width: with depth x width^2 kept, which a family's FLOPs go with.
        chain: its products in a row.
        scaled: on the asked number of devices.
        useful_devices: as of ParallelIndex.
    """

    depth: int
    width: int
    chain: int
    scaled: Scaled
    useful_devices: int


@dataclasses.dataclass(frozen=True)
class ParallelIndex:
    """How parallelisable a shape is: what its design fixes, and what follows on a device and a link.

    Attributes:
        shape, device, link: what it is of.
        gradient_bytes: that each device sends about twice in a step.
        flops_per_gradient_byte: training FLOPs of a step over the bytes of the gradients: the work that pays
            for a byte.
        flops_per_layer: training FLOPs of a step over the products in a row: the work that pays for waiting
            on a layer; None where the chain is unknown.
        serial_fraction: share of a step of one device that the chain takes, whatever is divided.
        speedup_limit: 1 over it, which no number of devices exceeds; None where it is without bound.
        scaled: at each number of devices asked for.
        useful_devices: the most that share the batch evenly with an efficiency of at least USEFUL.
        fastest_devices: with the shortest step; more hurt, or no row is left for them.
        bound: what keeps useful_devices from being more.
        alternatives: depth against width, at the largest number of devices asked for.
        alternatives_reason: why there are none; None where there are.
        measured: efficiencies that `isoflop parallel` measured of this shape and batch (parallel/beside.py).
    """

    shape: Shape
    device: Device
    link: Link
    gradient_bytes: int
    flops_per_gradient_byte: float
    flops_per_layer: float | None
    serial_fraction: float
    speedup_limit: float | None
    scaled: tuple[Scaled, ...]
    useful_devices: int
    fastest_devices: int
    bound: Bound
    alternatives: tuple[Alternative, ...]
    alternatives_reason: str | None
    measured: tuple[Measured, ...] = ()


def ring_seconds(sizes: Array, devices: int, link: Link) -> Array:
    """Return the seconds of ring all-reduces of `sizes` bytes (n,): 2 (N-1)/N g/W + 2 (N-1) l."""
    others = devices - 1
    of_bytes = 2 * others / devices * sizes / link.bytes_per_second
    return of_bytes + 2 * others * link.latency_seconds


def buckets(gradient_bytes: float) -> Array:
    """Return the bytes of the buckets (n,), in the order in which they go."""
    if gradient_bytes <= FIRST_BUCKET_BYTES:
        return np.array([float(gradient_bytes)])
    rest = gradient_bytes - FIRST_BUCKET_BYTES
    whole = int(rest // BUCKET_BYTES)
    sizes = [FIRST_BUCKET_BYTES, *[BUCKET_BYTES] * whole, rest - whole * BUCKET_BYTES]
    return np.array([size for size in sizes if size > 0], float)


def step(
    shape: Shape, device: Device, link: Link, devices: int, examples: float, gradient_bytes: float
) -> Step:
    """Return the seconds of a step.

    Args:
        shape: the model.
        device: each of them.
        link: between them.
        devices: N.
        examples: of each device.
        gradient_bytes: to be averaged.
    """
    chain = shape.step_chain / 2 * device.layer_seconds
    backward_flops = shape.train_flops_per_example - shape.forward_flops_per_example
    forward = shape.forward_flops_per_example * examples / device.flops_per_second + chain
    backward = backward_flops * examples / device.flops_per_second + chain
    if devices == 1:
        return Step(1, forward + backward, 0.0, 0.0)
    sizes = buckets(gradient_bytes)
    seconds = ring_seconds(sizes, devices, link)
    ready = forward + backward * np.cumsum(sizes) / gradient_bytes
    # A bucket goes when it is ready and the one before has gone: the last ends after the slowest way through,
    # which waits for one bucket to be ready and then sends it and all that follow.
    ends = ready + np.cumsum(seconds[::-1])[::-1]
    waiting = max(0.0, float(ends.max()) - forward - backward)
    return Step(devices, forward + backward, float(seconds.sum()), waiting)


def scale(shape: Shape, device: Device, link: Link, devices: int, gradient_bytes: float) -> Scaled:
    """Return N devices against one, with the batch shared and with a batch each."""
    alone = step(shape, device, link, 1, shape.batch_size, gradient_bytes)
    shared = step(shape, device, link, devices, shape.batch_size / devices, gradient_bytes)
    each = step(shape, device, link, devices, shape.batch_size, gradient_bytes)
    speedup = limits.speedup(alone.seconds, shared.seconds)
    return Scaled(
        devices=devices,
        step=shared,
        efficiency=speedup / devices,
        efficiency_apart=alone.seconds / shared.apart_seconds / devices,
        efficiency_hidden=alone.seconds / shared.hidden_seconds / devices,
        speedup=speedup,
        parallel_fraction=limits.parallel_fraction(speedup, devices) if devices > 1 else None,
        weak_efficiency=alone.seconds / each.seconds,
    )


def index(
    shape: Shape,
    device: Device,
    link: Link,
    devices: Sequence[int],
    bytes_per_gradient: float = GRADIENT_BYTES,
) -> ParallelIndex:
    """Return the index of a shape.

    Args:
        shape: the model and its batch.
        device: each device.
        link: between them.
        devices: numbers of devices to predict for, each a divisor of the batch's rows.
        bytes_per_gradient: of one parameter.
    """
    gradient_bytes = shape.gradients * bytes_per_gradient
    alone = step(shape, device, link, 1, shape.batch_size, gradient_bytes).seconds
    serial = shape.step_chain * device.layer_seconds / alone
    every = [scale(shape, device, link, n, gradient_bytes) for n in divisors(shape.rows)]
    useful = useful_of(every)
    limit = limits.speedup_limit(serial)
    others, reason = _alternatives(shape, device, link, max(devices), gradient_bytes)
    return ParallelIndex(
        shape=shape,
        device=device,
        link=link,
        gradient_bytes=round(gradient_bytes),
        flops_per_gradient_byte=shape.step_flops / gradient_bytes,
        flops_per_layer=shape.step_flops / shape.step_chain if shape.step_chain else None,
        serial_fraction=serial,
        speedup_limit=limit if math.isfinite(limit) else None,
        scaled=tuple(scale(shape, device, link, n, gradient_bytes) for n in devices),
        useful_devices=useful.devices,
        fastest_devices=min(every, key=lambda each: (each.step.seconds, each.devices)).devices,
        bound=_bound(useful, every, serial),
        alternatives=others,
        alternatives_reason=reason,
    )


def divisors(rows: int) -> tuple[int, ...]:
    """Return the numbers of devices that share `rows` evenly, as training on several devices asks for."""
    small = [n for n in range(1, math.isqrt(rows) + 1) if rows % n == 0]
    return tuple(sorted({*small, *(rows // n for n in small)}))


def useful_of(every: Sequence[Scaled]) -> Scaled:
    """Return the most devices up to which, counting up, each step of one's list is at least USEFUL."""
    last = every[0]
    for each in every[1:]:
        if each.efficiency < USEFUL:
            break
        last = each
    return last


def _bound(useful: Scaled, every: Sequence[Scaled], serial: float) -> Bound:
    """Return what makes the next larger number of devices not useful: the larger of its two losses."""
    if useful.devices == every[-1].devices:
        return "rows of the batch"
    beyond = every[[each.devices for each in every].index(useful.devices) + 1]
    if not beyond.step.waiting_seconds:
        return "the chain of layers"
    chain_seconds = serial * beyond.step.seconds * beyond.speedup  # of a step, on any number of devices
    return "communication" if beyond.step.waiting_seconds >= chain_seconds else "the chain of layers"


def _alternatives(
    shape: Shape, device: Device, link: Link, devices: int, gradient_bytes: float
) -> tuple[tuple[Alternative, ...], str | None]:
    """Return shapes of the same FLOPs with other depths, or why there are none."""
    if shape.width is None or shape.depth is None or shape.chain is None or shape.chain.a_depth is None:
        return (), "depth, width or the chain of layers is unknown"
    made = {}
    for times in DEPTHS:
        depth = max(1, round(shape.depth * times))
        width = max(1, round(shape.width * math.sqrt(shape.depth / depth)))
        products = shape.chain.products + shape.chain.a_depth * (depth - shape.depth)
        other = dataclasses.replace(shape, chain=dataclasses.replace(shape.chain, products=products))
        every = [scale(other, device, link, n, gradient_bytes) for n in divisors(shape.rows)]
        scaled = scale(other, device, link, devices, gradient_bytes)
        made[depth] = Alternative(depth, width, products, scaled, useful_of(every).devices)
    return tuple(made.values()), None
