"""Names and units of the axes of a user's own table."""

import pytest

from isoflop.table import axis, target


@pytest.mark.parametrize(
    ("text", "flops", "written"),
    [
        ("FLOP", 1.0, "FLOP"),
        ("flops", 1.0, "FLOP"),
        ("GFLOPs", 1e9, "GFLOP"),
        ("GMACs", 2e9, "GMAC"),
        ("petaflop/s-days", 1e15 * 86_400, "PFLOP/s-days"),
        ("PFLOP-days", 1e15 * 86_400, "PFLOP/s-days"),
    ],
)
def test_units_of_compute(text, flops, written):
    assert axis.compute_unit(text) == (pytest.approx(flops), written)


@pytest.mark.parametrize("text", ["tokens", "FLOP/s", "hours", "", "TFLOPS per watt"])
def test_other_units_are_none_of_compute(text):
    assert axis.compute_unit(text) is None


@pytest.mark.parametrize(
    ("column", "name", "flops"),
    [
        ("train_gflops", "training compute", 1e9),
        ("Training FLOP", "training compute", 1.0),
        ("C", "training compute", 1.0),
        ("infer_gmacs", "compute of one pass", 2e9),
        ("flops", "compute", 1.0),
        ("compute", "compute", None),
        ("flops_B(multiply-adds)", "compute", None),
        ("tokens", "tokens", None),
        ("flops_per_second", "flops per second", None),
        ("n_params", "n parameters", None),
    ],
)
def test_what_a_columns_name_says(column, name, flops):
    """A unit counts only where no other word of the name may change it."""
    described = axis.describe(column)
    assert (described.name, described.flops) == (name, flops)


def test_the_user_says_more_than_the_name():
    described = axis.describe("x", "PFLOP", "training compute")
    assert described.title == "Training compute (PFLOP)"
    assert described.of_training
    assert axis.describe("x", "tokens").title == "X (tokens)"
    assert not axis.describe("x", "tokens").is_compute


@pytest.mark.parametrize(
    ("ends", "unit", "factor"),
    [((1e18, 1e22), "EFLOP", 1e-18), ((1e9, 1e11), "GFLOP", 1e-9), ((0.1, 10), "FLOP", 1.0)],
)
def test_the_prefix_is_that_of_the_middle(ends, unit, factor):
    shown, by = axis.prefixed(axis.describe("flops"), *ends)
    assert (shown.unit, by) == (unit, pytest.approx(factor))
    assert shown.flops == pytest.approx(1 / factor)


def test_macs_keep_their_name_and_sweeps_their_unit():
    shown, by = axis.prefixed(axis.describe("gmacs"), 1e3, 1e5)
    assert (shown.unit, shown.flops, by) == ("TMAC", 2e12, pytest.approx(1e-3))
    of_sweep = axis.of("train_gflops")
    assert axis.prefixed(of_sweep, 1e6, 1e9) == (of_sweep, 1.0)


@pytest.mark.parametrize(
    ("column", "unit", "title", "shown"),
    [
        ("top1_err", None, "Top-1 error", "%"),
        ("error (%)", "percent", "Error", "%"),
        ("wer", "percent", "Wer", "%"),
        ("val_loss", None, "Validation loss", ""),
        ("val_loss", "nats", "Validation loss", "nats"),
        ("100 - top1", "percent", "100 - top1", "%"),
        ("test_error", None, "Test error", "%"),
    ],
)
def test_y_by_its_name_and_unit(column, unit, title, shown):
    described = axis.describe_y(column, unit)
    assert (described.title, described.unit) == (title, shown)
    assert described.scale == (100.0 if shown == "%" else 1.0)
    assert described.counted == (column == target.TEST_ERROR.column)


def test_names_in_a_sentence_keep_proper_names():
    assert axis.describe_y("e", "percent", "ImageNet top-1 error").name == "ImageNet top-1 error"
    assert axis.describe_y("e", "percent", "top-1 error").title == "Top-1 error"
    assert axis.describe_y("top1_err").name == "top-1 error"
