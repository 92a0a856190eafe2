"""Tables of the section on language models, from answers that are written down."""

import types
from typing import Any

from isoflop.curve.language.result import ShapeJoules
from isoflop.report.text import language_tables


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
