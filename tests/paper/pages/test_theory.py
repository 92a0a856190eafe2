import dataclasses

import pytest

from isoflop.paper.pages import theory as paper_theory
from isoflop.paper.theory import simulate
from isoflop.paper.theory.result import TheorySettings

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
    failed = tuple(dataclasses.replace(check, passed=False) for check in result.checks)
    turned = {c.claim: c.verdict for c in paper_theory.claims(dataclasses.replace(result, checks=failed))}
    none = {c.claim: c.verdict for c in paper_theory.claims(dataclasses.replace(result, checks=()))}
    for claim in list(verdicts)[1:]:
        assert turned[claim] == "disagrees"
        assert none[claim] == "cannot be tested here"


def test_a_lasso_that_stays_behind_the_expert_disagrees(result):
    def worse(row):
        low = dataclasses.replace(row.performance, value=-1.0, low=-1.1, high=-0.9)
        return dataclasses.replace(row, performance=low) if row.case == "regularised" else row

    behind = dataclasses.replace(result, rows=tuple(map(worse, result.rows)))
    assert paper_theory.claims(behind)[0].verdict == "disagrees"
    assert paper_theory.claims(result)[0].verdict == "agrees"
