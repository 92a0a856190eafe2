from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from isoflop.config import Config, ConfigError, prior
from isoflop.meter.flops import count as flops
from isoflop.train import levers, models
from isoflop.train.levers.distillation import Distillation
from isoflop.train.step import compiler
from isoflop.train.step.parts import loss_function

CPU = torch.device("cpu")
IMAGES, CLASSES = (1, 8, 8), 10
MakeConfig = Callable[..., Config]
TAUGHT = ("lever=distillation", "lever.teacher_width=16", "lever.teacher_depth=2")
FAMILIES = {
    "mlp": ("model=mlp",),
    "resnet": ("model=resnet", "model.width=4", "lever.teacher_width=6", "lever.teacher_depth=1"),
    "convmixer": ("model=convmixer", "lever.teacher_depth=1"),
    "vit": ("model=vit", "model.patch=4", "model.head_width=4"),
    "gpt": (
        "recipe=language",
        "model.context=8",
        "model.head_width=4",
        "optim.batch_size=64",
        "schedule.epochs=null",
    ),
}


def shape_of(config: Config) -> tuple[int, ...]:
    return IMAGES if config.model.context is None else (config.model.context,)


def drawn(config: Config, shape: tuple[int, ...], seed: int = 0) -> Any:
    """The model with values everywhere: batch norms and zero readouts are moved from where they start."""
    model = models.build(config.model, shape, CLASSES, seed=seed, device=CPU)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(seed)
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    return model


def lever_of(config: Config, tmp_path: Path) -> tuple[levers.Lever, Any]:
    """The lever with a teacher on disk, and that teacher."""
    before = prior.of(config)
    assert before is not None
    shape = shape_of(config)
    teacher = drawn(before, shape, seed=7)
    path = prior.weights_path(before)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(teacher.state_dict(), path)
    lever = levers.of(config, path)
    lever.transform(nn.Identity(), shape, CLASSES)
    return lever, teacher.eval()


