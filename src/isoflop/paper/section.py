"""What every part of the paper hands to the page: words, tables, figures, and claims with their verdicts."""

from __future__ import annotations

import dataclasses
from typing import Literal

Mark = Literal["S", "D", "M"]
"""Where the paper's number is from: S in articles or code of its authors, D derived here from published data
or from the paper's own table, M recalled and not re-read."""

Verdict = Literal["agrees", "disagrees", "cannot be tested here"]


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of words; every row has as many cells as there are columns."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclasses.dataclass(frozen=True)
class Claim:
    """A claim of the paper, what was found here, on what evidence, and what follows by a stated rule."""

    claim: str
    source_mark: Mark
    paper: str
    found: str
    evidence: str
    verdict: Verdict


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the page. `figures` are stems of files in the folder figures/; `captions`, where given, has
    one sentence a figure, which is also read out to who cannot see it."""

    name: str
    title: str
    paragraphs: tuple[str, ...]
    tables: tuple[Table, ...]
    figures: tuple[str, ...]
    found: tuple[Claim, ...]
    captions: tuple[str, ...] = ()
