"""The draws of a fit as a table: each value once, numbered over all laws."""

import numpy as np
import pandas as pd
import pytest

from isoflop import extras
from isoflop.curve import draws, fit
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
    found = kept.table()
    assert found.index.tolist() == list(range(len(found))), "one running number over the laws"
    for law in report.fits:
        mine = found[found["law"] == law.law]
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


def test_a_file_of_draws_is_csv_or_parquet_in_a_folder_that_exists(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(extras, "check", lambda what, package: asked.append(package))
    draws.check(tmp_path / "draws.csv")
    assert asked == []
    draws.check(tmp_path / "draws.PARQUET")
    assert asked == ["pyarrow"]
    with pytest.raises(ValueError, match=r"draws.txt: give a file that ends in .csv or .parquet"):
        draws.check(tmp_path / "draws.txt")
    (tmp_path / "folder.csv").mkdir()
    for path in (tmp_path / "folder.csv", tmp_path / "absent" / "draws.csv"):
        with pytest.raises(ValueError, match="give a file in a folder that exists"):
            draws.check(path)


@pytest.mark.parametrize(("name", "read"), [("d.csv", pd.read_csv), ("d.PARQUET", pd.read_parquet)])
def test_draws_are_written_in_the_format_of_the_suffix(tmp_path, name, read):
    if name.endswith("PARQUET"):
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    part = {key: [0.5, 0.25] for key in COLUMNS} | {"kind": ["parameter", "parameter"]}
    Draws([pd.DataFrame(part)]).write(tmp_path / name)
    kept = read(tmp_path / name)
    assert tuple(kept.columns) == COLUMNS
    assert kept["value"].tolist() == [0.5, 0.25]
