import dataclasses

import pandas as pd
import pytest

from isoflop.curve.check import front
from isoflop.curve.check.finding import Outcome
from isoflop.curve.check.sweep_files import SweepFiles


def test_a_healthy_sweep_passes_every_check(make_healthy, make_curves):
    table = make_healthy()
    report = front.check(table, SweepFiles(make_curves(table)))
    assert report.findings == ()
    assert [o.not_checked for o in report.outcomes if o.passed is None] == []
    assert report.undertrained == ()
    assert (report.runs, report.configs) == (len(table), 45)


def test_files_add_to_a_report_what_a_check_with_them_says(make_healthy, make_curves):
    table = make_healthy()
    files = SweepFiles(make_curves(table))
    plain, whole = front.check(table), front.check(table, files)
    assert plain != whole
    assert front.with_files(plain, table, files) == whole
    with pytest.raises(AssertionError):
        front.with_files(plain, table.iloc[1:], files)


NEEDS = {
    "train_loss": ("undertrained", "seed_spread"),
    "lr": ("learning_rate",),
    "chance_error": ("chance",),
    "examples_seen": ("confounding", "repetition", "drift", "collapse"),
    "train_n": ("repetition",),
    "seed": ("seeds",),
    "started_at": ("drift",),
}


@pytest.mark.parametrize("column", NEEDS)
def test_a_check_whose_column_is_absent_or_unknown_says_so_and_never_passes(
    make_healthy, make_curves, column
):
    table = make_healthy()
    curves = make_curves(table)
    for lacking in (table.drop(columns=column), table.assign(**{column: float("nan")})):
        report = front.check(lacking, SweepFiles(curves))
        by_check = {outcome.check: outcome for outcome in report.outcomes}
        for check in NEEDS[column]:
            assert by_check[check].passed is None
            assert by_check[check].not_checked.startswith("needs ")
            assert column in by_check[check].not_checked


def test_a_table_with_ids_only_is_checked_for_nothing(make_healthy):
    bare = make_healthy()[["run_id", "config_id"]]
    report = front.check(bare)
    assert report.findings == ()
    assert all(outcome.not_checked for outcome in report.outcomes)


def test_every_outcome_is_one_of_three():
    with pytest.raises(AssertionError):
        Outcome("seeds", passed="so", not_checked="not so")


def test_findings_come_worst_first_and_all_are_named(make_healthy):
    table = make_healthy(sizes=(20_000,), factor={(128, 3): 2.5}).assign(lr_interior=0.0)
    report = front.check(table)
    severities = [found.severity for found in report.findings]
    assert severities == sorted(severities, key=("fault", "warning", "note").index)
    assert severities[0] == "fault"
    assert all(front.title(found) and found.what_to_do and found.sentence for found in report.findings)
    assert report.undertrained_names == ("mlp w128 d3",)
    assert {e.run_id for e in report.undertrained} == {f"w128d3n20000s{seed}" for seed in range(3)}
    assert dataclasses.asdict(report)


def test_an_empty_table_is_refused():
    with pytest.raises(ValueError, match="no finished run"):
        front.check(pd.DataFrame({"run_id": [], "config_id": []}))
