"""Runs of a sweep with lever=search: the search that they share, and the shapes that it found for them.

In the grid such a run has the baseline's shape, which gives its budget: the counted FLOPs of a forward pass.
Once the search is made, the run is replaced by one at the shape that was found, an ordinary run whose id says
what was searched, for which baseline, and what was found.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from isoflop import extras
from isoflop.config import Config, ConfigError, prior
from isoflop.config.identity import digest
from isoflop.record import search as searches
from isoflop.record.search import Search
from isoflop.sweep import children, search
from isoflop.sweep.grid import PlannedRun

KIND = "search"


def is_open(config: Config) -> bool:
    """Return whether the shape of a run has yet to be found."""
    return config.lever.kind == KIND and config.lever.search_id is None


def check(config: Config) -> None:
    """Refuse a search that cannot be made.

    Raises:
        ConfigError: the model has no width or depth, or cannot have the smallest shape.
        MissingExtraError: optuna is not installed.
    """
    if not is_open(config):
        return
    if config.model.width is None or config.model.depth is None:
        raise ConfigError(
            f"lever={config.lever.name} searches over width and depth, and {config.model.name} has not both: "
            "set model to one that has"
        )
    extras.check(f"lever={config.lever.name}", "optuna")
    search.smallest(config)


def check_sweep(base: Config, runs: Iterable[PlannedRun]) -> None:
    """Refuse a sweep that cannot be ordered around a search. Raises ConfigError."""
    for each in runs:
        if not is_open(each.config):
            continue
        lever = each.config.lever.name
        if base.launch.name == "slurm":
            raise ConfigError(
                f"lever={lever}: shapes are searched generation by generation, which jobs of SLURM cannot be "
                "ordered for: give launch=local on a node, or leave this lever out"
            )
        if each.held_out:
            raise ConfigError(
                f"sweep.held_out: the shape of a run with lever={lever} is not known before it is searched "
                "for, so that it cannot be declared: hold out runs without this lever"
            )


def dry_run_lines(runs: Iterable[PlannedRun]) -> tuple[str, ...]:
    """Return what a dry run says of the runs whose shapes have yet to be found, a line a lever."""
    levers = {each.config.lever.name: each.config.lever for each in runs if is_open(each.config)}
    return tuple(
        f"lever {name}: shown at the baseline's shapes; a search of at most {lever.candidates} candidates, "
        "which are not shown, comes first and chooses shapes of at most as many FLOPs of inference"
        for name, lever in levers.items()
    )


def id_of(config: Config) -> str:
    """Return the id of a run's search: all that defines it, without the run's own shape and seed."""
    lever = config.lever
    space = {name: getattr(lever, name) for name in ("candidates", "search_widths", "search_depths")}
    return digest({"smallest": search.smallest(config).identity, **space})


def needed(runs: Iterable[PlannedRun]) -> dict[str, Config]:
    """Return search id -> a run that it is for, of the searches that have not been made."""
    first = {id_of(each.config): each.config for each in runs if is_open(each.config)}
    return {each: config for each, config in first.items() if find(config) is None}


def make(config: Config, train: search.Train) -> None:
    """Make the search of a run and write it down. Raises as search.make."""
    searches.write(search.make(config, train), prior.folder(config), id_of(config))


def budgets(runs: Iterable[PlannedRun]) -> dict[str, float]:
    """Return config_id -> counted FLOPs of a forward pass of one example, of the runs without a shape.

    Raises:
        ConfigError: the model cannot be used, its FLOPs are unknown, or the smallest shape of a search has
            more than a run.
        RuntimeError: the counting process died.
    """
    distinct = {each.config.config_id: each.config for each in runs if is_open(each.config)}
    if not distinct:
        return {}
    counted = children.call_in_child("counting the FLOPs of inference", _count, tuple(distinct.values()))
    for config, (own, least) in zip(distinct.values(), counted, strict=True):
        name, model = config.lever.name, config.model
        if own is None or least is None:
            raise ConfigError(
                f"lever={name}: the budget is FLOPs of inference, and those of {model.name} are unknown"
            )
        if least > own:
            raise ConfigError(
                f"lever={name}: the smallest shape of the search has {least:.4g} FLOPs of inference, and "
                f"model.width={model.width} model.depth={model.depth} has {own:.4g}: let lever.search_widths "
                "or lever.search_depths begin lower"
            )
    return {config_id: own for config_id, (own, _) in zip(distinct, counted, strict=True)}


def _count(configs: tuple[Config, ...]) -> list[tuple[float | None, float | None]]:
    """Return (FLOPs of a forward pass of a run, of the smallest shape of its search) each. Imports torch."""
    from isoflop.runner.prepare import count_run
    from isoflop.train.data import Facts, facts

    def flops(config: Config, known: Facts) -> float | None:
        return count_run(config, known.input_shape, known.classes).inference_flops_per_example

    return [(flops(each, known := facts(each)), flops(search.smallest(each), known)) for each in configs]


def with_shapes(runs: Iterable[PlannedRun], budgets: Mapping[str, float]) -> tuple[PlannedRun, ...]:
    """Return the runs of a sweep at the shapes that their searches, all made, have found.

    Args:
        runs: of the sweep.
        budgets: as `budgets` returns them.

    Raises:
        ConfigError: no candidate is within a run's budget.
        RecordError: the file of a search is damaged.
    """
    return tuple(
        _with_shape(each, budgets[each.config.config_id]) if is_open(each.config) else each for each in runs
    )


def _with_shape(planned: PlannedRun, budget: float) -> PlannedRun:
    config = planned.config
    search_id, made = id_of(config), find(config)
    assert made is not None
    chosen = search.best(made, budget)
    lever = dataclasses.replace(
        config.lever,
        search_id=search_id,
        baseline_width=config.model.width,
        baseline_depth=config.model.depth,
    )
    model = dataclasses.replace(config.model, width=chosen.width, depth=chosen.depth)
    found = dataclasses.replace(config, lever=lever, model=model)
    settings = planned.settings | {"model.width": chosen.width, "model.depth": chosen.depth}
    return dataclasses.replace(planned, run_id=found.run_id, settings=settings, config=found)


def with_known_shapes(runs: tuple[PlannedRun, ...]) -> tuple[PlannedRun, ...]:
    """Return the runs at their shapes where all searches have been made, else as they are.

    Raises: as `budgets` and `with_shapes`.
    """
    return runs if needed(runs) else with_shapes(runs, budgets(runs))


def find(config: Config) -> Search | None:
    """Return the search of a run, None where it has not been made. Raises RecordError."""
    return searches.find(prior.folder(config), id_of(config))


def shape_line(runs: Iterable[PlannedRun]) -> str:
    """Return which shape was found for which baseline, in one line: `16 x 2 -> 24 x 1`, width x depth."""
    shapes = {
        (lever.baseline_width, lever.baseline_depth): (each.config.model.width, each.config.model.depth)
        for each in runs
        if (lever := each.config.lever).search_id is not None
    }
    named = [f"{w} x {d} -> {width} x {depth}" for (w, d), (width, depth) in shapes.items()]
    return f"shapes found, width x depth: {', '.join(named)}"
