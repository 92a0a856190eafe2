from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from isoflop import record as records
from isoflop.record import Record
from isoflop.table import aggregate


def test_every_record_is_a_row_or_a_named_drop(done_record: Record, tmp_path: Path) -> None:
    records.write(done_record, tmp_path)
    reason = "the training loss was NaN"
    lost = dataclasses.replace(
        done_record, run_id="b" * 16, state="diverged", reason=reason, error=None, error_reason=reason
    )
    records.write(lost, tmp_path)
    (tmp_path / "records" / "broken.json").write_text("{")
    table = aggregate.aggregate(tmp_path)
    assert list(table.rows["run_id"]) == [done_record.run_id]
    assert {(d.run_id, d.state) for d in table.dropped} == {("b" * 16, "diverged"), ("broken", "unreadable")}
    assert any(reason in d.reason for d in table.dropped)


@pytest.mark.parametrize("state", ["failed", "diverged", "oom", "interrupted"])
def test_a_run_that_did_not_finish_is_no_point_even_where_an_error_was_measured(
    done_record: Record, tmp_path: Path, state: Any
) -> None:
    records.write(done_record, tmp_path)
    stopped = dataclasses.replace(done_record, run_id="b" * 16, state=state, reason="stopped halfway")
    assert stopped.error is not None
    records.write(stopped, tmp_path)
    table = aggregate.aggregate(tmp_path)
    assert list(table.rows["run_id"]) == [done_record.run_id]
    assert table.dropped == (aggregate.Dropped("b" * 16, state, "stopped halfway"),)
    assert [(each.run_id, each.reason) for each in table.excluded] == [
        ("b" * 16, f"{state}: stopped halfway")
    ]


@pytest.mark.parametrize("horizon", [1.0, 0.5, 0.25])
def test_the_points_of_a_trunk_have_the_epochs_of_the_whole_run(done_record: Record, horizon: float) -> None:
    """`epochs` tells configurations apart; a point that ends at half of a run of 8 has seen 4 of them."""
    assert done_record.compute is not None
    assert done_record.data is not None
    seen = round(8 * horizon * done_record.data.train_n)
    compute = dataclasses.replace(done_record.compute, examples_seen=seen)
    point = dataclasses.replace(done_record, horizon=horizon, compute=compute)
    row = aggregate.tabulate([point]).iloc[0]
    assert row["epochs"] == pytest.approx(8, abs=0.01)
    assert row["examples_seen"] == seen
    assert row["place_id"] == (point.config_id if horizon == 1 else f"{point.config_id}@{horizon:g}")


def test_the_table_holds_the_records_numbers(done_record: Record) -> None:
    row = aggregate.tabulate([done_record]).iloc[0]
    assert done_record.error is not None
    assert done_record.compute is not None
    assert done_record.compute.train_flops is not None
    assert row["test_error"] == done_record.error.test
    assert row["train_gflops"] == pytest.approx(done_record.compute.train_flops / 1e9, rel=1e-12)
    assert row["label"] == "mlp w8 d1"
    assert np.isnan(row["energy_joules"])
    assert "CPU" in row["energy_reason"]
    assert np.isnan(row["dollars"])


def test_the_optimizers_work_is_added_once_and_only_where_it_is_known(done_record: Record) -> None:
    assert done_record.compute is not None
    compute = dataclasses.replace(
        done_record.compute, **records.known(train_flops=5e9), **records.known(optimizer_flops=2e9)
    )
    row = aggregate.tabulate([dataclasses.replace(done_record, compute=compute)]).iloc[0]
    assert row["train_gflops"] == 5.0
    assert row["train_gflops_with_optimizer"] == 7.0
    unknown = dataclasses.replace(compute, optimizer_flops=None, optimizer_flops_reason="no roles")
    row = aggregate.tabulate([dataclasses.replace(done_record, compute=unknown)]).iloc[0]
    assert np.isnan(row["train_gflops_with_optimizer"])


def test_each_kind_of_joules_is_a_column_of_its_own(done_record: Record) -> None:
    energy = records.Energy(
        energy_joules=900.0,
        used="counter",
        replayed=False,
        window_seconds=3.0,
        coverage=1.0,
        longest_gap_seconds=0.1,
        grade="B",
        grade_reasons=("replayed",),
        devices=(),
        source="shape",
        **records.known(
            counter_joules=901.0,
            integral_joules=902.0,
            idle_watts=60.0,
            net_joules=720.0,
            host_joules=150.0,
            own_joules=880.0,
        ),
    )
    metered = dataclasses.replace(done_record, **records.known(energy=energy))
    row = aggregate.tabulate([metered]).iloc[0]
    columns = ("energy_joules", "net_joules", "host_joules", "own_joules")
    assert [row[column] for column in columns] == [900.0, 720.0, 150.0, 880.0]
    assert row["energy_grade"] == "B"


