import dataclasses

import numpy as np
import pytest
from sklearn.linear_model import Lasso

from isoflop.paper.theory import estimators, penalty_path
from isoflop.paper.theory.draws import triangular_root
from isoflop.paper.theory.penalty_path import Examples, choose_penalty, universal_penalty
from isoflop.paper.theory.result import TheorySettings

SETTINGS = TheorySettings(features=80, relevant=4)


@pytest.fixture
def tight(monkeypatch):
    """Solutions to more digits than the default tolerance gives."""
    monkeypatch.setattr(penalty_path, "TOLERANCE", 1e-9)


def _data(n, p, seed=0, relevant=4):
    draw = np.random.default_rng(seed)
    x = draw.standard_normal((n, p))
    # correlated features make coefficients become zero again, which independent ones seldom do
    x[:, 1:] += 0.6 * x[:, :-1]
    return x, x[:, :relevant].sum(1) + draw.standard_normal(n)


def _reference(x, y, penalty):
    model = Lasso(alpha=penalty, fit_intercept=False, tol=1e-12, max_iter=1_000_000)
    return model.fit(x, y).coef_


def _true_error(coefficients):
    gap = coefficients.copy()
    gap[:4] -= 1
    return float(gap @ gap)


@pytest.mark.parametrize(("n", "p"), [(30, 80), (80, 200), (150, 60)])
@pytest.mark.usefixtures("tight")
def test_coefficients_meet_the_optimality_conditions_along_the_path(n, p):
    """X'(y - X b) / n is the penalty times the sign for active features, and no larger for the others."""
    x, y = _data(n, p, seed=n)
    path = penalty_path._Path(Examples(x, y, n))
    largest = path.largest_penalty
    for share in (0.7, 0.4, 0.2, 0.1, 0.05):
        b = path.fit(share * largest)
        gradient = x.T @ (y - x @ b) / n / (share * largest)
        assert np.abs(gradient[b != 0] - np.sign(b[b != 0])).max() < 1e-3
        assert np.abs(gradient).max() < 1 + 1e-3
        assert np.abs(b - _reference(x, y, share * largest)).max() < 1e-5
    assert path.converged


@pytest.mark.usefixtures("tight")
def test_every_coefficient_is_zero_at_the_largest_penalty_and_one_is_not_below_it():
    x, y = _data(40, 60)
    path = penalty_path._Path(Examples(x, y, 40))
    assert not path.fit(path.largest_penalty * 1.0001).any()
    assert np.count_nonzero(path.fit(path.largest_penalty * 0.99)) == 1


@pytest.mark.usefixtures("tight")
def test_any_root_of_the_same_products_gives_the_same_coefficients():
    x, y = _data(150, 40)
    root: np.ndarray = np.linalg.qr(np.column_stack([x, y]), mode="r")  # type: ignore[assignment]
    whole, short = (
        penalty_path._Path(examples)
        for examples in (Examples(x, y, 150), Examples(root[:, :-1], root[:, -1], 150))
    )
    for share in (0.3, 0.1):
        difference = whole.fit(share * whole.largest_penalty) - short.fit(share * short.largest_penalty)
        assert np.abs(difference).max() < 1e-8


@pytest.mark.parametrize("n", [30, 300])
@pytest.mark.usefixtures("tight")
def test_the_penalty_of_least_validation_error_is_chosen(n):
    """The path is followed by hand with scikit-learn's estimator, by the rule of the settings."""
    x, y = _data(n, SETTINGS.features, seed=n)
    chosen = choose_penalty(Examples(x, y, n), SETTINGS, _true_error)
    largest = np.abs(x.T @ y).max() / n
    errors = [_true_error(np.zeros(SETTINGS.features))]
    while len(errors) <= SETTINGS.patience or min(errors[-SETTINGS.patience :]) < min(
        errors[: -SETTINGS.patience]
    ):
        errors.append(_true_error(_reference(x, y, largest * 10 ** (-len(errors) / 10))))
    best = int(np.argmin(errors))
    assert 0 < best == len(errors) - 1 - SETTINGS.patience
    assert chosen.penalty == pytest.approx(largest * 10 ** (-best / 10))
    assert np.abs(chosen.coefficients - _reference(x, y, chosen.penalty)).max() < 1e-5
    assert _true_error(chosen.coefficients) == pytest.approx(errors[best], abs=1e-5)
    assert chosen.converged
    assert chosen.work.validated_features > np.count_nonzero(chosen.coefficients)
    assert chosen.work.active_sweeps > chosen.work.sweeps > len(errors) - 1


