"""Import of a function of the user's own, and the call of it; whatever goes wrong is one line.

A file is executed once for each state of it and of the files beside it that it imports, so that two files of
one name, or one that was edited meanwhile, are not mistaken for each other.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn
from unittest import mock

import msgspec

from isoflop.config.errors import ConfigError
from isoflop.config.user_code import imports
from isoflop.config.user_code.locate import Located, on_path, prefixes, unchanged


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A function of the user's own, ready to be called.

    Attributes:
        located: where it lies.
        name: the function as messages name it.
        function: the function.
        modules: module name -> file of all the user's files that belong to it.
        key: hash of where these files lie and of their contents.
        reads_arguments: whether importing it read the command line.
    """

    located: Located
    name: str
    function: Callable[..., Any]
    modules: Mapping[str, Path]
    key: str
    reads_arguments: bool


_executed: dict[str, tuple[dict[str, ModuleType], bool]] = {}
"""Hash of the user's files -> their modules, by name, and whether they read the command line."""


def load(path: str, sha256: str | None = None) -> Loaded:
    """Import what `path` names.

    The code runs as without command-line arguments; what it prints goes to standard error.

    Args:
        path: as in locate.locate.
        sha256: hash that the file must have; None for any.

    Raises:
        ConfigError: there is no such file, module or function, the file has changed, or its code fails or
            ends the process.
    """
    located = unchanged(path, sha256)
    modules = imports.modules_of(located)
    key = _key(located, modules)
    with _own_modules(located, modules, key) as reads:
        module = _import(located)
        function = getattr(module, located.function, None)
        if not callable(function):
            raise ConfigError(f"{located.shown}: there is no function {located.function} in it")
    name = f"{located.shown}:{located.function}"
    return Loaded(located, name, function, modules, key, reads.any_read)


def _key(located: Located, modules: Mapping[str, Path]) -> str:
    files = msgspec.json.encode([str(located.root), imports.hashes(located, modules)], order="sorted")
    return hashlib.sha256(files).hexdigest()


def call(loaded: Loaded, offered: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
    """Return what the function returns.

    Args:
        loaded: the function.
        offered: what isoflop has for it, by the names of parameters. Those that the function has are passed;
            None stands for what has no value here, and leaves the parameter's default.
        given: arguments that the user asks to pass besides.

    Raises:
        ConfigError: the function needs an argument that there is not, does not take one that was given,
            fails, or ends the process.
    """
    arguments = _arguments(loaded, offered, given)
    own = _own_modules(loaded.located, loaded.modules, loaded.key)
    with own, named_failure(loaded.name, loaded.located):
        return loaded.function(**arguments)


def takes(loaded: Loaded, name: str) -> bool:
    """Return whether the function has a parameter of this name, or takes any."""
    parameters = _parameters(loaded.function)
    return name in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):  # built-in callables may have no signature
        return {}


