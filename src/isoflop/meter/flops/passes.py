"""Passes of a model's twin under torch's counter, and whether they cost the same each time."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import torch

from isoflop.meter.flops.dispatch import AttentionCalls, DispatchCounter
from isoflop.meter.flops.generators import Generator, generators_of, moved, unmoved
from isoflop.meter.flops.twin import TensorOutputs
from isoflop.meter.flops.written_out import WrittenOut

SEEDS = 32
"""How many seeds a pass that draws random numbers is tried with."""


@dataclasses.dataclass(frozen=True)
class Steadiness:
    """Whether a pass costs the same each time: `reason` if it does not, `note` if it draws numbers."""

    reason: str | None = None
    note: str | None = None


def forward_pass(twin: TensorOutputs, example: torch.Tensor) -> DispatchCounter:
    """Count one forward pass in eval mode."""
    return _forward(twin.eval(), example, torch.no_grad())[0]


def training_pass(twin: TensorOutputs, batch: torch.Tensor) -> DispatchCounter:
    """Count forward and backward in train mode, from a gradient on every output that depends on weights."""
    counter, outputs = _forward(twin.train(), batch, torch.enable_grad())
    outputs = [out for out in outputs if out.requires_grad]
    with torch.device("meta"):
        # Made outside the counter: the gradients of the outputs come from the loss, which is not counted.
        gradients = [torch.ones_like(out) for out in outputs]
        counter.in_backward = True
        if outputs:
            with counter:
                torch.autograd.backward(outputs, gradients)
    return counter


def _forward(
    twin: TensorOutputs, batch: torch.Tensor, gradients: torch.no_grad | torch.enable_grad
) -> tuple[DispatchCounter, Sequence[torch.Tensor]]:
    counter = DispatchCounter()
    # torch.device("meta"): tensors that the model creates on the way must be on the meta device as well.
    with torch.device("meta"), gradients, counter, WrittenOut(), AttentionCalls(counter):
        outputs = twin(batch)
    return counter, outputs


def steadiness(
    twin: TensorOutputs, batch: torch.Tensor, first: DispatchCounter, *, training: bool
) -> Steadiness:
    """Repeat the forward pass in train or eval mode: once, and with SEEDS seeds if it draws numbers.

    A model whose work changes from call to call has no count: layers skipped at random, a depth that grows
    with the number of calls. Numbers drawn on the meta device cannot change the work and do not matter.

    Args:
        twin: the model's copy; its own state advances as in as many calls.
        batch: the input on the meta device; its first dimension is the number of examples.
        first: the count of the same pass before.
        training: in train mode, else in eval mode.
    """
    gradients = torch.enable_grad() if training else torch.no_grad()
    generators = generators_of(twin)

    def cost() -> tuple[float, float]:
        return _cost(_forward(twin.train(training), batch, gradients)[0])

    with unmoved(generators) as states:
        costs = {_cost(first), cost()}
        drawn = sorted(set(moved(generators, states)))
        if drawn:  # then the first costs depend on what was drawn before: the message should not
            costs = {_seeded(cost, generators, seed) for seed in range(SEEDS)}
    what = "training" if training else "inference"
    return _judged(what, drawn, [macs / len(batch) for macs, _ in costs])


def _seeded(
    cost: Callable[[], tuple[float, float]], generators: Sequence[Generator], seed: int
) -> tuple[float, float]:
    for each in generators:
        each.seed(seed)
    return cost()


def _cost(counter: DispatchCounter) -> tuple[float, float]:
    """Return the MACs of the forward pass and of the gradients that it requires."""
    return sum(counter.forward_flops.values()) / 2, counter.expected_backward_flops / 2


def _judged(what: str, drawn: Sequence[str], macs: Sequence[float]) -> Steadiness:
    """Return the verdict on repeated passes.

    Args:
        what: training or inference.
        drawn: the generators that moved.
        macs: the different costs of an example.
    """
    sources = " and ".join(f"{name} generator" for name in drawn)
    if len(macs) > 1:
        spread = f"{min(macs):.6g} to {max(macs):.6g} forward MACs an example"
        if drawn:
            return Steadiness(
                f"{what} is random: the model draws from {sources}, {spread} in {SEEDS} seeds: "
                "count it with the draw fixed"
            )
        return Steadiness(f"{what} changes from call to call: {spread}")
    return Steadiness(note=f"{what} draws from {sources}: {SEEDS} seeds cost the same" if drawn else None)
