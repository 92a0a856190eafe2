"""EnergyMeter: the joules of a section of any script.

    from isoflop import EnergyMeter

    with EnergyMeter() as meter:
        train()
    print(meter.measurement)                  # 1532 J in 12.1 s (mean 127 W, grade A: ...)
    meter.measurement.energy_joules           # None where it is unknown: meter.measurement.reason says why

No `if __name__ == "__main__"` guard is needed, and no sensor is read in this process. Without arguments it
meters the GPUs this process may use, or, on a machine without a GPU, the processor.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

from isoflop.meter.device import visible
from isoflop.meter.energy import rapl
from isoflop.meter.energy.window_meter import NO_GPU, WindowMeter
from isoflop.record import Energy, Grade


@dataclasses.dataclass(frozen=True)
class Measurement:
    """Energy metered over `seconds`: `energy`, or None and the `reason` it is unknown."""

    seconds: float
    energy: Energy | None
    reason: str | None

    @property
    def energy_joules(self) -> float | None:
        """Joules over all devices, idle power included; None if unknown."""
        return None if self.energy is None else self.energy.energy_joules

    @property
    def mean_watts(self) -> float | None:
        """Joules per second; None if unknown."""
        return None if self.energy is None else self.energy.energy_joules / self.energy.window_seconds

    @property
    def peak_watts(self) -> float | None:
        """The highest power of any single device; None if unknown."""
        peaks = [d.peak_watts for d in self.energy.devices] if self.energy else []
        return max((watts for watts in peaks if watts is not None), default=None)

    @property
    def grade(self) -> Grade | None:
        """A to D (isoflop.meter.energy.grade); None if the joules are unknown."""
        return None if self.energy is None else self.energy.grade

    def __str__(self) -> str:
        if self.energy is None:
            return f"joules unknown over {self.seconds:.4g} s: {self.reason}"
        reasons = "; ".join(self.energy.grade_reasons)
        return (
            f"{self.energy.energy_joules:.4g} J in {self.seconds:.4g} s "
            f"(mean {self.mean_watts:.4g} W, {self.energy.used}, grade {self.energy.grade}: {reasons})"
        )


class EnergyMeter:
    """Energy meter from entry to exit of its `with`.

    If torch has a CUDA context in this process, its current device is synchronized at both edges.

    Args:
        uuids: the GPUs to meter; default: those that CUDA_VISIBLE_DEVICES leaves to this process.
        period_seconds: time between polls.
        idle_seconds: on entry, measure the mean power over this long as idle baseline (0: none).
        polls_path: file to keep every poll in; None: a temporary file.
        cpu_watts: an assumed power for a processor that cannot be read.

    Raises:
        ValueError: the period is below 0.05 s, a duration is negative, or cpu_watts is not above 0.
    """

    def __init__(
        self,
        uuids: Sequence[str] | None = None,
        *,
        period_seconds: float = 0.1,
        idle_seconds: float = 0.0,
        polls_path: Path | None = None,
        cpu_watts: float | None = None,
    ) -> None:
        gpus = visible.visible_gpus() if uuids is None else visible.VisibleGpus(tuple(uuids), NO_GPU)
        # Not "no GPU", which would fall back to the processor, but unknown which GPU: no figure then.
        self._ambiguous = None if gpus.uuids is not None else gpus.reason
        self._meter = WindowMeter(
            gpus.uuids or (),
            host=rapl.find(),
            cpu_watts=cpu_watts,
            period_seconds=period_seconds,
            idle_seconds=idle_seconds,
            polls_path=polls_path,
            no_gpu=gpus.reason or NO_GPU,
        )
        self._final: Measurement | None = None

    def __enter__(self) -> EnergyMeter:
        """Start the sampler and open the window."""
        self._meter.__enter__()
        wait_for_cuda()  # work queued before the window is not part of it
        self._meter.begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the window and end the sampler; an exception of the script propagates."""
        if kind is None:  # after an exception CUDA may be unusable, and waiting for it would mask the error
            wait_for_cuda()
        self._meter.end()
        self._final = self._measure()
        self._meter.__exit__(kind, error, trace)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Exclude the body from the metering, such as an evaluation: `with meter.paused(): ...`."""
        wait_for_cuda()
        self._meter.end()
        try:
            yield
        finally:
            wait_for_cuda()
            self._meter.begin()

    @property
    def measurement(self) -> Measurement:
        """The energy metered; inside the `with`, the energy so far."""
        return self._final or self._measure()

    def _measure(self) -> Measurement:
        current = self._meter.open_window
        windows = (*self._meter.windows, *((current,) if current else ()))
        seconds = sum(w.seconds for w in windows)
        if self._ambiguous:
            return Measurement(seconds, None, self._ambiguous)
        return Measurement(seconds, *self._meter.measurement(windows))


def wait_for_cuda() -> None:
    """Synchronize with torch's current device if this process uses torch on a GPU; never imports torch."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.synchronize()
