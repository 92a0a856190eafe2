"""Wilson's interval, beside scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from isoflop.record.binomial import wilson


@pytest.mark.parametrize(("wrong", "n"), [(10, 100), (0, 50), (50, 50), (1, 1), (96, 719), (3, 10_000)])
def test_the_interval_is_scipys_and_holds_the_share(wrong: int, n: int) -> None:
    low, high = wilson(np.array([wrong / n]), np.array([float(n)]))
    expected = stats.binomtest(wrong, n).proportion_ci(0.95, method="wilson")
    assert low[0] == pytest.approx(expected.low, abs=1e-12)
    assert high[0] == pytest.approx(expected.high, abs=1e-12)
    assert low[0] <= wrong / n <= high[0]


@pytest.mark.parametrize(("share", "n"), [(0.1, 0.0), (-0.1, 5.0), (1.1, 5.0)])
def test_what_is_no_share_of_anything_is_refused(share: float, n: float) -> None:
    with pytest.raises(ValueError, match="at least one trial"):
        wilson(np.array([share]), np.array([n]))


def test_the_interval_by_hand() -> None:
    """Of 1 in 4: z2 = 3.8415 / 4, centre (0.25 + z2 / 2) / (1 + z2), and half its width."""
    low, high = wilson(np.array([0.25, 0.0, 1.0]), np.array([4.0, 4.0, 1.0]))
    assert low == pytest.approx([0.045587, 0.0, 0.206549], abs=1e-6)
    assert high == pytest.approx([0.699358, 0.489891, 1.0], abs=1e-6)
