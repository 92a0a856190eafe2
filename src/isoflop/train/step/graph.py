"""The whole step as a CUDA graph, with its passes op by op or compiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from isoflop.train.clip import clipping
from isoflop.train.state import trained
from isoflop.train.step import compiler
from isoflop.train.step.compiler import CompileError
from isoflop.train.step.parts import Parts, Stream, in_precision

SIDE_STREAM_STEPS = 3
"""Steps on a side stream before a capture, as torch's notes on CUDA graphs ask for."""


class Static:
    """The whole step on storage that stays, so that it can be captured once and replayed.

    A replay repeats the captured kernels on the captured addresses, so everything that differs between steps
    has to be in device memory that keeps its place. Batches are copied into two buffers. Learning rates are
    a table on the device, one row per parameter group and one column per step, read at a counter that the
    step itself increments: the host only copies a batch and launches the graph.

    Args:
        parts: what the step works on.
        example: a batch, for its shapes.
        capacity: the most steps that one call of `advance` will take.
        capture: whether the step is captured; without, the same step is called from Python.
        compiled: whether forward and backward passes are compiled.
    """

    def __init__(
        self, parts: Parts, example: tuple[Tensor, Tensor], capacity: int, *, capture: bool, compiled: bool
    ) -> None:
        self._parts, self._capture, self._compiled = parts, capture, compiled
        self._parameters = trained(parts.model)
        self._clip = clipping(self._parameters, parts.clip_norm) if parts.clip_norm is not None else None
        self._inputs, self._targets = (torch.zeros_like(tensor) for tensor in example)
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
        loss_of = parts.loss
        self._loss_of = in_precision(compiler.compiled(loss_of) if compiled else loss_of, parts.autocast)
        self._replay: Callable[[], None] = self.take_step

    @property
    def device(self) -> torch.device:
        """Where the step runs."""
        return self._inputs.device

    def prepare(self, stream: Stream) -> None:
        """Compile, then capture the step after a few on a side stream that make the libraries' workspaces.

        Raises:
            ValueError: the model does something that a graph cannot hold, such as reading a device value.
            CompileError: the compiler failed; nothing was captured.
        """
        if not (self._capture or self._compiled):
            return
        self.fill(next(stream))
        if not self._capture:
            self._compile()
            return
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.device(self.device):
                self._warm_side_stream()
                with torch.cuda.graph(graph):
                    self.take_step()
        except torch.OutOfMemoryError:
            # A RuntimeError too, but another engine would not help.
            raise
        except RuntimeError as error:
            raise ValueError(
                f"this step cannot be a CUDA graph ({compiler.first_line(error)}): set launch.step=eager"
            ) from error
        self._replay = graph.replay

    def _warm_side_stream(self) -> None:
        # Libraries allocate workspaces and choose algorithms in their first calls, which must not be
        # captured; and autograd remembers the stream of the first backward pass, which must not be the
        # default one.
        side, current = torch.cuda.Stream(), torch.cuda.current_stream()  # type: ignore[no-untyped-call]
        side.wait_stream(current)
        with torch.cuda.stream(side):
            self._compile()
            for _ in range(SIDE_STREAM_STEPS):
                self.take_step()
        current.wait_stream(side)

    def _compile(self) -> None:
        """Compile, by one forward and one backward pass. Raises CompileError."""
        if not self._compiled:
            return
        try:
            self._loss_of(self._inputs, self._targets).backward()  # type: ignore[no-untyped-call]
        except torch.OutOfMemoryError:
            raise
        # Tracing, lowering, Triton, a C++ compiler and files: each has exceptions of its own.
        except Exception as error:
            raise CompileError(compiler.problem(error)) from error
        self._drop_gradients()

    def advance(self, stream: Stream, factors: Sequence[float]) -> None:
        """Take one step for each of `factors`, which multiply the peak learning rates."""
        self.load_rates(factors)
        fill, replay = self.fill, self._replay
        for _, batch in zip(range(len(factors)), stream, strict=False):
            fill(batch)
            replay()

    def load_rates(self, factors: Sequence[float]) -> None:
        """Write the rates of the coming steps into the table, and begin at its first column."""
        steps = len(factors)
        assert steps <= self._table.shape[1]
        rates = [[group["peak_lr"] * factor for factor in factors] for group in self._parts.groups]
        host = torch.tensor(rates, dtype=self._table.dtype)
        # From pinned memory the copy is asynchronous; from pageable memory the host would wait for the GPU.
        host = host.pin_memory() if self._table.is_cuda else host
        self._table[:, :steps].copy_(host, non_blocking=True)
        self._column.zero_()

    def fill(self, batch: tuple[Tensor, Tensor]) -> None:
        """Copy a batch to where the step reads it."""
        self._inputs.copy_(batch[0], non_blocking=True)
        self._targets.copy_(batch[1], non_blocking=True)

    def take_step(self) -> None:
        """Take a step, op by op, on the batch and the column of rates that are in place."""
        parts = self._parts
        # The step's rates, looked up on the device: a number of the host's would be captured as a constant.
        torch.index_select(self._table, 1, self._column, out=self._rates)
        self._column.add_(1)
        loss = self._loss_of(self._inputs, self._targets)
        loss.backward()  # type: ignore[no-untyped-call]
        if self._clip:
            self._clip()
        # Not update.updates: once captured, Python's share of a step costs nothing.
        for optimizer in parts.optimizers:
            optimizer.step()
        if parts.after_update:
            parts.after_update()
        if parts.average:
            parts.average.update()
        # One loss at a time: a list of many cannot be kept over replays, which write the same tensor.
        parts.loss_sum.add_(loss.detach())
        self._drop_gradients()

    def _drop_gradients(self) -> None:
        # Without gradients the next backward pass writes them anew, into the capture's own memory pool, where
        # every replay writes them again.
        for parameter in self._parameters:
            parameter.grad = None
