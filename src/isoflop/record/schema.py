"""What a record holds: one point of the curve, or the reason why there is none.

Unknown is a typed state: every nullable field `x` stands beside `x_reason`, and exactly one of the two
is None. No number in a record is NaN or infinite.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

SCHEMA = 6

State = Literal["done", "failed", "diverged", "oom", "interrupted"]
Grade = Literal["A", "B", "C", "D"]


@dataclasses.dataclass(frozen=True)
class ErrorRate:
    """Share of images classified wrongly, or of bytes predicted wrongly, in [0, 1].

    The 95% interval of `test` is Wilson's for images, and that over documents for bytes, which depend on each
    other. A training loop of the user's own (isoflop.Recorder) may know only some of the figures.
    """

    test: float | None
    val: float | None
    ci_low: float | None
    ci_high: float | None
    test_n: int | None
    val_n: int | None
    # Defaults, here and below: isoflop's own runs know all figures that were always there.
    test_reason: str | None = None
    val_reason: str | None = None
    ci_low_reason: str | None = None
    ci_high_reason: str | None = None
    test_n_reason: str | None = None
    val_n_reason: str | None = None


@dataclasses.dataclass(frozen=True)
class Loss:
    """Mean cross-entropy in nats.

    `train` is over some of the training examples: as many images as are tested, at most; of text about
    data.eval_bytes, in evenly spaced windows.

    `test_document_se_nats` is the standard error of `test` over the documents of the test part, each of which
    may be easier or harder as a whole.

    `test_brier` is the Brier score of the test part: the mean over images of the sum over classes of
    (probability - indicator)^2, in [0, 2].

    `train_over` is `steps` where `train` is not an evaluation but what a loop of the user's own gave: the
    mean over its last steps.
    """

    test: float | None
    val: float | None
    train: float | None
    test_brier: float | None
    test_brier_reason: str | None
    test_document_se_nats: float | None
    test_document_se_nats_reason: str | None
    test_reason: str | None = None
    val_reason: str | None = None
    train_reason: str | None = None
    train_over: Literal["examples", "steps"] = "examples"


@dataclasses.dataclass(frozen=True)
class LossInterval:
    """Mean training loss in nats over the steps since the interval before, up to and with step `end_step`,
    of the batches as they were trained on (augmented, with label smoothing where there is any)."""

    end_step: int
    examples: int
    mean_loss: float


@dataclasses.dataclass(frozen=True)
class TrainingInterval:
    """Training since the interval before, up to and with step `end_step`, as the loop read it on the way.

    `seconds` are those of training since the first step, without evaluations; `mean_loss` is in nats over the
    interval's steps, as in LossInterval; `learning_rate` is that of the last step: the peak (OptimFacts.lr)
    times the schedule's factor. `watts` is the mean power of what is metered; where the interval was cut by
    an evaluation or a checkpoint, since that.
    """

    end_step: int
    examples: int
    seconds: float
    mean_loss: float
    learning_rate: float
    examples_per_second: float
    watts: float | None
    watts_reason: str | None


@dataclasses.dataclass(frozen=True)
class CurvePoint:
    """One evaluation during training, on the validation part; meters exclude the evaluation itself."""

    step: int
    examples: int
    seconds: float
    val_error: float | None
    val_loss: float | None
    train_flops: float | None
    train_flops_reason: str | None
    energy_joules: float | None
    energy_joules_reason: str | None
    val_error_reason: str | None = None
    val_loss_reason: str | None = None


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


@dataclasses.dataclass(frozen=True)
class ModelFacts:
    """Shape of the model; `width` and `depth` as its family defines them. The parameters without embeddings
    leave out the table of token embeddings, which costs no FLOPs, and keep the readout, which does."""

    family: str
    architecture: str
    width: int | None
    width_reason: str | None
    depth: int | None
    depth_reason: str | None
    parameters: int | None
    parameters_reason: str | None
    parameters_without_embeddings: int | None
    parameters_without_embeddings_reason: str | None


@dataclasses.dataclass(frozen=True)
class OptimFacts:
    """What the optimizer really used, at this batch size and length: `lr` is the peak of the schedule.

    `lr_interior` says whether it was the best of a grid and not at its edge.
    """

    name: str | None
    lr: float | None
    weight_decay: float | None
    batch_size: int | None
    parametrization: str | None
    lr_interior: bool | None
    lr_interior_reason: str | None
    steps: int | None
    steps_reason: str | None
    name_reason: str | None = None
    lr_reason: str | None = None
    weight_decay_reason: str | None = None
    batch_size_reason: str | None = None
    parametrization_reason: str | None = None


@dataclasses.dataclass(frozen=True)
class TextFacts:
    """The text that was read.

    `document_mark` is the value that stands before each document. `sha256` is over the bytes with these
    marks, the lengths of the documents and which part each is in, before data.fraction. `python_version` is
    that of the standard library whose source was read.
    """

    files: int
    file_bytes: int
    train_bytes: int
    train_documents: int
    val_documents: int
    test_documents: int
    document_mark: int
    sha256: str
    python_version: str | None
    python_version_reason: str | None


@dataclasses.dataclass(frozen=True)
class DataFacts:
    """What the model saw.

    `train_n`, `val_n` and `test_n` count images, or bytes of text; `passes` is how often each training
    example was read on average; `split_sha256` is over what is in which part.
    """

    name: str
    fraction: float | None
    train_n: int | None
    val_n: int | None
    test_n: int | None
    classes: int | None
    chance_error: float | None
    input_shape: tuple[int, ...] | None
    split_sha256: str | None
    passes: float | None
    text: TextFacts | None
    text_reason: str | None
    fraction_reason: str | None = None
    train_n_reason: str | None = None
    val_n_reason: str | None = None
    test_n_reason: str | None = None
    classes_reason: str | None = None
    chance_error_reason: str | None = None
    input_shape_reason: str | None = None
    split_sha256_reason: str | None = None
    passes_reason: str | None = None


@dataclasses.dataclass(frozen=True)
class Gpu:
    """One graphics card as NVML names it; `mig` where it is cut into slices, whose power is the card's."""

    name: str
    uuid: str
    driver: str
    power_limit_watts: float | None
    power_limit_watts_reason: str | None
    default_power_limit_watts: float | None
    default_power_limit_watts_reason: str | None
    max_sm_clock_mhz: float | None
    max_sm_clock_mhz_reason: str | None
    memory_bytes: float | None
    memory_bytes_reason: str | None
    persistence_mode: bool | None
    persistence_mode_reason: str | None
    mig: bool | None
    mig_reason: str | None


