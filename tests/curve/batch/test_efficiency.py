"""What a batch costs in examples, and the limit on steps."""

import pytest

from isoflop.curve.batch.efficiency import algorithmic_efficiency, largest_batch, step_speedup_limit


def test_the_efficiency_is_half_at_the_critical_size() -> None:
    assert algorithmic_efficiency(512, 512) == 0.5
    assert algorithmic_efficiency(512, 1536) == 0.75
    assert algorithmic_efficiency(1, 1e12) == pytest.approx(1)


def test_steps_and_examples_are_those_of_the_curve() -> None:
    critical, steps_min = 300.0, 50.0
    for batch in (30.0, 300.0, 3000.0):
        steps = steps_min * step_speedup_limit(batch, critical)
        efficiency = steps_min * critical / (steps * batch)
        assert efficiency == pytest.approx(algorithmic_efficiency(batch, critical), rel=1e-12)
    assert algorithmic_efficiency(largest_batch(0.25, critical), critical) == pytest.approx(1 / 1.25)


@pytest.mark.parametrize(("batch", "critical"), [(0, 512), (-1, 512), (512, 0), (float("nan"), 512)])
def test_sizes_that_are_none_are_refused(batch: float, critical: float) -> None:
    with pytest.raises(ValueError, match="give a number of examples above 0"):
        algorithmic_efficiency(batch, critical)
