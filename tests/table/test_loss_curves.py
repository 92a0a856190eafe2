"""Loss curves at several batch sizes, of records and of one's own table; one line for the rest."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from isoflop import record as records
from isoflop.record import CurvePoint, Record
from isoflop.table import formats, loss_curves

Write = Callable[..., Record]
ROWS: dict[str, list[Any]] = {
    "batch_size": [8, 8, 16, 16],
    "lr": [0.1, 0.1, 0.1, 0.1],
    "seed": [0, 0, 0, 0],
    "step": [10, 20, 10, 20],
    "val_loss": [2.0, 1.0, 1.5, 0.5],
}


def of_frame(columns: dict[str, Any], where: str | None = None, **named: str) -> loss_curves.LossCurves:
    return loss_curves.of_raw(formats.of_frame(pd.DataFrame(columns)), "runs.csv", named, where)


@pytest.fixture
def write(tmp_path: Path, done_record: Record) -> Write:
    """Write the record of a run with a batch size, a rate, losses along its way, and settings of its own."""
    number = iter(range(100))

    def make(
        batch: int, lr: float = 0.1, losses: tuple[float, ...] = (2.0, 1.0, 0.5), **changed: Any
    ) -> Record:
        assert done_record.optim is not None
        cell = copy.deepcopy(done_record.cell)
        cell["optim"] |= {"lr": lr, "batch_size": batch}
        cell["schedule"] |= {"shape": "constant", "decay_fraction": 0.0}
        for name in ("optim", "schedule", "model"):
            cell[name] |= changed.pop(name, {})
        curve = tuple(
            CurvePoint(10 * (i + 1), 10 * (i + 1) * batch, 1.0, 0.5, loss, None, "no", None, "no")
            for i, loss in enumerate(losses)
        )
        optim = dataclasses.replace(done_record.optim, lr=lr, batch_size=batch)
        own = {"run_id": f"{next(number):016x}", "cell": cell, "curve": curve, "optim": optim, **changed}
        made = dataclasses.replace(done_record, **own)
        records.write(made, tmp_path)
        return made

    return make


def test_records_give_a_curve_a_run(write: Write, tmp_path: Path) -> None:
    write(8, 0.1)
    write(16, 0.2, (1.5, 0.7))
    read = loss_curves.of_sweep(tmp_path)
    assert [(each.batch, each.lr) for each in read.curves] == [(8, 0.1), (16, 0.2)]
    assert read.curves[1].steps.tolist() == [10, 20]
    assert read.curves[1].losses.tolist() == [1.5, 0.7]
    assert (read.loss_name, read.examples, read.excluded, read.notes) == ("val_loss", "images", (), ())
    assert read.shape.endswith("on digits")


def test_a_run_that_diverged_reaches_nothing_after_its_last_evaluation(write: Write, tmp_path: Path) -> None:
    write(8)
    write(16, losses=(1.5,), state="diverged", reason="loss is nan at step 15")
    diverged = loss_curves.of_sweep(tmp_path).curves[1]
    assert diverged.steps.tolist() == [10, 11]
    assert diverged.losses.tolist() == [1.5, math.inf]


def test_runs_of_no_use_are_left_out_with_a_reason(write: Write, tmp_path: Path) -> None:
    write(8)
    write(16, losses=(0.5,))
    write(32, state="failed", reason="killed")
    write(64, horizon=0.5)
    (tmp_path / "records/damaged.json").write_text("{")
    read = loss_curves.of_sweep(tmp_path)
    assert [each.batch for each in read.curves] == [8]
    assert [each.reason.partition(":")[0] for each in read.excluded[:-1]] == [
        "fewer than two evaluations of the loss",
        "failed",
        "a cooldown branch",
    ]
    assert "damaged" in read.excluded[-1].reason


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ({"shape": "wsd", "decay_fraction": 0.3}, True),
        ({"shape": "wsd", "decay_fraction": 0.0}, False),
        ({"shape": "cosine"}, True),
        ({"shape": "constant", "decay_fraction": 0.3}, False),
    ],
)
def test_a_rate_that_decays_is_said(
    write: Write, tmp_path: Path, schedule: dict[str, Any], said: bool
) -> None:
    write(8, schedule=schedule)
    notes = loss_curves.of_sweep(tmp_path).notes
    assert (len(notes) == 1 and "train with schedule.shape=constant" in notes[0]) == said


def test_lengths_and_what_the_rate_is_meant_for_may_differ_and_settings_may_not(
    write: Write, tmp_path: Path
) -> None:
    write(8, schedule={"steps": 100}, optim={"base_batch_size": 8})
    write(16, schedule={"steps": 50})
    assert len(loss_curves.of_sweep(tmp_path).curves) == 2
    write(32, optim={"weight_decay": 0.5})
    with pytest.raises(ValueError, match="runs of 2 settings of mlp w8 d1 beside batch size, rate and seed"):
        loss_curves.of_sweep(tmp_path)


def test_several_shapes_are_refused_and_one_is_chosen(
    write: Write, tmp_path: Path, done_record: Record
) -> None:
    write(8)
    write(16)
    wider = dataclasses.replace(done_record.model, width=64)
    for batch in (8, 16):
        made = write(batch)
        cell = made.cell | {"model": made.cell["model"] | {"width": 64}}
        records.write(dataclasses.replace(made, model=wider, cell=cell), tmp_path)
    with pytest.raises(
        ValueError, match=r"runs of 2 shapes \(mlp w64 d1, mlp w8 d1\).*--where.*'width == 8'"
    ):
        loss_curves.of_sweep(tmp_path)
    chosen = loss_curves.of_sweep(tmp_path, "width == 64")
    assert len(chosen.curves) == 2
    assert chosen.shape.startswith("mlp w64")
    assert chosen.notes == ("--where width == 64: 6 of 12 rows",)


def test_a_folder_without_records_or_losses_is_one_line(write: Write, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no records here: give the folder of a sweep, or a file"):
        loss_curves.of_sweep(tmp_path)
    write(8, losses=(0.5,))
    with pytest.raises(ValueError, match=r"no run has losses along its way: \w+: fewer than two"):
        loss_curves.of_sweep(tmp_path)


def test_a_table_gives_a_curve_for_each_batch_size_rate_and_seed() -> None:
    read = of_frame(ROWS)
    assert [each.batch for each in read.curves] == [8, 16]
    assert read.curves[0].run_id == "batch_size 8, lr 0.1, seed 0"
    assert read.loss_name == "val_loss"
    assert read.examples == "examples"


def test_rows_stand_in_any_order_and_unknown_losses_are_left_out() -> None:
    mixed = {name: [values[i] for i in (3, 0, 2, 1)] for name, values in ROWS.items()}
    mixed["val_loss"][1] = math.nan
    read = of_frame(mixed)
    assert read.curves[0].steps.tolist() == [20]
    assert np.diff(read.curves[1].steps).tolist() == [10]


def test_columns_are_found_by_their_common_names_and_named_else() -> None:
    renamed = {"bs": ROWS["batch_size"], "iteration": ROWS["step"], "loss": ROWS["val_loss"]}
    read = of_frame(renamed)
    assert (read.loss_name, read.curves[0].lr, read.curves[0].seed) == ("loss", None, "")
    odd = {"b": ROWS["batch_size"], "t": ROWS["step"], "nll": ROWS["val_loss"]}
    assert of_frame(odd, batch_size="b", steps="t", loss="nll").loss_name == "nll"


@pytest.mark.parametrize(
    ("columns", "named", "message"),
    [
        ({"lr": [1]}, {}, "runs.csv: no column of batch sizes: name it with --batch: the columns are lr"),
        ({"batch_size": [1], "loss": [1]}, {}, "no column of steps: name it with --steps"),
        ({"batch_size": [1], "steps": [1]}, {}, "no column of losses: name it with --y"),
        (ROWS, {"loss": "los"}, "--y los: no such column: did you mean val_loss?"),
        (ROWS | {"batch_size": [8, 0, 16, 16]}, {}, "row 2: batch_size is 0: give a number above 0"),
        (ROWS | {"step": [10, 20, -1, 20]}, {}, "row 3: step is -1: give a number above 0"),
        (ROWS | {"step": [10, 20, math.nan, 20]}, {}, "row 3: step is nan: give a number above 0"),
        (ROWS | {"val_loss": [2, 1, 0, 1]}, {}, "row 3: val_loss is 0: a loss is above 0"),
        (ROWS | {"val_loss": [math.nan] * 4}, {}, "val_loss holds no number"),
        (ROWS | {"val_loss": ["high", 1, 1, 1]}, {}, "row 1: val_loss is 'high', not a number"),
        (ROWS | {"step": [10, 10, 10, 20]}, {}, "two losses at step 10 of batch_size 8, lr 0.1, seed 0"),
    ],
)
def test_a_table_that_cannot_be_read_is_one_line(
    columns: dict[str, Any], named: dict[str, str], message: str
) -> None:
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        of_frame(columns, **named)


def test_seeds_that_no_column_tells_apart_are_refused() -> None:
    twice = {name: values * 2 for name, values in ROWS.items() if name != "seed"}
    with pytest.raises(ValueError, match="name the column of seeds with --seed"):
        of_frame(twice)
