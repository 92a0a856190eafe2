"""What was trained on which data, and where: model, optimizer, data set, code, machine.

Unknown is a reason beside the value (schema.py).
"""

from __future__ import annotations

import dataclasses


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
