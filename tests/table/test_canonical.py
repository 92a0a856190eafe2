"""Tables from elsewhere under the names of a sweep's table."""

from pathlib import Path

import pytest

from isoflop.table import canonical, external

CSV = """name,flops,err,training_loss,d_model,n_layer,learning_rate,seed,params
a,1e15,0.30,1.1,64,2,0.1,0,1e5
b,1e16,0.20,0.8,128,2,0.1,0,4e5
c,1e17,0.10,0.5,256,4,0.1,0,3e6
"""


def read(tmp_path, text=CSV, name="runs.csv", **options):
    path = Path(tmp_path) / name
    path.write_text(text)
    return external.read_runs(path, x="flops", y="err", **options)


def test_common_names_are_understood(tmp_path):
    table, _ = canonical.canonical(read(tmp_path, chance=0.9), {})
    assert list(table["train_loss"]) == [1.1, 0.8, 0.5]
    assert list(table["width"]) == [64, 128, 256]
    assert list(table["depth"]) == [2, 2, 4]
    assert list(table["lr"]) == [0.1] * 3
    assert list(table["parameters"]) == [1e5, 4e5, 3e6]
    assert list(table["train_gflops"]) == [1e15, 1e16, 1e17], "in the table's own unit"
    assert list(table["test_error"]) == [0.3, 0.2, 0.1]
    assert list(table["label"]) == ["w64 d2", "w128 d2", "w256 d4"]


def test_named_columns_come_first_and_missing_ones_are_refused(tmp_path):
    runs = read(tmp_path, CSV.replace("training_loss", "final"))
    assert "train_loss" not in canonical.canonical(runs, {})[0]
    assert list(canonical.canonical(runs, {"train_loss": "final"})[0]["train_loss"]) == [1.1, 0.8, 0.5]
    with pytest.raises(ValueError, match="--train-loss finale: no such column: did you mean final"):
        canonical.canonical(runs, {"train_loss": "finale"})


def test_the_prefixes_of_wandb_are_looked_through(tmp_path):
    header = "Name,flops,err,summary.train_loss,config.model.width,config.model.depth"
    runs = read(tmp_path, f"{header}\na,1,0.3,1.1,64,2\nb,10,0.2,0.9,128,2\n")
    table, _ = canonical.canonical(runs, {})
    assert list(table["train_loss"]) == [1.1, 0.9]
    assert list(table["width"]) == [64, 128]


def test_a_column_of_text_under_a_common_name_is_not_taken_for_numbers(tmp_path):
    runs = read(tmp_path, CSV.replace("64,2,0.1", "64,2,cosine"))
    table, notes = canonical.canonical(runs, {})
    assert "lr" not in table
    assert notes == ("learning_rate holds text and is not used as lr",)
    with pytest.raises(ValueError, match="not a number"):
        canonical.canonical(runs, {"lr": "learning_rate"})


def test_without_width_and_depth_a_run_is_called_by_its_configuration(tmp_path):
    runs = read(tmp_path, "name,flops,err\na,1,0.3\nb,10,0.2\n")
    assert list(canonical.canonical(runs, {})[0]["label"]) == ["a", "b"]