def batch(config: Config, rows: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    if config.model.context is not None:
        tokens = torch.randint(CLASSES, (rows, config.model.context + 1), generator=generator)
        return tokens[:, :-1], tokens[:, 1:]
    images = torch.randn(rows, *IMAGES, generator=generator)
    return images, torch.randint(CLASSES, (rows,), generator=generator)


def plain_of(model: nn.Module, config: Config) -> Any:
    return loss_function(model, config.optim.label_smoothing, of_bytes=config.data.is_text)


class Fixed(nn.Module):
    """Logits that are parameters, whatever the input."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)
        self.calls = 0

    def forward(self, inputs: Tensor) -> Tensor:
        self.calls += 1
        return self.logits


@pytest.mark.parametrize(("temperature", "share", "smoothing"), [(4.0, 0.9, 0.0), (2.5, 0.3, 0.1)])
def test_the_gradient_by_the_logits_is_the_closed_form(
    temperature: float, share: float, smoothing: float, make_config: MakeConfig, tmp_path: Path
) -> None:
    config = make_config(
        *TAUGHT,
        f"lever.temperature={temperature}",
        f"lever.teacher_share={share}",
        f"optim.label_smoothing={smoothing}",
    )
    lever, teacher = lever_of(config, tmp_path)
    images, labels = batch(config)
    student = Fixed(torch.randn(len(images), CLASSES, generator=torch.Generator().manual_seed(5)))
    lever.training_loss(student, plain_of(student, config))(images, labels).backward()
    assert student.calls == 1, "one forward pass of the network a step"

    with torch.no_grad():
        z, t = student.logits.double(), teacher(images).double()
        target = F.one_hot(labels, CLASSES).double() * (1 - smoothing) + smoothing / CLASSES
        of_teacher = temperature * (torch.softmax(z / temperature, 1) - torch.softmax(t / temperature, 1))
        expected = (share * of_teacher + (1 - share) * (torch.softmax(z, 1) - target)) / len(images)
    assert expected.abs().max() > 0.01
    assert torch.allclose(student.logits.grad.double(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_without_a_share_of_the_teacher_it_is_the_plain_loss(
    family: str, make_config: MakeConfig, tmp_path: Path
) -> None:
    config = make_config(*TAUGHT, *FAMILIES[family], "lever.teacher_share=0", "optim.label_smoothing=0.1")
    lever, _ = lever_of(config, tmp_path)
    model = drawn(config, shape_of(config)).train()
    plain = values_of_a_step(plain_of(model, config), model, config)
    ours = values_of_a_step(lever.training_loss(model, plain_of(model, config)), model, config)
    assert torch.allclose(ours, plain, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_teachers_term_is_the_divergence_from_its_softened_outputs(
    family: str, make_config: MakeConfig, tmp_path: Path
) -> None:
    config = make_config(*TAUGHT, *FAMILIES[family], "lever.teacher_share=1", "lever.temperature=3")
    lever, teacher = lever_of(config, tmp_path)
    model = drawn(config, shape_of(config)).train()
    inputs, targets = batch(config)
    loss = lever.training_loss(model, plain_of(model, config))(inputs, targets)
    with torch.no_grad():
        p, q = (torch.softmax(net(inputs).double() / 3, -1) for net in (teacher, model))
        expected = 9 * (p * (p / q).log()).sum(-1).mean()
    assert expected > 1e-3
    assert float(loss.detach()) == pytest.approx(float(expected), rel=1e-4)


def test_a_network_that_equals_its_teacher_learns_nothing_from_it(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    config = make_config(*TAUGHT, "model.width=16", "model.depth=2", "lever.teacher_share=1")
    lever, teacher = lever_of(config, tmp_path)
    inputs, targets = batch(config)
    loss = lever.training_loss(teacher.requires_grad_(True), plain_of(teacher, config))(inputs, targets)
    loss.backward()
    assert abs(float(loss.detach())) < 1e-6
    assert max(float(p.grad.abs().max()) for p in teacher.parameters()) < 1e-6


def test_the_teacher_is_not_trained_and_keeps_its_statistics(
    make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    build = Distillation._teacher

    def watched(lever: Distillation, model: nn.Module) -> nn.Module:
        made.append(build(lever, model))
        return made[0]

    monkeypatch.setattr(Distillation, "_teacher", watched)
    config = make_config(*TAUGHT, *FAMILIES["resnet"])
    lever, _ = lever_of(config, tmp_path)
    model = drawn(config, IMAGES).to(memory_format=torch.channels_last).train()
    loss_of = lever.training_loss(model, plain_of(model, config))
    before = {name: value.clone() for name, value in made[0].state_dict().items()}
    images, labels = batch(config)
    loss_of(images, labels).backward()
    assert not made[0].training
    assert all(p.grad is None and not p.requires_grad for p in made[0].parameters())
    assert all(torch.equal(value, before[name]) for name, value in made[0].state_dict().items())
    assert made[0].blocks[0].conv1.weight.is_contiguous(memory_format=torch.channels_last)


def values_of_a_step(loss_of: Any, model: nn.Module, config: Config) -> Tensor:
    """Loss and gradients as one vector."""
    model.zero_grad()
    loss = loss_of(*batch(config))
    loss.backward()
    return torch.cat([loss.detach().view(1), *(p.grad.flatten() for p in model.parameters())])


@pytest.mark.slow
def test_the_loss_compiles(make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "COMPILER", "aot_eager")
    config = make_config(*TAUGHT, *FAMILIES["resnet"], "optim.label_smoothing=0.1")
    lever, _ = lever_of(config, tmp_path)
    model = drawn(config, IMAGES)
    loss_of = lever.training_loss(model, plain_of(model, config))
    compiled = compiler.compiled(loss_of)
    made, eager = (values_of_a_step(each, model, config) for each in (compiled, loss_of))
    assert torch.allclose(made, eager, rtol=1e-4, atol=1e-6)


def test_the_loss_reads_no_value_and_takes_bf16(
    make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(*TAUGHT, *FAMILIES["resnet"], "optim.label_smoothing=0.1")
    lever, _ = lever_of(config, tmp_path)
    model = drawn(config, IMAGES)
    loss_of = lever.training_loss(model, plain_of(model, config))
    exact = float(loss_of(*batch(config)).detach())
    with torch.autocast("cpu", torch.bfloat16):
        mixed = loss_of(*batch(config)).detach()
    assert mixed.dtype == torch.float32
    assert 0 < abs(float(mixed) / exact - 1) < 0.05

    def read(*_: Any) -> None:
        raise AssertionError("a value was read")

    for name in ("item", "__bool__", "__float__", "__int__", "tolist", "numpy"):
        monkeypatch.setattr(Tensor, name, read)
    values_of_a_step(loss_of, model, config)


@pytest.mark.parametrize("family", ["mlp", pytest.param("vit", marks=pytest.mark.slow)])
def test_a_step_costs_the_teachers_forward_pass_more(
    family: str, make_config: MakeConfig, tmp_path: Path
) -> None:
    config = make_config(*TAUGHT, *FAMILIES[family])
    lever, teacher = lever_of(config, tmp_path)

    def forward_flops(of: Config) -> float:
        return 2.0 * models.forward_macs(of.model, IMAGES, CLASSES)

    extra = lever.extra_train_flops_per_example(forward_flops)
    assert extra == flops.count(teacher, IMAGES).inference_flops_per_example
    assert extra > forward_flops(config)
    assert lever.extra_train_flops_per_example(lambda of: None) is None


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ("model=torchvision", "model.width=null", "model.depth=null"),
            "lever=distillation: the teacher is the model at another width and depth, and torchvision",
        ),
        (
            ("model=vit", "model.patch=4", "model.head_width=4", "lever.teacher_width=18"),
            "lever.teacher_width=18 lever.teacher_depth=2: width 18 is not a multiple of head_width 4: try",
        ),
    ],
)
def test_a_model_that_cannot_have_this_teacher_is_refused(
    overrides: tuple[str, ...], message: str, make_config: MakeConfig
) -> None:
    with pytest.raises(ConfigError) as caught:
        levers.of(make_config(*TAUGHT, *overrides)).check(CPU)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("given", [False, True])
def test_a_run_without_its_teacher_says_how_to_train_it(
    given: bool, make_config: MakeConfig, tmp_path: Path
) -> None:
    lever = levers.of(make_config(*TAUGHT), tmp_path / "gone.pt" if given else None)
    model = models.build(lever.config.model, IMAGES, CLASSES, seed=0, device=CPU)
    lever.transform(model, IMAGES, CLASSES)
    message = r"lever=distillation needs .*\.pt, which is missing: train it by isoflop run model\.width=16 "
    with pytest.raises(ConfigError, match=message):
        lever.training_loss(model, plain_of(model, lever.config))


def test_weights_of_another_network_and_other_files_are_refused(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    config = make_config(*TAUGHT)
    _, other = lever_of(make_config(*TAUGHT, "lever.teacher_width=24"), tmp_path)
    path = tmp_path / "weights.pt"
    model = drawn(config, IMAGES)
    for content, message in ((other.state_dict(), "another network"), (None, "cannot be read")):
        path.write_bytes(b"no weights") if content is None else torch.save(content, path)
        lever = levers.of(config, path)
        lever.check(CPU)
        lever.transform(model, IMAGES, CLASSES)
        with pytest.raises(ConfigError, match=rf"weights\.pt: delete it.*{message}"):
            lever.training_loss(model, plain_of(model, config))


@pytest.mark.parametrize(("width", "depth", "warned"), [(4, 1, True), (8, 1, False), (4, 2, False)])
def test_a_smaller_teacher_is_said(
    width: int,
    depth: int,
    warned: bool,
    make_config: MakeConfig,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = make_config(*TAUGHT, f"lever.teacher_width={width}", f"lever.teacher_depth={depth}")
    lever, _ = lever_of(config, tmp_path)
    lever.check(CPU)
    assert ("the teacher is smaller" in capsys.readouterr().err) == warned
