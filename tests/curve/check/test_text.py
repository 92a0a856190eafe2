"""Checks of a sweep on text: one pass repeats nothing, no chance level, batches may follow a rule."""

import pandas as pd
import pytest

from isoflop.config import compose
from isoflop.curve import points
from isoflop.curve.check import chance, confounding, mixture, repetition
from isoflop.sweep import grid
from isoflop.table import aggregate
from isoflop.train import models


@pytest.fixture
def rows(text_sweep):
    return aggregate.aggregate(text_sweep(budgets=(1e11, 1e12), widths=(8, 16, 32))).rows


def test_chance_is_not_checked_and_says_why(rows):
    assert chance.check(rows).not_checked == "the loss of text has no level of guessing"


def test_one_pass_repeats_nothing_and_is_no_fixed_data(rows):
    assert "no byte was read twice" in repetition.check(rows).passed
    assert "vary apart" in confounding.check(rows).passed


def test_more_than_one_pass_is_noted_with_its_runs(rows):
    rows["train_n"] = rows["examples_seen"].max() / 2.5
    (found,) = repetition.check(rows).findings
    assert found.severity == "note"
    assert "read the training text more than once, up to 2.5 times" in found.sentence
    assert 0 < len(found.subjects) < rows["config_id"].nunique()
    assert "one training set" in confounding.check(rows).findings[0].sentence


def test_many_passes_are_worth_less_as_for_images(rows):
    rows["train_n"] = rows["examples_seen"].max() / 9
    (found,) = repetition.check(rows).findings
    assert "beyond about 4 passes" in found.sentence
    images = repetition.check(rows.assign(domain="image")).findings
    assert images[0].sentence == found.sentence


def test_batches_by_a_rule_are_no_mixture_but_others_are(rows):
    assert rows["batch_size"].nunique() > 2
    assert mixture.check(rows).passed
    rows.loc[rows["examples_seen"].idxmin(), "batch_size"] = 1e6
    (found,) = mixture.check(rows).findings
    assert "mixed batch sizes" in found.sentence


def rows_of_design(name):
    """The settings of a shipped design as a table: whole batches of bytes for each budget."""
    rows = []
    path = ["data.path=books.txt"] if name == "isoflop_lm" else []
    for run in grid.expand(compose.compose_config([f"sweep={name}", *path], None)):
        model, batch, budget = run.config.model, run.config.optim.batch_size, run.config.schedule.train_gflops
        each = 6 * models.forward_macs(model, (model.context,), 256) / model.context
        seen = round(budget * 1e9 / (each * batch)) * batch
        rows.append(
            {
                "run_id": run.run_id,
                "config_id": run.config.config_id,
                "domain": "text",
                "device": "cpu",
                "batch_size": float(batch),
                "examples_seen": float(seen),
                "train_gflops": each * seen * 1e-9,
            }
        )
    return pd.DataFrame(rows)


@pytest.mark.parametrize("name", ["isoflop_lm", "isoflop_lm_toy"])
def test_the_shipped_designs_have_a_rule_for_the_batch_and_one_run_can_break_it(name):
    rows = rows_of_design(name)
    assert len(set(rows["batch_size"])) > 1
    assert "batch_size" in points.by_design(rows)
    assert mixture.check(rows).passed
    fewest, most = rows["train_gflops"].idxmin(), rows["train_gflops"].idxmax()
    for at, batch in ((fewest, 1e6), (most, 1.0)):
        broken = rows.copy()
        broken.loc[at, "batch_size"] = batch
        assert points.by_design(broken) == ("epochs",)
        assert "mixed batch sizes" in mixture.check(broken).findings[0].sentence
    assert points.by_design(rows.assign(batch_size=rows["batch_size"].max() / rows["batch_size"])) == (
        "epochs",
    ), "batches that fall as budgets grow"


def test_a_table_without_one_of_the_columns_is_taken(rows):
    """Batches of these rows go by the bytes, those of the design by the budget."""
    design = rows_of_design("isoflop_lm")
    assert "batch_size" in points.by_design(rows.drop(columns="train_gflops"))
    assert "batch_size" in points.by_design(design.drop(columns="examples_seen"))
    for table, missing in ((rows, "examples_seen"), (design, "train_gflops"), (rows, "batch_size")):
        assert points.by_design(table.drop(columns=missing)) == ("epochs",)
    assert points.by_design(rows.assign(batch_size=float("nan"))) == ("epochs",)


def test_data_that_changed_under_their_name_are_a_warning(text_sweep):
    rows = aggregate.aggregate(text_sweep(budgets=(1e11, 4e11, 1.6e12), widths=(8, 16, 32))).rows
    assert len(set(rows["split_sha256"])) == 1
    last = int(rows["train_gflops"].to_numpy().argmax())
    rows.loc[last, "split_sha256"] = "f" * 64
    (found,) = mixture.check(rows).findings
    assert found.severity == "warning"
    assert [run_id for each in found.subjects for run_id in each.run_ids] == [rows.loc[last, "run_id"]]
    assert "mixed data under the name synthetic_text: split_sha256" in found.sentence
    assert "ffffffff" in found.sentence
    warnings = points.select(rows, "train_gflops", "test_bits_per_byte").warnings
    assert any("mixed data under the name synthetic_text" in each for each in warnings)
    for other in ({"data": "more text"}, {"data_fraction": 0.5}):
        apart = rows.copy()
        for name, value in other.items():
            apart.loc[last, name] = value
        assert not points.versions_of_data(apart), "other names and fractions are other data"
    assert not points.versions_of_data(rows.drop(columns="split_sha256"))
