"""From records to a table with one row a point; every record that is dropped is counted and named."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from isoflop import record as records
from isoflop import tasks
from isoflop.config.costs import Prices
from isoflop.record import Record
from isoflop.record.label import shape_label
from isoflop.table import csv_text, held_out, lever_columns, pricing, rate_search, target, text_columns
from isoflop.table.left_out import Excluded
from isoflop.table.text_columns import TEXT_COLUMNS

TABLE = "table.csv"


@dataclasses.dataclass(frozen=True)
class Dropped:
    """A record that gives no point of the curve, and why. `run_id` is the file's stem."""

    run_id: str
    state: str
    reason: str


@dataclasses.dataclass(frozen=True)
class RunTable:
    """The points of a sweep, one a row, least training FLOPs first.

    `rows` has the columns of COLUMNS, and two that follow from the folder: `held_out`, and
    `lr_search_gflops`, what the search for the learning rate of the point's configuration cost. `prices` are
    those of --cost, by which all of them are priced; None where each run keeps its own. `compared` are the
    rows of all levers where `rows` are the baseline's alone (levers.one_arm), else None.
    """

    rows: pd.DataFrame
    dropped: tuple[Dropped, ...]
    prices: Prices | None = None
    compared: pd.DataFrame | None = None

    @property
    def excluded(self) -> tuple[Excluded, ...]:
        """What was dropped, as a fit lists the rows that it does not use."""
        return tuple(Excluded(each.run_id, f"{each.state}: {each.reason}") for each in self.dropped)


def place_id(record: Record) -> str:
    """Return the id that the seeds of one configuration and horizon share."""
    return record.config_id if record.horizon == 1 else f"{record.config_id}@{record.horizon:g}"


def _train_gflops(record: Record) -> float | None:
    return _giga(record.compute.train_flops if record.compute else None)


def _giga(count: float | None) -> float | None:
    return None if count is None else count * 1e-9


def _with_optimizer(record: Record) -> float | None:
    compute = record.compute
    if compute is None or compute.train_flops is None or compute.optimizer_flops is None:
        return None
    return _giga(compute.train_flops + compute.optimizer_flops)


def _rms_probability_error(record: Record) -> float | None:
    """Return the root mean square, over test images and classes, of the predicted probability less 1 for the
    true class and 0 for the others: the square root of the Brier score over the number of classes."""
    if record.loss is None or record.loss.test_brier is None or record.data is None:
        return None
    classes = record.data.classes
    return None if classes is None else math.sqrt(record.loss.test_brier / classes)


def _of_independent_trials(record: Record, value: float | None) -> float | None:
    """Return a figure of test examples that are independent trials; None for text, whose bytes are not."""
    return None if text_columns.domain(record) == target.TEXT else value


def _ceiling_share(record: Record) -> float | None:
    """Return the share of the measured ceiling of a large matrix product that training reached."""
    time = record.time
    if time is None or time.ceiling is None or time.achieved_flops_per_second is None:
        return None
    return time.achieved_flops_per_second / time.ceiling.flops_per_second


def _passes_of_trunk(record: Record) -> float | None:
    """Return how often a run of the whole length reads each training example."""
    if record.compute is None or record.data is None or not record.data.train_n:
        return None
    return round(record.compute.examples_seen / record.data.train_n / record.horizon, 2)


