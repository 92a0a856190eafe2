"""Where a function of the user's own lies: FILE.py:FUNCTION, MODULE:FUNCTION or FOLDER/MODULE:FUNCTION.

Nothing is executed here, so that the identity of a run is known before any of its code runs. A file may be a
copy that `copies` made: it is read from there, and counts as lying where it was copied from.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import hashlib
import importlib.util
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import msgspec

from isoflop.config.errors import ConfigError, shown

FORMS = "path/to/file.py:function or package.module:function"
MARKER = "isoflop-copy.json"
"""File at the top of a copied folder, which says what it is a copy of."""


class Marker(msgspec.Struct):
    """Contents of MARKER: the folder that was copied."""

    root: str


@dataclasses.dataclass(frozen=True)
class Located:
    """A module of the user's own and the function in it.

    Attributes:
        module: the name that it is imported under.
        function: the function's name.
        file: the file, where the user has it.
        root: the folder that has to be on sys.path, where the user has it.
        copied: the folder that holds a copy of `root`'s files, to be read instead; None to read `root`.
        installed: whether it is part of an installed package, which is imported as any other.
    """

    module: str
    function: str
    file: Path
    root: Path
    copied: Path | None = None
    installed: bool = False

    @property
    def readable(self) -> Path:
        """The file to read."""
        return self.file if self.copied is None else self.copied / self.file.relative_to(self.root)

    @property
    def shown(self) -> str:
        """The file as messages name it, where the user has it; for an installed one the module."""
        return self.module if self.installed else shown(self.file)

    def read(self) -> bytes:
        """Return the file's contents. Raises ConfigError if it cannot be read."""
        try:
            return self.readable.read_bytes()
        except OSError as error:
            raise ConfigError(f"{self.shown}: cannot be read ({error.strerror})") from error

    @property
    def sha256(self) -> str:
        """SHA-256 of the file's contents, which is what identifies the code. Raises as `read`."""
        return hashlib.sha256(self.read()).hexdigest()


def unchanged(path: str, sha256: str | None) -> Located:
    """Return where `path` lies, after a check of its file's hash; None for any.

    Raises:
        ConfigError: as `locate`, or the file has changed.
    """
    located = locate(path)
    if sha256 is not None and located.sha256 != sha256:
        raise ConfigError(changed(located))
    return located


def changed(located: Located) -> str:
    """Return the message about a file that is not the one that a configuration was made with."""
    return f"{located.shown} has changed since the command was given: give the command again for the new file"


def split(path: str) -> tuple[str, str]:
    """Return (source, function) of `source:function`.

    Raises:
        ConfigError: no function is named.
    """
    source, _, function = path.rpartition(":") if ":" in path else (path, "", "")
    if not source or not function.isidentifier():
        raise ConfigError(f"{path}: name the function to call: {source or FORMS.partition(':')[0]}:FUNCTION")
    return source, function


def function_of(path: str) -> str:
    """Return the function that `path` names."""
    return path.rpartition(":")[2]


def label(path: str) -> str:
    """Return a short name for people: `net.build` for path/to/net.py:build and package.net:build."""
    source, _, function = path.rpartition(":")
    name = source.rpartition("/")[2]
    return f"{name.removesuffix('.py').rpartition('.')[2]}.{function}"


def locate(path: str, base: Path | None = None) -> Located:
    """Return where `path` lies.

    Args:
        path: FILE.py:FUNCTION, MODULE:FUNCTION (in `base`, on PYTHONPATH or installed) or
            FOLDER/MODULE:FUNCTION.
        base: what relative paths are relative to; default: the current folder.

    Raises:
        ConfigError: no function is named, or there is no such file or module.
    """
    base = Path.cwd() if base is None else base
    source, function = split(path)
    if source.endswith(".py"):
        return _of_file(base / Path(source).expanduser(), function)
    folder, slash, module = source.rpartition("/")
    if slash:
        return _of_folder(base / Path(folder or "/").expanduser(), module, function)
    return _of_module(module, function, base)


def absolute(located: Located) -> str:
    """Return the path in a form that does not depend on the current folder."""
    if located.installed:
        return f"{located.module}:{located.function}"
    root = located.root if located.copied is None else located.copied
    as_file = _of_file(located.readable, located.function)
    if as_file.module == located.module and as_file.root == located.root:
        return f"{located.readable}:{located.function}"
    return f"{root}/{located.module}:{located.function}"


