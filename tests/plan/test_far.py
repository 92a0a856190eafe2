"""Bands that reach far for costs are, where a page shows them, those of the default method exactly."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from isoflop.curve import fit
from isoflop.curve.fit import Method
from isoflop.curve.result import FitFile
from isoflop.plan import far, make


@pytest.fixture(scope="module")
def both() -> tuple[FitFile, FitFile]:
    x = np.repeat(np.geomspace(1.0, 1e3, 8), 2)
    y = 0.5 * x**-0.3 * np.exp(0.03 * np.random.default_rng(0).standard_normal(len(x)))
    rows = pd.DataFrame(
        {"run_id": [f"{i}" for i in range(16)], "config_id": np.arange(16) // 2, "x": x, "y": y}
    )
    shown_method = Method(laws=("power_law_ols", "power_law", "power_law_floor"), resamples=100)
    reports = [
        fit.fit_table(rows, x="x", y="y", method=method)
        for method in (shown_method, dataclasses.replace(shown_method, beyond=make.BEYOND))
    ]
    shown, reaching = (fit.file_of((report,), source="rows") for report in reports)
    return shown, reaching


def test_one_fit_serves_the_page_and_the_costs(both: tuple[FitFile, FitFile]) -> None:
    shown, reaching = both
    assert reaching.reports[0].fits[0].band.x[-1] == pytest.approx(1e15)
    assert shown.reports[0].fits[0].band.x[-1] == pytest.approx(1e4)
    assert shown.reports[0].forecast is not None
    assert reaching != shown
    assert far.near(reaching) == shown
    assert far.near(shown) == shown
