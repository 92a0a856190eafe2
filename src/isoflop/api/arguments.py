"""Arguments of the API: in messages they have the names that Python gives them, not those of the options."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence

from isoflop.config import ConfigError, costs
from isoflop.config.costs import Prices

LEAST_RESAMPLES = 100
_VALUES = (
    *("x", "y", "group", "seed", "counts", "chance", "where", "by", "baseline", "laws", "fix", "quantile"),
    *("hold-out", "exclude", "energy-grade", "level", "resamples", "seed-of-resamples", "config-dir"),
    *("x-unit", "y-unit", "x-label", "y-label", "cost", "out", "target", "gpu-tflops", "gpu-watts"),
    *("retry", "format", "train-loss", "width", "depth", "n", "d", "train-n", "lr"),
    *("device", "devices", "link", "share", "layer-us", "rates-of", "gradient-bytes"),
    *("batch", "steps", "loss"),
)
_FLAGS = ("mixed", "frontier", "wild", "again")
_OPTION = re.compile(rf"(?<![\w-])--({'|'.join((*_VALUES, *_FLAGS))})(?![\w-])")
"""Options that are arguments of a function of the API too; others keep their names."""
APART = ("--by or --where fits them apart", "--where, or groupby in pandas, fits them apart")
"""What a fit of the command says, and one of the API, which takes no --by."""


def check_resamples(number: int) -> None:
    """Raise ConfigError for too few bootstrap resamples to give an interval."""
    if number < LEAST_RESAMPLES:
        raise ConfigError(f"--resamples {number}: an interval needs at least {LEAST_RESAMPLES}")


def prices(cost: str | Sequence[str] | None) -> Prices | None:
    """Return the prices of sets by their names or files, None without any. Raises as config.costs.load."""
    if cost is None:
        return None
    return costs.load([cost] if isinstance(cost, str) else list(cost))


def joined(names: str | Sequence[str] | None) -> str | None:
    """Return names of columns as the options take them: joined by commas; None where none is given."""
    return names if names is None or isinstance(names, str) else ",".join(names)


def in_python(message: str) -> str:
    """Return a message about `--hold-out` as one about `hold_out=`."""
    message = message.replace(*APART)
    return _OPTION.sub(_argument, f"--out {message[3:]}" if message.startswith("-o ") else message)


def _argument(option: re.Match[str]) -> str:
    name = option[1].replace("-", "_")
    return f"{name}=True" if name in _FLAGS else f"{name}="


@contextlib.contextmanager
def named_as_in_python() -> Iterator[None]:
    """Let errors of bad input that are raised inside name arguments as Python does."""
    try:
        yield
    except ValueError as error:
        message = str(error)
        if (changed := in_python(message)) != message:
            error.args = (changed,)
        raise
