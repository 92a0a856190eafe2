"""Which files beside the user's own it imports, by reading them: imports inside functions count too."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from isoflop.config.user_code.locate import Located, module_file, prefixes

NOT_BESIDE = ("isoflop",)
"""Packages that never count as the user's own."""


def modules_of(located: Located) -> dict[str, Path]:
    """Return module name -> file, as it can be read, of the user's module and of all that it imports from its
    root folder; of an installed module that alone.

    Imports whose name is computed (importlib) are not seen.
    """
    found = {located.module: located.readable}
    if located.installed:
        return found
    root = located.root if located.copied is None else located.copied
    packages = {name: module_file(name, root) for name in prefixes(located.module)}
    found |= {name: file for name, file in packages.items() if file is not None}
    remaining = list(found)
    while remaining:
        module = remaining.pop()
        for name in _imported(module, found[module]):
            if name in found or name.partition(".")[0] in NOT_BESIDE:
                continue
            if (file := module_file(name, root)) is not None and file not in found.values():
                found[name] = file
                remaining.append(name)
    return found


def _imported(module: str, file: Path) -> Iterator[str]:
    """Yield every module that a file may import by name, packages above it first."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError, OSError):  # importing it will say so
        return
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from prefixes(alias.name)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                # `from a import b`: b is a module of a, or a name in it.
                yield from prefixes(f"{base}.{alias.name}".strip("."))


def hashes(located: Located, modules: Mapping[str, Path] | None = None) -> dict[str, str]:
    """Return file name, from the root folder -> SHA-256 of the user's file and of those that it imports."""
    root = located.root if located.copied is None else located.copied
    modules = modules_of(located) if modules is None else modules
    if located.installed:
        return {located.module: located.sha256}
    return {
        file.relative_to(root).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in modules.values()
    }
