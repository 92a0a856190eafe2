"""The energy of one shape: joules per example of its training, which all its seeds and horizons share.

The joules of a step depend on the network and the batch, not on the weights. So the windows of all runs of a
shape are one measurement, longer than that of any of them, and a point's joules are those per example times
the examples that it saw; what was read while that run itself trained stays beside.
"""

from __future__ import annotations

import dataclasses

from isoflop.record import Energy


@dataclasses.dataclass(frozen=True)
class ShapeEnergy:
    """What was metered of one shape on one GPU.

    Attributes:
        shape_id: the shape.
        energy: energy of all windows together, or None.
        reason: why there is none.
        examples: examples that were trained in the windows.
        train_seconds: seconds of the windows that were runs.
        replay_seconds: seconds of those that only repeated steps, results discarded.
        runs: the runs whose windows these are.
        device: name of the GPU, as in records.
        precision: arithmetic used, as in records.
        ended_seconds: end of the last window, on the machine's monotonic clock.
    """

    shape_id: str
    energy: Energy | None
    reason: str | None
    examples: int
    train_seconds: float
    replay_seconds: float
    runs: tuple[str, ...]
    device: str
    precision: str
    ended_seconds: float

    @property
    def joules_per_example(self) -> float | None:
        """Raw joules per example; None if unknown."""
        return None if self.energy is None else self.energy.energy_joules / self.examples

    @property
    def seconds_per_example(self) -> float | None:
        """Seconds per example in the windows; None without any."""
        seconds = self.train_seconds + self.replay_seconds
        return seconds / self.examples if self.examples else None


def of_examples(
    measured: Energy, factor: float, own: float | None, own_reason: str | None, *more_reasons: str
) -> Energy:
    """Return the energy of a point by that of its shape: joules are scaled, watts and seconds as measured.

    Args:
        measured: the energy of the shape's windows.
        factor: examples of the point / examples in the windows.
        own: joules read in the run's own windows up to the point, or None.
        own_reason: why they are unknown.
        more_reasons: reasons beside those of the grade.
    """

    def scaled(value: float | None) -> float | None:
        return None if value is None else value * factor

    return dataclasses.replace(
        measured,
        energy_joules=measured.energy_joules * factor,
        counter_joules=scaled(measured.counter_joules),
        integral_joules=scaled(measured.integral_joules),
        net_joules=scaled(measured.net_joules),
        host_joules=scaled(measured.host_joules),
        grade_reasons=(*measured.grade_reasons, *more_reasons),
        source="shape",
        own_joules=own,
        own_joules_reason=None if own is not None else own_reason,
    )
