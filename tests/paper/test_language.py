"""A language sweep beside the paper's benchmarks: a known exponent, and claims that are never judged."""

import dataclasses
import math

import numpy as np
import pytest

from isoflop.paper import claims, language, saved
from isoflop.paper.pages import language as page


@pytest.fixture(scope="module")
def rows(language_sweep):
    return language_sweep.language_table().rows


@pytest.fixture(scope="module")
def result(rows):
    return language.analyse(rows, source="synthetic", resamples=200)


def test_the_exponent_of_a_power_law_comes_back(rows):
    bits = 3.0 * (rows["train_gflops"] / 100) ** -0.05
    noise = np.exp(0.002 * np.random.default_rng(0).standard_normal(len(rows)))
    found = language.analyse(rows.assign(test_bits_per_byte=bits * noise), source="made up", resamples=200)
    assert found.exponent.value == pytest.approx(0.05, rel=0.03)
    assert found.alpha.value == pytest.approx(20, rel=0.05)


def test_with_a_floor_the_best_models_exponent_is_that_of_the_law(language_sweep, result):
    budgets = language_sweep.BUDGETS
    bits = [language_sweep.LAW.bits(*language_sweep.optimum(budget)) for budget in (budgets[0], budgets[-1])]
    mean = np.log(bits[0] / bits[1]) / np.log(budgets[-1] / budgets[0])
    assert result.best_exponent.value == pytest.approx(mean, rel=0.05)
    assert (result.runs, result.configs) == (48, 24)


def test_the_claims_are_not_measured_without_a_sweep_and_never_judged(result):
    without = [c for c in claims.judge(claims.Results()).claims if "hardware burden" in c.claim]
    with_sweep = [
        c for c in claims.judge(claims.Results(language=result)).claims if "hardware burden" in c.claim
    ]
    assert len(without) == len(with_sweep) == 3
    assert {c.found for c in without} == {"not measured"}
    assert all("isoflop paper language DIR" in c.evidence for c in without)
    for claim, alpha in zip(with_sweep, ("7.8", "60", "42"), strict=True):
        assert f"k^{alpha} the hardware burden" in claim.claim
        assert "bits a byte: alpha = " in claim.found
        assert "along the best split of compute they fall as compute to the power −b with b = " in claim.found
        assert claim.found.count("alpha") == 1, "of the power law alone"
        assert "processors x peak x time" in claim.evidence
    assert {c.verdict for c in (*without, *with_sweep)} == {"cannot be told"}


@pytest.mark.parametrize("value", [math.nan, 0.0, -0.1])
def test_no_exponent_is_claimed_where_none_is_known(result, value):
    best = dataclasses.replace(result.best_exponent, value=value)
    judged = claims.judge(claims.Results(language=dataclasses.replace(result, best_exponent=best))).claims
    assert not any("best split" in claim.found for claim in judged)


def test_the_section_says_what_differs_and_is_read_back(result, tmp_path):
    section = page.section(result, tmp_path)
    saved.write(tmp_path, result, section, result.benchmarks, "isoflop paper language DIR")
    assert saved.read_result(tmp_path, "language", language.LanguageResult) == result
    (table,) = section.tables
    assert [row[0] for row in table.rows] == ["this sweep", *language.BENCHMARKS]
    assert "shown and not judged" in section.paragraphs[1]


def test_images_and_too_few_configurations_are_refused(rows):
    with pytest.raises(ValueError, match="made up: 0 configurations of text"):
        language.analyse(rows.assign(domain="image"), source="made up")
    with pytest.raises(ValueError, match="run isoflop sweep sweep=isoflop_lm"):
        language.analyse(rows[rows["train_gflops"] < 200], source="made up")
