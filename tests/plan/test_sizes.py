"""What a compute is spent on: the joint law's best split against its closed form, else the runs' trend."""

import types
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from isoflop.curve.result import FitReport
from isoflop.plan.amount import Amount
from isoflop.plan.sizes import EXAMPLES, GFLOPS, PARAMETERS, sizes

E, A, ALPHA, B, BETA = 1.7, 400.0, 0.34, 410.0, 0.28
REPORT = cast(FitReport, types.SimpleNamespace(y="loss", level=0.95))


def best_parameters(flops: Any) -> Any:
    """Return N of least E + A / N^alpha + B / D^beta at 6 N D = C (Hoffmann et al. 2022, equation 4)."""
    g = (ALPHA * A / (BETA * B)) ** (1 / (ALPHA + BETA))
    return g * (flops / 6) ** (BETA / (ALPHA + BETA))


def profiles(shares: Any) -> pd.DataFrame:
    """Return runs of five computes at multiples of the best size, their losses within 0.1% of the law's."""
    flops = np.repeat(np.geomspace(1e17, 1e21, 5), len(shares))
    n = best_parameters(flops) * np.tile(shares, 5)
    d = flops / (6 * n)
    noise = np.exp(1e-3 * np.random.default_rng(0).standard_normal(len(n)))
    names = [f"{i}" for i in range(len(n))]
    return pd.DataFrame(
        {
            "run_id": names,
            "config_id": names,
            "place": names,
            PARAMETERS: n,
            EXAMPLES: d,
            GFLOPS: flops * 1e-9,
            "loss": (E + A / n**ALPHA + B / d**BETA) * noise,
        }
    )


def near(amount: Amount, truth: float, rel: float) -> None:
    assert amount.value == pytest.approx(truth, rel=rel)
    assert amount.low is not None
    assert amount.high is not None
    assert amount.low < truth < amount.high


def test_the_best_split_is_that_of_the_closed_form_also_beyond_the_runs() -> None:
    found = sizes(profiles(np.geomspace(0.2, 5.0, 5)), REPORT)
    assert found.basis.startswith("parameters and examples: the best split by the joint law chinchilla")
    for log10, rel in ((12.0, 0.1), (14.0, 0.2)):  # GFLOPs: the largest compute, and 100 times it
        flops = 10.0 ** (log10 + 9)
        n = float(best_parameters(flops))
        near(found.parameters(log10), n, rel)
        near(found.examples(log10), flops / (6 * n), rel)
        both = (found.parameters(log10).value, found.examples(log10).value)
        assert np.prod(np.array(both, float)) * 6 == pytest.approx(flops, rel=1e-6)
        # No column holds a forward pass: a third of the training FLOPs of an example, here 2 N.
        near(found.forward(log10), 2 * n * 1e-9, rel)


def test_a_best_split_outside_what_was_measured_is_not_used_but_the_runs_trend() -> None:
    """All models are 30 to 100 times too large: the trend along them is theirs, not the best one."""
    rows = profiles(np.geomspace(30.0, 100.0, 5))
    found = sizes(rows, REPORT)
    assert "not by the joint law chinchilla" in found.basis
    value = found.parameters(12.0).value
    assert value is not None
    assert 25 < value / float(best_parameters(1e21)) < 110
