"""Loss curves of runs at several batch sizes, from a sweep's records or a table of the user's own."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd

from isoflop import record as records
from isoflop.record import Record
from isoflop.record.label import shape_label
from isoflop.table import columns, formats, selection, target, text_columns
from isoflop.table.left_out import Excluded

Array = npt.NDArray[np.float64]

BATCH, STEPS, LOSS, SEED, LR = "batch_size", "steps", "loss", "seed", "lr"
KNOWN: Mapping[str, tuple[str, ...]] = {
    BATCH: (BATCH, "batch", "global_batch_size", "bs"),
    STEPS: (STEPS, "step", "global_step", "iteration", "_step"),
    LOSS: ("val_loss", "val_bits_per_byte", "eval_loss", "test_loss", "loss", "train_loss"),
    SEED: (SEED,),
    LR: (LR, "learning_rate"),
}
"""What is read -> the columns that hold it unless an option names another."""
OPTIONS: Mapping[str, str] = {BATCH: "batch", STEPS: "steps", LOSS: "y", SEED: "seed", LR: "lr"}
NEEDED = (BATCH, STEPS, LOSS)
SHAPE, RUN = "shape", "run_id"
SETTING = "setting"
"""Column of what runs must share to be compared: all but batch size, rate, seed and schedule, as JSON."""
DECAYS = "decays"


@dataclasses.dataclass(frozen=True)
class LossCurve:
    """Evaluations of one run: losses (n,) after so many optimizer steps (n,), rising; `lr` is None and `seed`
    empty where unknown."""

    run_id: str
    batch: float
    lr: float | None
    seed: str
    steps: Array
    losses: Array


@dataclasses.dataclass(frozen=True)
class LossCurves:
    """Loss curves that differ in batch size, learning rate, seed and length only.

    Attributes:
        source: file or folder.
        curves: of the runs.
        loss_name: what the losses are of.
        examples: what an example is called, in the plural.
        shape: what was trained, as far as it is known.
        notes: about the runs.
        excluded: runs that were left out.
    """

    source: str
    curves: tuple[LossCurve, ...]
    loss_name: str
    examples: str
    shape: str = ""
    notes: tuple[str, ...] = ()
    excluded: tuple[Excluded, ...] = ()


def of_sweep(directory: Path, where: str | None = None) -> LossCurves:
    """Return the loss curves of a sweep's records, on the validation part.

    Losses are in nats; of text in bits a byte. A run that diverged counts as one that reaches no loss after
    its last evaluation.

    Args:
        directory: the folder of the sweep.
        where: a condition on rows (`table_of`): only the runs that meet it.

    Raises:
        ValueError: no records, none with losses along the run, or runs of several shapes or settings.
    """
    folder = directory / "records"
    paths = sorted(path for path in folder.glob("*.json") if not path.name.startswith("."))
    if not paths:
        raise ValueError(f"{directory}: no records here: give the folder of a sweep, or a file of losses")
    kept: list[Record] = []
    excluded: list[Excluded] = []
    for path in paths:
        try:
            record = records.read(path)
        except (records.RecordError, OSError) as error:
            excluded.append(Excluded(path.stem, str(error)))
            continue
        reason = _why_not(record)
        if reason is None:
            kept.append(record)
        else:
            excluded.append(Excluded(record.run_id, reason))
    if not kept:
        why = f": {excluded[0].run_id}: {excluded[0].reason}" if excluded else ""
        raise ValueError(f"{directory}: no run has losses along its way{why}")
    judged_on = target.of_records(kept)
    text = judged_on.domain == target.TEXT
    table, notes = selection.where(table_of(kept, text=text), where)
    _refuse_several(table, directory)
    if table[DECAYS].any():
        notes = (
            *notes,
            "the learning rate decays along these runs, so their losses depend on their lengths: train with "
            "schedule.shape=constant",
        )
    curves = tuple(_curve(str(run_id), rows) for run_id, rows in table.groupby(RUN, sort=False))
    name = "val_bits_per_byte" if text else "val_loss"
    shape = f"{table[SHAPE].iloc[0]} on {table['data'].iloc[0]}"
    return LossCurves(str(directory), curves, name, judged_on.examples, shape, notes, tuple(excluded))


def _why_not(record: Record) -> str | None:
    """Return why a record has no curve of use, None where it has."""
    if record.state not in ("done", "diverged"):
        return f"{record.state}: {record.reason}"
    if record.horizon != 1:
        return "a cooldown branch: the run of the whole length holds the trunk"
    if record.optim is None or not record.optim.batch_size:
        return "its batch size is unknown"
    if record.state == "done" and sum(point.val_loss is not None for point in record.curve) < 2:
        return "fewer than two evaluations of the loss: raise schedule.evaluations"
    return None


def table_of(kept: list[Record], *, text: bool) -> pd.DataFrame:
    """Return one row an evaluation: run_id, shape, data, width, depth, batch_size, lr, seed, steps, loss."""
    rows = [row for record in kept for row in _rows(record, text=text)]
    return pd.DataFrame(rows)


def _rows(record: Record, *, text: bool) -> list[dict[str, Any]]:
    assert record.optim is not None
    shared = {
        RUN: record.run_id,
        SHAPE: shape_label(record),
        "data": record.data.name if record.data else "unknown data",
        "width": _number(record.model.width),
        "depth": _number(record.model.depth),
        SETTING: _setting(record),
        DECAYS: _decays(record.cell.get("schedule", {})),
        BATCH: float(record.optim.batch_size or math.nan),
        LR: _number(record.optim.lr),
        SEED: float(record.seed),
    }
    bits = text_columns.bits if text else float
    rows = [
        shared | {STEPS: float(point.step), LOSS: bits(point.val_loss)}
        for point in record.curve
        if point.val_loss is not None
    ]
    if record.state == "diverged":
        after = max((float(point.step) for point in record.curve), default=0.0) + 1
        rows.append(shared | {STEPS: after, LOSS: math.inf})
    return rows


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _decays(schedule: Mapping[str, Any]) -> bool:
    shape = schedule.get("shape")
    return shape == "cosine" or (shape == "wsd" and schedule.get("decay_fraction", 0) > 0)


def _setting(record: Record) -> str:
    """Return all that runs must share, as JSON: not the batch size, nor what is chosen for it."""
    if record.cell.get("source") == text_columns.RECORDER:
        return shape_label(record)
    kept = {name: value for name, value in record.cell.items() if name not in ("seed", "schedule")}
    kept["optim"] = {
        name: value
        for name, value in record.cell.get("optim", {}).items()
        if name not in ("lr", "batch_size", "base_batch_size", "base_steps")
    }
    return msgspec.json.encode(kept, order="sorted").decode()


def _refuse_several(table: pd.DataFrame, directory: Path) -> None:
    """Raise ValueError where the runs differ in more than batch size, rate, seed and length."""
    settings = table.drop_duplicates(SETTING)
    if len(settings) < 2:
        return
    shapes = sorted(set(settings[SHAPE]))
    if len(shapes) > 1:
        differ = f"{len(shapes)} shapes ({', '.join(shapes[:3])}{', ...' if len(shapes) > 3 else ''})"
    else:
        differ = f"{len(settings)} settings of {shapes[0]} beside batch size, rate and seed"
    raise ValueError(
        f"{directory}: runs of {differ}: one critical batch size is of one: choose by --where, such as "
        f"'width == {settings['width'].iloc[0]:g}'"
    )


def of_file(path: Path, named: Mapping[str, str | None], where: str | None = None) -> LossCurves:
    """Return the loss curves of a file of the user's own. Raises as `of_raw` and formats.read_rows."""
    wanted = [name for name in named.values() if name is not None] or list(NEEDED)
    return of_raw(formats.read_rows(path, wanted), str(path), named, where)


