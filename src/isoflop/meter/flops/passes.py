"""Passes of a model's twin under torch's counter, and whether they cost the same each time."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch

from isoflop.meter.flops.dispatch import AttentionCalls, DispatchCounter
from isoflop.meter.flops.generators import generators_of, moved, snapshot, unmoved
from isoflop.meter.flops.twin import TensorOutputs
from isoflop.meter.flops.written_out import WrittenOut

SEEDS = 32
"""How often a pass is repeated at most, each time with another seed of every generator that is known."""

FEWEST = 4
"""How often a pass of many operations is repeated."""

OPERATIONS = 1500
"""How many operations the repeats of a pass may take beyond FEWEST: few operations, many repeats. A number
and not a time, so that a count does not depend on the machine or on what else runs there."""

DATALESS, WITH_DRAWS = "meta", "cpu"
"""Where tensors are made that a model creates on the way: without data, or with, so that it can read them."""


@dataclasses.dataclass(frozen=True)
class Steadiness:
    """Whether a pass costs the same each time: `reason` if it does not, `note` if it draws numbers."""

    reason: str | None = None
    note: str | None = None


def forward_pass(twin: TensorOutputs, example: torch.Tensor, place: str = DATALESS) -> DispatchCounter:
    """Count one forward pass in eval mode; `place` is DATALESS or WITH_DRAWS."""
    counter = DispatchCounter()
    _forward(twin.eval(), example, counter, place, training=False)
    return counter


def training_pass(twin: TensorOutputs, batch: torch.Tensor, place: str = DATALESS) -> DispatchCounter:
    """Count forward and backward in train mode, from a gradient on every output that depends on weights."""
    counter = DispatchCounter()
    outputs = _forward(twin.train(), batch, counter, place, training=True)
    outputs = [out for out in outputs if out.requires_grad]
    with torch.device(place):
        # Made outside the counter: the gradients of the outputs come from the loss, which is not counted.
        gradients = [torch.ones_like(out) for out in outputs]
        counter.in_backward = True
        if outputs:
            with counter:
                torch.autograd.backward(outputs, gradients)
    return counter


def _forward(
    twin: TensorOutputs, batch: torch.Tensor, counter: DispatchCounter, place: str, *, training: bool
) -> Sequence[torch.Tensor]:
    """Run the twin under a counter and return its outputs.

    Args:
        twin: the model's copy, in its mode.
        batch: the input on the meta device.
        counter: counts the operations.
        place: DATALESS or WITH_DRAWS.
        training: record gradients.
    """
    gradients = torch.enable_grad() if training else torch.no_grad()
    # torch.device: tensors that the model creates on the way are on the meta device as well, unless it reads
    # their values: a draw on the CPU.
    with torch.device(place), gradients, counter, WrittenOut(), AttentionCalls(counter):
        outputs: Sequence[torch.Tensor] = twin(batch)
    return outputs


def steadiness(
    twin: TensorOutputs, batch: torch.Tensor, first: DispatchCounter, *, training: bool, place: str = DATALESS
) -> Steadiness:
    """Repeat the forward pass in train or eval mode, each time with another seed: FEWEST to SEEDS times by
    the number of its operations, and SEEDS times if it draws numbers from a generator that is known.

    A model whose work changes from call to call has no count: layers skipped at random, a depth that grows
    with the number of calls. Numbers drawn on the meta device cannot change the work and do not matter. A
    model may also draw from where no search finds it, so the repeats are never left out.

    Args:
        twin: the model's copy; its own state advances as in as many calls.
        batch: the input on the meta device; its first dimension is the number of examples.
        first: the count of the same pass before.
        training: in train mode, else in eval mode.
        place: DATALESS or WITH_DRAWS.
    """
    generators = generators_of(twin)
    twin.train(training)
    drawn: set[str] = set()
    costs: set[tuple[float, float]] = set()
    repeats, wanted = 0, 1
    with unmoved(generators):
        while repeats < wanted:
            for each in generators:
                each.seed(repeats)
            counter, states = DispatchCounter(with_elements=False), snapshot(generators)
            _forward(twin, batch, counter, place, training=training)
            drawn.update(moved(generators, states))
            costs.add(_cost(counter))
            repeats += 1
            wanted = SEEDS if drawn else max(wanted, _repeats(counter.operations))
    if not drawn:  # else the first cost depends on what was drawn before, and the message should not
        costs.add(_cost(first))
    what = "training" if training else "inference"
    return _judged(what, sorted(drawn), [macs / len(batch) for macs, _ in costs], repeats)


def _repeats(operations: int) -> int:
    """Return how often a pass of so many operations is repeated."""
    return min(SEEDS, max(FEWEST, OPERATIONS // max(1, operations)))


def _cost(counter: DispatchCounter) -> tuple[float, float]:
    """Return the MACs of the forward pass and of the gradients that it requires."""
    return sum(counter.forward_flops.values()) / 2, counter.expected_backward_flops / 2


def _judged(what: str, drawn: Sequence[str], macs: Sequence[float], repeats: int) -> Steadiness:
    """Return the verdict on repeated passes.

    Args:
        what: training or inference.
        drawn: the generators that moved.
        macs: the different costs of an example.
        repeats: how many passes were made.
    """
    sources = " and ".join(f"{name} generator" for name in drawn)
    if len(macs) > 1:
        spread = f"{min(macs):.6g} to {max(macs):.6g} forward MACs an example"
        if drawn:
            return Steadiness(
                f"{what} is random: the model draws from {sources}, {spread} in {repeats} seeds: "
                "count it with the draw fixed"
            )
        return Steadiness(
            f"{what} changes from call to call: {spread} in {repeats} more calls: "
            "it is random or depends on the number of calls; count it with the work fixed"
        )
    return Steadiness(note=f"{what} draws from {sources}: {repeats} seeds cost the same" if drawn else None)
