import dataclasses

import numpy as np
import pytest

from isoflop.curve.result import Interval
from isoflop.paper import claims, claims_published, growth, implications, notable, published
from isoflop.paper.growth import GpuPeak
from isoflop.paper.models import Models
from isoflop.paper.section import Claim

TODAY = implications.today(
    1e15, dollars_per_gpu_hour=10.0, grams_co2_per_kwh=366.0, pue=1.58, source="made up"
)


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
    assert claim.verdict == "cannot be told"


def test_without_results_nothing_is_judged_and_the_command_is_named():
    result = claims.judge(claims.Results())
    assert result.undecided == len(result.claims) == 15
    assert result.agrees == result.disagrees == result.compatible == 0
    named = " ".join(c.evidence for c in result.claims)
    for part in (
        "published",
        "implications",
        "growth",
        "overparameterised",
        "language",
        "levers",
        "theory",
        "limits",
    ):
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
    own = (Claim("lasso", "S", "p", "f", "e", "disagrees", "w"),)
    judged = claims.judge(claims.Results(theory=own))
    assert own[0] in judged.claims
    assert judged.disagrees == 1


def _billed(low, high, value):
    """The result of the section on implications with one bill of models for 5% on ImageNet."""
    empty = implications.analyse(TODAY, None)
    one = dataclasses.replace(
        empty.bills[0],
        source="models: made up",
        error=0.05,
        per="training, assumed",
        log10_gflops=value,
        interval=Interval(low, high),
        log10_dollars_paper=value + 9 - 17,
    )
    other = dataclasses.replace(one, form="exponential")
    return dataclasses.replace(empty, bills=(one, other, *empty.bills))


@pytest.mark.parametrize(
    ("ends", "verdict"),
    [
        ((19.1, 19.8, 19.5), "agrees"),
        ((14.0, 22.3, 16.4), "compatible but not decisive"),
        ((19.1, 20.1, 19.5), "compatible but not decisive"),
        ((16.0, 18.9, 17.0), "disagrees"),
    ],
)
def test_the_bill_is_judged_by_gflops_and_by_dollars(ends, verdict):
    low, high, value = ends
    judged = claims.judge(claims.Results(implications=_billed(low, high, value)))
    claim = next(c for c in judged.claims if c.claim.startswith("5% error on ImageNet"))
    assert claim.verdict == verdict
    assert "GFLOPs: " in claim.why
    assert "dollars: " in claim.why


def test_dollars_alone_can_fail_a_bill():
    """At the paper's conversion 10^19.95 GFLOPs are between 10^11.87 and 10^12.05 dollars: over the cell."""
    claim = claims_published.bill(_billed(19.9, 19.99, 19.95))
    assert claim.verdict == "compatible but not decisive"
    assert "GFLOPs: agrees" in claim.why
    assert "dollars: compatible" in claim.why
