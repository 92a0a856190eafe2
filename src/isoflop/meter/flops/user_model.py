"""Models that a factory of the user's builds: path/to/file.py:factory or package.module:factory."""

from __future__ import annotations

import argparse
import ast
import contextlib
import dataclasses
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn
from unittest import mock

from torch import nn

from isoflop.config import ConfigError
from isoflop.meter.flops.twin import build_on_meta

FORMS = "torchvision:NAME, path/to/file.py:factory or package.module:factory"


@dataclasses.dataclass(frozen=True)
class UserModel:
    """A model, on the meta device if it can be built there, and what its reader should know of its file."""

    model: nn.Module
    notes: tuple[str, ...]


def is_users(name: str) -> bool:
    """Return whether NAME refers to a factory of the user's, not to our families or torchvision's."""
    head, colon, _ = name.partition(":")
    return head.endswith(".py") or (bool(colon) and head != "torchvision")


def load(name: str, classes: int) -> UserModel:
    """Import the file or module and return what its factory builds.

    The code runs as without command-line arguments; what it prints goes to standard error.

    Args:
        name: path/to/file.py:factory or package.module:factory; the factory takes no argument, or the number
            of classes as `classes` or `num_classes`.
        classes: number of classes.

    Raises:
        ConfigError: no such file, module or factory, the code fails or ends the process, or the factory does
            not return a module.
    """
    source, _, factory = name.rpartition(":") if ":" in name else (name, "", "")
    path = Path(source) if source.endswith(".py") else None
    if path is not None and not path.is_file():
        raise ConfigError(f"{path}: there is no such file")
    if not factory:
        raise ConfigError(f"{source}: name the function that builds the model: {source}:FACTORY")
    arguments = _Arguments([source])
    with _run_as_script(Path.cwd() if path is None else path.parent, arguments):
        module = _import_module(source) if path is None else _import_file(path)
        make = getattr(module, factory, None)
        if not callable(make):
            raise ConfigError(f"{source}: there is no function {factory} in it")
        model = _build(f"{source}:{factory}", make, _class_argument(make, classes))
    read = f"{source} reads the command line: it was given none, so that its defaults count"
    return UserModel(model, (read,) if arguments.were_read else ())


class _Arguments(list[str]):
    """sys.argv of a script without arguments, which knows whether it was read."""

    were_read = False

    def __getitem__(self, key: Any) -> Any:
        self.were_read = True
        return super().__getitem__(key)

    def __iter__(self) -> Iterator[str]:
        self.were_read = True
        return super().__iter__()


@contextlib.contextmanager
def _run_as_script(folder: Path, arguments: list[str]) -> Iterator[None]:
    """Make modules in `folder` importable inside the context, as for a script that is run from there.

    What the code prints goes to standard error: standard output is for the result.
    """

    def refuse(parser: argparse.ArgumentParser, message: str) -> NoReturn:
        raise SystemExit(message)  # without printing the usage: it is no command that was typed

    entry = str(folder.resolve())
    sys.path.insert(0, entry)
    try:
        with (
            contextlib.redirect_stdout(sys.stderr),
            mock.patch.object(sys, "argv", arguments),
            mock.patch.object(argparse.ArgumentParser, "error", refuse),
        ):
            yield
    finally:
        sys.path.remove(entry)


def _build(name: str, make: Any, arguments: dict[str, int]) -> nn.Module:
    try:
        model = build_on_meta(lambda: make(**arguments))
    except (
        Exception,
        SystemExit,
    ):  # it may need its weights' values; if broken, the second call says so
        with _named_failure(name):
            model = make(**arguments)
    if not isinstance(model, nn.Module):
        raise ConfigError(f"{name} returned {type(model).__name__}, not a torch.nn.Module")
    return model


@contextlib.contextmanager
def _named_failure(name: str) -> Iterator[None]:
    """Turn whatever the user's code raises into one line that names it."""
    try:
        yield
    except ConfigError:
        raise
    except SystemExit as error:
        raise ConfigError(
            f"{name} ended the process ({error.code}): give the options that it reads defaults, or read them "
            'under if __name__ == "__main__"'
        ) from error
    except Exception as error:
        raise ConfigError(f"{name} raised {_summary(error)}") from error


def _import_module(name: str) -> ModuleType:
    """Import a module from the working directory or from what is installed."""
    with _named_failure(name):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise  # the module is there; one that it imports is not
            raise ConfigError(f"{name}: there is no module {error.name}: give {FORMS}") from error


def _import_file(path: Path) -> ModuleType:
    """Execute the user's file: in its package if it imports relatively, else under a name of its own."""
    root, name = _package_root(path.resolve())
    if root is None:
        return _execute(path)
    sys.path.insert(0, str(root))
    try:
        with _named_failure(str(path)):
            module = importlib.import_module(name)
    finally:
        sys.path.remove(str(root))
    if module.__file__ is None or Path(module.__file__).resolve() != path.resolve():
        raise ConfigError(f"{path}: another module is imported as {name}: rename its folder")
    return module


def _execute(path: Path) -> ModuleType:
    name = f"isoflop_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look classes up there
    with _named_failure(str(path)):
        spec.loader.exec_module(module)
    return module


def _package_root(path: Path) -> tuple[Path | None, str]:
    """Return the folder above a file's package and its name from there; (None, "") without relative imports.

    Its folders are the package, with `__init__.py` or without: as many as its imports go up, or more.
    """
    levels = _relative_levels(path)
    if levels == 0:
        return None, ""
    folder, parts = path.parent, [] if path.stem == "__init__" else [path.stem]
    while levels > 0 or (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder, levels = folder.parent, levels - 1
    return folder, ".".join(parts)


def _relative_levels(path: Path) -> int:
    """Return the most dots of a relative import in a file; 0 if there is none or it cannot be parsed."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # importing it will say so
        return 0
    return max((node.level for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)), default=0)


def _class_argument(make: Any, classes: int) -> dict[str, int]:
    """Return the number of classes under the name of the factory's parameter for it, if it has one."""
    try:
        parameters = inspect.signature(make).parameters
    except (TypeError, ValueError):  # built-in callables may have no signature
        return {}
    return next(({name: classes} for name in ("classes", "num_classes") if name in parameters), {})


def _summary(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split()) or 'no message'}"
