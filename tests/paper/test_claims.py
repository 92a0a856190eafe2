import dataclasses

import numpy as np
import pytest

from isoflop.curve.result import Estimate, Interval
from isoflop.paper import claims, growth, notable, published
from isoflop.paper.growth import GpuPeak
from isoflop.paper.models import Models
from isoflop.paper.section import Claim


def _estimate(value, low, high):
    return Estimate("x", value, Interval(low, high), "")


@pytest.mark.parametrize(
    ("estimate", "verdict"),
    [
        (_estimate(10, 5, 20), "agrees"),
        (_estimate(6, 5, 9.5), "agrees"),
        (_estimate(6, 5, 7.5), "cannot be tested here"),
        (_estimate(4, 3, 6), "disagrees"),
        (_estimate(30, 20, 40), "disagrees"),
        (_estimate(9, None, 20), "cannot be tested here"),
    ],
)
def test_a_value_is_judged_by_its_interval(estimate, verdict):
    assert claims.against_interval(9, Interval(7, 13.9), estimate) == verdict


@pytest.mark.parametrize(
    ("estimate", "verdict"),
    [
        (_estimate(0.2, 0.15, 0.24), "agrees"),
        (_estimate(0.3, 0.2, 0.4), "agrees"),
        (_estimate(0.4, 0.3, 0.5), "disagrees"),
        (_estimate(0.4, None, None), "cannot be tested here"),
    ],
)
def test_a_bound_is_broken_only_by_a_whole_interval(estimate, verdict):
    assert claims.against_ceiling(0.25, estimate) == verdict


def test_a_rejected_exponent_does_not_stand_alone():
    straight = _published(9)
    claim = next(c for c in claims.judge(claims.Results(published=straight)).claims if "9th root" in c.claim)
    assert straight.exponents[0].lack_of_fit is not None
    assert "rejected" not in claim.found
    bent = _published(9, bend=0.05)
    seen = bent.exponents[0].lack_of_fit
    assert seen.rejected
    assert seen.exponent_low > seen.exponent_high
    assert bent.exponents[1].lack_of_fit is None
    claim = next(c for c in claims.judge(claims.Results(published=bent)).claims if "9th root" in c.claim)
    assert "that line is rejected: the exponent is" in claim.found


def test_without_results_nothing_is_judged_and_the_command_is_named():
    result = claims.judge(claims.Results())
    assert result.untested == len(result.claims) == 11
    assert result.agrees == result.disagrees == 0
    named = " ".join(c.evidence for c in result.claims)
    for part in ("published", "implications", "growth", "overparameterised", "language", "theory"):
        assert f"isoflop paper {part}" in named


def _published(alpha, bend=0.0):
    draw = np.random.default_rng(0)
    compute = np.geomspace(0.1, 100, 80)
    error = 0.3 * compute ** (-1 / alpha) * np.exp(0.02 * draw.standard_normal(80))
    error = error * np.exp(bend * (np.log(compute) - 1) ** 2 / 5)
    n = len(error)
    models = Models(
        source="made up",
        compute_name="forward_gflops",
        family_rule="given",
        names=tuple(map(str, range(n))),
        families=tuple(f"f{i % 20}" for i in range(n)),
        error=tuple(error),
        compute=tuple(compute),
        parameters=(None,) * n,
        year=(None,) * n,
        excluded=(),
    )
    return published.analyse(models, resamples=200)


@pytest.mark.parametrize(("alpha", "verdict"), [(9.0, "agrees"), (3.0, "disagrees"), (40.0, "disagrees")])
def test_the_verdict_on_images_follows_the_models(alpha, verdict):
    judged = claims.judge(claims.Results(published=_published(alpha)))
    claim = next(c for c in judged.claims if "9th root" in c.claim)
    assert claim.verdict == verdict
    assert f"{alpha:.0f}" in claim.found or verdict == "disagrees"


@pytest.mark.parametrize(("times", "verdict"), [(10.0, "agrees"), (2.0, "disagrees"), (60.0, "disagrees")])
def test_the_verdict_on_growth_follows_the_models(times, verdict):
    models = [
        dataclasses.replace(
            notable.TABLE[0],
            name=f"m{i}",
            published=f"{2012 + i // 2}-{1 + 6 * (i % 2):02d}-01",
            train_flops=1e15 * times ** (i / 2) * (1.5, 1 / 1.5)[i // 2 % 2],
        )
        for i in range(16)
    ]
    gpus = [
        GpuPeak(str(y), "gaming", y, "fp32", 1e13 * 1.5 ** (y - 2012), "made up") for y in (2012, 2016, 2020)
    ]
    judged = claims.judge(claims.Results(growth=growth.analyse(models, gpus, source="made up")))
    by_name = {c.claim: c.verdict for c in judged.claims}
    assert by_name["The compute of the largest models grew tenfold a year, 2012 to 2019"] == verdict
    assert by_name["That is far more than hardware gained"] == "agrees"


def test_claims_of_the_theory_are_taken_as_they_are():
    own = (Claim("lasso", "S", "p", "f", "e", "disagrees"),)
    judged = claims.judge(claims.Results(theory=own))
    assert own[0] in judged.claims
    assert judged.disagrees == 1
