"""Sections of the paper's page: paragraphs, tables, figures, and claims with their verdicts."""

from __future__ import annotations

import dataclasses
from typing import Literal

from isoflop.curve.judge.answer import Answer

Mark = Literal["S", "D", "M"]
"""Where the paper's number is from: S in articles or code of its authors, D derived here from published data
or from the paper's own table, M recalled and not re-read."""


@dataclasses.dataclass(frozen=True)
class SectionTable:
    """A table of texts; every row has as many entries as there are columns."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclasses.dataclass(frozen=True)
class Claim:
    """A claim of the paper, the result found here, its evidence, and the verdict by a rule of curve/judge.

    `why` is half a sentence: what decided, or what keeps from deciding.
    """

    claim: str
    source_mark: Mark
    paper: str
    found: str
    evidence: str
    verdict: Answer
    why: str


@dataclasses.dataclass(frozen=True)
class PaperSection:
    """A part of the page. `figures` are stems of files in the folder figures/; `captions`, where given, has
    one sentence for each figure, which is also its text alternative. `found` holds the section's claims."""

    name: str
    title: str
    paragraphs: tuple[str, ...]
    tables: tuple[SectionTable, ...]
    figures: tuple[str, ...]
    found: tuple[Claim, ...]
    captions: tuple[str, ...] = ()
