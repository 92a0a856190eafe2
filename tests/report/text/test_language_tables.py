"""Tables of the section on language models, from answers that are written down."""

import types
from typing import Any

from isoflop.curve.language.result import ShapeJoules
from isoflop.curve.measured import BestValue, MeasuredRange
from isoflop.curve.result import Estimate, Interval
from isoflop.report.text import language_tables
from isoflop.report.text.numerals import UNKNOWN, number
from isoflop.table import target


def joules_of(*reasons):
    """The table of one shape for each reason why its joules are unknown; None where they are known."""
    shapes = tuple(
        ShapeJoules(
            width=128.0,
            depth=2.0,
            batch=4096.0,
            size=4e5,
            joules=2e-6 if reason is None else None,
            net_joules=1e-6 if reason is None else None,
            on_gpu=False,
            reason=reason,
        )
        for reason in reasons
    )
    answers: Any = types.SimpleNamespace(joules=shapes)
    return language_tables._joules(answers)


def test_joules_that_are_unknown_have_their_reason_in_a_column_of_its_own():
    assert joules_of() is None
    assert joules_of("no GPU") is None
    known, mixed = joules_of(None), joules_of(None, "no GPU")
    assert known.columns[-1] == "Net µJ a byte"
    assert known.rows == (("w128 d2", "4,096", "400,000", "2.00", "1.00"),)
    assert mixed.columns == (*known.columns, "Unknown because")
    assert [row[-1] for row in mixed.rows] == ["", "no GPU"]


def spaced(**fields: Any) -> Any:
    return types.SimpleNamespace(**fields)


def known(value, low=None, high=None):
    return Estimate("", value, Interval(low or value, high or value), "")


def exact(value):
    return f"{number(value)} ({number(value)} to {number(value)})"


def best(value, least, largest, low=None, high=None):
    return BestValue(
        "", value, Interval(low or value, high or value), "", MeasuredRange("size", least, largest), None
    )


def of_law(compute, outside=None):
    return spaced(
        compute=compute,
        size=best(2e6, 1e6, 4e6, 1.5e6, 2.5e6),
        seen=best(3e7, 1e7, 9e7),
        bits=known(2.0, 1.9, 2.1),
        outside=outside,
    )


def of_parabola(compute, optimum=True):
    found = (best(1.8e6, 5e5, 8e6), known(2.5e7), known(2.1)) if optimum else None
    return spaced(compute=compute, optimum=found)


def first(laws=(), parabolas=()):
    return spaced(
        size=target.PARAMETERS,
        split=spaced(at_budgets=tuple(laws)) if laws else None,
        profiles=spaced(budgets=tuple(parabolas)) if parabolas else None,
    )


def test_both_methods_share_a_row_at_equal_budgets():
    table = language_tables._budgets(
        first([of_law(10.0), of_law(40.0)], [of_parabola(10.0), of_parabola(40.0)])
    )
    assert [row[0] for row in table.rows] == ["10.0", "40.0"]
    assert table.rows[0] == (
        "10.0",
        f"{number(1e6)} to {number(4e6)}",
        f"{number(2e6)} ({number(1.5e6)} to {number(2.5e6)})",
        exact(1.8e6),
        exact(30.0),
        exact(25.0),
        "2.00 (1.90 to 2.10)",
    )
    assert "with the embedding table" in table.note
    assert "A star" not in table.note
    starred = language_tables._budgets(first([of_law(10.0, outside="beyond")], [of_parabola(10.0)]))
    assert "A star marks an optimum outside" in starred.note


def test_budgets_that_differ_have_rows_of_their_own_by_compute():
    near = language_tables._budgets(first([of_law(10.0)], [of_parabola(10.0 * (1 + 0.9e-6))]))
    assert len(near.rows) == 1
    apart = language_tables._budgets(first([of_law(10.0)], [of_parabola(10.0 * (1 - 1.1e-6))]))
    assert [(row[2], row[3]) for row in apart.rows] == [
        (UNKNOWN, exact(1.8e6)),
        (f"{number(2e6)} ({number(1.5e6)} to {number(2.5e6)})", UNKNOWN),
    ]
    more = language_tables._budgets(
        first([of_law(10.0)], [of_parabola(5.0), of_parabola(20.0, optimum=False)])
    )
    assert [row[0] for row in more.rows] == ["5.00", "10.0", "20.0"]
    assert [row[1] for row in more.rows] == [
        f"500,000 to {number(8e6)}",
        f"{number(1e6)} to {number(4e6)}",
        UNKNOWN,
    ]
    assert more.rows[2][1:] == (UNKNOWN,) * 6
    assert language_tables._budgets(first()) is None


