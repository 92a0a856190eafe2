"""What was forecast in 2020 against what was reached since, and the paper's table by the authors' points."""

import math

import pytest

from isoflop.curve.judge import rules
from isoflop.curve.result import Interval
from isoflop.paper import claims, facts, hindsight, hindsight_facts, named
from isoflop.paper.pages import hindsight as page
from isoflop.paper.pages import named as named_page

LINES = hindsight_facts.LINES


def test_the_lines_have_the_exponents_of_the_hardware_burden():
    for name, alpha in facts.HARDWARE_ALPHA.items():
        assert 1 / LINES[name].polynomial.slope == pytest.approx(alpha, rel=0.01)
    assert sum(each.points for each in LINES.values()) == 101
    assert 1 / LINES["WMT14 En-De"].polynomial.slope > 400, "all but flat: no exponent follows"


def test_the_paper_truncates_its_table():
    """29 of 30 exponents of the points lie in [k, k + 1), and 12 not within half of k, as rounding would."""
    inside = rounded = 0
    for target in facts.TABLE:
        derived = hindsight_facts.TABLE_DERIVED[target.benchmark, target.error]
        for form, value, cell in zip(
            ("polynomial", "exponential"), derived, (target.polynomial, target.exponential), strict=True
        ):
            again = hindsight.demanded(LINES[target.benchmark], form, target.error)
            assert again == pytest.approx(value, abs=0.02)
            bounds = facts.truncated(cell[0])
            assert bounds.low is not None
            assert bounds.high is not None
            inside += bounds.low <= value < bounds.high
            rounded += abs(value - cell[0]) <= 0.5
    assert (inside, rounded) == (29, 18)


@pytest.mark.parametrize(("low", "answer"), [(17.71, "disagrees"), (17.70, "compatible but not decisive")])
def test_a_forecast_is_refuted_by_its_lower_end_and_never_confirmed(low, answer):
    assert hindsight.judge(low, 17.7).answer == answer


def test_coco_at_34_per_cent_refutes_the_exponential_form_alone():
    result = hindsight.analyse()
    assert result.log10_largest == pytest.approx(16.7, abs=0.01)
    assert result.log10_limit == pytest.approx(17.7, abs=0.01)
    coco = next(o for o in result.outcomes if o.reached.error == 0.34)
    straight, bent = coco.demands
    assert straight.log10_gflops == pytest.approx(20.7, abs=0.05)
    assert straight.orders == pytest.approx(4.0, abs=0.05)
    assert (straight.ruling.answer, bent.ruling.answer) == ("compatible but not decisive", "disagrees")
    refuted = [d for o in result.outcomes for d in o.demands if d.ruling.answer == "disagrees"]
    assert refuted == [bent]
    claim = next(c for c in claims.judge(claims.Results(hindsight=result)).claims if "COCO" in c.claim)
    assert claim.verdict == "compatible but not decisive"
    assert "the exponential form: disagrees" in claim.why


def test_a_lower_end_lies_below_its_demand_and_every_fact_has_a_source():
    for outcome in hindsight.analyse().outcomes:
        assert outcome.reached.source
        assert outcome.reached.extra
        assert outcome.reached.year >= 2020
        for demand in outcome.demands:
            assert demand.low < demand.log10_gflops


def test_the_section_is_drawn(tmp_path):
    section = page.section(hindsight.analyse(), tmp_path)
    assert (tmp_path / "figures" / "hindsight.png").stat().st_size > 10_000
    assert "Refuted: MS COCO at 34.0% by the exponential form." in section.paragraphs[1]
    assert {len(row) for row in section.tables[0].rows} == {len(section.tables[0].columns)}


def test_named_models_by_hand():
    by_name = {each.name: each for each in named.NAMED}
    alexnet = by_name["AlexNet"]
    assert alexnet.burden_flops == pytest.approx((2 * 1.58e12 * 432_000, 2 * 1.58e12 * 518_400))
    assert alexnet.share == pytest.approx((0.287, 0.344), abs=0.001)
    assert pytest.approx(2 * 1.58e12 * 5.5 * 86_400) == 1.501632e9 * 1e9, "the authors' point"
    resnext, noisy = by_name["ResNeXt-101"], by_name["NoisyStudent (EfficientNet-L2)"]
    assert pytest.approx(resnext.burden_flops[0] / 8) == 5.9184e18, "the authors' point is of one processor"
    assert noisy.burden_flops[0] == pytest.approx(5.184e22)
    assert (resnext.share, noisy.share) == (None, None)
    gpt3 = by_name["GPT-3"]
    assert gpt3.share[0] == pytest.approx(28 / 125, rel=0.01)
    assert gpt3.counted_flops / 28e12 / named.YEAR == pytest.approx(355, abs=1)
    assert pytest.approx(1.48, abs=0.01) == 4.6e6 / (355 * named.YEAR / 3_600)
    search = by_name["Evolved Transformer, with its search"]
    assert search.burden_flops[0] / 6.48e18 == pytest.approx(11_800, rel=0.01)
    assert pytest.approx(5, abs=0.05) == named.SEARCH_POUNDS / named.CARS
    assert pytest.approx(2.1, abs=0.05) == named.ARTICLE_POUNDS / named.CARS


def test_the_table_of_named_models_marks_every_row():
    table = named_page.table()
    assert len(table.rows) == 6
    assert {len(row) for row in table.rows} == {len(table.columns)}
    assert all("[S]" in row[1] or "[M]" in row[1] for row in table.rows)


def test_dollars_of_the_bill_are_judged_too():
    cell = facts.truncated(11)
    assert rules.of_range(Interval(8.0, 10.9), cell, rules.LOG10_AMOUNT).answer == "disagrees"
    assert rules.of_range(Interval(11.0, 11.9), cell, rules.LOG10_AMOUNT).answer == "agrees"
    assert math.isclose(facts.truncated(19).low, 19.0)
