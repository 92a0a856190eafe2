"""The page of the paper: every section that a folder holds, one self-contained HTML file."""

from __future__ import annotations

import dataclasses
import importlib.resources
import re
from pathlib import Path

import jinja2
from markupsafe import Markup

from isoflop import __version__, record
from isoflop.paper import saved
from isoflop.paper.section import Claim, PaperSection
from isoflop.report.content_policy import content_policy
from isoflop.report.figures import inline_svg

PAGE = "index.html"
TITLE = "The Computational Limits of Deep Learning, reproduced and questioned"
MARKS = (
    ("S", "in articles or public code of the paper's authors"),
    ("D", "derived here, from published data or from the paper's own table"),
    ("M", "recalled, and not re-read at its source"),
    ("R", "seen again, at the source or quoted by others"),
)


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure of the page: its <img> element, and its caption."""

    name: str
    img: Markup
    caption: str


@dataclasses.dataclass(frozen=True)
class PagePart:
    """A section with its figures read in, and the command that made it.

    Of the claims that the section judges, `claims` are shown here; `judged_above` stand in a section above,
    so that each is on the page once.
    """

    section: PaperSection
    figures: tuple[Figure, ...]
    command: str
    claims: tuple[Claim, ...] = ()
    judged_above: tuple[Claim, ...] = ()


def is_foreign(folder: Path) -> bool:
    """Return whether an index.html that this module did not write lies in a folder."""
    path = folder / PAGE
    return path.is_file() and TITLE not in path.read_text(errors="replace")


def write(folder: Path) -> Path:
    """Write FOLDER/index.html from the sections in it whose drawings are there, atomically; return its path.

    Raises:
        ValueError: the folder holds no such section, or one is damaged.
        OSError: the page cannot be written.
    """
    parts, above = [], set[str]()
    for each in saved.read_sections(folder):
        section = each.section
        if not all(_path(folder, name).is_file() for name in section.figures):
            continue
        claims = tuple(claim for claim in section.found if claim.claim not in above)
        judged_above = tuple(claim for claim in section.found if claim.claim in above)
        parts.append(PagePart(section, _figures(section, folder), each.command, claims, judged_above))
        above |= {claim.claim for claim in section.found}
    if not parts:
        raise ValueError(f"{folder}: no section of the paper here: run isoflop paper all")
    path = folder / PAGE
    record.write_bytes(path, render(parts).encode())
    return path


def render(parts: list[PagePart]) -> str:
    """Return the page as HTML; jinja2 escapes everything but our own markup."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=False)
    environment.filters |= {"marks": _marked, "anchor": _anchor}
    return environment.from_string(_asset("isoflop.paper.pages", "page.html.j2")).render(
        parts=parts,
        title=TITLE,
        marks=MARKS,
        version=__version__,
        css=Markup(_asset("isoflop.report", "page.css")),
        content_policy=content_policy(),
    )


def _figures(section: PaperSection, folder: Path) -> tuple[Figure, ...]:
    captions = section.captions or tuple(section.title for _ in section.figures)
    return tuple(
        Figure(
            name,
            inline_svg.img(_path(folder, name).read_text(encoding="utf-8"), caption),
            caption,
        )
        for name, caption in zip(section.figures, captions, strict=True)
    )


def _path(folder: Path, name: str) -> Path:
    return folder / "figures" / f"{name}.svg"


def _marked(text: str) -> Markup:
    """Return the text, escaped, with [M] and the other marks set small."""
    return Markup(re.sub(r"\[([SDMR])\]", r'<abbr class="mark">\1</abbr>', str(Markup.escape(text))))


def _anchor(claim: str) -> str:
    """Return the id of a claim in the page, from its words."""
    return f"claim-{re.sub(r'[^a-z0-9]+', '-', claim.lower()).strip('-')}"


def _asset(package: str, name: str) -> str:
    return importlib.resources.files(package).joinpath(name).read_text(encoding="utf-8")
