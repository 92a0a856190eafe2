"""The verdict on the paper's limit in sentences, the same on the terminal and on the page."""

from __future__ import annotations

from typing import get_args

from isoflop.curve.judge.answer import Cause, Judgement
from isoflop.report.text import fit_lines
from isoflop.report.text.numerals import estimate

SHORT = {
    "outcome": "no root mean square error is recorded",
    "decades": "too little was measured",
    "configurations": "too little was measured",
    "seeds": "too little was measured",
    "fixed data": "the training set does not grow",
    "no fit": "nothing was fitted",
    "no fall": "no fall of root mean square error is established",
    "law rejected": "the power law is rejected",
    "undertrained": "it hangs on undertrained shapes",
    "no interval": "no interval could be given",
}
"""Cause -> what the head of a page says of it."""
assert set(SHORT) == set(get_args(Cause))


def against(verdict: Judgement) -> str:
    """Return how what was found stands to the paper's limit, in the one sentence below a page's headline."""
    return {
        "agrees": "The paper's limit of k⁴ agrees with these runs.",
        "disagrees": "The paper's limit of k⁴ disagrees with these runs.",
        "compatible but not decisive": "The paper's limit of k⁴ is compatible with these runs, not decided.",
        "cannot be told": f"Whether the paper's limit of k⁴ holds cannot be told: {_cause(verdict)}.",
    }[verdict.answer]


def line(verdict: Judgement) -> str:
    """Return the verdict with all that it stands on: claim, answer and why."""
    return f"verdict: {verdict.claim}: {verdict.answer}: {because(verdict)}"


def short(verdict: Judgement) -> str:
    """Return the verdict in a line of the terminal, whose reasons `line` spells out."""
    b = "" if verdict.exponent is None else f" (RMS error ~ x^-b, b {fit_lines.estimate(verdict.exponent)})"
    why = f": {_cause(verdict)}" if verdict.reasons else ""
    return f"verdict: k⁴ or more for k times less error: {verdict.answer}{why}{b}"


def _cause(verdict: Judgement) -> str:
    """Return the first reason in a few words; empty where there is none."""
    return SHORT[verdict.reasons[0].cause] if verdict.reasons else ""


def because(verdict: Judgement) -> str:
    """Return why the verdict is so, with the exponent where one was fitted; every reason where it is open."""
    why = "; ".join(reason.sentence for reason in verdict.reasons) or verdict.why
    return why if verdict.exponent is None else f"{why}; {fall_of_rms(verdict)}"


def fall_of_rms(verdict: Judgement) -> str:
    """Return how the root mean square error falls with compute; the exponent must be known."""
    assert verdict.exponent is not None
    return f"root mean square error ∝ compute^−b, b = {estimate(verdict.exponent)}"
