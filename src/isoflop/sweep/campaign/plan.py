"""What a campaign trains, phase by phase: on a GPU, and as a rehearsal of seconds on a CPU.

The order of the phases is the order in which they are executed, and its reverse that in which they are left
out. Each phase may use the share of the time that it has here and what earlier phases left over.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from isoflop.sweep.campaign.recipe_check import Candidate, RecipeSearch

Kind = Literal["ceilings", "recipe", "sweep", "metering"]


@dataclasses.dataclass(frozen=True)
class Phase:
    """One part of a campaign, with results of its own.

    Attributes:
        name: as --phases and phases.jsonl write it.
        kind: what is done in it.
        share: share of the whole time; 0 for what runs only in time that is left over.
        overrides: of a sweep.
        held_out: of a sweep: only its held-out runs, or only the others.
        optional: its input may be missing, such as a second data set; it is then left out, with the reason.
    """

    name: str
    kind: Kind
    share: float
    overrides: tuple[str, ...] = ()
    held_out: bool = False
    optional: bool = False


@dataclasses.dataclass(frozen=True)
class Plan:
    """A whole campaign.

    Attributes:
        phases: in the order of their execution.
        recipe: the search for a recipe under which large networks train.
        everywhere: overrides of every run.
        ceilings_seconds: how long ceilings are measured, if the phase has the time.
        ceilings_options: of `isoflop doctor --measure`.
        start_seconds: time of a phase before its first step: planning, CUDA's context, capture of a step.
    """

    phases: tuple[Phase, ...]
    recipe: RecipeSearch
    everywhere: tuple[str, ...]
    ceilings_seconds: float
    ceilings_options: tuple[str, ...]
    start_seconds: float

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the phases."""
        return tuple(phase.name for phase in self.phases)


CANDIDATES = (
    Candidate(
        "mup",
        (
            "model.parametrization=mup",
            "model.base_width=8",
            "model.base_depth=1",
            "model.zero_init_residual=false",
        ),
    ),
    Candidate(
        "zero gain",
        (
            *("model.parametrization=standard", "model.base_width=null", "model.base_depth=null"),
            "model.zero_init_residual=true",
        ),
    ),
    Candidate(
        "standard",
        (
            *("model.parametrization=standard", "model.base_width=null", "model.base_depth=null"),
            "model.zero_init_residual=false",
        ),
    ),
)

FULL = Plan(
    phases=(
        Phase("ceilings", "ceilings", 0.05),
        Phase("recipe", "recipe", 0.20),
        Phase("ladder", "sweep", 0.43, ("sweep=ladder", "data=cifar10")),
        Phase("data_grid", "sweep", 0.12, ("sweep=data_grid", "data=cifar10")),
        Phase("held_out", "sweep", 0.16, ("sweep=ladder", "data=cifar10"), held_out=True),
        Phase("fashion_mnist", "sweep", 0.0, ("sweep=ladder", "data=fashion_mnist"), optional=True),
        Phase("metering", "metering", 0.04),
    ),
    recipe=RecipeSearch(
        overrides=("data=cifar10", "recipe=scaling", "schedule.epochs=5", "schedule.evaluations=1"),
        candidates=CANDIDATES,
        rate_factors=(1.0, 0.5),
        widths=(64, 128),
        depths=(2, 3),
    ),
    # Windows of 2 s, not 10: a replay a run would cost more than training does.
    everywhere=("meter.idle_seconds=0", "meter.window_seconds=2"),
    ceilings_seconds=8.0,
    ceilings_options=(),
    start_seconds=8.0,
)

TOY = ("data=digits", "optim.batch_size=16", "schedule.evaluations=1")
"""Digits, 8x8 pixels; at a fraction of 0.1 they are 89 for training, five steps an epoch."""

TOY_LADDER = (
    *("sweep=ladder", *TOY, "data.fraction=0.1", "model.width=1,2", "model.depth=1", "seed=0,1"),
    *("schedule.epochs=4", "schedule.cooldowns=[0.5,1]"),
    "sweep.held_out=[{model: {width: 4, depth: 1}, seed: 0}]",
)

REHEARSAL = Plan(
    phases=(
        Phase("ceilings", "ceilings", 0.1),
        Phase("recipe", "recipe", 0.3),
        Phase("ladder", "sweep", 0.25, (*TOY_LADDER,)),
        Phase(
            "data_grid",
            "sweep",
            0.2,
            ("sweep=data_grid", *TOY, "data.fraction=0.1,0.2", "model.width=1,2", "schedule.epochs=2"),
        ),
        Phase("held_out", "sweep", 0.1, (*TOY_LADDER,), held_out=True),
        Phase(
            "fashion_mnist",
            "sweep",
            0.0,
            (
                "sweep=ladder",
                "data=fashion_mnist",
                "data.download=false",
                "data.root=absent",
                "model.width=1",
                "model.depth=1",
                "seed=0",
                "sweep.held_out=[]",
            ),
            optional=True,
        ),
        Phase("metering", "metering", 0.05),
    ),
    recipe=RecipeSearch(
        overrides=(*TOY, "data.fraction=0.1", "recipe=scaling", "schedule.epochs=2"),
        candidates=CANDIDATES,
        rate_factors=(1.0,),
        widths=(2, 4),
        depths=(1, 2),
    ),
    everywhere=("meter=none", "launch.device=cpu", "launch.threads=1"),
    ceilings_seconds=0.5,
    ceilings_options=("--cpu", "--threads", "1", "--dtype", "fp32", "--anyway"),
    start_seconds=0.0,
)
