"""Steps to a loss, read off evaluations."""

import numpy as np
import pytest

from isoflop.curve.batch import crossing
from isoflop.curve.batch.crossing import Crossing

STEPS = np.array([10.0, 20, 40, 80, 160])


def test_a_power_law_is_read_exactly_between_two_evaluations() -> None:
    found = crossing.crossing(STEPS, 3 * STEPS**-0.5, 3 * 57.0**-0.5)
    assert found.outcome == "reached"
    assert found.steps == pytest.approx(57, rel=1e-12)


@pytest.mark.parametrize(("target", "outcome"), [(0.31, "reached"), (0.3, "reached"), (0.29, "never")])
def test_the_last_evaluation_counts_and_nothing_beyond_it(target: float, outcome: str) -> None:
    found = crossing.crossing(STEPS, np.array([2.0, 1.0, 0.6, 0.4, 0.3]), target)
    assert found.outcome == outcome
    assert found == Crossing(None, "never", 160) if outcome == "never" else found.steps is not None


@pytest.mark.parametrize(("target", "outcome"), [(2.0, "early"), (2.1, "early"), (1.99, "reached")])
def test_a_target_at_the_first_evaluation_is_only_an_upper_bound(target: float, outcome: str) -> None:
    assert crossing.crossing(STEPS, np.array([2.0, 1.0, 0.6, 0.4, 0.3]), target).outcome == outcome


def test_one_lucky_evaluation_does_not_reach_the_loss() -> None:
    losses = np.array([2.0, 0.4, 1.5, 0.9, 0.6])
    assert crossing.smoothed(losses).tolist() == [2.0, 1.5, 0.9, 0.9, 0.6]
    assert crossing.lowest(losses) == 0.6
    assert crossing.crossing(STEPS, losses, 0.5).outcome == "never"


def test_a_run_that_diverges_after_it_reached_the_loss_has_reached_it() -> None:
    assert crossing.crossing(STEPS, np.array([2.0, 1.0, 0.5, 0.4, np.inf]), 0.6).outcome == "reached"
    assert crossing.crossing(STEPS, np.array([2.0, 1.0, 0.9, np.inf, np.inf]), 0.6).outcome == "never"


def test_two_evaluations_are_taken_as_they_are() -> None:
    found = crossing.crossing(np.array([10.0, 40.0]), np.array([1.0, 0.25]), 0.5)
    assert found.steps == pytest.approx(20)
