"""Shapes of records, and the rate of one device that their timings give."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from isoflop.api import device_rate
from isoflop.api.device_rate import Given
from isoflop.config import ConfigError
from isoflop.parallel import links, shapes
from isoflop.parallel.shapes import Chain, Shape, Stored, Timed

RESULTS = Path(__file__).parents[2] / "results"
NVLINK = links.find("nvlink4")


@pytest.fixture(scope="module")
def digits() -> Stored:
    return shapes.read(RESULTS / "digits-cpu")


def test_shapes_of_a_sweep(digits):
    labels = [shape.label for shape in digits.shapes]
    assert len(labels) == len(set(labels)) == 15
    by_label = {shape.label: shape for shape in digits.shapes}
    largest = by_label["resnet w16 d3"]
    assert largest.chain == Chain(20, 6)
    assert largest.rows == largest.batch_size == 32
    flops = [shape.train_flops_per_example for shape in digits.shapes]
    assert flops == sorted(flops)
    assert len(digits.timed) == 45
    assert {each.devices for each in digits.timed} == {1}


def test_bytes_of_text_are_shared_by_windows():
    stored = shapes.read(RESULTS / "language-isoflop-h200")
    assert {shape.row_size for shape in stored.shapes} == {256}
    assert all(shape.rows * shape.row_size == shape.batch_size for shape in stored.shapes)


def _simulated(rate: float, layer: float, seed: int = 0, noise: float = 0.02) -> Stored:
    """Runs of one device whose steps take F/R + L t, give or take `noise`."""
    draw = np.random.default_rng(seed)
    timed = []
    for width in (16, 32, 64, 128, 256, 512):
        for depth in (2, 8):
            flops = 6.0 * depth * width**2
            shape = Shape(
                *(f"mlp w{width} d{depth}", "mlp", width, depth, flops, flops / 3, depth * width**2),
                Chain(depth + 1, 1),
                512,
            )
            seconds = shape.step_flops / rate + shape.step_chain * layer
            seconds *= float(np.exp(noise * draw.standard_normal()))
            timed.append(Timed(shape, seconds, "simulated", None, 2 * rate, 1))
    return Stored(tuple(each.shape for each in timed), tuple(timed), ())


def test_a_known_rate_and_time_of_a_layer_are_recovered():
    device = device_rate.of(Given(), NVLINK, _simulated(2e12, 3e-5))
    assert device.flops_per_second == pytest.approx(2e12, rel=0.06)
    assert device.layer_seconds == pytest.approx(3e-5, rel=0.06)
    assert device.name == "simulated"
    assert "12 runs of 12 sizes" in device.source


def test_too_few_sizes_tell_no_time_of_a_layer():
    stored = _simulated(2e12, 3e-5)
    device = device_rate.of(Given(), NVLINK, dataclasses.replace(stored, timed=stored.timed[:2]))
    assert device.layer_seconds == 0.0
    assert "fewer than 3 sizes" in device.source
    given = device_rate.of(Given(layer_us=7), NVLINK, dataclasses.replace(stored, timed=stored.timed[:2]))
    assert given.layer_seconds == pytest.approx(7e-6)


def test_runs_on_several_devices_say_nothing_of_one():
    stored = _simulated(2e12, 3e-5)
    several = tuple(dataclasses.replace(each, devices=2) for each in stored.timed)
    device = device_rate.of(Given(), NVLINK, dataclasses.replace(stored, timed=several))
    assert device.name == "H100 80GB HBM3"


@pytest.mark.parametrize(
    ("given", "name", "tflops"),
    [
        (Given(), "H100 80GB HBM3", 0.4 * 989.4),
        (Given(device="a100", share=0.5), "A100-SXM4-40GB", 156.0),
        (Given(device="v100"), "V100-SXM2-16GB", 0.4 * 125),  # no bf16: fp16
        (Given(gpu_tflops=10), "as given", 10.0),
    ],
)
def test_a_device_of_a_name_or_of_the_link(given, name, tflops):
    device = device_rate.of(given, NVLINK, None)
    assert device.name == name
    assert device.flops_per_second == pytest.approx(tflops * 1e12)
    assert device.layer_seconds == device_rate.LAYER_SECONDS


@pytest.mark.parametrize(
    ("given", "link", "line"),
    [
        (Given(device="h2000"), "nvlink4", "--device h2000: its peak rate is not known: did you mean H200"),
        (Given(), "ethernet-10", "no GPU goes with it alone: say --device"),
    ],
)
def test_a_device_that_is_not_known(given, link, line):
    with pytest.raises(ConfigError, match="--") as caught:
        device_rate.of(given, links.find(link), None)
    assert line in str(caught.value)


def test_a_folder_without_records(tmp_path):
    with pytest.raises(ValueError, match="no records folder here"):
        shapes.read(tmp_path)
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "a.json").write_text("{")
    with pytest.raises(ValueError, match="no finished run whose work"):
        shapes.read(tmp_path)


def test_the_time_of_a_layer_that_stands_for_gpus_is_the_one_of_the_stored_sweep():
    stored = shapes.read(RESULTS / "language-isoflop-h200")
    device = device_rate.of(Given(), NVLINK, stored)
    assert device.layer_seconds == pytest.approx(device_rate.LAYER_SECONDS, rel=0.03)
    assert len(shapes.one_device(stored.timed)) == 34
