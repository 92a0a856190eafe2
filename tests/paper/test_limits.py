"""Published shares of peak: the figures that Vegh gives, the formulas to 1e-12, and their claims."""

import dataclasses
from fractions import Fraction

import pytest

from isoflop.cli import paper_parts
from isoflop.cli.main import parser
from isoflop.paper import claims, limits, limits_facts
from isoflop.paper.pages import limits as page


def test_the_figures_of_november_2020_follow_from_the_list():
    result = limits.analyse()
    found = {(each.machine, each.program): each for each in result.reached}
    for machine, dense, sparse in (
        ("Fugaku", 0.823, 0.030),
        ("Summit", 0.740, 0.0146),
        ("Sierra", 0.753, 0.0143),
    ):
        assert found[machine, "HPL"].efficiency == pytest.approx(dense, abs=0.0005)
        assert found[machine, "HPCG"].efficiency == pytest.approx(sparse, abs=0.0005)
    assert limits.judge(result).answer == "agrees"
    assert found["El Capitan", "HPL"].efficiency == pytest.approx(0.634, abs=0.0005)
    assert found["El Capitan", "HPL"].claimed is None


@pytest.mark.parametrize("machine", limits_facts.MACHINES, ids=lambda machine: machine.name)
@pytest.mark.parametrize("program", ["HPL", "HPCG"])
def test_formulas_against_exact_fractions(machine, program):
    each = next(r for r in limits.analyse((machine,)).reached if r.program == program)
    rate = Fraction(str(machine.hpl_tflops if program == "HPL" else machine.hpcg_tflops))
    share, cores = rate / Fraction(str(machine.peak_tflops)), machine.cores
    alpha = Fraction(cores, cores - 1) * (share * cores - 1) / (share * cores)
    assert each.efficiency == pytest.approx(float(share), rel=1e-12)
    assert each.speedup == pytest.approx(float(share * cores), rel=1e-12)
    assert each.serial_fraction == pytest.approx(float(1 - alpha), rel=1e-12)
    assert each.limit == pytest.approx(float(1 / (1 - alpha)), rel=1e-12)
    assert each.speedup < each.limit
    assert float(1 / (cores * (1 - alpha) + alpha)) == pytest.approx(each.efficiency, rel=1e-12)


@pytest.mark.parametrize(
    ("value", "claimed", "answer"),
    [(0.8234, "0.823", True), (0.8236, "0.823", False), (0.01455, "0.0146", True), (0.0145, "0.0146", False)],
)
def test_rounding_to_the_digits_that_are_given(value, claimed, answer):
    assert limits.rounds_to(value, claimed) is answer


def test_a_wrong_figure_is_named():
    first = limits_facts.MACHINES[0]
    wrong = dataclasses.replace(first, claimed_hpcg="0.040")
    ruling = limits.judge(limits.analyse((wrong, *limits_facts.MACHINES[1:])))
    assert ruling.answer == "disagrees"
    assert "Fugaku on HPCG" in ruling.why


def test_claims_and_every_source():
    result = limits.analyse()
    judged = claims.judge(claims.Results(limits=result))
    shares, fractions = judged.claims[-2:]
    assert (shares.verdict, fractions.verdict) == ("agrees", "cannot be told")
    assert "Fugaku HPCG 0.0298" in shares.found
    assert "share of peak mixes" in fractions.why
    assert all(machine.source for machine in result.machines)


def test_the_section_is_drawn(tmp_path):
    section = page.section(limits.analyse(), tmp_path)
    assert (tmp_path / "figures" / "limits.png").stat().st_size > 10_000
    for table in section.tables:
        assert {len(row) for row in table.rows} == {len(table.columns)}


def test_the_command_that_is_kept_is_the_one_that_was_given():
    options, _ = parser().parse_known_args(["paper", "limits"])
    assert paper_parts.command("limits", options) == "isoflop paper limits"
