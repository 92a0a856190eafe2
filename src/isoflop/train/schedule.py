"""Learning-rate schedule and length of a run. Pure functions of the step."""

from __future__ import annotations

from isoflop.config import ScheduleConfig


def learning_rates(config: ScheduleConfig, steps: int) -> tuple[float, ...]:
    """Factor on the peak learning rate at each step: linear warm-up, stable, linear decay towards zero.

    The shape is that of Hu et al. 2024 (WSD) with the linear cool-down of Haegele et al. 2024. The first step
    of a warm-up of n has factor 1/n, the last step of a decay of n has factor 1/n: none is wasted on zero.
    """
    warmup, decay = round(config.warmup_fraction * steps), round(config.decay_fraction * steps)
    return tuple(
        min((step + 1) / warmup if warmup else 1.0, (steps - step) / decay if decay else 1.0, 1.0)
        for step in range(steps)
    )


def total_steps(
    config: ScheduleConfig, *, train_n: int, batch_size: int, train_flops_per_example: float | None
) -> int:
    """Optimizer steps of a run, at least one; an epoch drops its last partial batch.

    Raises:
        ValueError: the batch is larger than the data, or a FLOP budget is asked for and FLOPs are unknown.
    """
    if batch_size > train_n:
        raise ValueError(f"optim.batch_size={batch_size}: larger than the {train_n} training images")
    if config.steps is not None:
        return config.steps
    if config.epochs is not None:
        return max(1, round(config.epochs * (train_n // batch_size)))
    assert config.train_gflops is not None
    if train_flops_per_example is None:
        raise ValueError("schedule.train_gflops: this model's FLOPs are unknown, so give epochs or steps")
    return max(1, round(config.train_gflops * 1e9 / (train_flops_per_example * batch_size)))


def stops(steps: int, evaluations: int) -> tuple[int, ...]:
    """Steps after which the model is evaluated: evenly spaced, the last at the end."""
    return tuple(sorted({round(steps * (i + 1) / evaluations) for i in range(evaluations)} - {0}))
