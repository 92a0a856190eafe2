"""Seconds of a run, its rates, and their shares of the device's peak and of its roofline; torch-free."""

from __future__ import annotations

import dataclasses

from isoflop.meter.device import ceilings, peaks, roofline
from isoflop.record import Compute, PeakRate, Provenance, Timing

EARLIER_VERSION = "the point was reached by an earlier version, which did not record it"


@dataclasses.dataclass(frozen=True)
class TrainingSeconds:
    """Where the seconds of a run went.

    Attributes:
        train_seconds, warmup_seconds, compile_seconds, eval_seconds, setup_seconds, step_engine, step_choice:
            as in record.Timing.
        processes: processes that trained together, one device each.
    """

    train_seconds: float
    warmup_seconds: float
    compile_seconds: float
    eval_seconds: float
    setup_seconds: float
    processes: int
    step_engine: str | None
    step_choice: str | None


def timing(
    compute: Compute, trained: TrainingSeconds, origin: Provenance, no_engine: str = EARLIER_VERSION
) -> Timing:
    """Return seconds, rates, and their shares of the device's peak and of its roofline where those are known.

    Several devices that train one run are alike, so that the shares are those of one device. Reads the
    ceilings that `isoflop doctor --measure` keeps. `no_engine` says why the engine of the step is unknown.
    """
    peak, no_peak = peak_of(origin)
    threads = origin.threads if origin.device == origin.cpu else 0
    ceiling, no_ceiling = (
        ceilings.find(origin.device, origin.precision, threads)
        if origin.precision is not None
        else (None, origin.precision_reason)
    )
    achieved = None if compute.train_flops is None else compute.train_flops / trained.train_seconds
    device_seconds = trained.train_seconds * trained.processes
    intensity, no_intensity = _intensity(compute)
    mfu, mfu_reason = None, compute.train_flops_reason or no_peak
    if achieved is not None and peak is not None:
        try:
            mfu = roofline.mfu(achieved / trained.processes, peak)
        except ValueError as error:
            mfu_reason = str(error)
    share, no_share = None, compute.train_flops_reason or no_ceiling or no_intensity
    if achieved is not None and ceiling is not None and intensity is not None:
        share, no_share = roofline.roofline_share(achieved / trained.processes, ceiling, intensity)
    return Timing(
        train_seconds=trained.train_seconds,
        warmup_seconds=trained.warmup_seconds,
        eval_seconds=trained.eval_seconds,
        compile_seconds=trained.compile_seconds,
        step_engine=trained.step_engine,
        step_engine_reason=no_engine if trained.step_engine is None else None,
        step_choice=trained.step_choice,
        step_choice_reason=no_engine if trained.step_choice is None else None,
        setup_seconds=trained.setup_seconds,
        examples_per_second=compute.examples_seen / trained.train_seconds,
        achieved_flops_per_second=achieved,
        achieved_flops_per_second_reason=compute.train_flops_reason,
        mfu=mfu,
        mfu_reason=mfu_reason if mfu is None else None,
        peak=peak,
        peak_reason=no_peak,
        hardware_burden_flops=roofline.hardware_burden_flops(peak, device_seconds) if peak else None,
        hardware_burden_flops_reason=no_peak,
        ceiling=ceiling,
        ceiling_reason=no_ceiling,
        intensity_flops_per_byte=intensity,
        intensity_flops_per_byte_reason=no_intensity,
        roofline_share=share,
        roofline_share_reason=no_share,
    )


def peak_of(origin: Provenance) -> tuple[PeakRate | None, str | None]:
    """Return the dense peak rate of the device in the precision of training, or None and why not."""
    if origin.device == origin.cpu:
        return None, "not a GPU"
    if origin.precision is None:
        return None, origin.precision_reason
    if origin.gpu and origin.gpu.mig:
        return None, "no peak rate is known for a MIG instance"
    memory_bytes = origin.gpu.memory_bytes if origin.gpu else None
    peak = peaks.peak_rate(origin.device, origin.precision, memory_bytes)
    return peak, None if peak else f"no {origin.precision} peak rate is known for {origin.device}"


def _intensity(compute: Compute) -> tuple[float | None, str | None]:
    """Return FLOPs per byte of a training step without fusion, or None and why they are unknown."""
    flops, moved = compute.train_flops_per_example, compute.train_bytes_per_example
    if flops is None or moved is None:
        return None, compute.train_flops_per_example_reason or compute.train_bytes_per_example_reason
    return flops / moved, None