def _arguments(loaded: Loaded, offered: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    parameters = _parameters(loaded.function)
    known = {name: value for name, value in offered.items() if value is not None}
    if both := sorted(set(given) & set(known)):
        raise ConfigError(f"{loaded.name}: {both[0]} is passed by isoflop: take it out of arguments")
    if alien := [name for name in given if not takes(loaded, name)]:
        raise ConfigError(f"{loaded.name} takes no argument {alien[0]}: take it out of arguments")
    any_name = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    passed = {n: v for n, v in known.items() if n in parameters or (any_name and n in SIZES)}
    arguments = passed | dict(given)
    for name, parameter in parameters.items():
        named = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        needed = parameter.default is parameter.empty and parameter.kind not in _ANY_NUMBER
        if needed and (name not in arguments or not named):
            raise ConfigError(f"{loaded.name} needs an argument {name}: {_remedy(name, offered)}")
    return arguments


SIZES = ("width", "depth")
"""What is offered only where the user has set it, and so is passed to a function with **keywords too."""
_ANY_NUMBER = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _remedy(name: str, offered: Mapping[str, Any]) -> str:
    if name in offered and name in ("width", "depth", "context"):
        return f"give model.{name}"
    if name in offered:
        return "there is none here"
    return f"isoflop passes {', '.join(offered) or 'none'}: give it in arguments, or a default"


class _Reads:
    """Whether the code that ran in a context read the command line, or had when it was first imported."""

    any_read = False


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
def _own_modules(located: Located, modules: Mapping[str, Path], key: str) -> Iterator[_Reads]:
    """Inside, the user's files can be imported as from a script that lies there, and in this state of them.

    Their modules stay in sys.modules afterwards, where torch.compile and pickle look for them, until other
    files claim the names. An installed module is imported as any other.

    Args:
        located: where the module lies.
        modules: module name -> file of all the user's files that belong to it.
        key: hash of these files.
    """
    before, read_before = _executed.get(key, ({}, False))
    # With the folders above modules, which hold them as attributes.
    names = {} if located.installed else {name for module in modules for name in prefixes(module)}
    for name in names:
        sys.modules.pop(name, None)
    sys.modules.update(before)
    reads, arguments = _Reads(), _Arguments([located.shown])
    try:
        with _as_script(located, modules, arguments):
            yield reads
    finally:
        after = {name: sys.modules[name] for name in names if name in sys.modules}
        reads.any_read = read_before or arguments.were_read
        _executed[key] = after, reads.any_read


@contextlib.contextmanager
def _as_script(located: Located, modules: Mapping[str, Path], arguments: list[str]) -> Iterator[None]:
    """Import from the user's folders first, send what is printed to standard error, and hide sys.argv."""

    def refuse(parser: argparse.ArgumentParser, message: str) -> NoReturn:
        raise SystemExit(message)  # without printing the usage: it is no command that was typed

    with contextlib.ExitStack() as stack:
        if not located.installed:
            for folder in dict.fromkeys((located.root, located.file.parent)):
                stack.enter_context(on_path(folder))
            stack.enter_context(_finding(_Finder(located, modules)))
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        stack.enter_context(mock.patch.object(sys, "argv", arguments))
        stack.enter_context(mock.patch.object(argparse.ArgumentParser, "error", refuse))
        yield


@contextlib.contextmanager
def _finding(finder: _Finder) -> Iterator[None]:
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the user's files, or the copies of them, before anything else of their names."""

    def __init__(self, located: Located, modules: Mapping[str, Path]) -> None:
        self._located, self._modules = located, modules

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the spec of one of the modules, or of a folder without `__init__.py` above one."""
        root = self._located.root
        if (readable := self._modules.get(fullname)) is not None:
            file = root / readable.relative_to(self._located.copied or root)
            locations = [str(file.parent)] if file.name == "__init__.py" else None
            return importlib.util.spec_from_file_location(
                fullname,
                file,
                loader=_Loader(fullname, file, readable),
                submodule_search_locations=locations,
            )
        if any(name.startswith(f"{fullname}.") for name in self._modules):
            spec = importlib.machinery.ModuleSpec(fullname, None, is_package=True)
            spec.submodule_search_locations = [str(root.joinpath(*fullname.split(".")))]
            return spec
        return None


class _Loader(importlib.machinery.SourceFileLoader):
    """Executes a file's contents, or those of its copy, as if they lay where the user has them."""

    def __init__(self, fullname: str, file: Path, readable: Path) -> None:
        super().__init__(fullname, str(file))
        self._readable = readable

    def get_data(self, path: str) -> bytes:
        """Return the contents."""
        return self._readable.read_bytes()

    def path_stats(self, path: str) -> Mapping[str, Any]:
        """Raise OSError: kept bytecode may be of other contents, which its times need not tell."""
        raise OSError


def _import(located: Located) -> ModuleType:
    with named_failure(located.shown, located):
        return importlib.import_module(located.module)


@contextlib.contextmanager
def named_failure(name: str, located: Located) -> Iterator[None]:
    """Turn whatever the user's code raises into one line that names it, and the line of the file."""
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
        raise ConfigError(f"{name} raised {summary(error)}{place(error, located.root)}") from error


def summary(error: BaseException) -> str:
    """Return an exception's type and message on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split()) or 'no message'}"


def place(error: BaseException, root: Path) -> str:
    """Return ` (net.py, line 12)`: the innermost line under `root` that an exception went through, or ``."""
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f" ({Path(error.filename).name}, line {error.lineno})" if error.lineno else ""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).is_relative_to(root)]
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
