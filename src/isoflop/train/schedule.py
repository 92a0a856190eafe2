"""Learning-rate schedule and length of a run, as pure functions of the step."""

from __future__ import annotations

import dataclasses
import math

from isoflop.config import ScheduleConfig

MOST_STEPS = 10_000_000
LOSS_MARKS = 40
"""Intervals of the training loss that a record keeps, about: enough to see a learning curve on log axes."""


@dataclasses.dataclass(frozen=True)
class Horizon:
    """One point of a run, at a fraction of its whole length. A run without cooldowns has one, at share 1.

    Attributes:
        share: fraction of the run's length, in (0, 1].
        branch_step: steps after which the cooldown branch leaves the trunk.
        end_step: steps after which the branch ends.
    """

    share: float
    branch_step: int
    end_step: int


def learning_rates(config: ScheduleConfig, steps: int, horizon_steps: int | None = None) -> tuple[float, ...]:
    """Return the factor on the peak learning rate at each step of a run of `steps`, up to `horizon_steps`.

    Linear warm-up over a share of `steps`, then: wsd, stable and a decay over a share of the horizon (Hu et
    al. 2024); cosine, half a period (Loshchilov and Hutter 2017); constant. The first step of a warm-up of n
    has factor 1/n. Step i = 0, ..., n - 1 of a decay of n has factor 1 - i/n, or 1 - sqrt(i/n) with
    decay_shape=one_minus_sqrt (both Haegele et al. 2024). So the first step of a decay has the full rate and
    no step is wasted on a rate of zero: the last has 1/n, or 1 - sqrt(1 - 1/n), about 1/(2n).
    """
    end = steps if horizon_steps is None else horizon_steps
    warmup = round(config.warmup_fraction * steps)
    decay = _decay_steps(config, end)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        if config.shape == "cosine":
            return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (end - warmup)))
        left = min(1.0, (end - step) / decay) if decay else 1.0
        return left if config.decay_shape == "linear" else 1 - math.sqrt(1 - left)

    return tuple(factor(step) for step in range(end))


def _decay_steps(config: ScheduleConfig, end: int) -> int:
    """Return the length of the decay of a run that ends after `end` steps."""
    return round(config.decay_fraction * end) if config.shape == "wsd" else 0


def horizons(config: ScheduleConfig, steps: int) -> tuple[Horizon, ...]:
    """Return the horizons of a run of `steps`, the shortest first.

    Raises:
        ValueError: the run is so short that two horizons are the same step.
    """
    ends = [(share, max(1, round(share * steps))) for share in config.cooldowns or (1.0,)]
    if len({end for _, end in ends}) < len(ends):
        raise ValueError(f"schedule.cooldowns: {len(ends)} horizons do not fit into {steps} steps")
    return tuple(Horizon(share, end - _decay_steps(config, end), end) for share, end in ends)


def total_steps(
    config: ScheduleConfig,
    *,
    train_n: int,
    batch_size: int,
    train_flops_per_example: float | None,
    passes: float | None = None,
) -> int:
    """Return the optimizer steps of a run, at least one; an epoch drops its last partial batch.

    Args:
        config: gives the length in steps, epochs or training GFLOPs.
        train_n: examples of the training part: images, or bytes of text.
        batch_size: examples per step.
        train_flops_per_example: FLOPs of one forward and backward pass; None where unknown.
        passes: the most passes over the training part that are allowed; None for any number.

    Raises:
        ValueError: the batch is larger than the data, a FLOP budget is asked for and FLOPs are unknown, or
            the length comes to less than one step, more than MOST_STEPS or more than `passes`.
    """
    if batch_size > train_n:
        examples = "training examples" if passes is None else "bytes of the training part"
        raise ValueError(f"optim.batch_size={batch_size}: larger than the {train_n:,} {examples}: lower it")
    if config.steps is not None:
        asked, wanted = f"steps={config.steps}", float(config.steps)
    elif config.epochs is not None:
        asked, wanted = f"epochs={config.epochs:g}", config.epochs * (train_n // batch_size)
    else:
        assert config.train_gflops is not None
        if train_flops_per_example is None:
            raise ValueError("schedule.train_gflops: this model's FLOPs are unknown, so give epochs or steps")
        asked = f"train_gflops={config.train_gflops:g}"
        wanted = config.train_gflops * 1e9 / (train_flops_per_example * batch_size)
    if not 0.5 <= wanted <= MOST_STEPS:
        raise ValueError(f"schedule.{asked}: that is {wanted:.3g} steps; give 1 to {MOST_STEPS:,}")
    steps, per_pass = max(1, round(wanted)), train_n // batch_size
    if passes is not None and steps > passes * per_pass:
        raise ValueError(
            f"schedule.{asked} reads {steps * batch_size:,} bytes, {steps / per_pass:.3g} times the "
            f"{train_n:,} there are: give a smaller budget, more text, or "
            f"data.passes={math.ceil(10 * steps / per_pass) / 10:g}"
        )
    return steps


def stops(steps: int, evaluations: int) -> tuple[int, ...]:
    """Return the steps after which the model is evaluated: evenly spaced, the last at the end."""
    return tuple(sorted({round(steps * (i + 1) / evaluations) for i in range(evaluations)} - {0}))


def loss_marks(steps: int, ends: tuple[int, ...], marks: int = LOSS_MARKS) -> tuple[int, ...]:
    """Return the steps after which the sum of training losses is kept: evenly spaced in the logarithm.

    The end of every horizon is one of them, so that each point's last interval ends where the point lies.
    """
    spaced = {round(steps ** (i / max(1, marks - 1))) for i in range(marks)}
    return tuple(sorted(spaced | set(ends)))


def between(grid: tuple[int, ...], start: int, end: int) -> tuple[int, ...]:
    """Return where to stop between step `start` and step `end`: at the stops of `grid` and at `end`."""
    inside = [stop for stop in grid if start < stop < end]
    return (*inside, end) if end > start else ()
