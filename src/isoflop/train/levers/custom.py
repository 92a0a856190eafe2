"""A lever of the user's own: a function that changes the network, or a class derived from Lever."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from isoflop.config import Config, ConfigError
from isoflop.config.user_code import load
from isoflop.config.user_code.load import Loaded
from isoflop.train import parametrize
from isoflop.train.levers.base import Lever
from isoflop.train.models.custom import offered
from isoflop.train.parametrize import Role
from isoflop.train.seeding import seeded


def make(config: Config, prior_weights: Path | None = None) -> Lever:
    """Return the lever that lever.path names.

    Raises:
        ConfigError: there is no such function, or its file has changed.
    """
    assert config.lever.path is not None
    loaded = load.load(config.lever.path, config.lever.sha256)
    if isinstance(loaded.function, type) and issubclass(loaded.function, Lever):
        with load.named_failure(loaded.name, loaded.located):
            return loaded.function(config, prior_weights)
    return OfFunction(config, loaded)


class OfFunction(Lever):
    """A function `apply(model, ...)` that returns the network to train; what it may name is offered() too."""

    def __init__(self, config: Config, loaded: Loaded) -> None:
        super().__init__(config)
        self._loaded = loaded

    def transform(self, model: nn.Module, input_shape: tuple[int, ...], classes: int) -> nn.Module:
        """Return what the function returns, its weights drawn by the run's seed.

        Raises:
            ConfigError: the function fails or returns no module, or gives parameters without roles to a
                parametrization that needs them.
        """
        loaded, config = self._loaded, self.config
        with seeded(config.seed):
            named = offered(config.model, input_shape, classes) | {"model": model}
            changed = load.call(loaded, named, config.lever.arguments or {})
        if not isinstance(changed, nn.Module):
            raise ConfigError(f"{loaded.name} returned {type(changed).__name__}, not a torch.nn.Module")
        if parametrize.has_roles(model) or parametrize.has_roles(changed):
            _tag_new(changed, loaded, config)
        return changed


def _tag_new(model: nn.Module, loaded: Loaded, config: Config) -> None:
    """Give parameters without a role one that changes neither rate nor decay. Raises ConfigError."""
    for name, module in model.named_modules():
        known = vars(module).get("roles", {})
        for parameter, _ in module.named_parameters(recurse=False):
            if parameter in known:
                continue
            if config.model.parametrization != "standard":
                raise ConfigError(
                    f"model.parametrization={config.model.parametrization} needs the role of each "
                    f"parameter, and {name}.{parameter} of {loaded.name} has none: tag it "
                    "(docs/custom_model.md), or set it to standard"
                )
            parametrize.tag(module, **{parameter: Role("plain")})
