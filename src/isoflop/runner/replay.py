"""A replay: the steps of a run taken again, results discarded, to lengthen the time that is metered."""

from __future__ import annotations

import time
from collections.abc import Callable

from isoflop.config import Config
from isoflop.runner.energy import Meter, metered_window
from isoflop.train import schedule
from isoflop.train.loop import Trainer

BURST_SECONDS = 0.25
"""About how long a burst of steps takes, after which the clock and the request to stop are looked at."""
LONGEST_BURST_STEPS = 4096


def never() -> bool:
    """Return False: nobody asks this replay to stop."""
    return False


def replay(
    config: Config, trainer: Trainer, meter: Meter, seconds: float, is_stopped: Callable[[], bool] = never
) -> int:
    """Train from the first step on, over and over, until `seconds` are metered; return the examples trained.

    Each repetition is a window of its own: what it takes to return to the first step lies between them.

    Args:
        config: the run.
        trainer: its trainer, warmed up.
        meter: the meter that its windows are added to.
        seconds: how long to train, in all.
        is_stopped: whether this process was asked to stop; any of the world's ends the replay early.
    """
    factors, world = schedule.learning_rates(config.schedule, trainer.steps), trainer.world
    examples, metered, burst, stopped = 0, 0.0, 1, False
    while metered < seconds and not stopped:
        trainer.restart()
        trainer.synchronise()
        with metered_window(meter):
            while trainer.step < trainer.steps and metered < seconds and not stopped:
                began = time.perf_counter()
                trainer.advance(min(trainer.steps, trainer.step + burst), factors)
                trainer.synchronise()
                # All processes take the same bursts and leave after the same one.
                took = world.from_main(time.perf_counter() - began)
                stopped = any(world.all_gather(is_stopped()))
                metered += took
                if took < BURST_SECONDS / 2:
                    burst = min(2 * burst, LONGEST_BURST_STEPS)
        examples += trainer.examples_seen
    return examples
