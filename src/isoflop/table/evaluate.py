"""Values of an expression over the rows of a table: numbers, or conditions in three-valued logic.

What is unknown stays unknown: arithmetic of an unknown number is unknown, and a condition whose truth an
unknown value would decide is neither true nor false (Kleene 1952), so that no row is chosen by a guess.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import math
import operator
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from isoflop.table import columns
from isoflop.table.expression import EQUALITY, MEMBERSHIP, ORDER, Expression

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_COMPARISON: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_TRUTH = {"true": True, "false": False}


@dataclasses.dataclass(frozen=True)
class Numbers:
    """Numbers, one a row or one for all: (n,) or (); NaN where unknown."""

    array: Array


@dataclasses.dataclass(frozen=True)
class Texts:
    """Text, one a row or one for all: (n,) or (); None where unknown. `bare`: a word without quotes."""

    array: npt.NDArray[np.object_]
    bare: bool = False


@dataclasses.dataclass(frozen=True)
class Truths:
    """Where a condition is known to hold and where it is known not to, (n,) or () each."""

    true: Mask
    false: Mask


Value: TypeAlias = Numbers | Texts | Truths


def numbers(expression: Expression, table: pd.DataFrame) -> Array:
    """Return the numbers (n,) of an expression, NaN where unknown.

    Raises:
        ValueError: it is a condition or text, or calculates with a column of text.
    """
    value = _Evaluator(expression, table).value(expression.body)
    if not isinstance(value, Numbers):
        what = "a condition" if isinstance(value, Truths) else "text"
        raise expression.error(f"{what}, where a number is asked for")
    return np.array(np.broadcast_to(value.array, len(table)))


def truths(expression: Expression, table: pd.DataFrame) -> Truths:
    """Return where a condition holds and where it does not, (n,) each; neither where that is unknown.

    Raises:
        ValueError: it is no condition, or compares what cannot be compared.
    """
    evaluator = _Evaluator(expression, table)
    value = evaluator.condition(expression.body)
    return Truths(*(np.array(np.broadcast_to(side, len(table))) for side in (value.true, value.false)))


def column(table: pd.DataFrame, name: str) -> Value:
    """Return a column as numbers if it holds only numbers, as truths if only true and false, else as text."""
    series = table[name]
    if pd.api.types.is_bool_dtype(series.dtype) and not series.hasnans:
        held = series.to_numpy(dtype=bool)
        return Truths(held, ~held)
    if pd.api.types.is_numeric_dtype(series.dtype):
        return Numbers(series.to_numpy(dtype=float, na_value=math.nan))
    # Each distinct value is read once: a table of many rows repeats few words.
    codes, distinct = pd.factorize(series.to_numpy(dtype=object))
    read = [columns.number(value) for value in distinct]
    if all(number is not None for number in read):
        # The last entry is what code -1, an unknown value, picks.
        return Numbers(np.array([*read, math.nan], dtype=float)[codes])
    known = [_truth(value) for value in distinct]
    if all(
        truth is not None or columns.number(value) is not None
        for truth, value in zip(known, distinct, strict=True)
    ):
        true = np.array([*(truth is True for truth in known), False])[codes]
        return Truths(true, np.array([*(truth is False for truth in known), False])[codes])
    labels = np.empty(len(distinct) + 1, dtype=object)
    labels[:-1] = [columns.label(value) for value in distinct]
    labels[-1] = None
    return Texts(labels[codes])


def _truth(value: object) -> bool | None:
    if isinstance(value, bool | np.bool_):
        return bool(value)
    return _TRUTH.get(value.strip().lower()) if isinstance(value, str) else None


class _Evaluator:
    """Values of the parts of one expression over one table."""

    def __init__(self, expression: Expression, table: pd.DataFrame) -> None:
        self.expression, self.table = expression, table

    def value(self, node: ast.expr) -> Value:
        """Return the value of a node, whatever its kind."""
        match node:
            case ast.Constant(value=bool() as held):
                return Truths(np.array(held), np.array(not held))
            case ast.Constant(value=int() | float() as number):
                return Numbers(np.array(_as_float(number)))
            case ast.Name(id=name):
                return self._name(name)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                negated = self.condition(operand)
                return Truths(negated.false, negated.true)
            case ast.UnaryOp(op=sign, operand=operand):
                values = self._number(operand)
                return Numbers(-values if isinstance(sign, ast.USub) else values)
            case ast.BinOp(left=left, op=op, right=right):
                return self._arithmetic(op, left, right)
            case ast.BoolOp(op=op, values=parts):
                held_each = [self.condition(part) for part in parts]
                return functools.reduce(_both if isinstance(op, ast.And) else _either, held_each)
            case ast.Compare(left=left, ops=ops, comparators=rest):
                operands = (left, *rest)
                pairs = zip(operands, ops, operands[1:], strict=False)
                return functools.reduce(_both, [self._compare(*pair) for pair in pairs])
            case ast.List() | ast.Tuple() | ast.Set():
                raise self.expression.error(
                    "a list stands after in only, such as width in [64, 128]; a number has no comma"
                )
        raise AssertionError(node)  # expression.parse lets no other node pass

    def condition(self, node: ast.expr) -> Truths:
        """Return the value of a node as a condition: a column of 0 and 1 is one."""
        value = self.value(node)
        if isinstance(value, Numbers) and isinstance(node, ast.Name):
            values = value.array
            if np.isin(values[~np.isnan(values)], (0.0, 1.0)).all():
                return Truths(values == 1.0, values == 0.0)
        if isinstance(value, Truths):
            return value
        shown = self.expression.shown(node)
        what, example = (
            ("a number", f"{shown} > 0") if isinstance(value, Numbers) else ("text", f"{shown} == 'A'")
        )
        raise self.expression.error(f"{shown} is {what}, not a condition: compare it, such as {example}")

    def _name(self, name: str) -> Value:
        if name in self.expression.texts:
            text = np.array(self.expression.texts[name], dtype=object)
            return Texts(text, name in self.expression.bare)
        return column(self.table, self.expression.names[name])

    def _number(self, node: ast.expr) -> Array:
        value = self.value(node)
        if isinstance(value, Numbers):
            return value.array
        shown = self.expression.shown(node)
        if isinstance(value, Truths):
            raise self.expression.error(f"{shown} is a condition: arithmetic takes numbers")
        if isinstance(node, ast.Name) and node.id in self.expression.names:
            raise self.expression.error(
                f"{columns.holds_text(self.table, self.expression.names[node.id])}: arithmetic takes numbers"
            )
        raise self.expression.error(f"{shown} is text: arithmetic takes numbers")

    def _arithmetic(self, op: ast.operator, left: ast.expr, right: ast.expr) -> Numbers:
        # Floats throughout: 9**9**9 is infinite at once, where Python's integers would run for ever.
        with np.errstate(all="ignore"):
            return Numbers(
                np.asarray(_ARITHMETIC[type(op)](self._number(left), self._number(right)), dtype=float)
            )

    def _compare(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Truths:
        if isinstance(op, MEMBERSHIP):
            if not isinstance(right, ast.List | ast.Tuple | ast.Set) or not right.elts:
                raise self.expression.error(
                    f"in takes a list in brackets, such as {self.expression.shown(left)} in ['a', 'b']"
                )
            held = functools.reduce(_either, [self._compared(left, ast.Eq(), each) for each in right.elts])
            return held if isinstance(op, ast.In) else Truths(held.false, held.true)
        return self._compared(left, op, right)

    def _compared(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Truths:
        first, second = self.value(left), self.value(right)
        compare = _COMPARISON[type(op)]
        if isinstance(first, Numbers) and isinstance(second, Numbers):
            known = ~np.isnan(first.array) & ~np.isnan(second.array)
            held = compare(first.array, second.array)
        elif isinstance(first, Texts) and isinstance(second, Texts):
            known = ~pd.isna(first.array) & ~pd.isna(second.array)
            held = _of_known(compare, first, second, known)
        else:
            sides = _as_two_truths(first, second) if isinstance(op, EQUALITY) else None
            if sides is None:
                raise self._wrong_kinds(left, first, op, right, second)
            one, other = sides
            known = (one.true | one.false) & (other.true | other.false)
            held = compare(one.true, other.true)
        return Truths(known & held, known & ~held)

    def _wrong_kinds(
        self, left: ast.expr, first: Value, op: ast.cmpop, right: ast.expr, second: Value
    ) -> ValueError:
        """Return the error of a comparison of two kinds.

        Args:
            left, right: the operands.
            first, second: their values.
            op: the comparison.
        """
        for node, value, also, other in ((left, first, right, second), (right, second, left, first)):
            if isinstance(value, Texts) and not isinstance(other, Texts):
                return self._wrong_text(node, value, also, other)
        order = "true and false have no order" if isinstance(op, ORDER) else "two kinds are compared"
        return self.expression.error(
            f"{self.expression.shown(left)} and {self.expression.shown(right)}: {order}"
        )

    def _wrong_text(self, node: ast.expr, value: Texts, also: ast.expr, other: Value) -> ValueError:
        """Return the error of text beside numbers or truths.

        Args:
            node, value: the operand that is text.
            also, other: the other operand.
        """
        shown = self.expression.shown(node)
        if isinstance(node, ast.Name) and node.id in self.expression.names:
            said = columns.holds_text(self.table, self.expression.names[node.id])
            return self.expression.error(f"{said}: compare it by == or != with a text in quotes")
        kind = "numbers" if isinstance(other, Numbers) else "true and false"
        wrong = f"{self.expression.shown(also)} holds {kind}, not text like {shown}"
        if value.bare:
            nearest = columns.nearest(shown, map(str, self.table.columns))
            wrong = f"no column {shown}: {nearest} and {wrong}"
        return self.expression.error(wrong)


def _of_known(compare: Callable[[Any, Any], Any], first: Texts, second: Texts, known: Mask) -> Mask:
    """Return a comparison of text, in which what is unknown takes no part."""
    one, other = (np.where(known, each.array, "") for each in (first, second))
    return np.asarray(compare(one, other), dtype=bool)


def _as_two_truths(first: Value, second: Value) -> tuple[Truths, Truths] | None:
    """Return both as truths, if one is and the other says true, false, 1 or 0 throughout."""
    one, other = _as_truths(first), _as_truths(second)
    if one is None or other is None or not (isinstance(first, Truths) or isinstance(second, Truths)):
        return None
    return one, other


def _as_float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:  # an integer of more than 308 digits
        return math.inf


def _as_truths(value: Value) -> Truths | None:
    """Return a value as truths if it is, or if it says true, false, 1 or 0 throughout."""
    if isinstance(value, Truths):
        return value
    if isinstance(value, Numbers):
        known = value.array[~np.isnan(value.array)]
        return Truths(value.array == 1.0, value.array == 0.0) if np.isin(known, (0.0, 1.0)).all() else None
    if value.array.ndim:
        return None
    truth = _truth(value.array.item())
    return None if truth is None else Truths(np.array(truth), np.array(not truth))


def _both(one: Truths, other: Truths) -> Truths:
    return Truths(one.true & other.true, one.false | other.false)


def _either(one: Truths, other: Truths) -> Truths:
    return Truths(one.true | other.true, one.false & other.false)
