"""Which runs an arm has, and what is said of columns in which arms differ."""

import pytest

from isoflop.curve.compare import arms
from isoflop.curve.compare.arms import ArmRuns


def arm(name, table):
    return arms.select(ArmRuns(name, table, "train_gflops", "test_loss"), least_energy_grade="C", mixed=False)


def plain(x):
    return 2.0 * x**-0.3


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        (["a"], "a"),
        (["a", "b", "c"], "a, b, c"),
        (["a", "b", "c", "d"], "a, b, c and 1 more"),
        (["a", "b", "c", "d", "e"], "a, b, c and 2 more"),
        (["0123456789abcdef" * 4], "01234567"),
        (["0123456789" * 4], "01234567"),
        (["0" * 39, "1" * 41, "2" * 63], ", ".join(["0" * 39, "1" * 41, "2" * 63])),
    ],
)
def test_hashes_are_short_and_of_many_values_the_first_three_are_named(values, shown):
    assert arms._shown(values) == shown


def test_what_differs_besides_the_change_is_a_warning_or_refused(sweep):
    tables = sweep(plain, seed=0), sweep(plain, seed=1)
    commits = [table.assign(git_commit=letter * 40) for table, letter in zip(tables, "ab", strict=True)]
    first, second = arm("old", commits[0]), arm("new", commits[1])
    (said,) = arms.compared(first, second, "train_gflops", mixed=False)
    assert said == (
        "git commits differ (git_commit): aaaaaaaa in old, bbbbbbbb in new: the comparison cannot tell their "
        "effect from the change's"
    )
    assert arms.compared(first, first, "train_gflops", mixed=False) == []
    # What one of them does not know is no difference.
    assert arms.compared(first, arm("new", tables[1]), "train_gflops", mixed=False) == []
    on_a, on_b = (arm(name, table.assign(device=name)) for name, table in zip("AB", tables, strict=True))
    assert len(arms.compared(on_a, on_b, "train_gflops", mixed=False)) == 1
    with pytest.raises(ValueError, match=r"devices differ \(device\): A in A, B in B. .*, or say --mixed"):
        arms.compared(on_a, on_b, "energy_joules", mixed=False)
    assert len(arms.compared(on_a, on_b, "energy_joules", mixed=True)) == 1


def test_shapes_of_several_learning_rates_are_counted(sweep):
    table = sweep(plain, seed=0).assign(lr=0.1)
    assert arm("old", table).warnings == arm("old", table.drop(columns="lr")).warnings
    table.loc[(table["seed"] == 2) & (table["width"] < 20), "lr"] = 0.2
    assert (
        "2 of 5 shapes were trained at several learning rates: the curve goes through all of them, not "
        "through the best"
    ) in arm("old", table).warnings
