"""The index: limits that must hold, steps worked out by hand, and what a sweep's timings give back."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest

from isoflop.parallel import index
from isoflop.parallel.index import Device
from isoflop.parallel.links import Link
from isoflop.parallel.shapes import Chain, Shape, chain_of

EXACT = 1e-12
SHAPE = Shape("mlp w64 d3", "mlp", 64, 3, 3e6, 1e6, 250_000, Chain(4, 1), 1024)
DEVICE = Device("made up", 1e12, 1e-5, "made up")
SLOW = Link("slow", 1e9, 1e-5, "made up")
FREE = Link("free", 1e30, 0.0, "made up")
MANY = 2**20 * 100.0


def test_a_step_by_hand():
    """1 MB goes as one bucket when the backward pass is over: nothing is hidden."""
    alone = index.step(SHAPE, DEVICE, SLOW, 1, 1024, 1e6)
    assert alone.seconds == pytest.approx(3e6 * 1024 / 1e12 + 8 * 1e-5, rel=EXACT)
    four = index.step(SHAPE, DEVICE, SLOW, 4, 256, 1e6)
    sent = 2 * 3 / 4 * 1e6 / 1e9 + 2 * 3 * 1e-5
    assert four.compute_seconds == pytest.approx(3e6 * 256 / 1e12 + 8 * 1e-5, rel=EXACT)
    assert four.communication_seconds == pytest.approx(sent, rel=EXACT)
    assert four.waiting_seconds == pytest.approx(sent, rel=EXACT)
    scaled = index.scale(SHAPE, DEVICE, SLOW, 4, 1e6)
    assert scaled.efficiency == pytest.approx(alone.seconds / four.seconds / 4, rel=EXACT)
    assert scaled.efficiency == pytest.approx(scaled.efficiency_apart, rel=EXACT)


def test_without_communication_amdahl_holds():
    made = index.index(SHAPE, DEVICE, FREE, (2, 8, 64))
    assert made.serial_fraction == pytest.approx(8e-5 / (3e6 * 1024 / 1e12 + 8e-5), rel=EXACT)
    assert made.speedup_limit == pytest.approx(1 / made.serial_fraction, rel=EXACT)
    for each in made.scaled:
        amdahl = 1 / (made.serial_fraction + (1 - made.serial_fraction) / each.devices)
        assert each.speedup == pytest.approx(amdahl, rel=1e-9)
        assert each.parallel_fraction == pytest.approx(1 - made.serial_fraction, rel=1e-9)
        assert each.weak_efficiency == pytest.approx(1.0, rel=1e-9)


def test_nothing_serial_and_nothing_sent_is_perfect():
    made = index.index(SHAPE, dataclasses.replace(DEVICE, layer_seconds=0.0), FREE, (2, 1024))
    assert [each.efficiency for each in made.scaled] == pytest.approx([1.0, 1.0], rel=1e-9)
    assert made.speedup_limit is None
    assert (made.useful_devices, made.fastest_devices, made.bound) == (1024, 1024, "rows of the batch")


def test_buckets_hold_all_bytes_and_the_first_is_small():
    for total in (1.0, 2.0**20, 2.0**20 + 1, 26 * 2.0**20, 26 * 2.0**20 + 1, 1e9):
        sizes = index.buckets(total)
        assert sizes.sum() == pytest.approx(total, rel=EXACT)
        assert sizes[0] <= index.FIRST_BUCKET_BYTES
        assert sizes.max() <= index.BUCKET_BYTES
        assert (sizes > 0).all()
    assert len(index.buckets(2.0**20)) == 1
    assert len(index.buckets(2.0**20 + 1)) == 2
    assert len(index.buckets(26 * 2.0**20 + 1)) == 3


def test_overlap_against_a_queue_that_is_stepped_through():
    shape = dataclasses.replace(SHAPE, train_flops_per_example=3e9, forward_flops_per_example=1e9)
    for bandwidth in (1e8, 1e9, 3e9, 1e10, 1e12):
        link = Link("made up", bandwidth, 2e-5, "")
        got = index.step(shape, DEVICE, link, 8, 16, MANY)
        forward, backward = 1e9 * 16 / 1e12 + 4e-5, 2e9 * 16 / 1e12 + 4e-5
        done, end = 0.0, 0.0
        for size in index.buckets(MANY):
            done += size
            end = max(end, forward + backward * done / MANY)
            end += 2 * 7 / 8 * size / bandwidth + 2 * 7 * 2e-5
        assert got.seconds == pytest.approx(max(forward + backward, end), rel=EXACT)


@pytest.mark.parametrize("bandwidth", [1e8, 1e9, 1e10, 1e12])
def test_the_efficiency_lies_between_none_and_all_hidden(bandwidth):
    link = Link("made up", bandwidth, 1e-6, "")
    for devices in (2, 4, 32):
        each = index.scale(SHAPE, DEVICE, link, devices, MANY)
        assert each.efficiency_apart <= each.efficiency * (1 + EXACT)
        assert each.efficiency <= each.efficiency_hidden * (1 + EXACT)


def test_a_faster_link_or_device_moves_the_index_as_it_must():
    slow, fast = (
        index.index(SHAPE, DEVICE, Link("l", rate, 1e-6, ""), (8,)).scaled[0].efficiency
        for rate in (1e8, 1e10)
    )
    assert fast > slow
    quick = dataclasses.replace(DEVICE, flops_per_second=1e14)
    assert index.index(SHAPE, quick, SLOW, (8,)).scaled[0].efficiency < (
        index.index(SHAPE, DEVICE, SLOW, (8,)).scaled[0].efficiency
    ), "a faster device leaves less to share"


def test_useful_devices_lie_on_both_sides_of_half():
    made = index.index(SHAPE, DEVICE, SLOW, (2,))
    gradient_bytes = SHAPE.gradients * 4
    at = {n: index.scale(SHAPE, DEVICE, SLOW, n, gradient_bytes) for n in index.divisors(1024)}
    assert at[made.useful_devices].efficiency >= index.USEFUL
    assert at[2 * made.useful_devices].efficiency < index.USEFUL
    assert made.fastest_devices == min(at, key=lambda n: at[n].step.seconds)
    assert made.fastest_devices < 1024, "past it more devices hurt"


def test_what_binds_is_named():
    assert index.index(SHAPE, DEVICE, Link("l", 1e7, 0, ""), (2,)).bound == "communication"
    assert index.index(SHAPE, DEVICE, FREE, (2,)).bound == "the chain of layers"


def test_at_equal_flops_a_deeper_shape_has_the_longer_chain_and_scales_worse():
    made = index.index(SHAPE, DEVICE, FREE, (64,))
    depths = [each.depth for each in made.alternatives]
    assert depths == sorted(depths)
    assert SHAPE.depth in depths
    for before, after in itertools.pairwise(made.alternatives):
        assert after.chain == before.chain + after.depth - before.depth
        assert after.scaled.speedup * after.scaled.step.seconds > 0
        assert after.scaled.efficiency < before.scaled.efficiency
    for each in made.alternatives:
        assert each.depth * each.width**2 == pytest.approx(3 * 64**2, rel=0.03)
    own = next(each for each in made.alternatives if each.depth == SHAPE.depth)
    assert own.scaled == made.scaled[0]


def test_a_shape_without_depth_has_no_alternatives_and_says_so():
    made = index.index(dataclasses.replace(SHAPE, depth=None, chain=None), DEVICE, SLOW, (2,))
    assert made.alternatives == ()
    assert "unknown" in made.alternatives_reason
    assert (made.serial_fraction, made.speedup_limit, made.flops_per_layer) == (0.0, None, None)


def test_work_that_pays_for_bytes_and_layers():
    made = index.index(SHAPE, DEVICE, SLOW, (2,), bytes_per_gradient=2)
    assert made.gradient_bytes == 500_000
    assert made.flops_per_gradient_byte == pytest.approx(3e6 * 1024 / 500_000)
    assert made.flops_per_layer == pytest.approx(3e6 * 1024 / 8)


def test_rows_and_not_bytes_of_text_are_shared():
    text = dataclasses.replace(SHAPE, batch_size=4096, row_size=256)
    assert text.rows == 16
    made = index.index(text, DEVICE, FREE, (2,))
    assert max(made.useful_devices, made.fastest_devices) <= 16


def test_ring_moves_nearly_twice_the_bytes():
    link = Link("l", 1e9, 1e-6, "")
    one = index.ring_seconds(np.array([1e9]), 2, link)
    many = index.ring_seconds(np.array([1e9]), 1000, link)
    assert one[0] == pytest.approx(1 + 2e-6)
    assert many[0] == pytest.approx(2 * 0.999 + 2 * 999 * 1e-6)


def test_divisors():
    assert index.divisors(12) == (1, 2, 3, 4, 6, 12)
    assert index.divisors(1) == (1,)
    assert index.divisors(16) == (1, 2, 4, 8, 16)


def test_chains_of_families():
    assert chain_of("mlp", 3) == Chain(4, 1)
    assert chain_of("resnet", 3, "basic") == Chain(20, 6), "ResNet-20"
    assert chain_of("resnet", 2, "bottleneck") == Chain(20, 9)
    assert chain_of("vit", 12) == Chain(74, 6)
    assert chain_of("torchvision", None) is None
    assert chain_of("custom", 3) is None
    assert math.isclose(2 * 4, SHAPE.step_chain)