def test_dollars_and_co2_come_only_from_chosen_factors(done_record: Record) -> None:
    assert done_record.time is not None
    hours = done_record.time.train_seconds / 3600
    rented = dataclasses.replace(done_record, cost={"dollars_per_gpu_hour": 3.0})
    row = aggregate.tabulate([rented]).iloc[0]
    assert row["dollars"] == pytest.approx(3.0 * hours)
    assert np.isnan(row["grams_co2"])
    assert row["grams_co2_reason"] == "no price was chosen: give one by --cost"
    by_energy = dataclasses.replace(done_record, cost={"dollars_per_kwh": 0.2, "grams_co2_per_kwh": 400.0})
    row = aggregate.tabulate([by_energy]).iloc[0]
    assert np.isnan([row["dollars"], row["grams_co2"]]).all(), "joules are unknown on this machine"
    assert row["dollars_reason"] == f"training energy unknown: {done_record.energy_reason}"


def test_the_hardware_s_columns_hold_shares_and_the_reasons_where_there_is_none(done_record: Record) -> None:
    assert done_record.time is not None
    ceiling = records.Ceiling("a board", "bf16", 0, 8e12, 1e12, "2026-01-01T00:00:00+00:00")
    timing = dataclasses.replace(
        done_record.time,
        **records.known(
            achieved_flops_per_second=2e12,
            hardware_burden_flops=5e15,
            ceiling=ceiling,
            intensity_flops_per_byte=4.0,
            roofline_share=0.5,
        ),
    )
    row = aggregate.tabulate([dataclasses.replace(done_record, time=timing)]).iloc[0]
    assert row["achieved_gflops_per_second"] == pytest.approx(2000)
    assert row["hardware_burden_gflops"] == pytest.approx(5e6)
    assert row["ceiling_share"] == pytest.approx(0.25)
    assert (row["intensity_flops_per_byte"], row["roofline_share"]) == (4.0, 0.5)
    assert row["mfu_reason"] == "not a GPU"
    plain = aggregate.tabulate([done_record]).iloc[0]
    assert np.isnan(plain["hardware_burden_gflops"])
    assert np.isnan(plain["power_limit_watts"])


def test_rows_are_sorted_and_written_as_csv(done_record: Record, tmp_path: Path) -> None:
    assert done_record.compute is not None
    for index, train_flops in enumerate((3e9, 1e9, 2e9)):
        compute = dataclasses.replace(done_record.compute, train_flops=train_flops)
        records.write(dataclasses.replace(done_record, run_id=f"{index:016x}", compute=compute), tmp_path)
    table = aggregate.aggregate(tmp_path)
    path, dropped = aggregate.write(table, tmp_path)
    assert list(pd.read_csv(path)["train_gflops"]) == [1.0, 2.0, 3.0]
    assert list(pd.read_csv(dropped).columns) == ["run_id", "state", "reason"]


def test_a_copied_record_is_not_a_second_run(done_record: Record, tmp_path: Path) -> None:
    path = records.write(done_record, tmp_path)
    (path.parent / "copy.json").write_bytes(path.read_bytes())
    table = aggregate.aggregate(tmp_path)
    assert len(table.rows) == 1
    assert [(d.run_id, d.reason.split(":")[0]) for d in table.dropped] == [("copy", "a copy")]


def test_configurations_of_one_shape_have_labels_of_their_own(done_record: Record) -> None:
    other = dataclasses.replace(done_record, run_id="c" * 16, config_id="dd" + "c" * 14)
    labels = aggregate.tabulate([done_record, other])["label"]
    assert set(labels) == {f"mlp w8 d1 #{done_record.config_id[:4]}", "mlp w8 d1 #ddcc"}