@pytest.mark.usefixtures("tight")
def test_the_universal_rule_fits_its_penalty_alone():
    settings = dataclasses.replace(SETTINGS, penalty_rule="universal", noise_variance=2.0)
    x, y = _data(50, 80)
    chosen = choose_penalty(Examples(x, y, 50), settings, lambda _: pytest.fail("nothing to validate"))
    assert chosen.penalty == universal_penalty(settings, 50) == pytest.approx((4 * np.log(80) / 50) ** 0.5)
    assert np.abs(chosen.coefficients - _reference(x, y, chosen.penalty)).max() < 1e-5
    assert chosen.work.validated_features == 0


def test_a_fit_that_does_not_converge_is_counted(monkeypatch):
    monkeypatch.setattr(penalty_path, "MOST_SWEEPS", 2)
    x, y = _data(30, 80)
    assert not choose_penalty(Examples(x, y, 30), SETTINGS, _true_error).converged


def test_the_default_tolerance_is_near_the_exact_solution():
    x, y = _data(150, 60)
    path = penalty_path._Path(Examples(x, y, 150))
    penalty = 0.1 * path.largest_penalty
    assert np.abs(path.fit(penalty) - _reference(x, y, penalty)).max() < 0.01


def test_bartletts_root_has_the_moments_of_wishart_and_needs_enough_examples():
    draw = np.random.default_rng(0)
    roots = np.stack([triangular_root(20, 6, draw) for _ in range(4000)])
    gram = roots.swapaxes(1, 2) @ roots
    off = ~np.eye(6, dtype=bool)
    assert np.abs(gram.mean(0) - 20 * np.eye(6)).max() < 0.6
    # Var W_ij = n, Var W_ii = 2 n
    assert np.abs(gram.var(0)[off] / 20 - 1).max() < 0.15
    assert np.abs(gram.var(0).diagonal() / 40 - 1).max() < 0.15
    with pytest.raises(ValueError, match="at least 6 examples"):
        triangular_root(5, 6, draw)


@pytest.mark.parametrize("examples", [3, 400])
def test_validation_error_has_the_mean_and_spread_of_fresh_examples(examples):
    """Mean ||b - b*||^2 + noise^2, variance 2 mean^2 / n."""
    settings = TheorySettings(features=8, relevant=2, sizes=(10,), noise_variance=0.25)
    draw, coefficients = np.random.default_rng(1), np.zeros(8)
    coefficients[[1, 7]] = 0.5, 0.3
    errors = np.array(
        [estimators._validation_error(examples, settings, draw)(coefficients) for _ in range(4000)]
    )
    mean = 1.0 + 0.25 + 0.09 + 0.25
    assert abs(errors.mean() / mean - 1) < 5 * (2 / examples / len(errors)) ** 0.5
    assert abs(errors.var() / (2 * mean**2 / examples) - 1) < 0.15


def test_without_validation_examples_the_error_is_the_true_one():
    settings = TheorySettings(features=8, relevant=2, sizes=(10,))
    error = estimators._validation_error(0, settings, np.random.default_rng(0))
    assert error(np.array([1.0, 0.5, 0, 0, 0, 0, 0, 2.0])) == pytest.approx(0.25 + 4)
