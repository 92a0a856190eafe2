import dataclasses

import pytest

from isoflop.paper.pages import theory as paper_theory
from isoflop.paper.theory import simulate
from isoflop.paper.theory.result import SimulatedMean, TheorySettings

SETTINGS = TheorySettings(
    features=40,
    relevant=5,
    sizes=(11, 20, 40, 91, 400),
    simulations=20,
    sensitivity_simulations=2,
    timing_repeats=1,
    resamples=100,
)


@pytest.fixture(scope="module")
def result():
    return simulate.run(SETTINGS, hardware="test processor")


def test_a_section_names_its_figure_and_its_choices(result, tmp_path):
    section = paper_theory.section(result, tmp_path)
    for stem in section.figures:
        assert (tmp_path / "figures" / f"{stem}.png").stat().st_size > 10_000
        assert (tmp_path / "figures" / f"{stem}.svg").read_text().lstrip().startswith("<?xml")
    text = " ".join(section.paragraphs)
    assert "noise variance 1" in text
    assert "test processor" in text
    assert "held out" in text
    for table in section.tables:
        assert table.rows
        assert {len(row) for row in table.rows} == {len(table.columns)}


def test_verdicts_follow_from_the_numbers(result):
    verdicts = {claim.claim: claim.verdict for claim in paper_theory.claims(result)}
    assert len(verdicts) == 3
    never = tuple(dataclasses.replace(each, examples=None, flops=None) for each in result.reaches)
    none = {c.claim: c.verdict for c in paper_theory.claims(dataclasses.replace(result, reaches=never))}
    for claim in list(verdicts)[1:]:
        assert none[claim] == "cannot be told"


@pytest.mark.parametrize(
    ("lasso", "data", "computation"),
    [
        ((30.0, 29.0, 31.0), "agrees", "disagrees"),
        ((300.0, 290.0, 310.0), "disagrees", "agrees"),
        ((100.0, 95.0, 105.0), "compatible but not decisive", "compatible but not decisive"),
        ((30.0, 5.0, 90.0), "compatible but not decisive", "disagrees"),
    ],
)
def test_nearer_is_judged_by_the_whole_interval_and_its_width(result, lasso, data, computation):
    """The oracle needs 10 and the flexible model 1,000: 100 is as near the one as the other."""
    needed = {
        "oracle": SimulatedMean(10.0, 10.0, 10.0),
        "regularised": SimulatedMean(*lasso),
        "flexible": SimulatedMean(1000.0, 1000.0, 1000.0),
    }
    reaches = tuple(
        dataclasses.replace(each, examples=needed[each.case], flops=needed[each.case])
        for each in result.reaches
        if each.case in needed and each.performance == result.settings.target
    )
    made = paper_theory.claims(dataclasses.replace(result, reaches=reaches))
    assert [claim.verdict for claim in made[1:]] == [data, computation]


def test_a_lasso_that_stays_behind_the_expert_disagrees(result):
    def worse(row):
        low = dataclasses.replace(row.performance, value=-1.0, low=-1.1, high=-0.9)
        return dataclasses.replace(row, performance=low) if row.case == "regularised" else row

    behind = dataclasses.replace(result, rows=tuple(map(worse, result.rows)))
    assert paper_theory.claims(behind)[0].verdict == "disagrees"
    assert paper_theory.claims(result)[0].verdict == "agrees"
