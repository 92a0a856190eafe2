"""Optional packages: one table of them, and the one line for each that is missing."""

from __future__ import annotations

import importlib
import re
import sys
import tomllib
import types
from collections.abc import Callable
from pathlib import Path

import pytest

import isoflop
from isoflop import extras
from isoflop.sweep import children

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OPTIONAL = PROJECT["optional-dependencies"]
TORCH = "torch, which is not installed: pip install 'isoflop[train]'"


def names(requirements: list[str]) -> set[str]:
    """The packages of a list of requirements, without isoflop's own extras."""
    return {re.match(r"[\w-]+", each)[0] for each in requirements} - {"isoflop"}


def needs(extra: str) -> set[str]:
    """The extras that an extra brings along, itself among them."""
    own = [each for each in OPTIONAL[extra] if each.startswith("isoflop[")]
    return {extra}.union(*(needs(name) for each in own for name in re.findall(r"\w+", each)[1:]))


def test_the_table_is_that_of_pyproject() -> None:
    by_extra: dict[str, set[str]] = {}
    for package, extra in extras.PACKAGES.values():
        by_extra.setdefault(extra, set()).add(package)
    assert by_extra == {
        extra: names(OPTIONAL[extra]) for extra in OPTIONAL if extra not in ("docs", "dev", "all")
    }


def test_the_core_needs_no_package_of_an_extra() -> None:
    optional = {package for package, _ in extras.PACKAGES.values()}
    assert "torch" in optional
    assert not optional & names(PROJECT["dependencies"])


@pytest.mark.parametrize("extra", ["levers", "lightning", "transformers", "accelerate", "all", "dev"])
def test_what_trains_brings_torch_along(extra: str) -> None:
    assert {"train", "energy"} <= needs(extra)


def test_all_is_all() -> None:
    assert needs("all") == set(OPTIONAL) - {"docs", "dev"}


def test_a_mere_folder_is_not_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "left_over").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert importlib.import_module("left_over").__path__
    assert not extras.installed("left_over")
    assert extras.installed("json")
    monkeypatch.setitem(sys.modules, "by_hand", types.ModuleType("by_hand"))
    assert extras.installed("by_hand")


@pytest.mark.parametrize("module", extras.PACKAGES)
def test_each_missing_package_is_the_same_line(module: str, without: Callable[..., None]) -> None:
    without(module)
    package, extra = extras.PACKAGES[module]
    said = f"It needs {package}, which is not installed: pip install 'isoflop[{extra}]'"
    for refused in (lambda: extras.check("It", "json", module), lambda: extras.first_of("It", module)):
        with pytest.raises(extras.MissingExtraError) as caught:
            refused()
        assert str(caught.value) == said
    with pytest.raises(extras.MissingExtraError, match=re.escape(said)), extras.explained("It"):
        importlib.import_module(f"{module}.part")


@pytest.mark.parametrize("name", ["LightningRecorder", "TransformersRecorder", "AccelerateRecorder"])
def test_a_name_of_the_package_says_what_it_needs(
    name: str, without: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    package = name.removesuffix("Recorder").lower()
    without(package, "pytorch_lightning")
    monkeypatch.delitem(sys.modules, f"isoflop.runner.recorder.{package}", raising=False)
    said = f"{name} needs {package}, which is not installed: pip install 'isoflop[{package}]'"
    with pytest.raises(ImportError, match=f"^{re.escape(said)}$"):
        getattr(isoflop, name)


def test_a_child_that_lacks_a_package_is_the_input_s_fault(without: Callable[..., None]) -> None:
    def job() -> None:
        importlib.import_module("torch.absent")

    without("torch")
    assert children.reply(job, ()) == ("input", f"training needs {TORCH}")


def test_a_package_that_lacks_something_itself_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "half_installed.py").write_text("import something_that_is_missing\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="something_that_is_missing"):
        extras.first_of("Adapter", "half_installed")
    with pytest.raises(ModuleNotFoundError, match="something_that_is_missing"), extras.explained("Adapter"):
        importlib.import_module("half_installed")
