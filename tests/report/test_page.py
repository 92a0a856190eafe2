import collections
import dataclasses
import html
import html.parser
import json
import time

import pytest

from isoflop.curve.result import Excluded, HeldOut, HeldOutRun
from isoflop.report.page import write_report
from isoflop.table.aggregate import Dropped

pytestmark = pytest.mark.slow

HOSTILE = "</script><img src=x onerror=alert(1)>"
LIMIT_BYTES = 3_500_000


class Outline(html.parser.HTMLParser):
    """Tags, ids and visible text of a page; script and style apart."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.hidden = 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.hidden += tag in ("script", "style")

    def handle_endtag(self, tag):
        self.hidden -= tag in ("script", "style")

    def handle_data(self, data):
        if not self.hidden:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_the_page_is_written_whole_and_below_its_limit(sweep):
    directory, table, fits = sweep
    path = write_report(directory, table, fits)
    assert path == directory / "index.html"
    assert 1_500_000 < path.stat().st_size < LIMIT_BYTES
    kinds = collections.Counter(path.suffix for path in (directory / "figures").iterdir())
    assert kinds == {".png": 8, ".svg": 8, ".csv": 8}
    assert not list(directory.rglob("*.tmp"))


def test_the_page_says_what_a_reader_needs(sweep):
    directory, table, fits = sweep
    page = Outline(write_report(directory, table, fits).read_text())
    for words in (
        *(
            "sweep-of-nothing",
            "Error falls as compute to the power −0.150 (0.140 to 0.160).",
            "b = 0.150 (95% interval 0.140 to 0.160)",
        ),
        *("a synthetic warning", "Keep in mind", "Test error against training compute"),
        *(
            "Test error against training energy",
            "Mean test error by width and depth",
            "power law with a floor",
        ),
        *(
            "loss became infinite at step 12",
            "at chance level",
            "one multiply-accumulate (MAC) being 2 FLOPs",
        ),
        *("forward and backward", "optimizer", "fp32", "mlp w128 d3", "0123456789abcdef", "per forward pass"),
    ):
        assert words in page.text, words


def test_the_page_says_all_that_the_fit_says_of_its_data(sweep):
    """As text and JSON do: warnings of every pair of axes, of every law, and each row left out."""
    directory, table, fits = sweep
    reports = tuple(
        dataclasses.replace(
            report,
            warnings=(*report.warnings, f"a warning of pair {i}"),
            excluded=(*report.excluded, Excluded(f"left-{i}", f"a reason of pair {i}")),
            fits=tuple(dataclasses.replace(law, warnings=(f"{law.law} of pair {i}",)) for law in report.fits),
        )
        for i, report in enumerate(fits.reports)
    )
    fits = dataclasses.replace(
        fits, reports=reports, unfitted=(Excluded("y against x", "why there is none"),)
    )
    page = Outline(write_report(directory, table, fits).read_text()).text
    assert len(reports) > 1
    for report in reports:
        for sentence in (
            *report.warnings,
            *(entry.reason for entry in report.excluded),
            *(warning for law in report.fits for warning in law.warnings),
        ):
            assert " ".join(sentence.split()) in page, sentence
    assert "why there is none" in page


def test_numbers_of_all_points_say_so_where_shapes_are_undertrained(make_table, make_fits, tmp_path):
    table = make_table(floor=0.12, exponent=0.3)
    healthy = write_report(tmp_path, table, make_fits(table, floor=0.12)).read_text()
    assert "all points, undertrained" not in healthy
    worst = (table.rows["width"] == 128) & (table.rows["depth"] == 3)
    table.rows.loc[worst, "train_loss"] = 2.0
    page = write_report(tmp_path, table, make_fits(table, floor=0.12)).read_text()
    assert page.count("Laws and forecast are fitted to all points") == 1


def test_the_page_says_how_far_to_trust_the_curve(sweep):
    directory, table, fits = sweep
    held = HeldOut("train_gflops>9", 1, 0.1, 0, 3.0, (HeldOutRun("beefbeef", 9.0, 0.25, 0.2, 0.15, 0.24),))
    report = dataclasses.replace(fits.reports[0], held_out=held)
    fits = dataclasses.replace(fits, reports=(report, *fits.reports[1:]))
    page = Outline(write_report(directory, table, fits).read_text())
    for words in (
        "tested up to 4 times their largest compute",
        "were typically off by ×1.11 at 2 times, ×1.22 at 4 times",
        "the forecast is untested",
        "a synthetic word on the forecast",
        "at 2× (12) at 4× (8) at 10× (0)",
        "25% (12%)",
        "b by profile likelihood above 0.100",
        "a synthetic source",
        "Broken power law",
        "Calibration: of 40 predictions of larger runs by smaller ones, 36 fell into the interval",
        "Laws: at 10 times the largest compute they part",
        "Held out was 1 run (train_gflops>9), up to 3.0 times the largest run that was fitted",
        "0 of 1 lie in its 95% interval",
        "beefbeef 9.00 25.0 20.0 15.0 to 24.0 no",
    ):
        assert words in page.text, words


def test_the_page_is_accessible_and_asks_for_nothing(sweep):
    directory, table, fits = sweep
    text = write_report(directory, table, fits).read_text()
    page = Outline(text)
    tags = [tag for tag, _ in page.tags]
    assert ("html", {"lang": "en"}) in page.tags
    assert tags.count("title") == tags.count("h1") == tags.count("main") == 1
    assert not {"iframe", "object", "embed"} & set(tags)
    for tag, attributes in page.tags:
        assert attributes.get("src", "data:").startswith("data:")
        target = attributes.get("href") or attributes.get("xlink:href") or "#"
        assert target.startswith(("#", "data:")), target
        if tag == "img":
            assert attributes["src"].startswith("data:image/svg+xml;base64,")
            assert attributes["alt"]
        if "scroll" in (attributes.get("class") or "").split():
            assert attributes["tabindex"] == "0"
            assert attributes["aria-label"]
    assert sum("aria-sort" in attributes for _, attributes in page.tags) == 1
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert "@import" not in text
    assert "url(http" not in text


def test_hostile_names_stay_text(make_table, make_fits, tmp_path):
    table = make_table(label=HOSTILE + " w{w} d{d}")
    table = dataclasses.replace(table, dropped=(Dropped(HOSTILE, HOSTILE, HOSTILE),))
    table.rows["data"] = HOSTILE
    table.rows["family"] = HOSTILE
    table.rows["device"] = HOSTILE
    fits = make_fits(table)
    report = dataclasses.replace(fits.reports[0], warnings=(HOSTILE,))
    fits = dataclasses.replace(fits, reports=(report, *fits.reports[1:]))
    text = write_report(tmp_path / "a<b>&c", table, fits).read_text()
    page = Outline(text)
    assert HOSTILE not in text
    assert html.escape(HOSTILE) in text
    assert all(set(attributes) == {"alt", "src"} for tag, attributes in page.tags if tag == "img")
    assert not any(a["src"] == "x" for tag, a in page.tags if tag == "img")
    assert [tag for tag, _ in page.tags].count("script") == 3
    assert "a<b>&c" in page.text


def test_unknown_joules_are_explained_by_their_reason(make_table, make_fits, tmp_path):
    table = make_table(joules=False)
    page = Outline(write_report(tmp_path / "sweep", table, make_fits(table)).read_text())
    assert "Energy unknown no GPU and no readable RAPL counter on this machine (60 runs)" in page.text
    assert page.text.count("RAPL") == 1, "nobody asked for joules: it is said where the numbers come from"
    assert "Energy (J)" not in page.text
    assert not (tmp_path / "sweep" / "figures" / "error_joules.png").exists()


def test_a_table_that_could_not_be_fitted_still_has_a_page(make_table, make_fits, tmp_path):
    table = make_table()
    fits = dataclasses.replace(make_fits(table), reports=())
    page = Outline(write_report(tmp_path / "sweep", table, fits).read_text())
    assert "No law was fitted" in page.text


def test_an_empty_table_is_refused(make_table, make_fits, tmp_path):
    table = make_table()
    fits = make_fits(table)
    empty = dataclasses.replace(table, rows=table.rows.iloc[:0])
    with pytest.raises(ValueError, match="no finished run"):
        write_report(tmp_path, empty, fits)


def test_a_single_run_has_a_page(make_table, make_fits, tmp_path):
    table = make_table(widths=(8,), depths=(1,), seeds=1)
    fits = dataclasses.replace(make_fits(make_table()), reports=())
    assert write_report(tmp_path, table, fits).stat().st_size > 1_000_000


def test_a_thousand_runs_take_seconds(make_table, make_fits, tmp_path):
    table = make_table(widths=tuple(range(4, 104, 2)), depths=(1, 2, 3, 4, 5), seeds=4, joules=True)
    assert len(table.rows) == 1000
    fits = make_fits(table)
    start = time.process_time()
    path = write_report(tmp_path, table, fits)
    assert time.process_time() - start < 15
    assert path.stat().st_size < LIMIT_BYTES


def test_a_run_whose_polls_were_kept_shows_its_power(make_table, make_fits, tmp_path):
    table = make_table(joules=True)
    costly = table.rows.loc[table.rows["energy_joules"].idxmax(), "run_id"]
    (tmp_path / "power").mkdir()
    polls = [{"time": t / 10, "uuid": "GPU-0", "watts": 300.0 + t % 7} for t in range(100)]
    (tmp_path / "power" / f"{costly}.jsonl").write_text("\n".join(map(json.dumps, polls)))
    page = Outline(write_report(tmp_path, table, make_fits(table)).read_text())
    assert "Power during one run" in page.text
    assert (tmp_path / "figures" / "power_trace.png").is_file()
