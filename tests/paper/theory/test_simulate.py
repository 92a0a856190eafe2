import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from isoflop.paper import saved
from isoflop.paper.section import PaperSection
from isoflop.paper.theory import estimators, laws, simulate
from isoflop.paper.theory.laws import LassoWork
from isoflop.paper.theory.penalty_path import Examples, choose_penalty
from isoflop.paper.theory.reach import variation
from isoflop.paper.theory.result import SIZES, TheoryResult, TheorySettings, quick

pytestmark = pytest.mark.slow

FACTS: dict[str, Any] = {"features": 1000, "relevant": 10, "kind": "equal", "noise_variance": 1.0}
SMALL = TheorySettings(
    features=200,
    relevant=5,
    sizes=(11, 20, 40, 80, 200, 401, 3000),
    simulations=100,
    sensitivity_simulations=4,
    timing_repeats=1,
    resamples=200,
)


@pytest.fixture(scope="module")
def small():
    return simulate.run(SMALL)


def _check(result, name):
    return next(check for check in result.checks if check.name == name)


@pytest.mark.parametrize("noise", [0.01, 1.0, 30.0])
def test_oracle_at_15_equals_flexible_at_1401_for_any_noise(noise):
    facts = FACTS | {"noise_variance": noise}
    one = laws.expected_mse("oracle", 15, **facts)
    assert one == pytest.approx(noise * 10 / 4 / 10)
    assert laws.expected_mse("flexible", 1401, **facts) == pytest.approx(one)


def test_the_experts_ceiling_is_1_with_equal_coefficients():
    performance = [-math.log10(laws.expected_mse("expert", n, **FACTS)) for n in (10**3, 10**5, 10**8)]
    assert performance == sorted(performance)
    assert performance[-1] == pytest.approx(1.0, abs=1e-6)
    assert all(value < 1.0 for value in performance)
    assert laws.examples_for("expert", 1.0, **FACTS) is None


def test_least_squares_has_no_finite_mean_beside_as_many_examples_as_features():
    assert [laws.expected_mse("flexible", n, **FACTS) for n in (999, 1000, 1001)] == [None] * 3
    near = [laws.expected_mse("flexible", n, **FACTS) for n in (500, 900, 998, 1002, 1100, 1401)]
    assert near[2] > near[1] > near[0]
    assert near[3] > near[4] > near[5]


@pytest.mark.parametrize("n", [30, 200, 1401])
def test_simulated_least_squares_follows_the_exact_distribution(n):
    """The flexible case has noise chi^2_m / chi^2_k, and for n < p the missed part, a Beta variable."""
    settings = TheorySettings(features=100, relevant=10)
    p, draws = settings.features, np.random.default_rng(0)
    errors = simulate.simulate(settings, "flexible", n, 400).mse
    if n < p:
        noise = draws.chisquare(n, 20_000) / draws.chisquare(p - n + 1, 20_000)
        law = draws.beta((p - n) / 2, n / 2, 20_000) + noise / 10
    else:
        law = draws.chisquare(p, 20_000) / draws.chisquare(n - p + 1, 20_000) / 10
    assert stats.ks_2samp(errors, law).pvalue > 1e-3


@pytest.mark.parametrize("examples", [40, 100])
def test_the_lasso_on_drawn_products_has_the_errors_of_whole_examples(examples):
    """Below and above as many examples as features, where the root is drawn as it is and by Bartlett."""
    settings = TheorySettings(features=60, relevant=5, penalty_rule="universal")
    errors = simulate.simulate(settings, "regularised", examples, 300).mse
    generator = np.random.default_rng(5)
    whole = []
    for _ in range(300):
        x, y = estimators.draw_examples(examples, settings, generator)
        gap = choose_penalty(Examples(x, y, examples), settings, lambda _: 0.0).coefficients
        gap[:5] -= 1
        whole.append(gap @ gap / 5)
    assert stats.ks_2samp(errors, whole).pvalue > 1e-3


def test_every_check_holds_in_a_small_figure(small):
    names = {check.name for check in small.checks}
    assert {"least_squares_law", "oracle_equals_flexible", "expert_ceiling", "double_descent"} <= names
    assert {"lasso_data", "lasso_computation"} <= names
    # with 200 candidates instead of 1000 the flexible model is too near the oracle for a lasso to be nearer
    assert {check.name for check in small.checks if not check.passed} <= {"lasso_data"}


def test_of_1000_candidates_the_lasso_is_near_the_oracle_in_data_and_near_the_flexible_model_in_compute():
    settings = TheorySettings(sizes=(120, 250), simulations=16)
    rows = [
        simulate.row(settings, "regularised", n, simulate.simulate(settings, "regularised", n, 16))
        for n in (120, 250)
    ]
    ratios = variation(settings, "counting", "as_run", True, rows)
    assert 1 < ratios.lasso_to_oracle_examples < ratios.flexible_to_lasso_examples
    assert 1 < ratios.flexible_to_lasso_flops < ratios.lasso_to_oracle_flops


