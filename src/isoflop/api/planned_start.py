"""The plan of a first sweep, before there is any run: assumed laws, counted shapes, a device's peak rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from isoflop import extras
from isoflop.api.forecast import device_by_peak
from isoflop.api.planned_source import Wanted, sweep_files
from isoflop.config import Config, ConfigError
from isoflop.config.compose import compose_config, parse_overrides
from isoflop.plan import options, propose, rates
from isoflop.plan.design.information import Noise
from isoflop.plan.design.laws import Curve
from isoflop.plan.options import Work
from isoflop.plan.proposal import Proposal
from isoflop.plan.propose import Evidence
from isoflop.plan.recipe import DEPTH, FRACTION, LENGTHS, WIDTH, Recipe, Shape, Variant, settings_of
from isoflop.plan.run_cost import RunCost
from isoflop.plan.shapes import closed_form
from isoflop.plan.trend import RateTrend
from isoflop.table import target

ASSUMED = (
    "there is no run yet: an exponent of 0.3, 20% irreducible and 5% noise are assumed; plan anew from the "
    "first curve"
)
WIDTHS = (4, 8, 16, 32, 64, 128, 256, 512)
WIDTHS_OF_DIGITS = (1, 2, 4, 8, 16, 32, 64)
"""Images of 8x8 pixels take a quarter of the widths, as in sweep=ladder."""
DEPTHS = (1, 2, 3)
EPOCHS = (2.0, 4.0, 8.0, 16.0)
COOLDOWNS = (0.25, 0.5, 1.0)
FOLDER = Path("plan")
"""Where the sweep file is written, in the working folder."""
NOISE = 0.05
"""Standard deviation of ln y between seeds and between configurations that a first design reckons with."""
EXPONENT, SHARE = 0.3, 0.2
"""Exponent, and irreducible share of y at the largest run: from the middle of the forecast's priors."""
MOST_SHARE_OF_PEAK = 0.335
OVERHEAD = 1.784
"""Rates as a share of peak, 1 / share = 1 / MOST_SHARE_OF_PEAK + OVERHEAD / size, size in forward GFLOPs an
example: the trend of results/cifar10-h200-ladder (16 shapes, H200, bf16, dense peak 989.5 TFLOP/s)."""
FORWARD_SHARE = 0.35
"""Of a forward pass in the training FLOPs of an example, in the same sweep: more than a third, as the
gradient by the images is not computed."""


def of_nothing(wanted: Wanted, overrides: Sequence[str], config_dir: str | None, level: float) -> Proposal:
    """Return a first sweep. Nothing is written.

    Raises:
        ConfigError: neither a device whose peak is known nor --gpu-tflops, a goal that needs a curve, a
        family
            without a width, or a budget that buys no run.
        MissingExtraError: torch, which counts shapes, is not installed.
    """
    if wanted.asked.goal.kind == "reach":
        raise ConfigError(
            f"--goal {wanted.asked.text}: without a run there is no curve that could come to it: give --goal "
            "exponent or irreducible_error, or a source"
        )
    extras.check("isoflop plan without a source", "torch")
    config = _composed(overrides, config_dir)
    recipe = _recipe(config, overrides)
    cost = RunCost(_rates(wanted), wanted.prices, wanted.budget)
    widths = WIDTHS_OF_DIGITS if config.data.name == "digits" else WIDTHS
    step = config.model.head_width or 1
    shapes = [(width, depth) for width in widths if width % step == 0 for depth in DEPTHS]
    works, epoch = _works(recipe, shapes)
    train_n = {float(config.data.fraction): epoch}
    offered = options.of_recipe(recipe, works, train_n, cost, math.inf)
    kept = options.affordable(offered, wanted.budget.amount) or offered
    largest, least = max(each.gflops[-1] for each in kept), min(each.gflops[0] for each in kept)
    evidence = _assumed(largest, least)
    planned = propose.plan(
        evidence, offered, [str(i) for i in range(len(offered))], wanted.asked, wanted.budget
    )
    runs = propose.runs(planned, recipe)
    name = f"first-{config.data.label}"
    files, commands = sweep_files(recipe, planned, runs, name, FOLDER, None, wanted)
    axes = (target.TEXTS if config.data.name == "text" else target.IMAGES).axes[0]
    return Proposal(
        source=None,
        x=axes[0],
        y=axes[1],
        goal=wanted.asked.text,
        quantity=f"{wanted.asked.text.replace('_', ' ')} of a first curve",
        log10=False,
        interval_of="assumed laws",
        level=level,
        budget=wanted.budget.text,
        kind=wanted.budget.kind,
        budget_amount=wanted.budget.amount,
        before=None,
        designs=planned.designs,
        runs=runs,
        laws=planned.laws,
        seed_noise=NOISE,
        config_noise=NOISE,
        files=files,
        commands=commands,
        written=(),
        warnings=(ASSUMED,),
        notes=(*planned.notes, *cost.rates.notes),
    )