@dataclasses.dataclass(frozen=True)
class Slurm:
    """The SLURM job that trained the run."""

    job: str
    array: str
    node: str


@dataclasses.dataclass(frozen=True)
class Provenance:
    """Where a record comes from: code, machine, command. Not part of the run's identity.

    `user_files` has for `model` and `data` of the user's own the SHA-256 of each of their files: of the one
    that is part of the identity, and of those beside it that it imports.
    """

    isoflop_version: str
    git_commit: str | None
    git_commit_reason: str | None
    dirty: bool | None
    dirty_reason: str | None
    command: str
    versions: dict[str, str]
    host: str
    cpu: str
    device: str
    precision: str | None
    threads: int
    deterministic: bool
    started_at: str
    gpu: Gpu | None
    gpu_reason: str | None
    slurm: Slurm | None
    slurm_reason: str | None
    precision_reason: str | None = None
    user_files: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Record:
    """One point of the curve, or the reason why there is none.

    `cell` is the configuration that defines the point; of a loop of the user's own (isoflop.Recorder) it has
    `source` recorder and what the user gave as `hyperparameters`. `horizon` is the share of its whole length
    at which it was cooled down (1 without cooldowns), and `trunk_id` joins the points of one trunk. `cost`
    holds the factors the user chose (conf/cost, docs/cost.md) and only those; `cost_source` says where they
    are from.
    """

    schema: int
    run_id: str
    config_id: str
    trunk_id: str
    horizon: float
    cell: dict[str, Any]
    attempt: int
    state: State
    reason: str | None
    seed: int
    cost: dict[str, float]
    cost_source: str | None
    cost_source_reason: str | None
    model: ModelFacts
    provenance: Provenance
    spent: Spent
    curve: tuple[CurvePoint, ...]
    train_loss: tuple[LossInterval, ...] | None
    train_loss_reason: str | None
    optim: OptimFacts | None
    optim_reason: str | None
    data: DataFacts | None
    data_reason: str | None
    error: ErrorRate | None
    error_reason: str | None
    loss: Loss | None
    loss_reason: str | None
    compute: Compute | None
    compute_reason: str | None
    energy: Energy | None
    energy_reason: str | None
    time: Timing | None
    time_reason: str | None
    intervals: tuple[TrainingInterval, ...] | None = None
    intervals_reason: str | None = "not recorded by an earlier version"
