"""Efficiency at N: by hand over a link that hides nothing, and as measured by records."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from isoflop import record
from isoflop.config import ConfigError
from isoflop.parallel.links import Link
from isoflop.plan import efficiency_measured, rates
from isoflop.plan.amount import Amount
from isoflop.plan.efficiency import taken_as_one
from isoflop.plan.efficiency_predicted import MOST_GRADIENTS, Predictor
from isoflop.plan.sizes import Sizes
from isoflop.record.parallel import ParallelRecord


def sizes(parameters: float) -> Sizes:
    forward = Amount(2e-9 * parameters)
    return Sizes(lambda _: Amount(parameters), lambda _: Amount(1e6), lambda _: forward, "")


def predictor(parameters: float = 1e8, link: Link | None = None) -> Predictor:
    chosen = link or Link("cable", 1e10, 0.0, "by hand")
    return Predictor(sizes(parameters), rates.chosen(1e5, None, None), chosen, batch_size=512)


def test_one_gpu_waits_for_none() -> None:
    assert predictor()(1, 9.0).value == taken_as_one(1, 9.0).value == 1.0


def test_nothing_hidden_is_compute_over_compute_and_ring_all_reduce() -> None:
    made = predictor()(4, 9.0)
    compute = 6 * 1e8 * 512 / 1e14
    ring = 2 * 3 / 4 * 4e8 / 1e10
    assert made.low == pytest.approx(compute / 4 / (compute / 4 + ring))
    assert made.high == pytest.approx(compute / 4 / max(compute / 4, ring))
    assert made.low <= made.value <= made.high
    assert made.is_known


def test_a_fixed_cost_an_example_is_not_divided() -> None:
    slow = dataclasses.replace(predictor(link=Link("air", 1e18, 0.0, "")).rates, most=2e5)
    made = dataclasses.replace(predictor(link=Link("air", 1e18, 0.0, "")), rates=slow)(4, 9.0)
    # Half of a step is at the rate of large models, half is fixed: Amdahl's law with a serial half.
    assert made.value == pytest.approx(1 / (0.5 + 0.5 / 4) / 4, rel=1e-6)
    assert made.high == pytest.approx(1.0)


def test_a_larger_model_than_buckets_are_counted_for_goes_on_smoothly() -> None:
    at, above = (predictor(k * MOST_GRADIENTS)(8, 9.0).value for k in (1.0, 1e6))
    assert above == pytest.approx(at, rel=1e-3)


def test_more_gpus_than_rows_are_refused_and_more_than_a_link_joins_are_a_bound() -> None:
    with pytest.raises(ConfigError, match="a batch of the runs has 512 rows"):
        predictor()(513, 9.0)
    short = Link("short", 1e10, 0.0, "", most_devices=8)
    assert predictor(link=short)(8, 9.0).is_known
    assert not predictor(link=short)(16, 9.0).is_known


def test_an_unknown_size_leaves_one_with_the_reason() -> None:
    nothing = Sizes(*(lambda _: Amount(None, reason="no column of parameters"),) * 3, "")
    made = dataclasses.replace(predictor(), sizes=nothing)(4, 9.0)
    assert (made.value, made.is_known) == (1.0, False)
    assert "no column of parameters" in made.source


def timed(workers: int, *wall: float, **changed: Any) -> ParallelRecord:
    provenance = record.read(Path(__file__).parents[1] / "data/record_of_a_run.json").provenance
    kept: dict[str, Any] = {each.name: None for each in dataclasses.fields(ParallelRecord)}
    kept |= {"schema": 1, "group_id": "g", "payload": "training", "scaling": "strong", "size": "mlp w8 d1"}
    kept |= {"workers": workers, "wall_seconds": wall, "provenance": provenance, "flops_per_step": 1e9}
    return ParallelRecord(**(kept | changed))


def test_measured_seconds_give_the_efficiency_and_amdahls_law_the_rest() -> None:
    # 1 + 9/N seconds: a serial tenth.
    made = efficiency_measured.measured([timed(2, 5.4, 5.5, 5.6), timed(1, 9.9, 10.0, 10.1)])
    assert made is not None
    on_two, on_four = made(2, 9.0), made(4, 9.0)
    assert on_two.value == pytest.approx(10 / 5.5 / 2)
    assert on_two.low == pytest.approx(9.9 / 5.6 / 2)
    assert on_two.high == pytest.approx(10.1 / 5.4 / 2)
    assert on_two.is_known
    assert on_four.value == pytest.approx(10 / (1 + 9 / 4) / 4)
    assert not on_four.is_known, "past what was measured it is an upper bound"
    assert "Amdahl" in on_four.source


def test_the_largest_training_counts_and_nothing_else_does() -> None:
    small = [
        timed(1, 10.0, group_id="s", flops_per_step=1e8),
        timed(2, 9.0, group_id="s", flops_per_step=1e8),
    ]
    large = [timed(1, 10.0), timed(2, 5.0)]
    made = efficiency_measured.measured([*small, *large])
    assert made is not None
    assert made(2, 9.0).value == pytest.approx(1.0)
    for useless in ([timed(1, 10.0)], [timed(2, 5.0)], [timed(1, 10.0), timed(2, 5.0, scaling="weak")]):
        assert efficiency_measured.measured(useless) is None
    matmul = [timed(1, 10.0, payload="matmul"), timed(2, 5.0, payload="matmul")]
    assert efficiency_measured.measured(matmul) is None