def _of_file(file: Path, function: str) -> Located:
    file = file.absolute()
    if not file.is_file():
        raise ConfigError(f"{shown(file)}: there is no such file")
    package, module = _package_root(file)
    root = package or file.parent
    if (copied := _copied_folder(file)) is None:
        return Located(module, function, file, root)
    before = _original(copied)
    return Located(
        module,
        function,
        before / file.relative_to(copied),
        before / root.relative_to(copied),
        root,
    )


def _of_folder(folder: Path, module: str, function: str) -> Located:
    folder = folder.absolute()
    file = module_file(module, folder)
    if file is None:
        raise ConfigError(f"{shown(folder)}: there is no module {module} in it")
    if not (folder / MARKER).is_file():
        return Located(module, function, file, folder)
    before = _original(folder)
    return Located(module, function, before / file.relative_to(folder), before, folder)


def _of_module(module: str, function: str, base: Path) -> Located:
    file = _find(module, base)
    if file is None:
        missing = next(name for name in prefixes(module) if _find(name, base) is None)
        raise ConfigError(f"{module}: there is no module {missing}: give {FORMS}")
    parts = len(module.split(".")) - (file.name != "__init__.py")
    root = file.parents[parts]
    installed = file.suffix != ".py" or _is_installed(root.resolve())
    return Located(module, function, file, root, installed=installed)


def prefixes(module: str) -> Iterator[str]:
    """Yield a, a.b and a.b.c of a.b.c."""
    parts = module.split(".")
    for number in range(1, len(parts) + 1):
        yield ".".join(parts[:number])


def _find(module: str, base: Path) -> Path | None:
    """Return the file of a module, without importing any package above it; None if there is none.

    Only the finders of the first package are asked: importing that package could take seconds.
    """
    top, *rest = module.split(".")
    if not all(part.isidentifier() for part in (top, *rest)):
        return None
    with on_path(base), contextlib.suppress(ValueError, ImportError):
        spec = importlib.util.find_spec(top)
        if spec is None:
            return None
        if not rest:
            return Path(spec.origin) if spec.origin and Path(spec.origin).is_file() else None
        for folder in spec.submodule_search_locations or ():
            if file := module_file(".".join(rest), Path(folder)):
                return file
    return None


def module_file(module: str, folder: Path) -> Path | None:
    """Return the file of a module that is imported from `folder`; None if there is none."""
    stem = folder.joinpath(*module.split("."))
    candidates = (stem / "__init__.py", stem.with_name(f"{stem.name}.py"))
    return next((file for file in candidates if file.is_file()), None)


@contextlib.contextmanager
def on_path(folder: Path) -> Iterator[None]:
    """Put `folder` first on sys.path inside the context."""
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()  # a file may have been written since its folder was listed
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _is_installed(root: Path) -> bool:
    """Return whether a folder holds installed packages or the standard library."""
    if {"site-packages", "dist-packages"} & set(root.parts):
        return True
    return any(
        root.is_relative_to(Path(folder).resolve())
        for name in ("stdlib", "platstdlib")
        if (folder := sysconfig.get_path(name))
    )


def _copied_folder(file: Path) -> Path | None:
    return next((folder for folder in file.parents if (folder / MARKER).is_file()), None)


def _original(copied: Path) -> Path:
    try:
        return Path(msgspec.json.decode((copied / MARKER).read_bytes(), type=Marker).root)
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"{copied / MARKER}: damaged ({error}): run isoflop sweep again") from error


def _package_root(file: Path) -> tuple[Path | None, str]:
    """Return the folder above a file's package, and its module's name from there.

    A file without relative imports stands alone: (None, a name of its own). Else its folders are the package,
    with `__init__.py` or without: as many as its imports go up, or more.
    """
    levels = _relative_levels(file)
    if levels == 0:
        return None, f"isoflop_user_{file.stem}"
    folder, parts = file.parent, [] if file.stem == "__init__" else [file.stem]
    while levels > 0 or (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder, levels = folder.parent, levels - 1
    return folder, ".".join(parts)


def _relative_levels(file: Path) -> int:
    """Return the most dots of a relative import in a file; 0 if there is none or it cannot be parsed."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError, OSError):  # importing it will say so
        return 0
    return max((node.level for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)), default=0)
