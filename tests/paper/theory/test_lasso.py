import pytest
import torch
from sklearn.linear_model import Lasso

from isoflop.paper.theory import active_set
from isoflop.paper.theory.draws import Holdout, Unfolding, triangular_root
from isoflop.paper.theory.lasso import Given, LassoPath

DOUBLE = torch.float64


def _data(batch, n, p, seed, relevant=4):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, n, p, generator=g, dtype=DOUBLE)
    # correlated features make coefficients leave again, which independent ones seldom do
    x[:, :, 1:] += 0.6 * x[:, :, :-1]
    return x, x[:, :, :relevant].sum(2) + torch.randn(batch, n, generator=g, dtype=DOUBLE)


def _reference(x, y, penalty):
    model = Lasso(alpha=float(penalty), fit_intercept=False, tol=1e-12, max_iter=1_000_000)
    return torch.tensor(model.fit(x.numpy(), y.numpy()).coef_)


@pytest.mark.parametrize(("n", "p"), [(30, 80), (80, 200), (150, 60)])
def test_coefficients_are_scikit_learns_along_the_path(n, p):
    x, y = _data(5, n, p, seed=n)
    path = LassoPath(Given(x, y, n))
    largest = path.largest_penalties()
    for share in (0.7, 0.4, 0.2, 0.1, 0.05):
        path.advance(largest * share)
        found = path.coefficients()
        assert not path.saturated.any()
        for b in range(len(x)):
            assert (found[b] - _reference(x[b], y[b], share * largest[b])).abs().max() < 1e-6


def test_any_root_of_the_same_products_gives_the_same_coefficients():
    x, y = _data(3, 150, 40, seed=1)
    factor = torch.linalg.cholesky(x.mT @ x)
    short = torch.linalg.solve_triangular(factor, x.mT @ y.unsqueeze(-1), upper=False).squeeze(-1)
    long_path, short_path = LassoPath(Given(x, y, 150)), LassoPath(Given(factor.mT, short, 150))
    for path in (long_path, short_path):
        path.advance(0.1 * path.largest_penalties())
    assert (long_path.coefficients() - short_path.coefficients()).abs().max() < 1e-10


def test_a_path_stops_where_active_features_would_outnumber_examples():
    x, y = _data(2, 6, 50, seed=2)
    path = LassoPath(Given(x, y, 6))
    path.advance(1e-9 * path.largest_penalties())
    assert ((path.coefficients() != 0).sum(1) <= 6).all()


def test_only_problems_that_go_on_move():
    x, y = _data(3, 40, 60, seed=3)
    path = LassoPath(Given(x, y, 40))
    path.advance(0.5 * path.largest_penalties())
    before = path.coefficients()
    path.advance(0.2 * path.largest_penalties(), torch.tensor([True, False, True]))
    moved = (path.coefficients() - before).abs().amax(1)
    assert moved[1] == 0
    assert moved[0] > 0
    assert moved[2] > 0


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="target must be"):
        Given(torch.zeros(2, 5, 3), torch.zeros(2, 4), 5)
    with pytest.raises(ValueError, match="examples must be at least 1"):
        Given(torch.zeros(2, 5, 3), torch.zeros(2, 5), 0)


@pytest.mark.parametrize("n", [8, 40, 300])
def test_what_unfolds_is_solved_as_the_whole_draw_would_be(n):
    """After the path the rest of the draw is unfolded: what was seen has not changed, and scikit-learn finds
    on the whole what was found on the part."""
    p, batch = 120, 4
    draw = Unfolding(batch, n, p, torch.ones(5, dtype=DOUBLE), 1.0, torch.Generator().manual_seed(n))
    path = LassoPath(draw)
    penalties = 0.3 * path.largest_penalties()
    path.advance(penalties)
    found, seen = path.coefficients(), path.pool.clamp(min=0)
    before = draw.root.mT @ draw.root
    draw.reveal(torch.arange(batch), torch.arange(p).expand(batch, p))
    after = draw.root.mT @ draw.root
    for b in range(batch):
        assert torch.equal(before[b, seen[b]], after[b, seen[b]])
        rows = draw.root.shape[1]
        reference = _reference(draw.root[b], draw.target[b], penalties[b] * n / rows)
        assert (found[b] - reference).abs().max() < 1e-6
        assert torch.linalg.matrix_rank(draw.root[b]) == min(n, p)


