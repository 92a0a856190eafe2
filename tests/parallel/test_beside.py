"""Measurements beside the index: simulated ones whose link is known give it back."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from tests.parallel import simulated

from isoflop.config import ConfigError
from isoflop.parallel import beside, index, links
from isoflop.parallel.index import Device
from isoflop.parallel.shapes import Chain, Shape
from isoflop.record import parallel as store
from isoflop.record.parallel import ParallelRecord, SplitTiming

SHAPE = Shape("mlp w64 d3", "mlp", 64, 3, 3e6, 1e6, 250_000, Chain(4, 1), 1024)
HERE = Path("here")
WIDTH, LATENCY, MESSAGES = 2e9, 3e-5, 4.0


def training(workers: int, gradient_bytes: float = 1e6, *, noise: float = 0.01) -> ParallelRecord:
    """A record of training whose communication is that of a ring of WIDTH and LATENCY."""
    rng = np.random.default_rng(workers)
    made = simulated.record(workers, rng=rng)
    steps = made.steps
    seconds = 2 * (workers - 1) * (gradient_bytes / workers / WIDTH + MESSAGES * LATENCY)
    split = tuple(
        SplitTiming(each.compute_seconds + c, each.compute_seconds, c, 0.0)
        for each in made.split
        for c in [steps * seconds * float(np.exp(noise * rng.standard_normal()))]
    )
    return dataclasses.replace(
        made,
        payload="training",
        settings={"shape": SHAPE.label, "batch_size": SHAPE.batch_size},
        split=split,
        exchanges_per_step=MESSAGES if workers > 1 else 0.0,
        exchanged_bytes_per_step=gradient_bytes if workers > 1 else 0.0,
    )


def test_a_known_bandwidth_and_latency_are_recovered():
    found = beside.link([training(1), *(training(n) for n in (2, 4, 8))], HERE)
    assert found.bytes_per_second == pytest.approx(WIDTH, rel=0.1)
    assert found.latency_seconds == pytest.approx(MESSAGES * LATENCY / MESSAGES, rel=0.1)
    assert "3 measurements in here/parallel" in found.source


def test_one_number_of_workers_and_bytes_does_not_tell_the_two_apart():
    with pytest.raises(ConfigError, match="measure a shape of another size too"):
        beside.link([training(1), training(2)], HERE)
    found = beside.link([training(1), training(2), training(2, 1e8)], HERE)
    assert found.bytes_per_second == pytest.approx(WIDTH, rel=0.1)
    seconds = float(index.ring_seconds(np.array([1e8]), 2, found)[0])
    assert seconds == pytest.approx(2 * (1e8 / 2 / WIDTH + LATENCY), rel=0.05)


@pytest.mark.parametrize("records", [[], [training(1)]])
def test_without_several_workers_no_link_is_measured(records):
    with pytest.raises(ConfigError, match="here/parallel holds no training on several workers"):
        beside.link(records, HERE)
    with pytest.raises(ConfigError, match="no folder was given"):
        beside.link(records, None)


def test_efficiencies_of_the_same_shape_and_batch_alone(tmp_path):
    for workers in (1, 2, 4):
        store.write(training(workers), tmp_path)
    records = beside.read(tmp_path)
    found = beside.efficiencies(records, SHAPE)
    assert [each.devices for each in found] == [2, 4]
    truth = (0.02 + 0.98) / (0.02 + 0.98 / 2 + 0.004 + 0.002) / 2
    low, high = found[0].efficiency.low, found[0].efficiency.high
    assert low <= truth <= high
    assert beside.efficiencies(records, dataclasses.replace(SHAPE, batch_size=512)) == ()
    assert beside.efficiencies(records, dataclasses.replace(SHAPE, label="mlp w32 d3")) == ()
    assert beside.read(None) == beside.read(tmp_path / "nothing") == ()


def test_one_worker_is_a_device_without_a_time_of_a_layer():
    found = beside.device([training(1), training(2)])
    assert found.flops_per_second == pytest.approx(1e9, rel=0.03)
    assert (found.layer_seconds, found.name) == (0.0, "simulated processor")
    assert beside.device([training(2)]) is None


def test_a_measured_link_gives_an_index():
    found = beside.link([training(n) for n in (1, 2, 4)], HERE)
    made = index.index(SHAPE, Device("d", 1e12, 1e-5, ""), found, (2,))
    assert 0 < made.scaled[0].efficiency < 1
    assert links.find("nvlink4").bytes_per_second > found.bytes_per_second
