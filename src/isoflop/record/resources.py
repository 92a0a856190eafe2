"""What a run took: FLOPs, joules and seconds, with the rates to compare them with.

Unknown is a reason beside the value (schema.py).
"""

from __future__ import annotations

import dataclasses
from typing import Literal

Grade = Literal["A", "B", "C", "D"]


@dataclasses.dataclass(frozen=True)
class Compute:
    """Floating-point work. An example is an image, or a byte of text.

    One multiply-accumulate (MAC) is 2 FLOPs; `train_flops` is forward and backward
    of convolutions, linear layers and attention for the examples really seen (docs/flops.md).

    `closed_form_macs_per_example` is a cross-check beside the two counters: the formula of the model's
    family. `train_bytes_per_example` is what a step without fusion reads and writes (roofline).
    `norm_activation_forward_flops_per_example` is the forward work of normalisations and activations,
    which is in none of the other figures: 5 FLOPs an element of a normalisation (4 without its affine
    part), 1 of an activation (meter/flops/norm_activation.py)."""

    examples_seen: int
    forward_macs_per_example: float | None
    forward_macs_per_example_reason: str | None
    train_flops_per_example: float | None
    train_flops_per_example_reason: str | None
    backward_flops_per_example: float | None
    backward_flops_per_example_reason: str | None
    closed_form_macs_per_example: float | None
    closed_form_macs_per_example_reason: str | None
    train_bytes_per_example: float | None
    train_bytes_per_example_reason: str | None
    train_flops: float | None
    train_flops_reason: str | None
    train_to_forward_ratio: float | None
    train_to_forward_ratio_reason: str | None
    inference_flops_per_example: float | None
    inference_flops_per_example_reason: str | None
    eval_flops: float | None
    eval_flops_reason: str | None
    optimizer_flops: float | None
    optimizer_flops_reason: str | None
    forward_macs_by_op: dict[str, float]
    uncounted_ops: tuple[str, ...]
    counters_agree: bool | None
    counters_agree_reason: str | None = None
    norm_activation_forward_flops_per_example: float | None = None
    norm_activation_forward_flops_per_example_reason: str | None = "not counted in this record"


@dataclasses.dataclass(frozen=True)
class DeviceEnergy:
    """What one device's sensors read over the window (of the replay where the run was replayed).

    A device is a GPU, or a processor package or its memory where RAPL is read. `stale_share` is the share
    of polls that repeat the power before them to the milliwatt; `throttled_share` of those in which the
    clocks were held back for one of `throttle_reasons`. `compute_processes` is the most seen at once, ours
    included.
    """

    uuid: str
    name: str
    counter_joules: float | None
    counter_joules_reason: str | None
    integral_joules: float | None
    integral_joules_reason: str | None
    idle_watts: float | None
    idle_watts_reason: str | None
    mean_watts: float | None
    mean_watts_reason: str | None
    peak_watts: float | None
    peak_watts_reason: str | None
    power_field: str
    polls: int
    coverage: float
    longest_gap_seconds: float
    temperature_begin_celsius: float | None
    temperature_begin_celsius_reason: str | None
    temperature_end_celsius: float | None
    temperature_end_celsius_reason: str | None
    sm_clock_mhz: float | None
    sm_clock_mhz_reason: str | None
    power_limit_watts: float | None
    power_limit_watts_reason: str | None
    throttled_share: float | None
    throttled_share_reason: str | None
    throttle_reasons: tuple[str, ...]
    compute_processes: int | None
    compute_processes_reason: str | None
    stale_share: float | None
    stale_share_reason: str | None


