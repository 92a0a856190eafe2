"""Lay out the pages of the documentation site in build/docs: python scripts/docs_site.py (make docs).

Pages are written to be read in the repository, so their links name its files. Here each page is copied with
its links made those of the site, and so is each linked file that is no page, such as a figure or a script.
Three pages are generated: the Python API, the commands, and the list of committed results.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
from pathlib import Path, PurePosixPath

import isoflop
from isoflop.cli import main

ROOT = Path(__file__).parents[1]
OUT = ROOT / "build/docs"
PAGES = (
    *("docs/*.md", "results/*/README.md", "slurm/README.md", "containers/README.md"),
    *("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"),
)
STYLE = "docs/site.css"
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!https?://|#)([^)\s#]+)(#[^)]*)?\)")
CODE = re.compile(r"(^```.*?^```|`[^`\n]*`)", re.DOTALL | re.MULTILINE)
HELP_COLUMNS = "100"


class BrokenLinkError(ValueError):
    """A page links to a file that is not in the repository."""


def site_path(file: str) -> str:
    """Return where a file of the repository lies in the site.

    docs/ is the root, the README of a folder is a page of the folder's name, other pages have small letters.
    A folder keeps its name for files: results/NAME/index.html is a sweep's page, results/NAME.md its README.
    """
    path = PurePosixPath(file)
    if file == "README.md":
        return "index.md"
    if path.name == "README.md":
        return f"{path.parent}.md"
    if path.suffix == ".md" and len(path.parts) == 1:
        return file.lower()
    return file.removeprefix("docs/")


def translate(text: str, page: str, pages: frozenset[str]) -> tuple[str, frozenset[str]]:
    """Return a page's text with the links of the site, and the linked files that are no pages.

    Args:
        text: Markdown, whose links are relative to the page's folder in the repository.
        page: where the page lies in it, such as results/digits-cpu/README.md.
        pages: where all pages of the site lie.

    Raises:
        BrokenLinkError: a link to what is not there.
    """
    here = PurePosixPath(site_path(page)).parent
    files: set[str] = set()

    def link(match: re.Match[str]) -> str:
        image, label, target, anchor = match[1], match[2], match[3], match[4] or ""
        file = os.path.normpath(PurePosixPath(page).parent / target)
        if not (ROOT / file).exists():
            raise BrokenLinkError(f"{page} links to {target}, which is not there")
        if (ROOT / file).is_dir():
            # A folder's page is its README; that of results/ is generated; other folders have none.
            if file != "results" and f"{file}/README.md" not in pages:
                return label
            file = f"{file}/README.md"
        elif file != "README.md" and file not in pages:
            files.add(file)
        return f"{image}[{label}]({os.path.relpath(site_path(file), here)}{anchor})"

    parts = CODE.split(text)  # every second part is code, in which nothing is a link
    parts[::2] = [LINK.sub(link, part) for part in parts[::2]]
    return "".join(parts), frozenset(files)


def api_page() -> str:
    """Return the reference of what `import isoflop` offers, made of docstrings by mkdocstrings."""
    lines = [
        "# Python API",
        "",
        "What `import isoflop` offers; [From Python](../api.md) shows it at work.",
        "",
    ]
    for name, home in isoflop._HOMES.items():
        lines += [f"::: {home}.{name}", "    options:", f"      heading: isoflop.{name}", ""]
    return "\n".join(lines)


def commands_page() -> str:
    """Return the reference of the commands: the help of each verb, as the terminal shows it."""
    os.environ["COLUMNS"] = HELP_COLUMNS
    (verbs,) = (each for each in main.parser()._actions if isinstance(each, argparse._SubParsersAction))
    text = "# Commands\n\nWhat `isoflop VERB --help` prints. Exit codes: 0 done, 1 failed or the machine's "
    text += "fault, 2 the input's fault, 3 diverged, 4 out of memory, 75 interrupted and resumable.\n"
    for name, verb in verbs.choices.items():
        text += f"\n## isoflop {name}\n\n```text\n{verb.format_help().rstrip()}\n```\n"
    return text


def results_page(pages: frozenset[str]) -> str:
    """Return the list of committed measurements, by the titles of their READMEs."""
    text = "# Results\n\nMeasurements, each with its evidence: n, interval, hardware, versions, command.\n\n"
    for page in sorted(page for page in pages if page.startswith("results/")):
        title = (ROOT / page).read_text().partition("\n")[0].removeprefix("# ")
        text += f"- [{title}]({site_path(page)})\n"
    return text


def lay_out(out: Path = OUT) -> None:
    """Write all pages, and the files that they show or link, to an empty folder."""
    shutil.rmtree(out, ignore_errors=True)
    pages = frozenset(path.relative_to(ROOT).as_posix() for pattern in PAGES for path in ROOT.glob(pattern))
    files = {STYLE}
    for page in pages:
        text, linked = translate((ROOT / page).read_text(), page, pages)
        files |= linked
        _write(out / site_path(page), text)
    for file in files:
        target = out / site_path(file)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / file, target)
    _write(out / "reference/api.md", api_page())
    _write(out / "reference/commands.md", commands_page())
    _write(out / "results.md", results_page(pages))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


if __name__ == "__main__":
    lay_out()
