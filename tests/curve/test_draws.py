"""The draws of a fit as a table: each value once, numbered over all laws."""

import numpy as np
import pytest

from isoflop.curve import fit
from isoflop.curve.draws import COLUMNS, Draws

X = np.geomspace(1.0, 1e4, 8)


def test_draws_are_the_parameters_predictions_and_residuals_of_every_law(make_table):
    kept = Draws()
    assert kept.table().empty
    assert tuple(kept.table().columns) == COLUMNS
    noise = np.exp(0.02 * np.random.default_rng(0).standard_normal(8))
    table = make_table(X, 0.5 * X**-0.2 * noise)
    laws = ("power_law_ols", "power_law")
    method = fit.Method(laws=laws, resamples=50, forecast=False, keep=kept.add)
    report = fit.fit_table(table, x="train_gflops", y="test_error", method=method)
    draws = kept.table()
    assert draws.index.tolist() == list(range(len(draws))), "one running number over the laws"
    for law in report.fits:
        mine = draws[draws["law"] == law.law]
        for parameter in law.parameters:
            values = mine[(mine["kind"] == "parameter") & (mine["name"] == parameter.name)]
            assert values["draw"].tolist() == list(range(51))
            assert values["value"].iloc[0] == pytest.approx(parameter.value)
            assert values["at"].isna().all()
        predicted, residual = (mine[mine["kind"] == kind] for kind in ("prediction", "residual"))
        assert predicted["name"].tolist() == residual["name"].tolist() == table["run_id"].tolist()
        np.testing.assert_allclose(predicted["at"], X)
        seen = predicted["value"].to_numpy() * np.exp(residual["value"].to_numpy())
        np.testing.assert_allclose(seen, table["test_error"])
