"""Windows with short gaps between them as one continuous block, of which the gaps' joules are subtracted.

A training that is cut by evaluations has two edges a window, and at each of them an energy counter is
uncertain by a part of its update period. Read only at the two ends of the whole block, it is not; what it
then counts too much was drawn in the gaps: their seconds times the power that was polled in them. A wrong
power there costs at most the gaps' seconds times the difference to the power of training, and nothing where
the two are the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from isoflop.meter.energy.polls import DeviceTrace, Values, Window

LONGEST_GAP_SECONDS = 2.0
"""A longer gap ends a block: the error of its own joules would exceed that of two more edges."""
COUNTER_STEP_SECONDS = 0.1
"""Update period of the energy counter on most GPUs: the resolution of a block's edges."""
OWN_POLLS = 3
"""Power readings from which on a gap has a mean of its own."""


@dataclasses.dataclass(frozen=True)
class Block:
    """Windows that follow one another closely, in order."""

    windows: tuple[Window, ...]

    @property
    def whole(self) -> Window:
        """The window from the beginning of the first to the end of the last."""
        return Window(self.windows[0].begin_seconds, self.windows[-1].end_seconds)

    @property
    def gaps(self) -> tuple[Window, ...]:
        """What lies between the windows."""
        pairs = zip(self.windows, self.windows[1:], strict=False)
        between = (Window(a.end_seconds, b.begin_seconds) for a, b in pairs)
        return tuple(gap for gap in between if gap.seconds > 0)


def blocks(windows: Sequence[Window]) -> tuple[Block, ...]:
    """Join windows, ascending in time, into blocks without a gap above LONGEST_GAP_SECONDS."""
    joined: list[list[Window]] = []
    for window in windows:
        if joined and window.begin_seconds - joined[-1][-1].end_seconds <= LONGEST_GAP_SECONDS:
            joined[-1].append(window)
        else:
            joined.append([window])
    return tuple(Block(tuple(each)) for each in joined)


def gap_joules(trace: DeviceTrace, gaps: Sequence[Window]) -> list[float] | None:
    """Return the joules of each gap: its seconds times the mean of the power readings in it.

    Gaps with fewer than OWN_POLLS readings, which a poll hits only now and then, share the mean of the
    readings in all of them. None if there are such gaps and no reading in any.
    """
    times, watts = np.asarray(trace.power_times), np.asarray(trace.watts)
    inside = [_inside(times, watts, gap) for gap in gaps]
    short = [readings for readings in inside if len(readings) < OWN_POLLS]
    pooled = np.concatenate(short) if short else np.empty(0)
    if short and not len(pooled):
        return None
    return [
        gap.seconds * float((readings if len(readings) >= OWN_POLLS else pooled).mean())
        for gap, readings in zip(gaps, inside, strict=True)
    ]


def _inside(times: Values, watts: Values, gap: Window) -> Values:
    first, last = np.searchsorted(times, [gap.begin_seconds, gap.end_seconds])
    return watts[first:last]


def edge_seconds(
    joined: Sequence[Block], train_watts: float | None, gap_watts: Sequence[float] | None
) -> float:
    """Return how many seconds of training the edges may cost, as seconds of its mean power.

    An update of the counter for each block; for each gap, at most its own length and at most an update, times
    the relative difference of its power to that of training.

    Args:
        joined: the blocks.
        train_watts: mean power in the windows; None if unknown.
        gap_watts: mean power in each gap, over all blocks in order; None if unknown, which counts as a power
            of 0 W.
    """
    lengths = [gap.seconds for block in joined for gap in block.gaps]
    if gap_watts is None or not train_watts:
        differences = [1.0] * len(lengths)
    else:
        differences = [abs(watts / train_watts - 1) for watts in gap_watts]
    cut = sum(min(s, COUNTER_STEP_SECONDS) * d for s, d in zip(lengths, differences, strict=True))
    return len(joined) * COUNTER_STEP_SECONDS + cut
