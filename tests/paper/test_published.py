import dataclasses
from pathlib import Path

import numpy as np
import pytest

from isoflop.paper import forms, published
from isoflop.paper.models import Columns, Models, family_of, read_models_csv

DATA = Path(__file__).parents[2] / "../shared/data/published"


def _models(error, compute, families=None, year=None):
    n = len(error)
    return Models(
        source="made up",
        compute_name="gflops",
        family_rule="given",
        names=tuple(f"m{i}" for i in range(n)),
        families=tuple(families or (f"f{i}" for i in range(n))),
        error=tuple(error),
        compute=tuple(compute),
        parameters=(None,) * n,
        year=tuple(year) if year is not None else (None,) * n,
        excluded=(),
    )


@pytest.mark.parametrize(
    ("name", "columns", "count", "alpha"),
    [
        (
            "timm_top1_gmacs.csv",
            Columns("top1_err", "infer_gmacs", name="model", exclude_name="^test_"),
            1451,
            9.3,
        ),
        (
            "imgclsmob_imagenet.csv",
            Columns("top1_error", "multiply_adds(FLOPs/2)", name="model", where="top1_error < 60"),
            322,
            8.5,
        ),
        ("pycls_model_zoo.csv", Columns("top1_error", "train_hr_100ep_8xV100", name="model"), 36, 9.4),
    ],
    ids=["timm", "imgclsmob", "pycls"],
)
def test_the_exponents_of_three_public_tables(name, columns, count, alpha):
    if not (DATA / name).exists():
        pytest.skip(f"no {name} in ../shared/data/published")
    models = read_models_csv(DATA / name, dataclasses.replace(columns, y_unit="percent"))
    result = published.analyse(models, resamples=100)
    mean = result.exponents[0]
    assert result.count == count
    assert round(mean.alpha.value, 1) == alpha
    assert mean.alpha.interval.low < mean.alpha.value < mean.alpha.interval.high
    assert mean.inverse_alpha.value == pytest.approx(mean.r_squared * mean.alpha.value)
    assert [e.line for e in result.exponents] == ["mean", "median", "best 10%"]


def test_a_known_exponent_and_trend_come_back():
    draw = np.random.default_rng(0)
    compute, year = 10 ** draw.uniform(-1, 2, 200), draw.uniform(2012, 2022, 200)
    error = 0.3 * compute ** (-1 / 9) * 0.95 ** (year - 2012) * np.exp(0.02 * draw.standard_normal(200))
    result = published.analyse(_models(error, compute, year=year), resamples=200)
    trend = result.trend
    assert trend.alpha_at_fixed_year.value == pytest.approx(9, rel=0.05)
    assert trend.alpha_at_fixed_year.interval.low < 9 < trend.alpha_at_fixed_year.interval.high
    assert trend.error_ratio_a_year.value == pytest.approx(0.95, abs=0.003)
    assert trend.compute_ratio_a_year.value == pytest.approx(0.95**9, abs=0.02)


def test_alpha_knows_no_unit():
    draw = np.random.default_rng(1)
    compute = 10 ** draw.uniform(0, 2, 40)
    error = 0.4 * compute**-0.1 * np.exp(0.1 * draw.standard_normal(40))
    one, other = (published.analyse(_models(error, scale * compute), resamples=100) for scale in (1, 1e9))
    for a, b in zip(one.exponents, other.exponents, strict=True):
        assert a.alpha.value == pytest.approx(b.alpha.value, rel=1e-7)
        assert a.alpha.interval.low == pytest.approx(b.alpha.interval.low, rel=1e-6)


@pytest.mark.parametrize("form", forms.FORMS)
def test_the_form_that_made_the_data_predicts_the_larger_models_better(form):
    draw = np.random.default_rng(2)
    x = np.sort(draw.uniform(0, 5, 300))
    height = (0.5 + 0.3 * x) if form == "polynomial" else (2 + 4 * x)
    error = forms.error_at(form, height) * np.exp(0.02 * draw.standard_normal(300))
    result = published.analyse(_models(error, 10**x), resamples=100)
    assert result.forms.better == form
    assert result.forms.horizon == pytest.approx(10**2.5, rel=0.5)


def test_what_cannot_be_fitted_is_said():
    with pytest.raises(ValueError, match="3 usable models"):
        published.analyse(_models([0.1, 0.2, 0.3], [1, 2, 3]))
    with pytest.raises(ValueError, match="same gflops"):
        published.analyse(_models(np.linspace(0.1, 0.2, 10), [1.0] * 10))
    rising = _models(np.linspace(0.1, 0.5, 20), np.linspace(1, 100, 20))
    with pytest.raises(ValueError, match="does not fall"):
        published.analyse(rising)


def test_a_family_is_the_letters_that_begin_a_name():
    assert family_of("eva02_large_patch14") == "eva"
    assert family_of("RegNetX-200MF") == "regnetx"
    assert family_of("101net") == "101net"


def test_a_csv_says_what_is_wrong(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text(
        "name,err,flops,when\na,20,1,2015-07-01\nb,,2,2016\nc,120,3,x\nd,30,0,2017\ntest_e,9,4,2018\n"
    )
    with pytest.raises(ValueError, match="did you mean err"):
        read_models_csv(path, Columns("error", "flops"))
    with pytest.raises(ValueError, match="--y-unit percent"):
        read_models_csv(path, Columns("err", "flops"))
    with pytest.raises(ValueError, match="regular expression"):
        read_models_csv(path, Columns("err", "flops", exclude_name="("))
    with pytest.raises(ValueError, match="no such file"):
        read_models_csv(tmp_path / "none.csv", Columns("err", "flops"))
    models = read_models_csv(
        path, Columns("err", "flops", name="name", year="when", y_unit="percent", exclude_name="^test_")
    )
    assert models.names == ("a",)
    assert models.error == (0.2,)
    assert models.year[0] == pytest.approx(2015.5, abs=0.01)
    assert [e.run_id for e in models.excluded] == ["b", "c", "d", "test_e"]
    assert "no err" in models.excluded[0].reason
    assert "between 0 and 100" in models.excluded[1].reason


def test_text_for_a_number_is_excluded_with_what_to_write(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("sep=;\nname;err;flops\na;0,2;1\nb;0.3;1,000,000\nc;0.4;3\n")
    models = read_models_csv(path, Columns("err", "flops", name="name"))
    assert models.names == ("c",)
    assert [(e.run_id, e.reason.rpartition(", ")[2]) for e in models.excluded] == [
        ("a", "0.2"),
        ("b", "1000000"),
    ]


def test_small_errors_under_the_name_of_a_percentage_need_their_unit(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("name,err_pct,flops\na,0.5,1\nb,0.4,2\n")
    with pytest.raises(ValueError, match="--y-unit percent if these are percentages, --y-unit fraction"):
        read_models_csv(path, Columns("err_pct", "flops"))
    models = read_models_csv(path, Columns("err_pct", "flops", y_unit="percent"))
    assert models.error == (0.005, 0.004)
