"""The page of committed records: little to read before anything is unfolded, and nothing said twice."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

from isoflop.curve.result import read_fits
from isoflop.report import page, subject
from isoflop.table.aggregate import aggregate

pytestmark = pytest.mark.slow

RESULTS = Path(__file__).parents[2] / "results/digits-cpu"
MOST_WORDS = 1200
ASIDE = ("script", "style", "table", "figcaption", "title")
"""Elements whose words do not count: what the browser runs, tables and captions."""


def text_of(source: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", source)).split())


def without(source: str, element: str) -> str:
    """Return a page without the elements of a kind, however they are nested."""
    pattern = re.compile(rf"<{element}\b[^>]*>(?:(?!<{element}\b).)*?</{element}>", re.DOTALL)
    while pattern.search(source):
        source = pattern.sub(" ", source)
    return source


def folded(source: str) -> str:
    """Return what is read before anything is unfolded: of a fold, its summary alone."""
    inner = re.compile(
        r"<details\b[^>]*>\s*<summary>((?:(?!</summary>).)*)</summary>(?:(?!<details\b).)*?</details>",
        re.DOTALL,
    )
    while inner.search(source):
        source = inner.sub(r" \1 ", source)
    return source


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page, without the packed library."""
    table = aggregate(RESULTS)
    about = subject.of_sweep(RESULTS, table)
    path = page.write(about, read_fits(RESULTS / "fit.json"), tmp_path_factory.mktemp("page"))
    return without(without(path.read_text(), "script"), "style")


def test_at_most_so_many_words_stand_before_the_folds(written: str) -> None:
    source = written
    for element in ASIDE:
        source = without(source, element)
    words = text_of(folded(source)).split()
    assert 60 < len(words) <= MOST_WORDS, len(words)


def test_the_first_screen_has_sentence_curve_four_figures_and_what_check_found(written: str) -> None:
    first = written.split('<section class="first"')[1].split("</section>")[0]
    assert first.count("<strong>") == 1
    assert first.count('<dd class="value">') == 4
    assert first.count("<figure") == 1
    assert "2 warnings, 3 notes" in text_of(first)
    assert "no single exponent describes it" in first
    assert "xponent" not in text_of(first.split('class="cards"')[1])


def test_a_run_is_named_and_linked_to_its_row(written: str) -> None:
    rows = re.findall(r'<tr id="(run-[0-9a-f]{16})">', written)
    assert len(rows) == len(set(rows)) == 45
    links = re.findall(r'<a href="#(run-[^"]+)">([^<]+)</a>', written)
    assert links
    assert {anchor for anchor, _ in links} <= set(rows)
    assert all(re.fullmatch(r"resnet w\d+ d\d+, seed \d+", name) for _, name in links)
    assert not re.search(r"\b[0-9a-f]{16}\b", text_of(written)), "no hash is left for a name"


def test_every_entry_of_the_contents_leads_somewhere(written: str) -> None:
    contents = written.split('<nav aria-label="Contents">')[1].split("</nav>")[0]
    anchors = re.findall('href="#([^"]+)"', contents)
    assert len(anchors) >= 8
    assert all(f'id="{anchor}"' in written for anchor in anchors)


def test_nothing_is_said_to_be_missing_that_nobody_asked_for(written: str) -> None:
    text = text_of(written)
    for words in ("dollars", "no chart", "None here", "Not fitted"):
        assert words not in text, words
    assert text.count("CPU energy is not read") == 1, "the reason, where the numbers come from"


def test_the_forecasts_limit_is_one_number(written: str) -> None:
    text = text_of(written)
    assert "15.8" not in text
    assert text.count("forecasts by smaller runs were tested up to 10 times") == 1
    assert "tested that far" in text
