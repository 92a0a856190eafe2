"""The page of a sweep on text speaks of loss in bits per byte; that of one on images as ever."""

import html.parser
import re

import pytest

from isoflop.curve.check.floor import FloorSupport
from isoflop.curve.fit import Method, fit_table
from isoflop.curve.forecast import holdout
from isoflop.curve.result import Estimate, Interval
from isoflop.report import page
from isoflop.report.figures import charts, views
from isoflop.report.text import loss_verdict, verdict
from isoflop.table import aggregate

pytestmark = pytest.mark.slow

BUDGETS = (1e10, 1e11, 1e12, 1e13)
WRONG = (
    *(r"\bimages?\b", r"error rate", r"[Tt]est error", r"per cent", r"\(%\)", r"[Hh]alv\w+ the error"),
    *(r"error falls", r"Wilson 95% interval for", r"test_error", r"[Ww]rong labels", "to no error"),
)
"""What a sentence on text must not say."""
RIGHT_PERCENT = (
    r"\d+% intervals? held \d+%|95%|\d+% \(\d+%\)|off by 12%|within \d+%|in [\d.]+% of"
    r"|they miss its optimal [^.;]*|x explains \d+% of the variance[^.:]*"
)
"""Percentages that are none of error: of intervals, weights and their calibration."""


class Shown(html.parser.HTMLParser):
    """Visible text of a page, with the alternative texts of its pictures."""

    def __init__(self, text: str):
        super().__init__()
        self.words: list[str] = []
        self.hidden = 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.hidden += tag in ("script", "style")
        self.words += [value for name, value in attrs if name in ("alt", "aria-label")]

    def handle_endtag(self, tag):
        self.hidden -= tag in ("script", "style")

    def handle_data(self, data):
        if not self.hidden:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def written(tmp_path_factory, request):
    """The folder, the table, the fits and the visible text of a text sweep's page."""
    make = request.getfixturevalue("make_text_sweep")
    folder = make(tmp_path_factory.mktemp("page") / "synthetic-text", budgets=BUDGETS)
    table = aggregate.aggregate(folder)
    fits = holdout.fit_sweep(table.rows, source="synthetic", method=Method(resamples=60))
    text = page.write_report(folder, table, fits).read_text()
    return folder, table, fits, Shown(text).text


@pytest.mark.parametrize("wrong", WRONG)
def test_no_sentence_on_text_speaks_of_images_or_error_rates(written, wrong):
    _, _, _, text = written
    assert not re.search(rf".{{0,60}}{wrong}.{{0,60}}", text)


def test_no_loss_is_written_as_a_percentage(written):
    _, _, _, text = written
    assert not re.search(r".{0,60}\d%.{0,60}", re.sub(RIGHT_PERCENT, "", text))


@pytest.mark.parametrize(
    "words",
    [
        "How test loss falls as training compute grows",
        "loss falls as compute to the power −b with b = ",
        "this sweep neither agrees nor disagrees with it",
        "Least test loss",
        "Halving the",
        "Test loss against training compute",
        "Test loss against training energy",
        "Test loss against bytes read",
        "Mean test loss by width and depth",
        "Mean test loss in bits a byte over all runs of a shape",
        "the loss is least within the sizes measured",
        "has a standard error of 0.014 over its documents",
        "Points near chance: the loss of text has no level of guessing",
        "Mean test loss (bits a byte)",
        "Read (MB)",
        "an example is one byte",
        "Bars: lowest to highest seed",
    ],
)
def test_the_page_of_text_says(written, words):
    _, _, _, text = written
    assert words in text


def test_the_cards_are_in_bits_a_byte(written):
    _, table, _, text = written
    least = table.rows["test_bits_per_byte"].min()
    assert f"Least test loss {least:.3f} bits a byte" in text
    assert re.search(r"Forecast at 10× compute \d\.\d{3} bits a byte 95% \d\.\d{3} to \d\.\d{3};", text)


def test_the_charts_of_text_have_its_axes_and_hover_texts(written):
    _, table, fits, _ = written
    rows = table.rows.assign(**{views.FLAGGED: False})
    specs = charts.specs(rows, fits)
    assert '"bits_compute"' in specs
    assert "Test loss (bits a byte)" in specs
    assert re.search(r"test loss \d\.\d{3} bits a byte<br>\S+ bytes read", specs)
    assert "error " not in specs
    assert "%" not in specs.replace("95%", "")


def test_the_figures_of_text_have_names_of_their_own(written):
    folder, _, _, _ = written
    names = {path.stem for path in (folder / "figures").iterdir()}
    assert names >= {"bits_compute", "bits_joules", "bits_seconds", "bits_bytes", "width_depth"}
    assert not any(name.startswith("error_") for name in names)


def test_a_floor_of_text_is_a_finding(written):
    _, table, _, _ = written
    rows = table.rows.copy()
    compute = rows["train_gflops"]
    rows["test_bits_per_byte"] = (1.5 + 3.0 * compute**-0.3) * (rows["test_bits_per_byte"] / 3).pow(0.01)
    fits = holdout.fit_sweep(rows, source="synthetic", method=Method(resamples=60))
    judged = verdict.judge(rows, fits.reports[0], "")
    assert re.match(
        r"Over all runs, loss falls towards about 1\.(4|5)\d+ bits a byte; the part", judged.headline
    )
    assert "The law with an irreducible part is clearly closer" in " ".join(judged.sentences)


def test_the_page_of_images_says_as_ever(sweep):
    directory, table, fits = sweep
    text = Shown(page.write_report(directory, table, fits).read_text()).text
    for words in (
        "How test error falls as training compute grows",
        "To halve the error",
        "Test set: 1,000 images",
        "Wilson 95% interval for the test images",
        "Mean test error in per cent over all runs of a shape",
        "Test loss (nats)",
    ):
        assert words in text
    assert "bits a byte" not in text


def test_an_irreducible_part_of_fewer_runs_is_not_given_the_exponent_of_all(written):
    _, table, _, _ = written
    rows = table.rows.copy()
    rows["test_bits_per_byte"] = (1.5 + 3.0 * rows["train_gflops"] ** -0.3) * (
        rows["test_bits_per_byte"] / 3
    ).pow(0.01)
    report = fit_table(rows, x="train_gflops", y="test_bits_per_byte", method=Method(resamples=60))
    unit = "bits a byte"
    support = FloorSupport(
        names=("gpt w64 d3",),
        runs=2,
        floor=Estimate("E", 1.5, Interval(1.4, 1.6), unit),
        identified=True,
        exponent=Estimate("b", 0.1, Interval(0.09, 0.11), "1"),
        floor_without=Estimate("E", 1.2, Interval(1.1, 1.3), unit),
        stands=True,
        exponent_without=Estimate("b", 0.2, Interval(0.19, 0.21), "1"),
        reason=None,
    )
    seeds = rows.groupby("place_id")["seed"].nunique()
    headline, _ = loss_verdict.judge(rows, report, "", seeds, None, support)
    assert headline == "Over all runs but undertrained shapes, loss falls towards about 1.200 bits a byte."
