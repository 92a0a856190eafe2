"""Work of shapes that nothing has trained yet, counted as `isoflop sweep --dry-run` does."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path

from isoflop.api.sweeping import compose_sweep
from isoflop.plan import sweep_file
from isoflop.plan.proposal import PlannedRuns
from isoflop.plan.recipe import Recipe, Shape
from isoflop.sweep import grid, planning

NAME = "counted"


def count(recipe: Recipe, shapes: Sequence[Shape]) -> dict[Shape, tuple[float, float]]:
    """Return training GFLOPs of an example of each shape, and the examples of an epoch.

    The shapes are composed from a sweep file as a plan's are, so that what is counted is what will be
    trained.

    Raises:
        ConfigError: a shape cannot be built, or the facts of the data cannot be read.
        RuntimeError: the planning process died.
    """
    chosen = [(_run(shape), 0) for shape in shapes]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sweep" / f"{NAME}.yaml"
        path.parent.mkdir()
        path.write_text(sweep_file.text(recipe, chosen, NAME, "isoflop plan", ()))
        runs = grid.expand(compose_sweep([f"sweep={NAME}"], folder))
    plans, _ = planning.lay_out(tuple(runs))
    counted = {}
    for run, plan in zip(runs, plans, strict=True):
        flops = plan.point_flops[-1]
        if flops is not None:
            batch = run.config.optim.batch_size
            shape = (run.config.model.width or 0, run.config.model.depth)
            counted[shape] = (1e-9 * flops / (plan.ends[-1] * batch), float(plan.epoch_steps * batch))
    return counted


def _run(shape: Shape) -> PlannedRuns:
    empty = PlannedRuns("", None, None, None, None, None, (), (), (0,), (), True, 0.0)
    return dataclasses.replace(empty, width=shape[0], depth=shape[1])
