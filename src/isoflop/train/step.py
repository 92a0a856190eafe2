"""How a training step is carried out: op by op, with compiled passes, or as a CUDA graph.

All engines take the same step (loss, gradients, optimizers, moving average) on the same storage. None reads
a device value, so the host runs ahead of a GPU.
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

EngineKind = Literal["eager", "compile", "graph", "static"]
"""`static` is the graph's step without the capture, for tests on machines without a GPU."""
Stream = Iterator[tuple[Tensor, Tensor]]
LossFunction = Callable[[Tensor, Tensor], Tensor]
"""Images [B, C, H, W] and labels [B] -> mean loss, a scalar."""
PENDING_LOSSES = 256
"""Losses kept as separate tensors before they are added up."""
COMPILER = "inductor"
SIDE_STREAM_STEPS = 3
"""Steps on a side stream before a capture, as torch's notes on CUDA graphs ask for."""


@dataclasses.dataclass(frozen=True, eq=False)
class Parts:
    """What a step works on.

    Attributes:
        model: what the forward pass calls: the network, or its wrapper where several processes train.
        optimizers: their groups carry `peak_lr`, from which each step's `lr` follows.
        average: moving average of the weights, or None.
        loss_sum: scalar on the device, the sum of all losses; not finite once any loss was not.
        autocast: context of a mixed-precision forward pass; None in fp32.
        label_smoothing: share of the target spread over all classes, in the training loss only.
        after_forward, after_backward: called around the backward pass where several processes train: they
            start and finish averaging the running statistics.
    """

    model: nn.Module
    optimizers: tuple[torch.optim.Optimizer, ...]
    average: Average | None
    loss_sum: Tensor
    autocast: torch.autocast | None
    label_smoothing: float
    after_forward: Callable[[], None] | None = None
    after_backward: Callable[[], None] | None = None

    @property
    def groups(self) -> list[dict[str, Any]]:
        """The parameter groups of all optimizers."""
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]


def choose(wanted: str, device: torch.device, model: nn.Module, *, one_process: bool = True) -> EngineKind:
    """Return the engine for the setting launch.step.

    `auto` is a CUDA graph on a GPU and op by op elsewhere. It is op by op on a GPU too for models that draw
    random numbers (dropout), as a replay would have to advance torch's generator as those do, and where
    several processes train together (`one_process` false), as their communication is not captured.

    Raises:
        ValueError: a graph is asked for and there is no GPU.
    """
    if wanted == "graph" and device.type != "cuda":
        raise ValueError("launch.step=graph needs a GPU: set launch.step to auto, eager or compile")
    if wanted != "auto":
        kinds: dict[str, EngineKind] = {"eager": "eager", "compile": "compile", "graph": "graph"}
        return kinds[wanted]
    return "graph" if device.type == "cuda" and one_process and not draws(model) else "eager"


def draws(model: nn.Module) -> bool:
    """Return whether training the model draws random numbers: dropout or stochastic depth above rate 0."""
    return any(
        getattr(module, "p", 0) or getattr(module, "dropout", 0)
        for module in model.modules()
        if "Dropout" in type(module).__name__
        or isinstance(module, nn.MultiheadAttention)
        or type(module).__name__ == "StochasticDepth"
    )