def _composed(overrides: Sequence[str], config_dir: str | None) -> Config:
    """Return the configuration whose shape and length the plan varies: of recipe=scaling, or recipe=language
    of text, unless a recipe or a model is given."""
    parsed = {each.key_or_group: each.value() for _, each in parse_overrides(overrides)}
    if "sweep" in parsed:
        raise ConfigError(f"sweep={parsed['sweep']}: a plan makes its own sweep: leave it out")
    given = list(overrides)
    if not {"recipe", "model"} & set(parsed):
        given.insert(0, "recipe=language" if parsed.get("data") in ("text", "python") else "recipe=scaling")
    config = compose_config(given, config_dir)
    if config.model.width is None or config.model.depth is None:
        raise ConfigError(
            f"model={config.model.name}: a plan needs a family with width and depth, such as resnet or gpt"
        )
    return config


def _recipe(config: Config, overrides: Sequence[str]) -> Recipe:
    """Return the recipe: the length that the overrides give, or 2 to 16 epochs; cooled down at a quarter and
    a half besides.
    """
    flat = settings_of(config.identity)
    given = {each.key_or_group for _, each in parse_overrides(overrides)}
    shared = {key: value for key, value in flat.items() if key not in (WIDTH, DEPTH)}
    if given & {*LENGTHS, "schedule"} or shared["schedule.epochs"] is None:
        variants: tuple[Variant, ...] = (Variant(()),)
    else:
        variants = tuple(Variant((("schedule.epochs", epochs),)) for epochs in EPOCHS)
        shared.pop("schedule.epochs")
    if not shared.get("schedule.cooldowns"):
        shared["schedule.cooldowns"] = COOLDOWNS
    assert FRACTION in shared
    return Recipe(shared, variants, {}, {}, (), scaled=True)


def _works(recipe: Recipe, shapes: Sequence[Shape]) -> tuple[dict[Shape, Work], float]:
    """Return the work of shapes, and the examples of an epoch.

    Seven small shapes are counted; where their closed form meets all seven, it gives the others, else every
    shape is counted, which takes a few tenths of a second each.
    """
    widths = sorted({width for width, _ in shapes})[:3]
    few = [shape for shape in shapes if shape[0] in widths and (shape[1] or 0) < 3]
    few += [shape for shape in shapes if shape == (widths[-1], 3)]
    from isoflop.api.planned_shapes import count

    counted = count(recipe, few)
    form = closed_form({shape: (gflops,) for shape, (gflops, _) in counted.items()})
    if form is None:
        counted = count(recipe, shapes)
    epoch = next(iter(counted.values()))[1]
    gflops = {shape: form(shape)[0] if form else counted[shape][0] for shape in shapes}
    return {shape: Work(each, FORWARD_SHARE * each, None) for shape, each in gflops.items()}, epoch


def _rates(wanted: Wanted) -> rates.Rates:
    """Return rates as given, or those of a device by its peak. Raises ConfigError."""
    ask = wanted.ask
    if ask.gpu_tflops is not None:
        return rates.chosen(ask.gpu_tflops * 1e3, ask.gpu_watts, ask.device)
    if ask.device is None:
        raise ConfigError("--device NAME, such as h100, or --gpu-tflops: without a run no rate is measured")
    other = device_by_peak(ask.device, pd.DataFrame())
    peak = other.peak * 1e-9
    flat = ((0.0, 0.0), (0.0, 0.0))
    trend = RateTrend(*(MOST_SHARE_OF_PEAK * peak, OVERHEAD / peak, flat, 0.0, 0, 0.0, math.inf, peak, 0.95))
    note = (
        f"time: the dense peak of {other.name}, {other.peak * 1e-12:.4g} TFLOP/s, times the share of it that "
        "shapes of each size reached in results/cifar10-h200-ladder (33% at most)"
    )
    return rates.by_trend(trend, other.name, note)


def _assumed(largest: float, least: float) -> Evidence:
    """Return what a first design goes by: y has no unit here, 0.1 at the largest run."""
    log_x0 = math.log(largest)
    y_0 = 0.1
    floor = Curve(SHARE * y_0, (1 - SHARE) * y_0, EXPONENT / (1 - SHARE), log_x0)
    return Evidence(
        power=Curve(0.0, y_0, EXPONENT, log_x0),
        floor=floor,
        floor_weight=0.5,
        noise=Noise(NOISE**2, NOISE**2),
        replicated=False,
        existing=(),
        span=max(1.0, float(np.log(largest / least))),
        known=None,
        to_x=1.0,
    )
