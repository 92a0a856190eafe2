"""How a step is carried out: op by op, with compiled forward and backward passes, or as one CUDA graph.

All engines take the same step (loss, gradients, optimizers, average) on the same storage. None reads a
device value, so the host runs ahead of a GPU.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from isoflop.train import update
from isoflop.train.state import Average, trained

Kind = Literal["eager", "compile", "graph", "static"]
"""`static` is the graph's step without the capture: for tests on machines without a GPU."""
Stream = Iterator[tuple[Tensor, Tensor]]
PENDING = 256
"""Losses kept apart before they are added up."""
COMPILER = "inductor"
SIDE_STEPS = 3
"""Steps on a side stream before a capture, as torch's notes on CUDA graphs ask for."""


@dataclasses.dataclass(frozen=True, eq=False)
class Parts:
    """What a step works on. `loss_sum` is a scalar on the device: not finite once any loss was not.
    `exchange` averages the gradients over the processes that train together, before the optimizers."""

    model: nn.Module
    optimizers: tuple[torch.optim.Optimizer, ...]
    average: Average | None
    loss_sum: Tensor
    autocast: torch.autocast
    label_smoothing: float
    exchange: Callable[[], None] | None = None

    @property
    def groups(self) -> list[dict[str, Any]]:
        """The parameter groups of all optimizers."""
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]


def choose(wanted: str, device: torch.device, model: nn.Module, *, alone: bool = True) -> Kind:
    """The engine for launch.step.

    `auto` on a GPU is a graph, but op by op for models that draw random numbers (dropout): a replay would
    have to advance torch's generator as those do; and op by op for a process that is not `alone`.

    Raises:
        ValueError: a graph is asked for and there is no GPU.
    """
    if wanted == "graph" and device.type != "cuda":
        raise ValueError("launch.step=graph needs a GPU: set launch.step to auto, eager or compile")
    if wanted != "auto":
        kinds: dict[str, Kind] = {"eager": "eager", "compile": "compile", "graph": "graph"}
        return kinds[wanted]
    return "graph" if device.type == "cuda" and alone and not draws(model) else "eager"


def draws(model: nn.Module) -> bool:
    """Whether training the model draws random numbers: dropout and stochastic depth with a rate above 0."""
    return any(
        getattr(module, "p", 0) or getattr(module, "dropout", 0)
        for module in model.modules()
        if "Dropout" in type(module).__name__
        or isinstance(module, nn.MultiheadAttention)
        or type(module).__name__ == "StochasticDepth"
    )


LossOf = Callable[[Tensor, Tensor], Tensor]