def test_a_label_names_the_one_setting_in_which_configurations_differ(done_record: Record) -> None:
    def changed(letter: str, part: str, **values: Any) -> Record:
        section = dataclasses.replace(getattr(done_record, part), **values)
        return dataclasses.replace(done_record, run_id=letter * 16, config_id=letter * 16, **{part: section})

    def labels(*others: Record) -> set[str]:
        return {
            text.removeprefix("mlp w8 d1 ") for text in aggregate.tabulate([done_record, *others])["label"]
        }

    assert done_record.data is not None
    assert done_record.optim is not None
    few = changed("b", "data", train_n=120, fraction=0.1)
    hot = changed("c", "optim", lr=0.8)
    own = f"#{done_record.config_id[:4]}"
    assert labels(few) == {f"{done_record.data.train_n} images", "120 images"}
    assert labels(hot) == {f"lr {done_record.optim.lr:g}", "lr 0.8"}
    assert labels(few, hot) == {own, "#bbbb", "#cccc"}, "neither tells all three apart"
    assert labels(hot, dataclasses.replace(hot, run_id="d" * 16, config_id="d" * 16)) == {
        own,
        "#cccc",
        "#dddd",
    }


@pytest.mark.parametrize("make_folder", [True, False])
def test_a_folder_without_records_is_the_users_to_mend(make_folder: bool, tmp_path: Path) -> None:
    if make_folder:
        (tmp_path / "records").mkdir()
    with pytest.raises(ValueError, match="records"):
        aggregate.aggregate(tmp_path)


def test_the_brier_score_and_its_root_mean_square(done_record: Record) -> None:
    row = aggregate.tabulate([done_record]).iloc[0]
    assert done_record.loss is not None
    assert done_record.loss.test_brier is not None
    assert row["test_brier"] == done_record.loss.test_brier
    assert 10 * row["test_rms_probability_error"] ** 2 == pytest.approx(row["test_brier"]), "of ten classes"
    old = dataclasses.replace(done_record.loss, test_brier=None, test_brier_reason="not recorded in schema 3")
    older = aggregate.tabulate([dataclasses.replace(done_record, loss=old)]).iloc[0]
    assert np.isnan(older["test_brier"])
    assert np.isnan(older["test_rms_probability_error"])


def test_the_work_of_activations_is_a_column(done_record: Record) -> None:
    row = aggregate.tabulate([done_record]).iloc[0]
    assert row["norm_activation_forward_gflops_per_example"] == pytest.approx(8e-9), "a ReLU of 8 units"


def test_the_search_for_a_rate_stands_beside_the_compute(done_record: Record, tmp_path: Path) -> None:
    """Three trials of a configuration, one of which is the run of the first seed; and a second seed."""
    assert done_record.optim is not None
    rates = (0.5, 1.0, 2.0)

    def at(rate: float, run_id: str, seed: int = 0) -> Record:
        cell = done_record.cell | {"optim": done_record.cell["optim"] | {"lr": rate}, "seed": seed}
        spent = dataclasses.replace(done_record.spent, flops=rate * 1e9, flops_reason=None)
        assert done_record.optim is not None
        optim = dataclasses.replace(done_record.optim, lr_interior=True, lr_interior_reason=None)
        return dataclasses.replace(done_record, run_id=run_id, cell=cell, spent=spent, optim=optim, seed=seed)

    for rate in rates:
        records.write(at(rate, f"{round(10 * rate):016x}"), tmp_path / "tuning")
    records.write(at(1.0, f"{10:016x}"), tmp_path)
    records.write(at(1.0, "b" * 16, seed=1), tmp_path)
    records.write(dataclasses.replace(done_record, run_id="c" * 16), tmp_path)
    rows = aggregate.aggregate(tmp_path).rows.set_index("run_id")["lr_search_gflops"]
    assert rows[f"{10:016x}"] == rows["b" * 16] == pytest.approx(0.5 + 2.0)
    assert rows["c" * 16] == 0, "no rate was searched for"
    (tmp_path / "tuning/records" / f"{5:016x}.json").write_text("{")
    damaged = aggregate.aggregate(tmp_path).rows.set_index("run_id")["lr_search_gflops"]
    assert np.isnan(damaged["b" * 16])
    assert damaged["c" * 16] == 0


@pytest.mark.parametrize(("horizon", "suffix"), [(1.0, ""), (0.25, "@0.25")])
def test_each_horizon_of_a_configuration_is_a_place_of_its_own(
    done_record: Record, horizon: float, suffix: str
) -> None:
    point = dataclasses.replace(done_record, horizon=horizon)
    assert aggregate.place_id(point) == f"{done_record.config_id}{suffix}"
