import numpy as np
import pandas as pd
import pytest

from isoflop.cli import main
from isoflop.curve.forecast import score


def curve(model, law, points=40, held=12, noise=0.01, seed=0):
    x = np.geomspace(1e6, 1e9, points)
    y = law(x) * np.exp(noise * np.random.default_rng(seed).standard_normal(points))
    rows = {"Domain": "toy", "Task": "t", "Model": model, "Seen Examples": x, "Loss": y}
    return pd.DataFrame(rows | {"Training": [1] * (points - held) + [0] * held})


@pytest.fixture
def benchmark(tmp_path):
    one = curve("floor", lambda x: 0.1 + 300 * x**-0.45)
    two = curve("power", lambda x: 30 * x**-0.25, seed=1)
    pd.concat([one, two, two.iloc[:5]]).to_csv(tmp_path / "benchmark.toy.csv", index=False)
    return tmp_path


def test_curves_of_known_laws_are_predicted_within_their_intervals(benchmark):
    result = score.score(benchmark)
    assert result.duplicates == 5
    (domain,) = result.domains
    assert domain.curves == 2
    assert domain.mean_rmsle["forecast"] < 0.05
    assert domain.coverage > 0.8
    by_model = {c.model: c for c in result.curves}
    assert by_model["floor"].rmsle["power_law_floor"] < by_model["floor"].rmsle["power_law"]
    assert by_model["power"].rmsle["power_law"] < 0.02
    assert (by_model["power"].training, by_model["power"].held_out) == (28, 12)


def test_the_held_out_part_does_not_reach_the_prediction(benchmark):
    rows, _ = score.read_benchmark(benchmark)
    part = rows[rows["Model"] == "floor"].sort_values("Seen Examples")
    fitted = part["Training"] == 1
    x, y, at = (part["Seen Examples"][fitted], part["Loss"][fitted], part["Seen Examples"][~fitted])
    one = score.predict_curve(x.to_numpy(), y.to_numpy(), at.to_numpy())
    other = score.predict_curve(x.to_numpy(), y.to_numpy(), at.to_numpy()[::-1])
    np.testing.assert_allclose(one[0], other[0][::-1], rtol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.drop(columns="Loss"), "no column Loss"),
        (lambda rows: rows.assign(Loss=-1.0), "Loss is -1.0 in row 1"),
        (lambda rows: rows.assign(Loss=rows["Loss"].where(rows.index != 2, 0.0)), "Loss is 0.0 in row 3"),
        (
            lambda rows: rows.assign(Loss=rows["Loss"].where(rows.index != 1)),
            "Loss is nan in row 2: it must be a finite number above 0",
        ),
        (
            lambda rows: rows.assign(Loss=rows["Loss"].astype(object).where(rows.index != 3, "high")),
            "row 4: Loss is",
        ),
        (
            lambda rows: rows.assign(**{"Seen Examples": np.inf}),
            "Seen Examples is inf in row 1: it must be a finite number above 0",
        ),
        (lambda rows: rows.assign(Training=2), "Training must be 1"),
        (lambda rows: rows.assign(Training=1), "points to fit and 0 to predict"),
    ],
)
def test_a_wrong_benchmark_is_refused_in_one_line(tmp_path, change, message, capsys):
    change(curve("a", lambda x: x**-0.1)).to_csv(tmp_path / "benchmark.toy.csv", index=False)
    assert main.main(["score", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_no_benchmark_is_refused(tmp_path):
    with pytest.raises(ValueError, match="give the benchmark's csv"):
        score.score(tmp_path)
