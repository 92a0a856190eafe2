"""The section that leads the page: every claim in a row."""

from __future__ import annotations

from pathlib import Path

from isoflop.paper.claims import ClaimsResult
from isoflop.paper.section import Section, Table

NAME = "claims"


def section(result: ClaimsResult, folder: Path) -> Section:
    """The table of claims; draws nothing."""
    assert folder
    return Section(
        name=NAME,
        title="The claims",
        paragraphs=(
            f"Of {len(result.claims)} claims {result.agrees} agree with what was found here, "
            f"{result.disagrees} "
            f"disagree, and {result.untested} cannot be tested here. Verdicts follow from the numbers by "
            f"rules:",
            *result.rules,
        ),
        tables=(Table("Claims", ("Claim", "Paper", "Found here", "Evidence", "Verdict"), rows(result)),),
        figures=(),
        found=result.claims,
    )


def rows(result: ClaimsResult) -> tuple[tuple[str, ...], ...]:
    """One row a claim, as words; the paper's mark stands behind its number."""
    return tuple(
        (c.claim, f"{c.paper} [{c.source_mark}]", c.found, c.evidence, c.verdict) for c in result.claims
    )