def _loss(parts: Parts) -> LossOf:
    model, smoothing = parts.model, parts.label_smoothing

    def loss_of(images: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(model(images), labels, label_smoothing=smoothing)

    return loss_of


def _in_precision(loss_of: LossOf, autocast: torch.autocast) -> LossOf:
    """Autocast is entered in every step, as its cache of cast weights must not outlive one; or not at all."""
    if not autocast._enabled:
        return loss_of

    def mixed(images: Tensor, labels: Tensor) -> Tensor:
        with autocast:
            return loss_of(images, labels)

    return mixed


class Eager:
    """Op by op, any device."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._loss_of = _in_precision(self._loss(), parts.autocast)
        self._parameters = trained(parts.model)
        self._updates = [parts.exchange] if parts.exchange else []
        self._updates += [u for optimizer in parts.optimizers for u in update.updates(optimizer)]
        if parts.average:
            self._updates.append(parts.average.update)

    def _loss(self) -> LossOf:
        return _loss(self._parts)

    def prepare(self, stream: Stream) -> None:
        """Nothing to do."""

    def advance(self, stream: Stream, factors: Sequence[float]) -> None:
        """A step for each factor on the learning rates."""
        groups = [(group, group["peak_lr"]) for group in self._parts.groups]
        parameters, updates, loss_of = self._parameters, self._updates, self._loss_of
        losses: list[Tensor] = []
        for factor, (images, labels) in zip(factors, stream, strict=False):
            for group, peak in groups:
                group["lr"] = peak * factor
            # Not right after the update: on a CPU that costs wide cells 3%.
            for parameter in parameters:
                parameter.grad = None
            loss = loss_of(images, labels)
            loss.backward()  # type: ignore[no-untyped-call]
            for take in updates:
                take()
            losses.append(loss.detach())
            if len(losses) == PENDING:
                self._parts.loss_sum.add_(torch.stack(losses).sum())
                losses.clear()
        if losses:
            self._parts.loss_sum.add_(torch.stack(losses).sum())
        for parameter in parameters:
            parameter.grad = None


class Compiled(Eager):
    """Forward and backward passes compiled by torch.compile, the optimizers' fused kernels as they are."""

    def _loss(self) -> LossOf:
        # A process that trains many shapes would pass the compiler's limit of variants of one function.
        torch.compiler.reset()
        compiled: LossOf = torch.compile(_loss(self._parts), dynamic=False, backend=COMPILER)
        return compiled

    def prepare(self, stream: Stream) -> None:
        """Compile: one forward and backward pass."""
        images, labels = next(stream)
        self._loss_of(images, labels).backward()  # type: ignore[no-untyped-call]
        for parameter in self._parameters:
            parameter.grad = None


class Static:
    """The whole step on storage that stays, so that it can be captured once and replayed.

    Batches are copied into two buffers. Learning rates are rows of a table on the device, one column a step,
    read by a counter that the step itself increments: the host only copies a batch and launches the graph.
    """

    def __init__(self, parts: Parts, example: tuple[Tensor, Tensor], capacity: int, *, capture: bool) -> None:
        self._parts, self._capture, self._parameters = parts, capture, trained(parts.model)
        self._images, self._labels = (torch.zeros_like(tensor) for tensor in example)
        device = example[0].device
        # The fused kernels read float32 on a GPU; on a CPU float64 is the number that the others pass.
        kind = torch.float32 if device.type == "cuda" else torch.float64
        self._table = torch.zeros(len(parts.groups), capacity, dtype=kind, device=device)
        self._column = torch.zeros(1, dtype=torch.int64, device=device)
        self._rates = torch.zeros(len(parts.groups), 1, dtype=kind, device=device)
        for row, group in enumerate(parts.groups):
            group["lr"] = self._rates[row, 0]
        self._loss_of = _in_precision(_loss(parts), parts.autocast)
        self._replay: Callable[[], None] = self._step

    def prepare(self, stream: Stream) -> None:
        """Capture the step, after a few on a side stream that make the libraries' workspaces.

        Raises:
            ValueError: the model does something that a graph cannot hold, such as reading a device value.
        """
        if not self._capture:
            return
        self._fill(next(stream))
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.device(self._images.device):
                self._on_a_side_stream()
                with torch.cuda.graph(graph):
                    self._step()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            first = str(error).strip().splitlines()[0]
            raise ValueError(f"this step cannot be a CUDA graph ({first}): set launch.step=eager") from error
        self._replay = graph.replay

    def _on_a_side_stream(self) -> None:
        side, current = torch.cuda.Stream(), torch.cuda.current_stream()  # type: ignore[no-untyped-call]
        side.wait_stream(current)
        with torch.cuda.stream(side):
            for _ in range(SIDE_STEPS):
                self._step()
        current.wait_stream(side)

    def advance(self, stream: Stream, factors: Sequence[float]) -> None:
        """A step for each factor on the learning rates."""
        steps = len(factors)
        assert steps <= self._table.shape[1]
        rates = [[group["peak_lr"] * factor for factor in factors] for group in self._parts.groups]
        host = torch.tensor(rates, dtype=self._table.dtype)
        host = host.pin_memory() if self._table.is_cuda else host
        self._table[:, :steps].copy_(host, non_blocking=True)
        self._column.zero_()
        fill, replay = self._fill, self._replay
        for _, batch in zip(range(steps), stream, strict=False):
            fill(batch)
            replay()

    def _fill(self, batch: tuple[Tensor, Tensor]) -> None:
        self._images.copy_(batch[0], non_blocking=True)
        self._labels.copy_(batch[1], non_blocking=True)

    def _step(self) -> None:
        parts = self._parts
        torch.index_select(self._table, 1, self._column, out=self._rates)
        self._column.add_(1)
        loss = self._loss_of(self._images, self._labels)
        loss.backward()  # type: ignore[no-untyped-call]
        if parts.exchange:
            parts.exchange()
        for optimizer in parts.optimizers:
            optimizer.step()
        if parts.average:
            parts.average.update()
        parts.loss_sum.add_(loss.detach())
        # Without gradients the next backward pass writes them anew; a replay writes where the capture did.
        for parameter in self._parameters:
            parameter.grad = None


Engine = Eager | Static


def engine(kind: Kind, parts: Parts, stream: Stream, capacity: int) -> Engine:
    """The engine; a batch of `stream` shows the shapes, `capacity` is the most steps of one call."""
    if kind in ("graph", "static"):
        return Static(parts, next(stream), capacity, capture=kind == "graph")
    return Compiled(parts) if kind == "compile" else Eager(parts)


def prepare_seconds(made: Engine, stream: Stream, device: torch.device) -> float:
    """Compile or capture, and say how long that took until the device was done."""
    if type(made) is Eager:
        return 0.0
    began = time.perf_counter()
    made.prepare(stream)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began