def pair(explained=0.01, paired=None):
    shape = {"width": 64.0, "depth": 2.0, "size": 1e5}
    return spaced(
        compute=12.0,
        shallow=spaced(**shape),
        deep=spaced(width=32.0, depth=8.0, size=1.2e5),
        difference=-0.0204,
        explained=explained,
        paired=paired,
        paired_reason="no losses of windows",
    )


def shapes_of(*pairs, unexplained=None, spread=0.004):
    return spaced(
        pairs=pairs,
        difference=known(-0.02, -0.03, -0.01),
        unexplained=unexplained,
        seed_spread=spread,
        seed_spread_reason="there is one seed",
    )


def test_pairs_of_shapes_have_the_difference_and_what_is_expected_of_it():
    table = language_tables._shapes(shapes_of(pair(), pair(explained=None)))
    assert table.rows == (
        ("12.0", "w64 d2", "w32 d8", "1.20", "-0.0204", "+0.0100"),
        ("12.0", "w64 d2", "w32 d8", "1.20", "-0.0204", UNKNOWN),
    )
    assert len(table.columns) == 6
    assert "the deeper model has -0.02 (-0.03 to -0.01) bits a byte; seeds" in table.note
    assert "spread by 0.0040. It" in table.note
    assert "same windows" not in table.note
    assert language_tables._shapes(None) is None


def test_pairs_on_the_same_windows_have_a_column_and_say_why_others_have_none():
    paired = spaced(difference=-0.019, standard_error=0.0031)
    table = language_tables._shapes(
        shapes_of(pair(paired=paired), pair(), unexplained=known(-0.005), spread=None)
    )
    assert table.columns[5] == "On the same windows"
    assert [row[5] for row in table.rows] == ["-0.0190 ± 0.0031", f"{UNKNOWN} (no losses of windows)"]
    assert (
        ", and -0.005 (-0.005 to -0.005) beyond what is expected; the spread of seeds is unknown"
        in table.note
    )
    assert "unknown, as there is one seed." in table.note


def test_exponents_have_a_row_a_size_and_resource():
    def answer(size, split, profiles):
        return spaced(size=size, split=split, profiles=profiles)

    split = spaced(size_exponent=known(0.5), seen_exponent=known(0.45, 0.4, 0.5), outside=None)
    grown = spaced(growth=(spaced(exponent=known(0.52)), spaced(exponent=known(0.48))))
    sizes = (answer(target.TEXTS.size, split, None), answer(target.PARAMETERS, None, grown))
    table = language_tables._exponents(spaced(sizes=sizes))
    assert table.rows == (
        ("N*, N without the embedding table", exact(0.5), UNKNOWN),
        ("N*, N with the embedding table", UNKNOWN, exact(0.52)),
        ("D*, N without the embedding table", "0.450 (0.400 to 0.500)", UNKNOWN),
        ("D*, N with the embedding table", UNKNOWN, exact(0.48)),
    )
    assert "extrapolated" not in table.note
    outside = answer(target.TEXTS.size, spaced(**vars(split) | {"outside": "beyond"}), None)
    assert "they enter as extrapolated" in language_tables._exponents(spaced(sizes=(outside,))).note
    bare = answer(target.TEXTS.size, None, spaced(growth=None))
    assert language_tables._exponents(spaced(sizes=(bare, answer(target.PARAMETERS, None, None)))) is None


def test_the_sweep_stands_above_the_published_exponents():
    ends = spaced(compute=1e3), spaced(compute=5e3), spaced(compute=2e4)
    names = ("size_exponent", "seen_exponent", "bits_exponent")
    split = spaced(curve=ends, **dict(zip(names, (known(0.5), known(0.45), known(0.05)), strict=True)))
    table = language_tables._published(spaced(split=split))
    assert table.rows[0][:5] == ("This sweep", "joint law", "0.500", "0.450", "0.0500")
    assert table.rows[0][7] == f"{number(1e12, 2)} to {number(2e13, 2)} FLOPs"
    assert len(table.rows) == 1 + len(language_tables._published(spaced(split=None)).rows)
    assert language_tables._exponents_of([0.5, None, 0.123]) == "0.50; 0.123"
    assert language_tables._exponents_of([None]) == UNKNOWN
