"""The steps of several networks of one shape in one CUDA graph, side by side on streams of their own.

A narrow network's kernels leave most of a GPU idle; those of another seed can run beside them. Each network
has its own weights, optimizer, batches and rates and takes the step of `Static`, kernel for kernel, so that
it ends with the same bits as alone. Stacking the weights and mapping over them (torch.func.vmap) would not:
it turns convolutions into grouped ones, which are the slow kernels that narrow networks suffer from, and does
not update batch norm's statistics in place.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from isoflop.train.step.graph import SIDE_STREAM_STEPS, Static
from isoflop.train.step.parts import Parts, Stream


class Several:
    """Advances several networks together, each by its own stream of batches.

    Args:
        all_parts: what each network's step works on; nothing of it is shared between two.
        streams: batches of each; one is taken from each for the shapes.
        capacity: the most steps that one call of `advance` will take.
        capture: whether the steps are captured; without, they are taken in turn.
    """

    def __init__(
        self, all_parts: Sequence[Parts], streams: Sequence[Stream], capacity: int, *, capture: bool
    ) -> None:
        self._capture = capture
        self._steps = [
            Static(parts, next(stream), capacity, capture=False, compiled=False)
            for parts, stream in zip(all_parts, streams, strict=True)
        ]
        self._replay = self._take_steps

    def prepare(self, streams: Sequence[Stream]) -> None:
        """Capture all steps in one graph. Takes real steps: the caller restores every training state."""
        for each, stream in zip(self._steps, streams, strict=True):
            each.fill(next(stream))
        if not self._capture:
            return
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(self._steps[0].device):
            sides = [torch.cuda.Stream() for _ in self._steps]  # type: ignore[no-untyped-call]
            for _ in range(SIDE_STREAM_STEPS):
                self._fork(sides)
            torch.cuda.synchronize()
            with torch.cuda.graph(graph):
                self._fork(sides)
        self._replay = graph.replay

    def _fork(self, sides: Sequence[torch.cuda.Stream]) -> None:
        """Take every step on its own stream, all of which begin after and end before the current one's work.

        Inside a capture that makes parallel branches of the graph.
        """
        current = torch.cuda.current_stream()
        for each, side in zip(self._steps, sides, strict=True):
            side.wait_stream(current)
            with torch.cuda.stream(side):
                each.take_step()
        for side in sides:
            current.wait_stream(side)

    def _take_steps(self) -> None:
        for each in self._steps:
            each.take_step()

    def advance(self, streams: Sequence[Stream], factors: Sequence[Sequence[float]]) -> None:
        """Take as many steps of each network as it has factors, the same number for all."""
        steps = {len(each) for each in factors}
        assert len(steps) == 1, "networks of one graph take the same number of steps"
        for each, own in zip(self._steps, factors, strict=True):
            each.load_rates(own)
        for _ in range(steps.pop()):
            for each, stream in zip(self._steps, streams, strict=True):
                each.fill(next(stream))
            self._replay()
