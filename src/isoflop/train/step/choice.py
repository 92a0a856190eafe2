"""Which engine takes a run's steps, and the sentence for the record that says why."""

from __future__ import annotations

import dataclasses

import torch
from torch import nn

from isoflop.train.step import saving
from isoflop.train.step.parts import EngineKind
from isoflop.train.step.saving import Workload

NAMED: dict[str, EngineKind] = {
    "eager": "eager",
    "compile": "compile",
    "graph": "graph",
    "compiled_graph": "compiled_graph",
}
"""Values of launch.step that name an engine."""


@dataclasses.dataclass(frozen=True)
class Choice:
    """An engine, and why it was taken.

    Attributes:
        kind: the engine.
        why: a sentence for the record.
        fallback: the engine to take where this one cannot be compiled; None where the user named it.
    """

    kind: EngineKind
    why: str
    fallback: EngineKind | None = None

    def instead(self, problem: str) -> Choice:
        """Return the fallback, after `problem` came in the way."""
        assert self.fallback is not None
        return Choice(self.fallback, f"{self.kind} was tried first and failed: {problem}")


def choose(
    wanted: str,
    device: torch.device,
    model: nn.Module,
    *,
    one_process: bool = True,
    work: Workload | None = None,
    deterministic: bool = False,
) -> Choice:
    """Return the engine for the setting launch.step.

    `auto` is op by op on a CPU. On a GPU it is a CUDA graph, compiled where that is predicted to save more
    than it takes. It is op by op there too for models that draw random numbers (dropout), as a replay would
    have to advance torch's generator as those do, and where several processes train together, as their
    communication is not captured.

    Args:
        wanted: the setting.
        device: where the model lives.
        model: the model to train.
        one_process: whether this process trains alone.
        work: what the compiled step would be used for; None where unknown.
        deterministic: whether the run must be repeatable: the choice then depends on nothing but the machine.

    Raises:
        ValueError: a graph is asked for and there is no GPU.
    """
    if wanted.endswith("graph") and device.type != "cuda":
        raise ValueError(f"launch.step={wanted} needs a GPU: set launch.step to auto, eager or compile")
    if wanted != "auto":
        return Choice(NAMED[wanted], f"launch.step={wanted}")
    if device.type != "cuda":
        return Choice("eager", "a CPU")
    if not one_process:
        return Choice("eager", "several processes: their communication is not captured")
    if draws(model):
        return Choice("eager", "the model draws random numbers in training")
    if deterministic:
        return Choice("graph", "launch.deterministic: whether a cache is warm must not choose the kernels")
    return _compiled_or_not(work)


def _compiled_or_not(work: Workload | None) -> Choice:
    predicted = saving.predict(work) if work else None
    if work is None or predicted is None:
        return Choice("graph", "what compiling would save is unknown")
    cached = "from the cache" if work.cached else "on an empty cache"
    why = (
        f"compiling is predicted to save {predicted.saved_seconds:.3g} s over {work.steps} steps "
        f"and to take {predicted.compile_seconds:.3g} s {cached}: it pays from "
        f"{predicted.break_even_steps:.0f} steps"
    )
    if predicted.worthwhile:
        return Choice("compiled_graph", why, fallback="graph")
    return Choice("graph", why)


def draws(model: nn.Module) -> bool:
    """Return whether training the model draws random numbers: dropout or stochastic depth above rate 0."""
    return any(
        getattr(module, "p", 0) or getattr(module, "dropout", 0)
        for module in model.modules()
        if "Dropout" in type(module).__name__
        or isinstance(module, nn.MultiheadAttention)
        or type(module).__name__ == "StochasticDepth"
    )