COLUMNS: dict[str, Callable[[Record], Any]] = {
    "run_id": lambda r: r.run_id,
    "config_id": lambda r: r.config_id,
    "trunk_id": lambda r: r.trunk_id,
    "place_id": place_id,
    "label": shape_label,
    "seed": lambda r: r.seed,
    "horizon": lambda r: r.horizon,
    "family": lambda r: r.model.family,
    "architecture": lambda r: r.model.architecture,
    "width": lambda r: r.model.width,
    "depth": lambda r: r.model.depth,
    "parameters": lambda r: r.model.parameters,
    "data": lambda r: r.data and r.data.name,
    "data_fraction": lambda r: r.data and r.data.fraction,
    "split_sha256": lambda r: r.data and r.data.split_sha256,
    "train_n": lambda r: r.data and r.data.train_n,
    "test_n": lambda r: _of_independent_trials(r, r.error.test_n if r.error else None),
    "chance_error": lambda r: _of_independent_trials(r, r.data.chance_error if r.data else None),
    "test_error": lambda r: r.error and r.error.test,
    "test_error_low": lambda r: r.error and r.error.ci_low,
    "test_error_high": lambda r: r.error and r.error.ci_high,
    "val_error": lambda r: r.error and r.error.val,
    "test_loss": lambda r: r.loss and r.loss.test,
    "test_brier": lambda r: r.loss and r.loss.test_brier,
    "test_rms_probability_error": _rms_probability_error,
    "val_loss": lambda r: r.loss and r.loss.val,
    "train_loss": lambda r: r.loss and r.loss.train,
    "examples_seen": lambda r: r.compute and r.compute.examples_seen,
    "forward_macs_per_example": lambda r: r.compute and r.compute.forward_macs_per_example,
    "inference_gflops_per_example": lambda r: _giga(
        r.compute.inference_flops_per_example if r.compute else None
    ),
    "norm_activation_forward_gflops_per_example": lambda r: _giga(
        r.compute.norm_activation_forward_flops_per_example if r.compute else None
    ),
    "train_gflops": _train_gflops,
    "train_gflops_reason": lambda r: r.compute.train_flops_reason if r.compute else r.compute_reason,
    "train_gflops_with_optimizer": _with_optimizer,
    "energy_joules": lambda r: r.energy and r.energy.energy_joules,
    "own_joules": lambda r: r.energy and r.energy.own_joules,
    "net_joules": lambda r: r.energy and r.energy.net_joules,
    "host_joules": lambda r: r.energy and r.energy.host_joules,
    "energy_grade": lambda r: r.energy and r.energy.grade,
    "energy_reason": lambda r: r.energy_reason,
    "train_seconds": lambda r: r.time and r.time.train_seconds,
    "device_seconds": lambda r: pricing.used(r).device_seconds,
    "own_share": pricing.own_share,
    "examples_per_second": lambda r: r.time and r.time.examples_per_second,
    "achieved_gflops_per_second": lambda r: _giga(r.time.achieved_flops_per_second if r.time else None),
    "mfu": lambda r: r.time and r.time.mfu,
    "mfu_reason": lambda r: r.time.mfu_reason if r.time else r.time_reason,
    "hardware_burden_gflops": lambda r: _giga(r.time.hardware_burden_flops if r.time else None),
    "intensity_flops_per_byte": lambda r: r.time and r.time.intensity_flops_per_byte,
    "ceiling_share": _ceiling_share,
    "roofline_share": lambda r: r.time and r.time.roofline_share,
    "roofline_share_reason": lambda r: r.time.roofline_share_reason if r.time else r.time_reason,
    "power_limit_watts": lambda r: r.provenance.gpu and r.provenance.gpu.power_limit_watts,
    "dollars": lambda r: pricing.dollars(r.cost, pricing.used(r)).value,
    "dollars_reason": lambda r: pricing.dollars(r.cost, pricing.used(r)).reason,
    "dollars_factors": lambda r: pricing.dollars(r.cost, pricing.used(r)).factors,
    "grams_co2": lambda r: pricing.grams_co2(r.cost, pricing.used(r)).value,
    "grams_co2_reason": lambda r: pricing.grams_co2(r.cost, pricing.used(r)).reason,
    "grams_co2_factors": lambda r: pricing.grams_co2(r.cost, pricing.used(r)).factors,
    "parametrization": lambda r: r.optim and r.optim.parametrization,
    "optimizer": lambda r: r.optim and r.optim.name,
    "epochs": _passes_of_trunk,
    "lr": lambda r: r.optim and r.optim.lr,
    "base_lr": lambda r: r.cell.get("optim", {}).get("lr"),
    "lr_interior": lambda r: r.optim and r.optim.lr_interior,
    "batch_size": lambda r: r.optim and r.optim.batch_size,
    "device": lambda r: r.provenance.device,
    "precision": lambda r: r.provenance.precision,
    "isoflop_version": lambda r: r.provenance.isoflop_version,
    "git_commit": lambda r: r.provenance.git_commit,
    "started_at": lambda r: r.provenance.started_at,
    **TEXT_COLUMNS,
    **lever_columns.LEVER_COLUMNS,
}
"""Column name -> function of a record. Units are in the names; fractions are in [0, 1]."""

TEXT = (
    *(
        "run_id",
        "config_id",
        "trunk_id",
        "place_id",
        "label",
        "family",
        "architecture",
        target.DOMAIN,
        "data",
        "split_sha256",
        "device",
        "precision",
    ),
    *("parametrization", "optimizer"),
    *("train_gflops_reason", "energy_grade", "energy_reason", "isoflop_version", "git_commit", "started_at"),
    *("mfu_reason", "roofline_share_reason"),
    *lever_columns.TEXT,
    *(f"{priced}_{what}" for priced in ("dollars", "grams_co2") for what in ("reason", "factors")),
)
"""The columns of text; the others hold numbers."""


def _epochs(passes: float) -> str:
    """Return `16 epochs` for 15.96: an epoch drops its last partial batch."""
    return f"{passes:.0f} epochs" if passes >= 10 else f"{passes:.2g} epochs"


READABLE: dict[str, Callable[[Any], str]] = {
    lever_columns.LEVER: "lever {}".format,
    "data": str,
    "train_n": "{:.0f} images".format,
    "parametrization": str,
    "lr": "lr {:g}".format,
    "optimizer": str,
    "batch_size": "batch {:g}".format,
    "precision": str,
    "epochs": _epochs,
}
"""Columns that tell configurations of one shape apart, and how a label names their values."""
OF_A_LEVER = ("data", "train_n", "parametrization", "lr", "optimizer", "batch_size", "precision", "epochs")
FOLLOWS = {"data": ("train_n", "epochs"), "train_n": ("epochs",), lever_columns.LEVER: OF_A_LEVER}
"""What differs because another setting does: another data set has its own number of images, and how many
passes a whole number of batches makes depends on that number."""


