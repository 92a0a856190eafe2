"""Cells that look like numbers and are none: what to write instead, so that no good value is deleted.

Nothing is guessed: a cell is refused, and the hint shows the number that it seems to mean, or the two that it
may mean.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_EXPONENT = r"(?:\s*[eE]\s*[-+]?\d+)?"
_SIGN = r"(?P<sign>[-+])?"
_SPACES = "\u0020\u00a0\u2009\u202f'\u2019_"
"""Blanks, apostrophes and the underscore that group digits by thousands in some countries or languages."""

_HINTS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...]


def hint(cell: str) -> str:
    """Return what to change where `cell` stands in a column of numbers, as the end of an error message.

    Only a cell without a digit is taken for an unknown value, which may be left empty.
    """
    text = cell.strip().replace("\u2212", "-")
    for pattern, advice in _HINTS:
        if match := pattern.fullmatch(text):
            return advice(match)
    if text != cell.strip() and _is_number(text):
        return f"write it with an ASCII minus sign, {text}"
    if has_digit(text):
        return "write it as a plain number, such as 1500000 or 1.5e6, without units or other signs"
    return "leave the cell empty where the value is unknown"


def has_digit(cell: object) -> bool:
    """Return whether a cell has a digit, so that it may be meant as a number."""
    return any(letter.isdigit() for letter in str(cell))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _plain(number: str) -> str:
    """Return a number without blanks and with a lower-case exponent."""
    return re.sub(r"\s", "", number).replace("E", "e")


def _percent(match: re.Match[str]) -> str:
    value = float(match["number"].replace(",", "."))
    return f"give fractions: divide by 100 ({value:g}% is {value / 100:g})"


def _one_comma(match: re.Match[str]) -> str:
    """Advise on 1,500: a decimal comma or a thousand, which the reader of one cell cannot tell."""
    left, right, rest = match["left"], match["right"], _plain(match["rest"])
    as_point = f"{left}.{right}{rest}"
    if len(right) != 3 or left.lstrip("+-0") == "":
        return f"write it with a decimal point, {as_point}"
    return f"write it with a decimal point, {as_point}, or, if the comma marks thousands, {left}{right}{rest}"


def _grouped(match: re.Match[str]) -> str:
    digits = re.sub(r"[^\d]", "", match["groups"])
    sign, rest = match["sign"] or "", match["rest"].replace(",", ".")
    return f"write it without marks between thousands, {sign}{digits}{_plain(rest)}"


def _power(match: re.Match[str]) -> str:
    return f"write it with an exponent, {match['factor'] or '1'}e{match['power']}"


_HINTS = (
    (re.compile(r"(?P<number>[-+]?\d+(?:[.,]\d+)?)\s*%"), _percent),
    (re.compile(rf"(?P<left>[-+]?\d+),(?P<right>\d+)(?P<rest>{_EXPONENT})"), _one_comma),
    (
        re.compile(rf"{_SIGN}(?P<groups>\d{{1,3}}(?:,\d{{3}})+)(?P<rest>(?:\.\d+)?{_EXPONENT})"),
        _grouped,
    ),
    (
        re.compile(rf"{_SIGN}(?P<groups>\d{{1,3}}(?:\.\d{{3}})+)(?P<rest>,\d+{_EXPONENT})"),
        _grouped,
    ),
    (re.compile(rf"{_SIGN}(?P<groups>\d{{1,3}}(?:\.\d{{3}}){{2,}})(?P<rest>{_EXPONENT})"), _grouped),
    (
        re.compile(rf"{_SIGN}(?P<groups>\d{{1,3}}(?:[{_SPACES}]\d{{3}})+)(?P<rest>(?:[.,]\d+)?{_EXPONENT})"),
        _grouped,
    ),
    (
        re.compile(
            r"(?:(?P<factor>[-+]?\d+(?:\.\d+)?)\s*[*x\u00d7\u00b7]\s*)?10\s*(?:\^|\*\*)\s*(?P<power>[-+]?\d+)"
        ),
        _power,
    ),
)
