"""What a sweep is judged on follows from what it was trained on."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from isoflop import record as records
from isoflop.table import aggregate, target


def table(*domains: object) -> pd.DataFrame:
    return pd.DataFrame({"domain": pd.Series(domains, dtype=object)})


@pytest.mark.parametrize("rows", [pd.DataFrame({"loss": [1.0]}), table(None), table("image"), table("NMT")])
def test_a_table_that_does_not_say_text_is_of_images(rows):
    assert target.of(rows) is target.IMAGES


def test_text_is_judged_on_bits_per_byte():
    judged_on = target.of(table("text", None, "text"))
    assert judged_on is target.TEXTS
    assert judged_on.y == "test_bits_per_byte"
    assert judged_on.axes[0] == ("train_gflops", "test_bits_per_byte")
    assert not judged_on.quantity.counted


def test_bits_are_fitted_against_bytes_only_where_their_number_varies():
    bytes_read = ("examples_seen", "test_bits_per_byte")
    assert target.axes(table("text", "text").assign(examples_seen=[1e5, 2e5]))[1] == bytes_read
    assert bytes_read not in target.axes(table("text", "text").assign(examples_seen=1e5))


def test_both_domains_in_one_table_are_refused_with_what_to_do():
    message = r"^DIR: 1 runs on images and 2 on text are no one curve .* into a folder of their own"
    with pytest.raises(ValueError, match=message):
        target.of(table("text", "image", "text"), "DIR")


@pytest.mark.parametrize(
    ("column", "unit", "noun"),
    [
        *(("test_error", "fraction", "error"), ("val_error", "fraction", "error")),
        *(("test_loss", "nats", "loss"), ("val_bits_per_byte", "bits a byte", "loss")),
        ("perplexity", "perplexity", "perplexity"),
    ],
)
def test_units_of_columns(column, unit, noun):
    assert target.unit_of(column) == unit
    assert target.quantity(column).noun == noun
    assert target.quantity(column).counted == (column == "test_error")


def test_records_on_text_become_bits_and_no_counted_error(text_sweep):
    folder = text_sweep(budgets=(1e11,), widths=(8,), depths=(1,))
    rows = aggregate.aggregate(folder).rows
    assert set(rows["domain"]) == {"text"}
    assert rows["test_n"].isna().all()
    assert rows["chance_error"].isna().all()
    record = records.read(records.path_of(folder, rows["run_id"][0]))
    assert rows["test_bits_per_byte"][0] == pytest.approx(record.loss.test / np.log(2))
    assert rows["parameters_without_embeddings"][0] == 256 * 8 + 12 * 64


def test_runs_of_one_shape_are_told_apart_by_the_bytes_they_read(text_sweep):
    rows = aggregate.aggregate(text_sweep(budgets=(1e11, 1e12), widths=(8,), depths=(1,))).rows
    assert set(rows["label"]) == {"gpt w8 d1 2.411 MB", "gpt w8 d1 24.11 MB"}


def test_the_progress_of_a_run_needs_no_pandas():
    code = "import sys, isoflop.cli.terminal.console; print('pandas' in sys.modules)"
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == "False"
