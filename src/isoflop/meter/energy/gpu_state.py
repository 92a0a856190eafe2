"""What a board's state was over the windows: temperature, clock, throttling, power cap, other processes.

Pure functions. State is polled about once a second: counted are the polls inside the windows, or, where the
windows are too short to hold one, the one nearest to them if it is no further than REACH_SECONDS.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from isoflop.meter.energy import rapl
from isoflop.meter.energy.grade import COUNTER_STEP_SECONDS, THROTTLES, BoardEvidence
from isoflop.meter.energy.polls import BoardTrace, Seconds, StatePoll, Window

REACH_SECONDS = 3.0
LEAST_STUCK_SECONDS = 1.0
"""A reading that repeats for less than this is a sensor slower than the polls."""
STUCK_APART = 0.10
UNREAD = "the board's state was not read near the window"
NOT_OFFERED = "the board does not offer it"
STALE_POLLS = "fewer than two power readings in the window"
NO_BOARD = "only boards have it"


@dataclasses.dataclass(frozen=True)
class State:
    """Each None has its reason in `reason`; `stale_share` has one of its own."""

    reason: str
    temperature_begin_celsius: float | None = None
    temperature_end_celsius: float | None = None
    sm_clock_mhz: float | None = None
    power_limits_watts: tuple[float, ...] = ()
    throttled: dict[str, float] = dataclasses.field(default_factory=dict)
    throttled_share: float | None = None
    compute_processes: int | None = None
    stale_share: float | None = None
    stuck_share: float = 0.0

    @property
    def drift_celsius(self) -> float | None:
        """How much warmer the board was at the end."""
        begin, end = self.temperature_begin_celsius, self.temperature_end_celsius
        return None if begin is None or end is None else end - begin


def summarise(board: BoardTrace, windows: Sequence[Window]) -> State:
    """The state of `board` over the windows; a clock is their mean, processes the most at once."""
    stale, stuck = _stale_share(board, windows), _stuck_share(board, windows)
    polls = _near(board.states, windows)
    if not polls:
        reason = NO_BOARD if board.power_field == rapl.FIELD else UNREAD
        return State(reason, stale_share=stale, stuck_share=stuck)
    warmth = [p for p in board.states if p.celsius is not None]
    clocks = [p.sm_clock_mhz for p in polls if p.sm_clock_mhz is not None]
    held = [p.throttle for p in polls if p.throttle is not None]
    processes = [p.processes for p in polls if p.processes is not None]
    return State(
        NOT_OFFERED,
        temperature_begin_celsius=_celsius_at(warmth, windows[0].begin_seconds),
        temperature_end_celsius=_celsius_at(warmth, windows[-1].end_seconds),
        sm_clock_mhz=float(np.mean(clocks)) if clocks else None,
        power_limits_watts=tuple(
            dict.fromkeys(p.power_limit_watts for p in polls if p.power_limit_watts is not None)
        ),
        throttled={name: sum(name in h for h in held) / len(held) for name in THROTTLES if held},
        throttled_share=sum(any(n in THROTTLES for n in h) for h in held) / len(held) if held else None,
        compute_processes=max(processes, default=None),
        stale_share=stale,
        stuck_share=stuck,
    )


def evidence(
    board: BoardTrace, state: State, windows: Sequence[Window], own_processes: int | None
) -> BoardEvidence:
    """What a grade must know. With `own_processes` None every process that was on the board before the first
    window is another's."""
    return BoardEvidence(
        uuid=board.uuid,
        throttled=state.throttled,
        drift_celsius=state.drift_celsius,
        power_limits_watts=state.power_limits_watts,
        foreign_processes=_foreign(board, state, windows[0].begin_seconds, own_processes),
        mig=board.mig,
        stuck_share=state.stuck_share,
    )


def _foreign(board: BoardTrace, state: State, begin: float, own: int | None) -> int | None:
    if own is None:
        before = [p.processes for p in board.states if p.time <= begin and p.processes is not None]
        return before[-1] if before else None
    return None if state.compute_processes is None else max(0, state.compute_processes - own)


def _near(polls: Sequence[StatePoll], windows: Sequence[Window]) -> list[StatePoll]:
    """The polls inside the windows, or else the one nearest to them."""
    inside = [p for p in polls if any(w.begin_seconds <= p.time <= w.end_seconds for w in windows)]
    if inside or not polls:
        return inside

    def away(poll: StatePoll) -> float:
        return min(max(w.begin_seconds - poll.time, poll.time - w.end_seconds) for w in windows)

    nearest = min(polls, key=away)
    return [nearest] if away(nearest) <= REACH_SECONDS else []


def _celsius_at(polls: Sequence[StatePoll], moment: float) -> float | None:
    nearest = min(polls, key=lambda p: abs(p.time - moment), default=None)
    return nearest.celsius if nearest and abs(nearest.time - moment) <= REACH_SECONDS else None


def _stale_share(board: BoardTrace, windows: Sequence[Window]) -> float | None:
    """Share of the power readings that repeat the one before them, within each window."""
    repeats = compared = 0
    for times, watts in _inside(board, windows):
        repeats += int((np.diff(watts) == 0).sum())
        compared += max(0, times.size - 1)
    return repeats / compared if compared else None


def _stuck_share(board: BoardTrace, windows: Sequence[Window]) -> float:
    """Share of the windows in which the power reading stood still although the power had changed.

    Equal readings alone say little: an idle board is constant, and a sensor may update more slowly than it is
    polled. A stretch of equal readings counts where it lasts a second and the counter's mean power over it
    is off by more than 10% and more than the counter can resolve: (step + longest gap) at either end.
    """
    t, joules = np.asarray(board.counter_times), np.asarray(board.joules)
    stuck = 0.0
    if t.size < 2:
        return stuck
    for times, watts in _inside(board, windows):
        if not watts.size:
            continue
        first = 0
        for last in np.flatnonzero(np.append(np.diff(watts) != 0, True)).tolist():
            begin, end = times[first], times[last]
            if end - begin >= LEAST_STUCK_SECONDS and _moved_on(t, joules, begin, end, watts[first]):
                stuck += float(end - begin)
            first = last + 1
    return min(1.0, stuck / sum(w.seconds for w in windows))


def _moved_on(t: Seconds, joules: Seconds, begin: float, end: float, held_watts: float) -> bool:
    """Whether the counter's mean power over a stretch is not the `held_watts` that were read throughout."""
    around = t[max(0, int(np.searchsorted(t, begin)) - 1) : int(np.searchsorted(t, end, "right")) + 1]
    if around.size < 2 or around[0] > end or around[-1] < begin:
        return False
    rise = float(np.diff(np.interp([begin, end], t, joules))[0])
    counted = rise / (end - begin)
    resolution = (
        2 * (COUNTER_STEP_SECONDS + float(np.diff(around).max())) / (end - begin) * max(counted, held_watts)
    )
    return rise >= 0 and abs(counted - held_watts) > max(STUCK_APART * held_watts, resolution)


def _inside(board: BoardTrace, windows: Sequence[Window]) -> list[tuple[Seconds, Seconds]]:
    """Times and watts of the readings in each window."""
    t, w = np.asarray(board.power_times), np.asarray(board.watts)
    slices = [
        slice(*np.searchsorted(t, [x.begin_seconds, x.end_seconds], side="left").tolist()) for x in windows
    ]
    return [(t[s], w[s]) for s in slices]