def _loss_function(parts: Parts) -> LossFunction:
    model, smoothing = parts.model, parts.label_smoothing

    def loss_of(images: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(model(images), labels, label_smoothing=smoothing)

    return loss_of


def _in_precision(loss_of: LossFunction, autocast: torch.autocast | None) -> LossFunction:
    """Return `loss_of` under autocast.

    The context is entered anew in every step: autocast keeps the bf16 copies of the weights until it is left,
    and the next step's weights are others. In fp32 there is no context at all: entering a disabled one costs
    2% of the smallest step (docs/performance.md).
    """
    if autocast is None:
        return loss_of

    def mixed(images: Tensor, labels: Tensor) -> Tensor:
        with autocast:
            return loss_of(images, labels)

    return mixed


def _then(loss_of: LossFunction, call: Callable[[], None] | None) -> LossFunction:
    """Return `loss_of` followed by `call`; outside of what is compiled, as `call` communicates."""
    if call is None:
        return loss_of

    def loss_then_call(images: Tensor, labels: Tensor) -> Tensor:
        loss = loss_of(images, labels)
        call()
        return loss

    return loss_then_call


class Eager:
    """Op by op, on any device."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._loss_of = _then(_in_precision(self._make_loss(), parts.autocast), parts.after_forward)
        self._parameters = trained(parts.model)
        # What follows the backward pass, in order. One flat list of calls, as the loop below is the part of
        # a small run's step that Python's own speed bounds.
        self._updates = [parts.after_backward] if parts.after_backward else []
        self._updates += [u for optimizer in parts.optimizers for u in update.updates(optimizer)]
        if parts.average:
            self._updates.append(parts.average.update)

    def _make_loss(self) -> LossFunction:
        return _loss_function(self._parts)

    def prepare(self, stream: Stream) -> None:
        """Do nothing: this engine compiles and captures nothing."""

    def advance(self, stream: Stream, factors: Sequence[float]) -> None:
        """Take one step for each of `factors`, which multiply the peak learning rates."""
        groups = [(group, group["peak_lr"]) for group in self._parts.groups]
        # Local names: looked up in every step, they are found faster than attributes.
        parameters, updates, loss_of = self._parameters, self._updates, self._loss_of
        losses: list[Tensor] = []
        for factor, (images, labels) in zip(factors, stream, strict=False):
            for group, peak in groups:
                group["lr"] = peak * factor
            # None, not zeros: the backward pass then hands over its gradients instead of adding to zeros.
            # Here and not right after the update: on a CPU that costs wide runs 3%.
            for parameter in parameters:
                parameter.grad = None
            loss = loss_of(images, labels)
            loss.backward()  # type: ignore[no-untyped-call]
            for take in updates:
                take()
            # Summed on the device: reading a loss would make the host wait for the GPU in every step. Many
            # at a time: an addition a step would be another kernel to launch.
            losses.append(loss.detach())
            if len(losses) == PENDING_LOSSES:
                self._parts.loss_sum.add_(torch.stack(losses).sum())
                losses.clear()
        if losses:
            self._parts.loss_sum.add_(torch.stack(losses).sum())
        # Between two calls models are evaluated: the gradients' memory is free for that.
        for parameter in parameters:
            parameter.grad = None


class Compiled(Eager):
    """Forward and backward passes compiled by torch.compile, the optimizers' fused kernels as they are."""

    def _make_loss(self) -> LossFunction:
        # A process that trains many shapes would reach the compiler's limit of variants of one function.
        torch.compiler.reset()
        compiled: LossFunction = torch.compile(_loss_function(self._parts), dynamic=False, backend=COMPILER)
        return compiled

    def prepare(self, stream: Stream) -> None:
        """Compile, by one forward and one backward pass."""
        images, labels = next(stream)
        self._loss_of(images, labels).backward()  # type: ignore[no-untyped-call]
        # What the forward pass started has to be awaited, as in every step.
        if self._parts.after_backward:
            self._parts.after_backward()
        for parameter in self._parameters:
            parameter.grad = None


class Static:
    """The whole step on storage that stays, so that it can be captured once and replayed.

    A replay repeats the captured kernels on the captured addresses, so everything that differs between steps
    has to be in device memory that keeps its place. Batches are copied into two buffers. Learning rates are
    a table on the device, one row per parameter group and one column per step, read at a counter that the
    step itself increments: the host only copies a batch and launches the graph.
    """

    def __init__(self, parts: Parts, example: tuple[Tensor, Tensor], capacity: int, *, capture: bool) -> None:
        self._parts, self._capture, self._parameters = parts, capture, trained(parts.model)
        self._images, self._labels = (torch.zeros_like(tensor) for tensor in example)
        device = example[0].device
        # The fused kernels read float32 rates on a GPU. On a CPU they read them as Python's floats, float64:
        # the number that the other engines pass.
        dtype = torch.float32 if device.type == "cuda" else torch.float64
        self._table = torch.zeros(len(parts.groups), capacity, dtype=dtype, device=device)
        self._column = torch.zeros(1, dtype=torch.int64, device=device)
        self._rates = torch.zeros(len(parts.groups), 1, dtype=dtype, device=device)
        for row, group in enumerate(parts.groups):
            group["lr"] = self._rates[row, 0]
        assert parts.after_backward is None, "one process: communication is not captured"
        self._loss_of = _in_precision(_loss_function(parts), parts.autocast)
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
                self._warm_side_stream()
                with torch.cuda.graph(graph):
                    self._step()
        except torch.OutOfMemoryError:
            # A RuntimeError too, but another engine would not help.
            raise
        except RuntimeError as error:
            first = str(error).strip().splitlines()[0]
            raise ValueError(f"this step cannot be a CUDA graph ({first}): set launch.step=eager") from error
        self._replay = graph.replay

    def _warm_side_stream(self) -> None:
        # Libraries allocate workspaces and choose algorithms in their first calls, which must not be
        # captured; and autograd remembers the stream of the first backward pass, which must not be the
        # default one.
        side, current = torch.cuda.Stream(), torch.cuda.current_stream()  # type: ignore[no-untyped-call]
        side.wait_stream(current)
        with torch.cuda.stream(side):
            for _ in range(SIDE_STREAM_STEPS):
                self._step()
        current.wait_stream(side)

    def advance(self, stream: Stream, factors: Sequence[float]) -> None:
        """Take one step for each of `factors`, which multiply the peak learning rates."""
        steps = len(factors)
        assert steps <= self._table.shape[1]
        rates = [[group["peak_lr"] * factor for factor in factors] for group in self._parts.groups]
        host = torch.tensor(rates, dtype=self._table.dtype)
        # From pinned memory the copy is asynchronous; from pageable memory the host would wait for the GPU.
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
        # The step's rates, looked up on the device: a number of the host's would be captured as a constant.
        torch.index_select(self._table, 1, self._column, out=self._rates)
        self._column.add_(1)
        loss = self._loss_of(self._images, self._labels)
        loss.backward()  # type: ignore[no-untyped-call]
        # Not update.updates: once captured, Python's share of a step costs nothing.
        for optimizer in parts.optimizers:
            optimizer.step()
        if parts.average:
            parts.average.update()
        # One loss at a time: a list of many cannot be kept over replays, which write the same tensor.
        parts.loss_sum.add_(loss.detach())
        # Without gradients the next backward pass writes them anew, into the capture's own memory pool, where
        # every replay writes them again.
        for parameter in self._parameters:
            parameter.grad = None


Engine = Eager | Static


def engine(kind: EngineKind, parts: Parts, stream: Stream, capacity: int) -> Engine:
    """Return a new engine.

    Args:
        kind: how to carry out the steps.
        parts: what the steps work on.
        stream: batches; graphs take one from it for the shapes.
        capacity: the most steps that one call of `advance` will take.
    """
    if kind in ("graph", "static"):
        return Static(parts, next(stream), capacity, capture=kind == "graph")
    return Compiled(parts) if kind == "compile" else Eager(parts)


def prepare_seconds(prepared: Engine, stream: Stream, device: torch.device) -> float:
    """Compile or capture, and return the seconds until the device had finished; 0 for op by op."""
    if type(prepared) is Eager:
        return 0.0
    began = time.perf_counter()
    prepared.prepare(stream)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began