@dataclasses.dataclass(frozen=True)
class Energy:
    """Joules of the training window, summed over devices. `energy_joules` is raw (idle power included) and is
    the figure to use; `net_joules` subtracts the idle baseline and is never clipped.

    `source` says whose windows it was metered in: those of this run alone, or those of all runs of its shape
    and of a replay, from which `energy_joules` are joules per example times the examples of this point;
    `own_joules` are then what was read while this run itself trained.

    `used`: the GPUs' energy counters, the integral of their power, the processors' RAPL counters, or a
    model of the processor's power that was asked for. On a GPU `host_joules` are the processors' and their
    memory's by RAPL, which `energy_joules` does not contain; on a CPU it contains nothing else.
    """

    energy_joules: float
    used: Literal["counter", "integral", "rapl", "modelled"]
    replayed: bool
    window_seconds: float
    counter_joules: float | None
    counter_joules_reason: str | None
    integral_joules: float | None
    integral_joules_reason: str | None
    idle_watts: float | None
    idle_watts_reason: str | None
    net_joules: float | None
    net_joules_reason: str | None
    host_joules: float | None
    host_joules_reason: str | None
    coverage: float
    longest_gap_seconds: float
    grade: Grade
    grade_reasons: tuple[str, ...]
    devices: tuple[DeviceEnergy, ...]
    # Defaults for the joules in checkpoints that an earlier version wrote.
    source: Literal["run", "shape"] = "run"
    own_joules: float | None = None
    own_joules_reason: str | None = "not recorded in schema 3"


@dataclasses.dataclass(frozen=True)
class PeakRate:
    """Dense peak arithmetic rate of the device for the data type used, with where the figure is from."""

    flops_per_second: float
    dtype: str
    source: str


@dataclasses.dataclass(frozen=True)
class Ceiling:
    """What the device really reached (`isoflop doctor --measure`): the largest rate of a large matrix product
    in `dtype` and of a large copy, both best of several; `threads` is 0 on a GPU.

    Both are measured twice: `passes_apart` is how much lower the lower of the two results was, as a share of
    the higher one, which is kept. `other_load` is the share of the device that others used, and `clock_mhz`
    the clock at the end of the products, of at most `highest_clock_mhz`."""

    device: str
    dtype: str
    threads: int
    flops_per_second: float
    bytes_per_second: float
    measured_at: str
    passes_apart: float | None = None
    passes_apart_reason: str | None = "measured once, by an earlier version"
    other_load: float | None = None
    other_load_reason: str | None = "not recorded by an earlier version"
    clock_mhz: float | None = None
    clock_mhz_reason: str | None = "not recorded by an earlier version"
    highest_clock_mhz: float | None = None
    highest_clock_mhz_reason: str | None = "not recorded by an earlier version"


@dataclasses.dataclass(frozen=True)
class Timing:
    """Seconds from a monotonic clock, and how steps were carried out: `step_engine` names the engine
    (docs/performance.md), `step_choice` is a sentence that says why it was taken.

    `train_seconds` excludes warm-up (of which `compile_seconds` went into
    compiling or capturing the step), evaluation and data preparation.

    `hardware_burden_flops` is the paper's measure: devices x peak rate x `train_seconds`. The roofline
    (Williams et al. 2009) is the lower of the ceiling and intensity x bandwidth; `roofline_share` is what was
    reached of it.
    """

    train_seconds: float
    warmup_seconds: float
    compile_seconds: float
    step_engine: str | None
    step_engine_reason: str | None
    step_choice: str | None
    step_choice_reason: str | None
    eval_seconds: float
    setup_seconds: float
    examples_per_second: float
    achieved_flops_per_second: float | None
    achieved_flops_per_second_reason: str | None
    mfu: float | None
    mfu_reason: str | None
    peak: PeakRate | None
    peak_reason: str | None
    hardware_burden_flops: float | None
    hardware_burden_flops_reason: str | None
    ceiling: Ceiling | None
    ceiling_reason: str | None
    intensity_flops_per_byte: float | None
    intensity_flops_per_byte_reason: str | None
    roofline_share: float | None
    roofline_share_reason: str | None


@dataclasses.dataclass(frozen=True)
class Spent:
    """What this point cost; a trunk that several points share is counted once, at the point that first needed
    it. `flops` and `joules` are those of training; `seconds` is all wall time, with set-up, evaluation and
    replays, of which the wasted part is work whose result was thrown away: `wasted_flops` and `wasted_joules`
    are steps done again after an interruption, on top of `flops` and `joules`."""

    flops: float | None
    flops_reason: str | None
    joules: float | None
    joules_reason: str | None
    seconds: float
    wasted_seconds: float
    wasted_flops: float | None
    wasted_flops_reason: str | None
    wasted_joules: float | None
    wasted_joules_reason: str | None