def test_checks_fail_where_the_simulation_is_wrong(small):
    from isoflop.paper.theory.checks import check

    def worse(row):
        mse = dataclasses.replace(row.normalised_mse, value=3 * row.normalised_mse.value)
        wrong = row.case == "oracle"
        return dataclasses.replace(row, normalised_mse=mse) if wrong else row

    failed = {
        c.name for c in check(SMALL, tuple(map(worse, small.rows)), small.expert_ceiling) if not c.passed
    }
    assert failed - {"lasso_data"} == {"least_squares_law", "oracle_equals_flexible"}


def test_the_lasso_beats_the_expert_with_data_and_the_flexible_model_at_every_size(small):
    last = {case: small.of(case)[-1].performance for case in ("oracle", "expert", "flexible", "regularised")}
    assert last["regularised"].low > last["expert"].high
    assert last["oracle"].low > last["regularised"].high > last["flexible"].value


def test_the_mean_comes_before_the_logarithm(small):
    for row in small.rows:
        assert row.performance.value == pytest.approx(-math.log10(row.normalised_mse.value))
        assert row.performance.low <= row.performance.value <= row.performance.high


def test_one_seed_gives_one_figure():
    first = simulate.simulate(SMALL, "regularised", 40, 30).mse
    again = simulate.simulate(SMALL, "regularised", 40, 30).mse
    other = simulate.simulate(dataclasses.replace(SMALL, seed=1), "regularised", 40, 30).mse
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_counted_operations_of_least_squares():
    # n p^2 of X'X, p^3/3 of Cholesky, 2 n p of X'y, 2 p^2 of two triangular systems
    assert laws.least_squares_flops(100, 10, "as_run") == pytest.approx(12_200 + 1000 / 3)
    assert laws.least_squares_flops(10, 100, "as_run") == laws.least_squares_flops(100, 10, "as_run")
    assert laws.least_squares_flops(100, 10, "textbook") > 1.5 * 100 * 100


def test_counted_operations_of_the_lasso():
    work = LassoWork(sweeps=7.0, active_sweeps=30.0, validated_features=5.0)
    # n p^2 of X'X, 2 n p of X'y, 2 p an active feature and sweep, 2 n' an active feature validated
    assert laws.lasso_flops(80, 20, 100, work, "as_run") == 800_000 + 16_000 + 6_000 + 200
    # 4 n p a sweep
    assert laws.lasso_flops(80, 20, 100, work, "textbook") == 4 * 80 * 100 * 7 + 200


def test_every_choice_is_varied_and_only_its_own_numbers_move(small):
    variations = {(v.setting, v.value): v for v in small.variations}
    assert {name for name, _ in variations} == {"noise_variance", "coefficients", "penalty_rule", "counting"}
    chosen, textbook = variations["counting", "as_run"], variations["counting", "textbook"]
    assert textbook.lasso_examples == pytest.approx(chosen.lasso_examples, rel=1e-9)
    assert textbook.flexible_to_lasso_flops != chosen.flexible_to_lasso_flops
    assert variations["coefficients", "linear"].expert_ceiling != chosen.expert_ceiling
    assert len(small.of("regularised")) == len(SMALL.sizes)
    assert small.unfinished_paths == 0


def test_a_result_is_saved_and_read_again(small, tmp_path):
    saved.write(
        tmp_path, small, PaperSection("theory", "Theory", (), (), (), ()), small.rows, "isoflop paper theory"
    )
    assert saved.read_result(tmp_path, "theory", TheoryResult) == small
    lines = (tmp_path / "theory.csv").read_text().splitlines()
    assert len(lines) == 1 + len(small.rows)
    assert {"case", "performance_value", "performance_low", "performance_high"} <= set(lines[0].split(","))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sizes": tuple(range(10, 23))}, "1 to 12"),
        ({"sizes": (5, 20)}, "start at 10"),
        ({"sizes": (20, 10)}, "rise"),
        ({"noise_variance": 0.0}, "above 0"),
        ({"penalty_rule": "cv"}, "penalty_rule must be one of"),
        ({"target": 3.0}, "one of targets"),
        ({"simulations": 1}, "at least 2"),
    ],
)
def test_a_setting_out_of_range_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TheorySettings(), **change)


def test_the_figure_has_the_papers_question_and_the_quick_one_only_fewer_draws():
    settings = TheorySettings()
    assert (settings.features, settings.relevant, settings.simulations) == (1000, 10, 1000)
    assert len(SIZES) == 12
    assert (SIZES[0], SIZES[-1]) == (10, 10_000)
    assert quick(settings).sizes == settings.sizes