def of_raw(
    raw: pd.DataFrame, source: str, named: Mapping[str, str | None], where: str | None = None
) -> LossCurves:
    """Return the loss curves of rows, one an evaluation.

    Args:
        raw: as formats.read_rows or formats.of_frame returns them.
        source: names them in messages.
        named: of BATCH, STEPS, LOSS, SEED and LR the column that an option names; else those of KNOWN.
        where: a condition (selection.where): only rows that meet it.

    Raises:
        ValueError: a column is missing or holds no numbers, a batch size or a step is not above 0, or one run
            has two losses at one step. One line that says what to change.
    """
    try:
        raw, notes = selection.where(raw, where)
        chosen = {what: _column(raw, what, named.get(what)) for what in KNOWN}
        read: dict[str, Any] = {
            what: columns.numbers(raw[name])
            for what, name in chosen.items()
            if name is not None and what != SEED
        }
        if (seed := chosen[SEED]) is not None:
            read[SEED] = [columns.label(value) or "" for value in raw[seed]]
        table = pd.DataFrame(read, index=raw.index)
        for what in (BATCH, STEPS):
            if not (table[what] > 0).all():
                row = table.index[~(table[what] > 0)][0]
                raise ValueError(f"row {row}: {chosen[what]} is {table[what][row]:g}: give a number above 0")
        table = table[table[LOSS].notna()]
        _refuse_losses(table, str(chosen[LOSS]))
        keys = [BATCH, *(name for name in (LR, SEED) if name in table)]
        groups = table.groupby(keys, sort=True, dropna=False)
        curves = tuple(_own_curve(key, rows, keys) for key, rows in groups)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error
    return LossCurves(source, curves, str(chosen[LOSS]), "examples", notes=notes)


