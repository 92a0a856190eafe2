"""Every prefix and word that the names of axes know, and what follows from them."""

from __future__ import annotations

import pytest

from isoflop.table import axis, target
from isoflop.table.axis import Axis

POWERS = dict(zip(("", *"kMGTPEZYRQ"), range(0, 31, 3), strict=True))
SPELLED = {"kilo": "k", "mega": "M", "giga": "G", "tera": "T", "peta": "P", "exa": "E", "zetta": "Z"}


@pytest.mark.parametrize("prefix", POWERS)
def test_each_prefix_is_a_thousand_times_the_one_before(prefix: str) -> None:
    assert axis.compute_unit(f"{prefix}FLOPs") == (10.0 ** POWERS[prefix], f"{prefix}FLOP")
    assert axis.compute_unit(f"{prefix}MAC") == (2 * 10.0 ** POWERS[prefix], f"{prefix}MAC")
    days = (86_400 * 10.0 ** POWERS[prefix], f"{prefix}FLOP/s-days")
    assert axis.compute_unit(f"{prefix}FLOP/s-days") == axis.compute_unit(f"{prefix}FLOP-day") == days


@pytest.mark.parametrize("word", SPELLED)
def test_prefixes_may_be_spelled_out(word: str) -> None:
    assert axis.compute_unit(f"{word}flop") == axis.compute_unit(f"{SPELLED[word]}FLOP")
    assert axis.compute_unit(f"{word}-FLOPs") == axis.compute_unit(f"{SPELLED[word]}FLOP")


@pytest.mark.parametrize(
    ("column", "unit"),
    [
        ("train_gflops", "GFLOPs"),
        ("Total train FLOPs", "FLOP"),
        ("inference_gmacs_per_image", "GMAC"),
        ("pflop/s-days", "PFLOP/s-days"),
        ("config.flops", "FLOP"),
        ("C", "FLOP"),
        ("gflops_tflops", ""),  # which of the two
        ("flops of attention", ""),
        ("steps", ""),
    ],
)
def test_the_unit_that_a_name_says(column: str, unit: str) -> None:
    assert axis.describe(column).unit == unit


@pytest.mark.parametrize(
    ("described", "compute", "training", "a_pass", "short"),
    [
        (axis.describe("train_gflops"), True, True, False, "compute"),
        (axis.describe("total_train_flops"), True, True, False, "compute"),
        (axis.describe("flops per token"), True, False, True, "compute"),
        (axis.describe("train flops per token"), True, True, False, "compute"),
        (axis.describe("gmacs"), True, False, True, "compute"),
        (axis.describe("compute"), True, False, False, "compute"),
        (axis.describe("flops_per_second"), False, False, False, "flops per second"),
        (axis.describe("C"), True, True, False, "compute"),
        (axis.describe("N"), False, False, False, "N"),
        (axis.describe("x", "GFLOP"), True, False, False, "compute"),
        (axis.describe("x", "tokens"), False, False, False, "x"),
        (axis.describe("x", None, "forward FLOPs"), True, False, True, "compute"),
        (Axis("a", "time", "s"), False, False, False, "time"),
        (Axis("a", "compute", ""), True, False, False, "compute"),
    ],
)
def test_which_axes_are_compute_and_of_what(
    described: Axis, compute: bool, training: bool, a_pass: bool, short: str
) -> None:
    assert (described.is_compute, described.of_training, described.a_pass) == (compute, training, a_pass)
    assert described.short == short


@pytest.mark.parametrize(
    ("column", "name", "unit", "flops"),
    [
        ("train_gflops", "training compute", "GFLOPs", 1e9),
        ("energy_joules", "training energy", "J", None),
        ("net_joules", "training energy above idle", "J", None),
        ("train_seconds", "training time", "s", None),
        ("dollars", "cost", "USD", None),
        ("grams_co2", "CO2", "g", None),
        ("examples_seen", "examples seen", "", None),
        ("parameters", "parameters", "", None),
    ],
)
def test_the_axes_of_a_sweep(column: str, name: str, unit: str, flops: float | None) -> None:
    known = axis.of(column)
    assert (known.column, known.name, known.unit, known.flops) == (column, name, unit, flops)
    assert axis.describe(column) == known
    assert axis.describe(column, "kWh").unit == "kWh", "unless the user says otherwise"
    assert axis.describe(column, None, "mine").name == "mine"
    assert axis.of("tokens") == axis.describe("tokens")


@pytest.mark.parametrize(
    ("column", "readable"),
    [
        ("top1_err (%)", "top-1 error"),
        ("val_acc", "validation accuracy"),
        ("num_params", "number of parameters"),
        ("test_ppl", "test perplexity"),
        ("top5", "top-5"),
        ("summary.test_loss", "test loss"),
        ("config.model.width", "model width"),
        ("summary_metrics.Loss", "loss"),
        ("FID", "FID"),
        ("Model Size", "model size"),
        ("1 - acc", "1 - acc"),
        ("6 * N", "6 * N"),
        ("(%)", "(%)"),
    ],
)
def test_names_as_people_write_them(column: str, readable: str) -> None:
    assert axis.readable(column) == readable


