import dataclasses
import math
import re
import shutil

import pytest

from isoflop.curve.result import Interval
from isoflop.paper import growth, notable, saved
from isoflop.paper.growth import GpuPeak
from isoflop.paper.pages import growth as paper_growth
from isoflop.paper.pages import page as paper_page
from isoflop.paper.pages.drawing import power_interval, power_of_ten
from isoflop.paper.section import Claim, PaperSection, SectionTable


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the section on growth, made as the verb makes it, and one of hostile text."""
    made = tmp_path_factory.mktemp("paper")
    gpus = [
        GpuPeak(str(y), "gaming", y, "fp32", 1e13 * 1.5 ** (y - 2012), "made up") for y in (2012, 2016, 2020)
    ]
    result = growth.analyse(notable.TABLE, gpus, source="the <b>table</b>")
    saved.write(made, result, paper_growth.section(result, made), result.models, "isoflop paper growth")
    claim = Claim("a < b & c", "M", "p", "f", "e", "disagrees", "w")
    table = SectionTable("T", ("A", "B"), (("x", "1 [M]"), ("<script>", "2")))
    saved.write(
        made, claim, PaperSection("claims", "Claims", ("w [D]",), (table,), (), (claim,)), (claim,), "isoflop"
    )
    paper_page.write(made)
    return made


def test_the_page_holds_all_and_asks_for_nothing(folder):
    page = (folder / "index.html").read_text()
    assert page.count('<img alt="') == 2
    assert not re.search(r'(?:src|href)="(?!#|data:|https://arxiv)', page)
    assert "@import" not in page
    assert "url(http" not in page
    for name in (paper_growth.MODELS, paper_growth.RATES):
        for suffix in ("png", "svg"):
            assert (folder / "figures" / f"{name}.{suffix}").stat().st_size > 1000
    assert page.index('id="claims"') < page.index('id="growth"')


def test_text_is_escaped_and_marks_are_set_apart(folder):
    page = (folder / "index.html").read_text()
    assert "a &lt; b &amp; c" in page
    assert "<td><script>" not in page
    assert "the &lt;b&gt;table" in page
    assert 'w <abbr class="mark">D</abbr>' in page
    assert '1 <abbr class="mark">M</abbr>' in page
    assert 'class="verdict claim disagrees"' in page


def test_ids_are_unique(folder):
    ids = re.findall(r' id="([^"]+)"', (folder / "index.html").read_text())
    assert len(ids) == len(set(ids))


def test_an_empty_folder_has_no_page(tmp_path):
    with pytest.raises(ValueError, match="run isoflop paper all"):
        paper_page.write(tmp_path)


def test_a_section_without_a_caption_speaks_with_its_title(folder):
    growth_section = next(s for s in saved.read_sections(folder) if s.section.name == "growth").section
    bare = dataclasses.replace(growth_section, captions=())
    assert all(f.caption == growth_section.title for f in paper_page._figures(bare, folder))


@pytest.mark.parametrize(
    ("log10", "text"),
    [
        (None, "–"),
        (19.0, "10¹⁹"),
        (math.log10(2.5e19), "2.5 × 10¹⁹"),
        (math.log10(9.99e19), "10²⁰"),
        (350.3, "2.0 × 10³⁵⁰"),
        (2.0, "100"),
        (-5.0, "10⁻⁵"),
    ],
)
def test_amounts_of_any_size_are_written(log10, text):
    assert power_of_ten(log10) == text


def test_intervals_of_powers():
    assert power_interval(Interval(13.6, 22.4)) == "10¹⁴ to 10²²"
    assert power_interval(Interval(13.6, None)) == "above 10¹⁴"
    assert power_interval(None) == power_interval(Interval(None, None)) == "unbounded"


@pytest.mark.browser
def test_a_narrow_screen_does_not_scroll_sideways(folder):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        try:
            browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        except Exception as error:
            pytest.skip(f"no Chromium: {error}")
        page = browser.new_page(viewport={"width": 390, "height": 844})
        page.goto((folder / "index.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        browser.close()


def test_a_section_whose_drawing_is_gone_is_left_off_until_it_is_made_again(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "paper")
    (tmp_path / "paper" / "figures" / f"{paper_growth.RATES}.svg").unlink()
    page = paper_page.write(tmp_path / "paper").read_text()
    assert 'id="claims"' in page
    assert 'id="growth"' not in page


def test_a_page_of_somebody_else_is_told_from_ours(tmp_path):
    assert not paper_page.is_foreign(tmp_path)
    (tmp_path / paper_page.PAGE).write_text("<title>my home page</title>")
    assert paper_page.is_foreign(tmp_path)
    (tmp_path / paper_page.PAGE).write_text(paper_page.render([]))
    assert not paper_page.is_foreign(tmp_path)
