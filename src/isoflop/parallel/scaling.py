"""What measured seconds say of one payload: speed-up, serial fraction, communication, and where it ends."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from isoflop.parallel import intervals, limits
from isoflop.parallel.intervals import Bounded, Line
from isoflop.record.parallel import ParallelRecord, Payload, Scaling

LEAST_COUNTS = 3
TOO_FEW = "takes three numbers of workers or more"


@dataclasses.dataclass(frozen=True)
class Row:
    """One number of workers. Seconds are those of a step.

    Attributes:
        speedup: the work of N workers in a second over that of one: T(1)/T(N) for strong scaling.
        parallel_fraction, serial_fraction: alpha_eff and 1 - alpha_eff (Karp and Flatt) of strong scaling;
            None for one worker.
        scaled_serial_fraction: Gustafson's, of weak scaling; None for one worker.
        split_seconds: of a step with barriers, which may be longer: communication is not hidden there.
        compute, communication, waiting: shares of it, which add up to 1.
        flops_per_second, peak_share: of all workers; of their dense peak together.
        joules: of a step.
    """

    scaling: Scaling
    workers: int
    seconds: Bounded
    speedup: Bounded
    efficiency: Bounded
    parallel_fraction: Bounded | None
    serial_fraction: Bounded | None
    scaled_serial_fraction: Bounded | None
    split_seconds: float
    compute: float
    communication: float
    waiting: float
    exchanged_bytes: float
    flops_per_second: float | None
    peak_share: float | None
    peak_reason: str | None
    joules: float | None
    joules_reason: str | None


@dataclasses.dataclass(frozen=True)
class Group:
    """All measurements of one payload of one size on one machine.

    Attributes:
        rows: strong scaling, then weak; one worker is the first of both.
        serial_fraction: Amdahl's f, fitted to all timings of strong scaling.
        speedup_limit: 1 / (1 - alpha_eff) of the largest number of workers; no upper bound where its serial
            fraction may be 0.
        scaled_serial_fraction: Gustafson's, of the largest number of workers of weak scaling.
        fixed_seconds, seconds_per_worker: a and b of communication = a + bN in a step.
        turning_point: N* = sqrt(p / b), past which more workers make a step longer, p being the seconds of
            compute that are shared.
    """

    payload: Payload
    group_id: str
    size: str
    device: str
    backend: str
    repeats: int
    rows: tuple[Row, ...]
    serial_fraction: Bounded | None
    serial_fraction_reason: str | None
    speedup_limit: Bounded | None
    speedup_limit_reason: str | None
    scaled_serial_fraction: Bounded | None
    scaled_serial_fraction_reason: str | None
    fixed_seconds: Bounded | None
    fixed_seconds_reason: str | None
    seconds_per_worker: Bounded | None
    seconds_per_worker_reason: str | None
    turning_point: Bounded | None
    turning_point_reason: str | None

    def of(self, scaling: Scaling) -> tuple[Row, ...]:
        """Return the rows of strong or weak scaling, one worker first."""
        return tuple(row for row in self.rows if row.scaling == scaling)


def groups(records: Sequence[ParallelRecord]) -> tuple[Group, ...]:
    """Return the measurements by payload and size; those without one worker are left out."""
    by_id: dict[str, list[ParallelRecord]] = {}
    for record in records:
        by_id.setdefault(record.group_id, []).append(record)
    return tuple(_group(own) for own in by_id.values() if any(record.workers == 1 for record in own))


def _group(records: Sequence[ParallelRecord]) -> Group:
    base = next(record for record in records if record.workers == 1)
    strong = sorted((r for r in records if r.scaling == "strong"), key=lambda r: r.workers)
    weak = [base, *sorted((r for r in records if r.scaling == "weak"), key=lambda r: r.workers)]
    rows = [_row(record, base, "strong") for record in strong]
    if len(weak) > 1:
        rows += [_row(record, base, "weak") for record in weak]
    last = rows[len(strong) - 1]
    own = base.provenance
    several = max(records, key=lambda r: r.workers)
    serial, no_serial = _serial(strong)
    limit, no_limit = _limit(last)
    scaled = rows[-1].scaled_serial_fraction
    a, b, p, reason = _communication(strong)
    turning, no_turning = (None, reason) if a is None else _turning(p, b)
    return Group(
        payload=base.payload,
        group_id=base.group_id,
        size=base.size,
        device=own.device,
        backend=several.backend,
        repeats=len(base.wall_seconds),
        rows=tuple(rows),
        serial_fraction=serial,
        serial_fraction_reason=no_serial,
        speedup_limit=limit,
        speedup_limit_reason=no_limit,
        scaled_serial_fraction=scaled,
        scaled_serial_fraction_reason=None if scaled else "weak scaling was not measured",
        fixed_seconds=a,
        fixed_seconds_reason=reason,
        seconds_per_worker=b,
        seconds_per_worker_reason=reason,
        turning_point=turning,
        turning_point_reason=no_turning,
    )


def per_step(record: ParallelRecord) -> list[float]:
    """Return the seconds of a step of each timing without barriers."""
    return [wall / record.steps for wall in record.wall_seconds]


def _row(record: ParallelRecord, base: ParallelRecord, scaling: Scaling) -> Row:
    n = record.workers
    seconds = intervals.median(per_step(record))
    of_base = seconds if record is base else intervals.median(per_step(base))
    # Of the same record the ratio is 1, and no measurement.
    ratio = Bounded(1.0, 1.0, 1.0) if record is base else intervals.ratio(of_base, seconds)
    speedup = ratio.through(lambda s: s * _work(record, base))
    split = [dataclasses.astuple(timing) for timing in record.split]
    wall, compute, communication, waiting = (float(np.median(part)) for part in zip(*split, strict=True))
    parts = compute + communication + waiting
    several, strong = n > 1, scaling == "strong"
    flops = record.flops_per_step
    rate = None if flops is None else flops / seconds.value
    peak = record.peak
    share = None if peak is None or rate is None else rate / (n * peak.flops_per_second)
    timings = record.steps * len(record.wall_seconds)
    return Row(
        scaling=scaling,
        workers=n,
        seconds=seconds,
        speedup=speedup,
        efficiency=speedup.through(lambda s: s / n),
        parallel_fraction=speedup.through(lambda s: limits.parallel_fraction(s, n))
        if several and strong
        else None,
        serial_fraction=speedup.through(lambda s: limits.serial_fraction(s, n))
        if several and strong
        else None,
        scaled_serial_fraction=speedup.through(lambda s: (n - s) / (n - 1))
        if several and not strong
        else None,
        split_seconds=wall / record.steps,
        compute=compute / parts,
        communication=communication / parts,
        waiting=waiting / parts,
        exchanged_bytes=record.exchanged_bytes_per_step,
        flops_per_second=rate,
        peak_share=share,
        peak_reason=record.peak_reason if share is None else None,
        joules=None if record.energy is None else record.energy.energy_joules / timings,
        joules_reason=record.energy_reason,
    )


def _work(record: ParallelRecord, base: ParallelRecord) -> float:
    """Return the work of a step, as a multiple of that of one worker."""
    if record.scaling == "strong":
        return 1.0
    if record.flops_per_step is not None and base.flops_per_step is not None:
        return record.flops_per_step / base.flops_per_step
    return float(record.workers)


def _serial(strong: Sequence[ParallelRecord]) -> tuple[Bounded | None, str | None]:
    """Return f of T(N) = T(1) (f + (1 - f) / N), fitted to the timings of all numbers of workers."""
    if len(strong) < 2:
        return None, "takes two numbers of workers of strong scaling"
    return _serial_and_shared([per_step(record) for record in strong], strong).share(), None


def _serial_and_shared(seconds: Sequence[Sequence[float]], strong: Sequence[ParallelRecord]) -> Line:
    """Fit s + p/N."""
    terms = np.array([[1.0, 1.0 / record.workers] for record in strong])
    return intervals.line(terms, seconds)


def _limit(last: Row) -> tuple[Bounded | None, str | None]:
    """Return 1 / (1 - alpha_eff) of the largest number of workers."""
    if last.serial_fraction is None:
        return None, "takes two numbers of workers of strong scaling"
    serial = last.serial_fraction
    if last.speedup.value <= 1:
        return None, f"{last.workers} workers take longer than one"
    if serial.value <= 0:
        return None, f"no serial fraction shows at {last.workers} workers"
    low, high = serial.ends
    most = 1 / low if low > 0 else None
    return Bounded(limits.speedup_limit(serial.value), 1 / high, most), None


def _communication(
    strong: Sequence[ParallelRecord],
) -> tuple[Bounded | None, Bounded | None, Bounded | None, str | None]:
    """Return a, b and p, or why they are unknown: communication = a + bN, compute = s + p/N of a step."""
    several = [record for record in strong if record.workers > 1]
    if len(strong) < LEAST_COUNTS:
        return None, None, None, f"{TOO_FEW}, and there {'is' if len(strong) == 1 else 'are'} {len(strong)}"
    seconds = [[t.communication_seconds / record.steps for t in record.split] for record in several]
    terms = np.array([[1.0, record.workers] for record in several])
    communication = intervals.line(terms, seconds)
    compute = [[t.compute_seconds / record.steps for t in record.split] for record in strong]
    shared = _serial_and_shared(compute, strong).coefficient(1)
    return communication.coefficient(0), communication.coefficient(1), shared, None


def _turning(p: Bounded | None, b: Bounded | None) -> tuple[Bounded | None, str | None]:
    """Return N* = sqrt(p / b); its upper end is open where b may be 0."""
    assert p is not None
    assert b is not None
    value = limits.turning_point(p.value, b.value)
    if value is None or not value > 0:
        what = "communication does not grow with the workers" if p.value > 0 else "no compute is shared"
        return None, f"{what} in these timings"
    (p_low, p_high), (b_low, b_high) = p.ends, b.ends
    # Distances of the logarithms are added as squares, as in intervals.ratio; an end that is not positive is
    # no bound.
    up = math.hypot(math.log(p_high / p.value), math.log(b.value / b_low)) / 2 if b_low > 0 else None
    down = math.hypot(math.log(p.value / p_low), math.log(b_high / b.value)) / 2 if p_low > 0 else None
    return (
        Bounded(
            value,
            None if down is None else value * math.exp(-down),
            None if up is None else value * math.exp(up),
        ),
        None,
    )
