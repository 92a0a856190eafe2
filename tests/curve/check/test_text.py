"""Checks of a sweep on text: one pass repeats nothing, no chance level, batches may follow a rule."""

import pytest

from isoflop.curve.check import chance, confounding, mixture, repetition
from isoflop.table import aggregate


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
