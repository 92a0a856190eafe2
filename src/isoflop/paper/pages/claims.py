"""The section that leads the page: every claim with its verdict."""

from __future__ import annotations

from pathlib import Path

from isoflop.paper.claims import ClaimsResult
from isoflop.paper.section import PaperSection

NAME = "claims"


def section(result: ClaimsResult, folder: Path) -> PaperSection:
    """Return the section of the claims with their verdicts; it draws nothing."""
    assert folder
    return PaperSection(
        name=NAME,
        title="The claims",
        paragraphs=(
            f"Of {len(result.claims)} claims {result.agrees} agree with what was found here, "
            f"{result.disagrees} disagree, {result.compatible} are compatible but not decisive, and "
            f"{result.undecided} cannot be told.",
            "Verdicts follow from the numbers by rules:",
            *result.rules,
        ),
        tables=(),
        figures=(),
        found=result.claims,
    )
