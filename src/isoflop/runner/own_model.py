"""A model of the user's own, tried before it is trained: that it takes the data and returns logits.

What would otherwise end after the first runs of a sweep, or not at all, is refused here: a wrong shape of the
output, a language model that sees the bytes it predicts.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from isoflop.config import Config, ConfigError, ModelConfig
from isoflop.config.user_code import load
from isoflop.meter.flops.count import FlopCount
from isoflop.meter.flops.twin import build_on_meta, isolated_torch_state
from isoflop.notices import notify
from isoflop.train import models, parametrize

ROWS = 2
"""Rows of the batch that is tried: with one, a model that mixes up its rows would pass."""
NOISE = 0.05
"""Added to the weights before a language model is tried: its last layer may start at zero."""
CAUSAL_TOLERANCE = 1e-3
"""Largest difference of logits, as a share of their size, that rounding is taken to make."""


def weightless(config: ModelConfig, input_shape: tuple[int, ...], classes: int) -> nn.Module:
    """Return the model in eval mode after it has taken a batch: on the meta device, or on the CPU where it
    needs the values of its weights.

    Raises:
        ConfigError: it cannot be built, cannot take such inputs, or returns no logits.
    """

    def make() -> nn.Module:
        return models.build(config, input_shape, classes, seed=0, device=torch.device("cpu"))

    with isolated_torch_state():
        if config.context is not None:
            _check_causal(config, make(), input_shape, classes)
        try:
            model = build_on_meta(make)
            check_output(config, model, input_shape, classes)
        except Exception:  # if it is broken, the second time says so
            model = make()
            check_output(config, model, input_shape, classes)
    parameters = sum(p.numel() for p in model.parameters())
    _tried[config.anywhere, input_shape, classes] = Tried(parameters, parametrize.has_roles(model))
    return model.eval()


@dataclasses.dataclass(frozen=True)
class Tried:
    """What is known of a model that was tried: its parameters, and whether they carry roles."""

    parameters: int
    has_roles: bool


_tried: dict[tuple[ModelConfig, tuple[int, ...], int], Tried] = {}
"""The models that this process has tried."""


def check_optimizer(config: Config, input_shape: tuple[int, ...], classes: int) -> None:
    """Refuse Muon where it cannot know the matrices of a model that was tried in this process.

    Raises:
        ConfigError: the model's parameters carry no roles.
    """
    tried = _tried.get((config.model.anywhere, input_shape, classes))
    if config.optim.name == "muon" and tried is not None and not tried.has_roles:
        raise ConfigError(
            f"optim=muon must know the hidden matrices, and the parameters of {config.model.name} carry "
            "no roles: take sgd or adamw, or tag them (docs/custom_model.md)"
        )


@dataclasses.dataclass
class Sizes:
    """Parameters and forward MACs of the user's own models of a sweep, by their configuration.

    Attributes:
        known: what `add` was given.
    """

    known: dict[ModelConfig, tuple[int, float | None]] = dataclasses.field(default_factory=dict)

    def add(self, config: ModelConfig, input_shape: tuple[int, ...], classes: int, count: FlopCount) -> None:
        """Add a model that was tried in this process; others, and isoflop's own families, are passed over."""
        tried = _tried.get((config.anywhere, input_shape, classes))
        if tried is not None:
            self.known[config] = tried.parameters, count.forward_macs_per_example

    def check(self) -> None:
        """Refuse widths, or depths, that all give the same network.

        Raises:
            ConfigError: the function of the user's own does not use what the sweep varies.
        """
        for axis in ("width", "depth"):
            groups: dict[str, dict[int, tuple[int, float | None]]] = {}
            for config, size in self.known.items():
                settings = dataclasses.asdict(config)
                value = settings.pop(axis)
                if value is not None:
                    groups.setdefault(f"{settings}", {})[value] = size
            for sizes in groups.values():
                if len(sizes) > 1 and len(set(sizes.values())) == 1:
                    (parameters, _), *_ = sizes.values()
                    name = next(iter(self.known)).name
                    values = ", ".join(map(str, sorted(sizes)))
                    raise ConfigError(
                        f"model.{axis}: {name} builds the same network of {parameters:,} parameters for "
                        f"{values}: have it use {axis}, or take the axis out of the sweep"
                    )


def check_output(config: ModelConfig, model: nn.Module, input_shape: tuple[int, ...], classes: int) -> None:
    """Refuse a model that does not return logits, in evaluation and in training.

    Args:
        config: the model's configuration.
        model: the model, on any device.
        input_shape: sizes of an input.
        classes: number of logits.

    Raises:
        ConfigError: it fails, or returns something else.
    """
    assert config.path is not None
    loaded = load.load(config.path, config.sha256)
    device = next(model.parameters()).device
    dtype = torch.float32 if config.context is None else torch.int64
    batch = torch.zeros(ROWS, *input_shape, dtype=dtype, device=device)
    shape = (ROWS, classes) if config.context is None else (ROWS, config.context, classes)
    sizes = "x".join(map(str, input_shape))
    for training in (False, True):
        try:
            with torch.no_grad():
                returned = model.train(training)(batch)
        except Exception as error:
            where = load.place(error, loaded.located.root)
            raise ConfigError(
                f"model {config.name} cannot take inputs of {sizes}: {load.summary(error)}{where}"
            ) from error
        if not isinstance(returned, Tensor):
            raise ConfigError(
                f"model {config.name} returns {type(returned).__name__}: return the logits alone"
            )
        if tuple(returned.shape) != shape or not returned.is_floating_point():
            raise ConfigError(
                f"model {config.name} returns {_described(returned)} for {ROWS} inputs of {sizes}: "
                f"return logits of shape {shape}"
            )


def _described(returned: Tensor) -> str:
    kind = "" if returned.is_floating_point() else f"{str(returned.dtype).removeprefix('torch.')} of "
    return f"{kind}shape {tuple(returned.shape)}"


def _check_causal(config: ModelConfig, model: nn.Module, input_shape: tuple[int, ...], classes: int) -> None:
    """Refuse a language model whose logits change with later bytes, which are what it has to predict."""
    check_output(config, model, input_shape, classes)
    model.eval()
    half = input_shape[0] // 2
    draw = torch.Generator().manual_seed(0)
    tokens = torch.randint(classes, (1, *input_shape), generator=draw)
    others = tokens.clone()
    others[:, half:] = (tokens[:, half:] + 1) % classes
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(NOISE * torch.randn(parameter.shape, generator=draw))
        first, second = model(tokens)[:, :half], model(others)[:, :half]
    if (first - second).abs().max() > CAUSAL_TOLERANCE * first.abs().max():
        raise ConfigError(
            f"model {config.name} sees the bytes that it predicts: its logits at a position change "
            "with later bytes: mask them (causal attention)"
        )


def announce(config: ModelConfig, model: nn.Module, count: FlopCount) -> None:
    """Say what the user has to know of a model that can be trained: once a process."""
    said = []
    if not parametrize.has_roles(model):
        said.append(
            f"{config.name}: its parameters carry no roles, so all have one learning rate, the same "
            "for every width (model.parametrization=standard; docs/custom_model.md)"
        )
    if count.reason is not None:
        said.append(f"{config.name}: its FLOPs are unknown ({count.reason}): no fit against FLOPs")
    for line in said:
        if line not in _announced:
            _announced.add(line)
            notify(line)


_announced: set[str] = set()