def test_an_unfolded_draw_has_the_moments_of_wishart():
    n, p, batch = 30, 12, 4000
    draw = Unfolding(batch, n, p, torch.ones(2, dtype=DOUBLE), 0.5, torch.Generator().manual_seed(0))
    order = torch.arange(p).flip(0).expand(batch, p)
    for part in order.split(5, dim=1):
        draw.reveal(torch.arange(batch), part)
    gram = draw.root.mT @ draw.root
    off = ~torch.eye(p, dtype=torch.bool)
    assert (gram.mean(0) - n * torch.eye(p, dtype=DOUBLE)).abs().max() < 5 * (2 * n / batch) ** 0.5
    # Var W_ij = n, Var W_ii = 2 n
    assert (gram.var(0)[off] / n - 1).abs().max() < 0.15
    assert (gram.var(0).diagonal() / (2 * n) - 1).abs().max() < 0.15
    cross = (draw.root.mT @ draw.target.unsqueeze(-1)).squeeze(-1)
    # E X'y = n b
    assert (cross.mean(0)[:2] / n - 1).abs().max() < 0.02
    assert cross.mean(0)[2:].abs().max() < 5 * (n * 2.25 / batch) ** 0.5


def test_bartletts_root_has_the_moments_of_wishart_and_needs_enough_examples():
    g = torch.Generator().manual_seed(0)
    root = triangular_root(4000, 20, 6, g)
    gram = root.mT @ root
    assert (gram.mean(0) - 20 * torch.eye(6, dtype=DOUBLE)).abs().max() < 0.6
    assert (gram.var(0).diagonal() / 40 - 1).abs().max() < 0.15
    with pytest.raises(ValueError, match="at least 6 examples"):
        triangular_root(1, 5, 6, g)


@pytest.mark.parametrize("examples", [3, 400])
def test_held_out_error_has_the_mean_and_spread_of_fresh_examples(examples):
    """Mean ||b - b*||^2 + noise^2, variance 2 mean^2 / n; slots that come later change nothing seen
    before."""
    batch, truth = 4000, torch.tensor([1.0, -1.0], dtype=DOUBLE)
    held = Holdout(batch, examples, truth, 0.5, torch.Generator().manual_seed(1))
    pool = torch.tensor([[1, 7, -1]]).expand(batch, 3)
    values = torch.tensor([[-0.5, 0.3, 0.0]], dtype=DOUBLE).expand(batch, 3)
    error = held.error(pool, values)
    mean = 1.0 + 0.25 + 0.09 + 0.25
    assert abs(error.mean() / mean - 1) < 5 * (2 / examples / batch) ** 0.5
    assert abs(error.var() / (2 * mean**2 / examples) - 1) < 0.15
    wider = torch.cat([pool[:, :2], torch.full((batch, 5), 9)], 1)
    zeros = torch.cat([values[:, :2], torch.zeros(batch, 5, dtype=DOUBLE)], 1)
    assert (held.error(wider, zeros) - error).abs().max() < 1e-12 * error.max()


def test_an_inverse_that_went_wrong_is_made_anew_and_the_solution_is_exact():
    x, y = _data(3, 60, 20, seed=4)
    small = _all_active(x, y)
    small.inverse.mul_(1.5)
    bound = torch.full((3,), 3.0, dtype=DOUBLE)
    failed, flops = active_set.solve(small, bound, 20)
    assert not failed.any()
    assert flops > 0
    for b in range(3):
        assert (small.values[b] - _reference(x[b], y[b], bound[b] / 60)).abs().max() < 1e-6
        some = small.active[b]
        kept = small.inverse[b][some][:, some] @ small.gram[b][some][:, some]
        assert (kept - torch.eye(int(some.sum()), dtype=DOUBLE)).abs().max() < 1e-10


def _all_active(x, y):
    """The least-squares solution of each problem, with its inverse."""
    gram, cross = x.mT @ x, (x.mT @ y.unsqueeze(-1)).squeeze(-1)
    inverse = torch.linalg.inv(gram)
    values = (inverse @ cross.unsqueeze(-1)).squeeze(-1)
    return active_set.Small(gram, cross, values, values.sign(), values != 0, inverse)