def _bytes_read(count: float) -> str:
    """Return `896 kB` or `25.8 MB`."""
    return f"{count * 1e-3:.3g} kB" if count < 999_500 else f"{count * 1e-6:.4g} MB"


READABLE_OF_TEXT: dict[str, Callable[[Any], str]] = {
    "examples_seen": _bytes_read,
    **{name: show for name, show in READABLE.items() if name not in ("train_n", "epochs")},
}
"""READABLE of runs on text, which differ by how many bytes they read."""
FOLLOWS_OF_TEXT = {"examples_seen": ("lr", "batch_size"), lever_columns.LEVER: (*OF_A_LEVER, "examples_seen")}
"""FOLLOWS of runs on text: rate and batch go by the length of training."""


def _distinguished(rows: pd.DataFrame) -> pd.Series[str]:
    """Return the labels; where several configurations share one, with what they differ in.

    That is the value of the one column of READABLE (of READABLE_OF_TEXT) in which they differ, if it differs
    between any two of them, else the beginning of the configuration's id.
    """
    labels = rows["label"].copy()
    for label, group in rows.groupby("label", sort=False):
        configs = group.drop_duplicates("config_id")
        if len(configs) < 2:
            continue
        of_text = target.of(configs).domain == target.TEXT
        readable, follows = (READABLE_OF_TEXT, FOLLOWS_OF_TEXT) if of_text else (READABLE, FOLLOWS)
        name = _one_difference(configs, readable, follows)
        own = group["config_id"].map("#{:.4}".format) if name is None else group[name].map(readable[name])
        labels[group.index] = f"{label} " + own
    return labels


def _one_difference(
    configs: pd.DataFrame, readable: Iterable[str], follows: Mapping[str, tuple[str, ...]]
) -> str | None:
    """Return the one readable column in which the configurations differ, each from all others, or None.

    A column that follows from another that differs does not count.
    """
    differing = [name for name in readable if len(configs[name].unique()) > 1]
    following = {name for cause in differing for name in follows.get(cause, ())}
    differing = [name for name in differing if name not in following]
    if len(differing) != 1:
        return None
    (name,) = differing
    return name if configs[name].nunique() == len(configs) else None


def tabulate(points: Iterable[Record]) -> pd.DataFrame:
    """Return one row a record with COLUMNS: text columns as objects, the others as floats (NaN = unknown)."""
    rows = list(points)
    columns = {
        name: pd.Series(
            [value_of(r) for r in rows], dtype=object if name in TEXT else float, index=range(len(rows))
        )
        for name, value_of in COLUMNS.items()
    }
    table = pd.DataFrame(columns)
    return table.assign(label=_distinguished(table)).sort_values(
        ["train_gflops", "seed", "run_id"], ignore_index=True
    )


def aggregate(directory: Path, prices: Prices | None = None) -> RunTable:
    """Read every record under DIR/records.

    With `prices` the runs are priced by them, whatever they were priced by when they were trained.

    Raises:
        ValueError: there is no such folder, or it holds no record at all.
    """
    folder = directory / "records"
    if not folder.is_dir():
        raise ValueError(f"{directory}: no records folder here: give the folder of a sweep")
    paths = sorted(p for p in folder.iterdir() if p.suffix == ".json" and not p.name.startswith("."))
    if not paths:
        raise ValueError(f"{folder}: no records yet: run the sweep first")
    kept: list[Record] = []
    dropped: list[Dropped] = []
    for path in tasks.steps("records", paths):
        try:
            record = records.read(path)
        except (records.RecordError, OSError) as error:
            dropped.append(Dropped(path.stem, "unreadable", str(error)))
            continue
        if record.run_id != path.stem:
            reason = f"a copy: the record inside is {record.run_id}'s, so remove the file"
            dropped.append(Dropped(path.stem, record.state, reason))
        elif record.state == "done" and (record.error is not None or record.loss is not None):
            kept.append(pricing.repriced(record, prices))
        else:
            reason = record.reason or "no error or loss was measured"
            dropped.append(Dropped(record.run_id, record.state, reason))
    declared = held_out.run_ids(directory)
    rows = tabulate(kept)
    rows[held_out.COLUMN] = rows["run_id"].isin(declared).astype(float)
    spent = rate_search.spent_gflops(directory, kept)
    rows[rate_search.COLUMN] = rows["run_id"].map(spent).astype(float)
    return RunTable(rows, tuple(dropped), prices)


def write(table: RunTable, directory: Path) -> tuple[Path, Path]:
    """Write DIR/table.csv, with the rows of all levers, and DIR/dropped.csv (csv_text) atomically.

    Returns their paths.
    """
    rows = table.rows if table.compared is None else table.compared
    dropped = pd.DataFrame(
        [dataclasses.asdict(d) for d in table.dropped], columns=["run_id", "state", "reason"]
    )
    paths = (directory / TABLE, directory / "dropped.csv")
    for path, frame in zip(paths, (rows, dropped), strict=True):
        records.write_bytes(path, csv_text.to_csv(frame).encode())
    return paths