@pytest.mark.parametrize(
    ("column", "unit", "label", "title", "noun", "shown", "counted"),
    [
        ("test_error", None, None, "Test error", "error", "%", True),
        ("test_error", "fraction", "mine", "Mine", "error", "%", True),
        ("val_error", None, None, "Validation error", "error", "%", False),
        ("top1_err", "percent", None, "Top-1 error", "error", "%", False),
        ("val_loss", "nats", None, "Validation loss", "loss", "nats", False),
        ("loss", None, None, "Loss", "loss", "", False),
        ("perplexity", None, None, "Perplexity", "Perplexity", "", False),
        ("y", "fraction", None, "Y", "error", "%", False),
    ],
)
def test_y_of_ones_own_table(
    column: str, unit: str | None, label: str | None, title: str, noun: str, shown: str, counted: bool
) -> None:
    y = axis.describe_y(column, unit, label)
    assert (y.column, y.title, y.noun, y.unit, y.counted) == (column, title, noun, shown, counted)
    assert y.scale == (100.0 if shown == "%" else 1.0)


def test_units_are_those_of_the_columns_as_they_are_fitted() -> None:
    share, loss = axis.describe_y("test_error"), axis.describe_y("loss", "nats")
    assert axis.Axes(axis.describe("gflops"), share).units == ("GFLOP", "fraction")
    assert axis.Axes(axis.describe("tokens"), loss).units == ("unit of tokens", "nats")
    assert axis.Axes(axis.describe("tokens"), axis.describe_y("loss")).units[1] == "loss"


def test_titles() -> None:
    assert (axis.capital("test"), axis.capital("")) == ("Test", "")
    assert (axis.with_unit("Test", "%"), axis.with_unit("Test", "")) == ("Test (%)", "Test")
    assert axis.describe("gflops").title == "Compute (GFLOP)"


@pytest.mark.parametrize(
    ("least", "most", "unit"),
    [
        (1e3, 1e3, "kFLOP"),
        (999.0, 999.0, "FLOP"),
        (1e2, 1e4, "kFLOP"),
        (1e1, 1e4, "FLOP"),
        (1e33, 1e36, "QFLOP"),
        (1e-9, 1e-6, "FLOP"),
    ],
)
def test_the_prefix_suits_the_geometric_mean(least: float, most: float, unit: str) -> None:
    shown, factor = axis.prefixed(axis.describe("flops"), least, most)
    assert shown.unit == unit
    assert factor == pytest.approx(10.0 ** -POWERS[unit.removesuffix("FLOP")])
    assert shown.flops == pytest.approx(1 / factor)


@pytest.mark.parametrize("ends", [(0.0, 1.0), (2.0, 1.0), (1.0, float("inf")), (-1.0, 1.0)])
def test_without_positive_ends_the_unit_stays(ends: tuple[float, float]) -> None:
    flops, days = axis.describe("flops"), axis.describe("x", "PFLOP/s-days")
    assert axis.prefixed(flops, *ends) == (flops, 1.0)
    for kept in (days, axis.describe("tokens"), axis.of("train_gflops")):
        assert axis.prefixed(kept, 1e3, 1e9) == (kept, 1.0)


# ---- what a sweep is judged on


@pytest.mark.parametrize(
    ("column", "title", "noun", "unit", "scale"),
    [
        ("test_error", "Test error", "error", "%", 100.0),
        ("test_loss", "Test loss", "loss", "nats", 1.0),
        ("test_bits_per_byte", "Test loss", "loss", "bits a byte", 1.0),
        ("val_error", "Validation error", "error", "%", 100.0),
        ("val_loss", "Validation loss", "loss", "nats", 1.0),
        ("top_error", "Top error", "error", "%", 100.0),
        ("train_loss", "Train loss", "loss", "nats", 1.0),
        ("val_bits_per_byte", "Val bits per byte", "loss", "bits a byte", 1.0),
        ("mine", "mine", "mine", "mine", 1.0),
    ],
)
def test_quantities(column: str, title: str, noun: str, unit: str, scale: float) -> None:
    known = target.quantity(column)
    assert (known.title, known.noun, known.unit, known.scale) == (title, noun, unit, scale)
    assert known.counted == (column == "test_error")
    assert known.axis_title == f"{title} ({unit})"
    assert target.unit_of(column) == ("fraction" if unit == "%" else unit)


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Test error", "test error"),
        ("ImageNet error", "ImageNet error"),
        ("FID", "FID"),
        ("X", "x"),
        ("WER of a", "WER of a"),
    ],
)
def test_a_title_in_a_sentence(title: str, name: str) -> None:
    assert target.Quantity("a", title, "b", "", 1.0, counted=False).name == name
    assert target.Quantity("a", title, "b", "", 1.0, counted=False).axis_title == title
