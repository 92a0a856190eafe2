from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from isoflop.config import Config, DataConfig
from isoflop.train import models
from isoflop.train.data import DataError, ImageSet, synthetic
from isoflop.train.data.sets import load

CPU = torch.device("cpu")
MakeConfig = Callable[..., Config]


def settings(make_config: MakeConfig, *overrides: str) -> DataConfig:
    return make_config("data=synthetic", "data.examples=10000", *overrides).data


def student_error(loaded: ImageSet, config: DataConfig) -> float:
    """Error of a float32 network with the teacher's weights, on normalised images as the loop shows them."""
    assert config.dimension is not None
    assert config.classes is not None
    assert config.teacher_width is not None
    assert config.teacher_depth is not None
    judge = synthetic.teacher(config.dimension, config.classes, config.teacher_width, config.teacher_depth)
    values = loaded.normalise(loaded.test.images, torch.contiguous_format).flatten(1)
    mean, std = loaded.mean.item(), loaded.std.item()
    for layer, (weight, bias) in enumerate(zip(judge.weights, judge.biases, strict=True)):
        gain, shift = 1.0, 0.0
        if layer == 0:
            gain, shift = (x / synthetic.STEPS_PER_UNIT for x in (std, mean - synthetic.ZERO))
        values = torch.relu(values) if layer else values
        folded = torch.from_numpy(weight * gain).float()
        values = values @ folded + torch.from_numpy(bias + shift * weight.sum(0)).float()
    return (values.argmax(1) != loaded.test.labels).double().mean().item()


def test_a_student_with_the_teachers_weights_is_never_wrong(make_config: MakeConfig) -> None:
    for overrides in ((), ("data.dimension=50", "data.teacher_depth=4", "data.classes=3")):
        config = settings(make_config, *overrides)
        assert student_error(load(config, CPU), config) <= 1 / 2000, "one float32 tie may go the other way"


def test_label_noise_leaves_the_teacher_the_known_error(make_config: MakeConfig) -> None:
    config = settings(make_config, "data.label_noise=0.3", "data.classes=5")
    floor = 0.3 * (1 - 1 / 5)
    spread = (floor * (1 - floor) / 2000) ** 0.5
    assert student_error(load(config, CPU), config) == pytest.approx(floor, abs=4 * spread)


def test_pure_noise_leaves_chance(make_config: MakeConfig) -> None:
    config = settings(make_config, "data.label_noise=1.0")
    assert student_error(load(config, CPU), config) == pytest.approx(0.9, abs=0.03)


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("data.classes=2",),
        ("data.classes=30", "data.teacher_width=128"),
        ("data.dimension=16", "data.teacher_width=8", "data.teacher_depth=1", "data.classes=4"),
        ("data.teacher_depth=12",),
    ],
)
def test_classes_are_about_equally_frequent(overrides: tuple[str, ...], make_config: MakeConfig) -> None:
    raw = synthetic.generate(settings(make_config, *overrides))
    shares = np.bincount(raw.labels, minlength=raw.classes) / len(raw.labels) * raw.classes
    assert shares.min() > 0.6
    assert shares.max() < 1.6


def test_the_input_is_standard_normal_in_steps_of_a_32nd(make_config: MakeConfig) -> None:
    raw = synthetic.generate(settings(make_config))
    values = (raw.images.astype(np.float64) - synthetic.ZERO) / synthetic.STEPS_PER_UNIT
    assert abs(values.mean()) < 0.005
    assert abs(values.std() - 1) < 0.005
    within_one = (np.abs(values) < 1).mean()
    assert within_one == pytest.approx(0.6827, abs=0.01)


def test_parts_and_chance(make_config: MakeConfig) -> None:
    loaded = load(settings(make_config), CPU)
    assert [len(part) for part in (loaded.train, loaded.val, loaded.test)] == [7200, 800, 2000]
    assert loaded.classes == 10
    assert 0.87 < loaded.chance_error < 0.9


@pytest.mark.parametrize(("dimension", "shape"), [(64, (1, 8, 8)), (50, (1, 1, 50)), (1, (1, 1, 1))])
def test_a_square_dimension_is_a_square_image(dimension: int, shape: tuple[int, int, int]) -> None:
    assert synthetic.image_shape(dimension) == shape


def test_our_families_take_the_square_image(make_config: MakeConfig) -> None:
    for family in ("mlp", "resnet"):
        config = make_config("data=synthetic", "data.examples=100", f"model={family}")
        loaded = load(config.data, CPU)
        model = models.build(config.model, loaded.input_shape, loaded.classes, seed=0, device=CPU)
        assert model(loaded.normalise(loaded.val.images, torch.contiguous_format)).shape == (8, 10)


def test_a_longer_set_begins_with_a_shorter_one(make_config: MakeConfig) -> None:
    short, long = (
        synthetic.generate(settings(make_config, f"data.examples={n}", "data.label_noise=0.2"))
        for n in (5000, 9000)
    )
    assert np.array_equal(short.images, long.images[:5000])
    assert np.array_equal(short.labels, long.labels[:5000])


def legacy_state() -> NDArray[np.uint32]:
    keys: NDArray[np.uint32] = np.random.get_state(legacy=False)["state"]["key"].copy()  # noqa: NPY002
    return keys


def test_the_set_is_this_one_on_every_machine_and_no_generator_is_touched(make_config: MakeConfig) -> None:
    before, legacy = torch.get_rng_state(), legacy_state()
    raw = synthetic.generate(settings(make_config, "data.examples=2000"))
    assert hashlib.sha256(raw.images.tobytes()).hexdigest()[:16] == "4535991359e9b2c4"
    assert hashlib.sha256(raw.labels.astype("<i8").tobytes()).hexdigest()[:16] == "76d800b51f2b0d1f"
    assert torch.equal(before, torch.get_rng_state())
    assert np.array_equal(legacy, legacy_state())


def test_other_teachers_give_other_labels_and_another_hash(make_config: MakeConfig) -> None:
    one, two = (load(settings(make_config, f"data.teacher_depth={d}"), CPU) for d in (1, 2))
    assert torch.equal(one.test.images, two.test.images)
    assert (one.test.labels != two.test.labels).double().mean() > 0.5
    assert one.split_sha256 != two.split_sha256


def test_a_teacher_too_narrow_for_its_classes_is_refused(make_config: MakeConfig) -> None:
    with pytest.raises(DataError, match=r"cannot tell 10 classes apart: raise data\.teacher_width"):
        load(settings(make_config, "data.teacher_width=1"), CPU)
