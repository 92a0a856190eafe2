"""Columns and labels of the table of a sweep, one by one, and what its runs are judged on."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest

from isoflop import record as records
from isoflop.config import costs
from isoflop.record import Record
from isoflop.record.label import name_of_shape, shape_label
from isoflop.table import aggregate, held_out, pricing, rate_search, target


def changed(record: Record, part: str, **values: Any) -> Record:
    return dataclasses.replace(record, **{part: dataclasses.replace(getattr(record, part), **values)})


def row_of(record: Record) -> pd.Series[Any]:
    return aggregate.tabulate([record]).iloc[0]


# ---- columns


def test_giga_is_a_billion(done_record: Record) -> None:
    compute = {"inference_flops_per_example": 3e9, "norm_activation_forward_flops_per_example": 5e9}
    record = changed(done_record, "compute", train_flops=7e9, **compute)
    row = row_of(
        changed(record, "time", achieved_flops_per_second=2e9, achieved_flops_per_second_reason=None)
    )
    assert (row["train_gflops"], row["inference_gflops_per_example"]) == (7, 3)
    assert row["norm_activation_forward_gflops_per_example"] == 5
    assert row["achieved_gflops_per_second"] == 2


def test_the_columns_are_those_of_the_record(done_record: Record) -> None:
    row = row_of(done_record)
    error, loss, compute, data = done_record.error, done_record.loss, done_record.compute, done_record.data
    optim, time, origin = done_record.optim, done_record.time, done_record.provenance
    assert error is not None and loss is not None and compute is not None and data is not None  # noqa: PT018
    assert optim is not None and time is not None  # noqa: PT018
    assert (row["test_error"], row["test_error_low"], row["test_error_high"], row["val_error"]) == (
        *(error.test, error.ci_low, error.ci_high, error.val),
    )
    assert (row["test_loss"], row["val_loss"], row["train_loss"]) == (loss.test, loss.val, loss.train)
    assert (row["test_n"], row["chance_error"]) == (error.test_n, data.chance_error)
    assert (row["train_n"], row["data_fraction"], row["data"]) == (data.train_n, data.fraction, data.name)
    assert row["split_sha256"] == data.split_sha256
    assert (row["examples_seen"], row["forward_macs_per_example"]) == (
        *(compute.examples_seen, compute.forward_macs_per_example),
    )
    assert (row["lr"], row["batch_size"], row["optimizer"]) == (optim.lr, optim.batch_size, optim.name)
    assert row["base_lr"] == done_record.cell["optim"]["lr"]
    assert (row["train_seconds"], row["examples_per_second"]) == (
        time.train_seconds,
        time.examples_per_second,
    )
    assert (row["device"], row["precision"], row["git_commit"]) == (
        *(origin.device, origin.precision, origin.git_commit),
    )
    assert (row["seed"], row["horizon"], row["width"], row["depth"]) == (done_record.seed, 1, 8, 1)
    assert row["energy_reason"] == done_record.energy_reason
    assert row["train_gflops_reason"] is None


def test_a_point_without_a_section_has_its_reason(done_record: Record) -> None:
    bare = dataclasses.replace(
        done_record,
        **records.unknown("it is gone", "data", "error", "loss", "compute", "time", "optim"),
    )
    row = row_of(bare)
    assert (row["train_gflops_reason"], row["mfu_reason"]) == ("it is gone", "it is gone")
    assert row["roofline_share_reason"] == "it is gone"
    numbers = (
        "test_error",
        "test_n",
        "chance_error",
        "epochs",
        "lr",
        "train_gflops",
        "ceiling_share",
        "test_loss",
    )
    assert row[list(numbers)].isna().all()
    assert np.isnan(row["test_rms_probability_error"])


@pytest.mark.parametrize(("seen", "horizon", "passes"), [(150, 1.0, 1.5), (150, 0.5, 3.0), (101, 1.0, 1.01)])
def test_passes_are_of_the_whole_length(
    done_record: Record, seen: int, horizon: float, passes: float
) -> None:
    record = changed(done_record, "compute", examples_seen=seen)
    record = changed(record, "data", train_n=100)
    assert row_of(dataclasses.replace(record, horizon=horizon))["epochs"] == passes


def test_rows_are_in_the_order_of_compute_then_seed_then_id(done_record: Record) -> None:
    def point(run_id: str, flops: float, seed: int) -> Record:
        return dataclasses.replace(
            changed(done_record, "compute", train_flops=flops), run_id=run_id, seed=seed
        )

    mixed = [point("d", 2e9, 0), point("c", 1e9, 1), point("b", 1e9, 0), point("a", 1e9, 1)]
    assert aggregate.tabulate(mixed)["run_id"].tolist() == ["b", "a", "c", "d"]


# ---- labels


@pytest.mark.parametrize(
    ("width", "depth", "name"),
    [(16, 2, "mlp w16 d2"), (16, None, "mlp w16"), (None, 2, "mlp d2"), (None, None, "net")],
)
def test_the_name_of_a_shape(width: int | None, depth: int | None, name: str) -> None:
    assert name_of_shape("mlp", "net", width, depth) == name


@pytest.mark.parametrize(("horizon", "suffix"), [(1.0, ""), (0.25, " @0.25"), (0.5, " @0.5")])
def test_the_label_of_a_horizon(done_record: Record, horizon: float, suffix: str) -> None:
    assert shape_label(dataclasses.replace(done_record, horizon=horizon)) == f"mlp w8 d1{suffix}"


@pytest.mark.parametrize(
    ("passes", "text"),
    [
        (9.96, "10 epochs"),
        (15.96, "16 epochs"),
        (10.0, "10 epochs"),
        (9.4, "9.4 epochs"),
        (0.5, "0.5 epochs"),
    ],
)
def test_epochs_in_words(passes: float, text: str) -> None:
    assert aggregate._epochs(passes) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (896_000, "896 kB"),
        (999_499, "999 kB"),
        (999_500, "0.9995 MB"),
        (25_790_000, "25.79 MB"),
        (1500, "1.5 kB"),
    ],
)
def test_bytes_in_words(count: float, text: str) -> None:
    assert aggregate._bytes_read(count) == text


def test_what_follows_from_another_difference_is_not_named(done_record: Record) -> None:
    assert done_record.data is not None
    other = changed(done_record, "data", name="other", train_n=done_record.data.train_n * 2)
    other = dataclasses.replace(other, run_id="b" * 16, config_id="b" * 16)
    assert set(aggregate.tabulate([done_record, other])["label"]) == {"mlp w8 d1 digits", "mlp w8 d1 other"}
    batch = changed(done_record, "optim", batch_size=7)
    batch = dataclasses.replace(batch, run_id="b" * 16, config_id="b" * 16)
    assert "mlp w8 d1 batch 7" in set(aggregate.tabulate([done_record, batch])["label"])


def test_what_was_dropped_is_left_out_by_state_and_reason() -> None:
    table = aggregate.RunTable(pd.DataFrame(), (aggregate.Dropped("a", "failed", "why"),))
    assert [(each.run_id, each.reason) for each in table.excluded] == [("a", "failed: why")]


# ---- what is judged


def others(**columns: list[float | None]) -> pd.DataFrame:
    count = len(next(iter(columns.values())))
    return pd.DataFrame(columns).assign(domain=["other"] * count)


@pytest.mark.parametrize(
    ("table", "y", "validation"),
    [
        (others(test_error=[0.1, 0.2], val_loss=[1.0, 2.0]), "test_error", "val_error"),
        (others(test_error=[0.1, None], val_loss=[1.0, 2.0]), "val_loss", "val_loss"),
        (others(val_error=[0.1, 0.2], test_loss=[1.0, 2.0]), "val_error", "val_error"),
        (others(test_loss=[1.0], val_loss=[1.0]), "test_loss", "val_loss"),
        (others(nothing=[1.0]), "test_error", "val_error"),
    ],
)
def test_a_loop_of_ones_own_is_judged_on_what_most_of_its_runs_know(
    table: pd.DataFrame, y: str, validation: str
) -> None:
    judged_on = target.of(table)
    assert (judged_on.y, judged_on.validation, judged_on.domain) == (y, validation, "other")
    assert judged_on.axes == tuple(
        (x, y) for x in ("train_gflops", "energy_joules", "train_seconds", "dollars")
    )
    assert (judged_on.examples, judged_on.size) == ("examples", "parameters")


def test_records_of_a_loop_of_ones_own_are_judged_likewise(done_record: Record) -> None:
    own = dataclasses.replace(done_record, cell={"source": "recorder"})
    blind = dataclasses.replace(own, **records.unknown("none", "error"))
    assert target.of_records([done_record]) is target.IMAGES
    assert target.of_records([own]).y == "test_error"
    assert target.of_records([blind]).y == "test_loss"
    assert target.of_records([own, blind, blind]).y == "test_loss"
    assert target.of_records([]) is target.IMAGES
    assert target._value("val_error", own) == done_record.error.val
    assert target._value("val_loss", own) == done_record.loss.val
    assert target._value("val_error", blind) is None


def test_which_axes_images_and_texts_have() -> None:
    costs_of_images = ("train_gflops", "energy_joules", "train_seconds", "dollars")
    assert [x for x, y in target.IMAGES.axes if y == "test_error"] == list(costs_of_images)
    assert ("train_gflops", "test_loss") in target.IMAGES.axes
    assert [x for x, _ in target.TEXTS.axes] == ["train_gflops", "examples_seen", *costs_of_images[1:]]
    assert {y for _, y in target.TEXTS.axes} == {"test_bits_per_byte"}
    assert (target.IMAGES.examples, target.TEXTS.examples) == ("images", "bytes")
    assert (target.IMAGES.validation, target.TEXTS.validation) == ("val_error", "val_bits_per_byte")
    assert (target.IMAGES.size, target.TEXTS.size) == ("parameters", "parameters_without_embeddings")


@pytest.mark.parametrize(
    ("values", "varies"),
    [([1.0, 2.0], True), ([1.0, 1.0], False), ([1.0], True), ([None, None], True), ([1.0, None], False)],
)
def test_a_constant_is_no_axis(values: list[float | None], varies: bool) -> None:
    table = pd.DataFrame({"energy_joules": pd.Series(values, dtype=float)})
    assert target.varies(table, "energy_joules") is varies
    assert target.varies(table, "absent") is True
    assert (("energy_joules", "test_error") in target.axes(table)) is varies
    assert target.axes(table)[0] == ("train_gflops", "test_error")


@pytest.mark.parametrize(
    ("table", "is_axis"),
    [
        ({"dollars": [1.0, 2.0]}, True),
        ({"dollars": [None, None]}, False),
        ({"dollars": [None, None], "dollars_factors": ["dollars_per_kwh=1", None]}, True),
        ({"dollars": [1.0, 1.0]}, False),
        ({"train_gflops": [1.0, 2.0]}, False),
    ],
)
def test_dollars_are_an_axis_where_prices_were_chosen(table: dict[str, Any], is_axis: bool) -> None:
    assert (("dollars", "test_error") in target.axes(pd.DataFrame(table))) is is_axis


def test_text_beside_another_loop_is_no_one_curve() -> None:
    table = pd.DataFrame({"domain": ["text", "other", "other"]})
    with pytest.raises(ValueError, match=r"^2 runs of another training loop and 1 on text are no one curve"):
        target.of(table)


# ---- prices


def test_factors_are_named_as_they_are_applied() -> None:
    factors = {
        "dollars_per_kwh": 0.1,
        "dollars_per_gpu_hour": 2.0,
        "grams_co2_per_train_gflop": 3.0,
        "pue": 1.5,
    }
    used = pricing.Used(3600.0, 3.6e6, 7.0)
    priced = pricing.dollars(factors, used)
    assert priced.value == pytest.approx(2.15)
    assert (priced.reason, priced.factors) == (None, "dollars_per_kwh=0.1 dollars_per_gpu_hour=2 pue=1.5")
    assert pricing.grams_co2(factors, used) == pricing.Priced(21.0, None, "grams_co2_per_train_gflop=3")
    without = {"dollars_per_kwh": 0.1}
    assert pricing.dollars(without, used).value == pytest.approx(0.1), "without a PUE it is 1"
    unknown = pricing.Used(float("nan"), None, 7.0)
    assert pricing.dollars({"dollars_per_gpu_hour": 2.0}, unknown) == pricing.Priced(
        None, "training time unknown: no reason was recorded", "dollars_per_gpu_hour=2"
    )
    assert pricing.dollars({}, used) == pricing.Priced(None, "no price was chosen: give one by --cost", None)


def test_the_rule_of_each_column_that_is_read_is_noted() -> None:
    prices = costs.load(["us_2023"])
    assert pricing.rules(None, ["dollars"]) == ()
    assert pricing.rules(prices, ["train_gflops"]) == ()
    said = " ".join(pricing.rules(prices, ["dollars"]))
    assert said.startswith("dollars by dollars_per_kwh=")
    assert "grams_co2" not in said
    assert " ".join(pricing.rules(prices, ["grams_co2"])).startswith("grams_co2 by grams_co2_per_kwh=")


def test_the_share_of_a_trunk_falls_back_on_joules(done_record: Record) -> None:
    blind = changed(done_record, "spent", flops=None, flops_reason="unknown")
    assert pricing.own_share(blind) is None
    energy: Any = type("Energy", (), {"energy_joules": 40.0})()
    metered = dataclasses.replace(changed(blind, "spent", joules=10.0, joules_reason=None), energy=energy)
    assert pricing.own_share(metered) == 0.25


def test_columns_of_amounts_are_found_by_their_names() -> None:
    rows = pd.DataFrame(
        {"summary.energy_joules": [3.6e6], "train_seconds": [7200.0], "device_seconds": [3600.0]}
    )
    assert pricing._column(rows, "energy_joules", {}) == "summary.energy_joules"
    assert pricing._column(rows, "device_seconds", {}) == "device_seconds"
    assert pricing._column(rows.drop(columns="device_seconds"), "device_seconds", {}) == "train_seconds"
    assert pricing._column(rows, "train_gflops", {}) is None
    assert pricing._column(rows, "train_gflops", {"train_gflops": "train_seconds"}) == "train_seconds"
    priced = pricing.price_rows(rows, costs.load(["us_2023"]))
    assert priced["dollars"][0] == pytest.approx(0.0806)
    assert priced["dollars_factors"][0].startswith("dollars_per_kwh=0.0806")


# ---- held-out points and rates


def test_rows_that_were_held_out_are_those_with_a_one() -> None:
    table = pd.DataFrame({"held_out": [1, 0, "1", None, 2]})
    assert held_out.mask(table).tolist() == [True, False, True, False, False]
    assert held_out.mask(pd.DataFrame({"x": [1, 2]})).tolist() == [False, False]


def written(tmp_path: Path, **parts: Any) -> Path:
    declaration = {
        "run_ids": ["a"],
        "settings": [{}],
        "declared_at": "now",
        "isoflop_version": "1",
        "git_commit": None,
        "git_commit_reason": "none",
    }
    file = {
        "schema": 2,
        "declaration": declaration,
        "declaration_sha256": held_out.sha256(declaration),
        **records.unknown("not yet", "prediction"),
        "prediction_sha256": None,
    }
    (tmp_path / "held_out.json").write_bytes(msgspec.json.encode(file | parts))
    return tmp_path


def test_a_declaration_is_what_its_hash_says(tmp_path: Path) -> None:
    assert held_out.read(tmp_path) is None
    assert held_out.run_ids(tmp_path) == frozenset()
    assert held_out.stored_prediction(tmp_path) is None
    assert held_out.run_ids(written(tmp_path)) == {"a"}
    assert held_out.stored_prediction(tmp_path) is None
    for parts, message in (
        ({"declaration_sha256": "0" * 64}, r"changed after it was written \(its SHA-256 differs\)"),
        ({"schema": 3}, "written by a newer isoflop: upgrade"),
        ({"declaration": {}}, "damaged"),
    ):
        with pytest.raises(ValueError, match=message):
            held_out.read(written(tmp_path, **parts))


@pytest.mark.parametrize(
    ("digest", "of", "sound"), [(True, True, True), (False, True, False), (True, False, False)]
)
def test_a_prediction_has_its_own_hash_and_that_of_its_declaration(
    digest: bool, of: bool, sound: bool, tmp_path: Path
) -> None:
    file = held_out.read(written(tmp_path))
    assert file is not None
    prediction = {
        "x": "train_gflops",
        "y": "test_error",
        "law": "forecast",
        "law_reason": None,
        "resources": ["train_gflops"],
        "predicted_at": "then",
        "declaration_sha256": file.declaration_sha256 if of else "0" * 64,
        "fitted_points": 5,
        "fitted_sha256": "1" * 64,
        "points": [],
        "reason": "too few points",
    }
    sha256 = held_out.sha256(prediction) if digest else "0" * 64
    folder = written(tmp_path, prediction=prediction, prediction_reason=None, prediction_sha256=sha256)
    if not sound:
        with pytest.raises(ValueError, match="changed after it was written"):
            held_out.read(folder)
        return
    stored = held_out.stored_prediction(folder)
    assert stored is not None
    assert (stored.fitted_points, stored.reason) == (5, "too few points")


def test_configurations_that_differ_in_seed_and_rate_share_their_trials() -> None:
    cell = {"optim": {"name": "sgd", "lr": 0.1}, "seed": 0, "model": {"width": 8}}
    assert rate_search._without_rate(cell) == rate_search._without_rate(cell | {"seed": 1})
    assert rate_search._without_rate(cell) == rate_search._without_rate(
        cell | {"optim": {"lr": 0.5, "name": "sgd"}}
    )
    for other in ({"model": {"width": 16}}, {"optim": {"name": "adamw", "lr": 0.1}}):
        assert rate_search._without_rate(cell) != rate_search._without_rate(cell | other)


def test_a_point_needs_an_error_or_a_loss(done_record: Record, tmp_path: Path) -> None:
    with_loss = dataclasses.replace(done_record, **records.unknown("none", "error"))
    with_neither = dataclasses.replace(with_loss, run_id="b" * 16, **records.unknown("none", "loss"))
    with_error = dataclasses.replace(
        done_record, run_id="c" * 16, **records.unknown("none", "loss", "train_loss")
    )
    for record in (with_loss, with_neither, with_error):
        records.write(record, tmp_path)
    table = aggregate.aggregate(tmp_path)
    assert set(table.rows["run_id"]) == {with_loss.run_id, with_error.run_id}
    assert table.dropped == (aggregate.Dropped("b" * 16, "done", "no error or loss was measured"),)
    assert table.rows["held_out"].tolist() == [0, 0]


def test_the_pue_is_among_the_rules_of_energy_alone() -> None:
    prices = costs.load(["us_2023"])
    factors = dict(prices.factors) | {"pue": 1.5, "dollars_per_train_gflop": 1e-9}
    named = dict.fromkeys(factors, "a file")
    with_pue = dataclasses.replace(prices, factors=factors, named=named)
    assert "pue=1.5 (a file)" in " ".join(pricing.rules(with_pue, ["grams_co2"]))
    by_compute = dataclasses.replace(
        with_pue, factors={"dollars_per_train_gflop": 1e-9, "pue": 1.5}, named=named
    )
    rule = "dollars by dollars_per_train_gflop=1e-09 (a file)"
    assert pricing.rules(by_compute, ["dollars"]) == (rule, *prices.not_added)
    noted = dataclasses.replace(by_compute, not_added=("it is in them already",))
    assert pricing.rules(noted, ["dollars"]) == (rule, "it is in them already")
    assert pricing.rules(noted, ["grams_co2"]) == ()


def test_a_record_is_priced_anew_only_where_prices_are_given(done_record: Record) -> None:
    assert pricing.repriced(done_record, None) is done_record
    prices = costs.load(["us_2023"])
    again = pricing.repriced(done_record, prices)
    assert again.cost == prices.factors
    assert str(again.cost_source).startswith("us_2023: ")
    assert again.cost_source_reason is None