def _column(raw: pd.DataFrame, what: str, given: str | None) -> str | None:
    """Return the column that holds something; None for one that may be missing."""
    option = OPTIONS[what]
    if given is not None:
        return columns.find(raw, given, option)
    names = [str(name) for name in raw.columns]
    for known in KNOWN[what]:
        if len(found := columns.matches(known, names)) == 1:
            return found[0]
    if what in NEEDED:
        wanted = {BATCH: "batch sizes", STEPS: "steps", LOSS: "losses"}[what]
        raise ValueError(
            f"no column of {wanted}: name it with --{option}: the columns are {', '.join(names)}"
        )
    return None


def _refuse_losses(table: pd.DataFrame, name: str) -> None:
    if table.empty:
        raise ValueError(f"{name} holds no number")
    if not (table[LOSS] > 0).all():
        row = table.index[~(table[LOSS] > 0)][0]
        raise ValueError(f"row {row}: {name} is {table[LOSS][row]:g}: a loss is above 0")


def _own_curve(key: Any, rows: pd.DataFrame, keys: list[str]) -> LossCurve:
    values = dict(zip(keys, key if isinstance(key, tuple) else (key,), strict=True))
    name = ", ".join(f"{what} {_short(value)}" for what, value in values.items())
    if rows[STEPS].duplicated().any():
        step = rows[STEPS][rows[STEPS].duplicated()].iloc[0]
        raise ValueError(f"two losses at step {step:g} of {name}: name the column of seeds with --seed")
    return _curve(name, rows)


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _curve(run_id: str, rows: pd.DataFrame) -> LossCurve:
    ordered = rows.sort_values(STEPS)
    first = ordered.iloc[0]
    lr = float(first[LR]) if LR in ordered else math.nan
    return LossCurve(
        run_id,
        float(first[BATCH]),
        None if math.isnan(lr) else lr,
        _short(first[SEED]) if SEED in ordered else "",
        ordered[STEPS].to_numpy(float),
        ordered[LOSS].to_numpy(float),
    )
