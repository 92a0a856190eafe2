"""Optional packages: which extra of isoflop installs each, and the one line for one that is missing.

`pip install isoflop` reads records and tables; what trains, meters GPUs, tracks or serves another trainer
comes with an extra of pyproject.toml. Whoever uses such a package asks here first, so that a missing one is
the same line everywhere: `isoflop run needs torch, which is not installed: pip install 'isoflop[train]'`.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
from collections.abc import Iterator
from types import ModuleType

PACKAGES = {
    "torch": ("torch", "train"),
    "torchvision": ("torchvision", "train"),
    "fvcore": ("fvcore", "train"),
    "PIL": ("pillow", "train"),
    "pynvml": ("nvidia-ml-py", "energy"),
    "torchao": ("torchao", "levers"),
    "torch_pruning": ("torch-pruning", "levers"),
    "wandb": ("wandb", "wandb"),
    "wandb_workspaces": ("wandb-workspaces", "wandb"),
    "tensorboard": ("tensorboard", "tensorboard"),
    "tensorboardX": ("tensorboardX", "tensorboard"),
    "optuna": ("optuna", "optuna"),
    "pyarrow": ("pyarrow", "parquet"),
    "lightning": ("lightning", "lightning"),
    "transformers": ("transformers", "transformers"),
    "accelerate": ("accelerate", "accelerate"),
}
"""Module -> (package, extra that installs it). A test compares it with pyproject.toml."""


class MissingExtraError(ImportError, ValueError):
    """A package is not installed; the message names the extra that installs it.

    A ValueError too: on the command line it is the input's fault, like everything that the user can mend.
    """


def installed(module: str) -> bool:
    """Return whether a top-level module is installed; it is not imported.

    A mere folder of that name in the current one (W&B leaves one called wandb) is a namespace package: its
    origin is None.
    """
    try:
        spec = importlib.util.find_spec(module)
    except ValueError:  # already imported, and without a spec, as a module made by hand
        return True
    return spec is not None and spec.origin is not None


def line(subject: str, module: str) -> str:
    """Return the line that says what needs a package of PACKAGES, and how it is installed."""
    package, extra = PACKAGES[module]
    return f"{subject} needs {package}, which is not installed: pip install 'isoflop[{extra}]'"


def check(subject: str, *modules: str) -> None:
    """Refuse to begin without a package, before anything is computed or written.

    Args:
        subject: what needs it, the beginning of the message.
        modules: top-level modules of PACKAGES; all of them are needed.

    Raises:
        MissingExtraError: the first of them that is not installed.
    """
    for module in modules:
        if not installed(module):
            raise MissingExtraError(line(subject, module))


def explain(error: ImportError, subject: str) -> str | None:
    """Return the line for an import that failed because a package of PACKAGES is not installed.

    None where it is installed and broken, or lacks something itself: its own error says what.
    """
    module = (error.name or "").partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and module in PACKAGES and not installed(module):
        return line(subject, module)
    return None


@contextlib.contextmanager
def explained(subject: str) -> Iterator[None]:
    """Raise MissingExtraError in place of the ModuleNotFoundError of a package that is not installed."""
    try:
        yield
    except ImportError as error:
        if (message := explain(error, subject)) is None:
            raise
        raise MissingExtraError(message) from error


def first_of(subject: str, *modules: str) -> ModuleType:
    """Import the first module that is installed, of several under which a package is known.

    Args:
        subject: what needs it, the beginning of the message.
        modules: in the order of preference; the first one's package is in PACKAGES.

    Raises:
        MissingExtraError: none of them is installed.
        ImportError: the first that is installed is broken.
    """
    for module in modules:
        if installed(module.partition(".")[0]):
            return importlib.import_module(module)
    raise MissingExtraError(line(subject, modules[0].partition(".")[0]))
