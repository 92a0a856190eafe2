"""What `import isoflop` offers: cheap to import, never shadowed, typed, and with examples that run."""

from __future__ import annotations

import doctest
import importlib
import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import isoflop

ROOT = Path(__file__).parents[2]
WITHOUT_TORCH = (
    "load",
    "fit",
    "compare",
    "levers",
    "check",
    "write_report",
    "plot_fit",
    "Fit",
    "EnergyMeter",
)
EVERY_MODULE = """
import importlib, json, pkgutil, sys, warnings
warnings.simplefilter("ignore")
import isoflop
skipped = {}
for module in pkgutil.walk_packages(isoflop.__path__, "isoflop."):
    if module.name.endswith("__main__"):
        continue
    try:
        importlib.import_module(module.name)
    except ImportError as error:  # an optional package that is not installed
        skipped[module.name] = str(error)
found = {}
for name in (*isoflop.__all__, *isoflop._HOMES):
    value = getattr(isoflop, name)
    home = isoflop._HOMES.get(name)
    found[name] = [type(value).__name__, home is None or value is getattr(sys.modules[home], name)]
print(json.dumps([found, skipped, len(sys.modules)]))
"""
MODULES = sorted({home for home in isoflop._HOMES.values() if home.startswith("isoflop.api.")})
USER_SCRIPT = """
import matplotlib.pyplot as plt
import pandas as pd
import torch

import isoflop

runs: pd.DataFrame = isoflop.load("runs.csv")
fitted: isoflop.Fit = isoflop.fit(runs, x="flops", y="loss", group=["width", "depth"], seed="seed")
table: pd.DataFrame = fitted.predict([1e20, 1e21], law="power_law")
text: str = fitted.to_json()
fitted.to_json("fit.json")
weights = {member.law: member.weight for member in fitted.forecast.members} if fitted.forecast else {}
_, axes = plt.subplots()
isoflop.plot_residuals(fitted, axes)
compared: isoflop.Comparison = isoflop.compare({"old": runs, "new": "new.csv"}, x="flops", y="loss")
verdict: tuple[str, ...] = compared.verdict
checked: isoflop.Check = isoflop.check("results/mine")
page: str = str(isoflop.write_report("results/mine"))
flops: float | None = isoflop.count_flops(torch.nn.Linear(8, 2), (8,)).train_flops_per_example
record = isoflop.run_config("data=digits", out="results/mine")
error: float | None = record.error.test if record.error else None
swept: pd.DataFrame = isoflop.run_sweep("sweep=digits", progress=False)
with isoflop.EnergyMeter() as meter:
    pass
"""


def run(code: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *options, "-c", code]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)


@pytest.mark.slow
def test_no_submodule_shadows_a_name() -> None:
    """`import isoflop.curve.fit`, or any other module, leaves isoflop.fit the function."""
    ran = run(EVERY_MODULE)
    assert ran.returncode == 0, ran.stderr
    found, skipped, _ = json.loads(ran.stdout.splitlines()[-1])
    assert not [name for name in skipped if not re.search(r"lightning|transformers|accelerate|wandb", name)]
    assert [name for name, (kind, same) in found.items() if kind == "module" or not same] == []


def test_no_name_is_that_of_a_module_of_the_package() -> None:
    modules = {path.stem for path in (ROOT / "src/isoflop").iterdir()}
    assert not modules & set(isoflop.__all__)


@pytest.mark.torch
def test_every_name_is_listed_and_described() -> None:
    assert set(isoflop.__all__) - {"__version__"} <= set(isoflop._HOMES)
    assert set(isoflop.__all__) <= set(dir(isoflop))
    documented = set(re.findall(r"^\| `(\w+)", (ROOT / "docs/api.md").read_text(), re.MULTILINE))
    assert set(isoflop._HOMES) <= documented
    for name in isoflop._HOMES:
        assert inspect.getdoc(getattr(isoflop, name)), name
    with pytest.raises(AttributeError, match="module isoflop has no attribute fits"):
        _ = isoflop.fits


def test_the_package_is_imported_without_what_it_loads_later() -> None:
    heavy = "{'torch', 'pandas', 'numpy', 'matplotlib', 'hydra', 'rich'}"
    assert run(f"import isoflop, sys; sys.exit(len({heavy} & set(sys.modules)))").returncode == 0


@pytest.mark.parametrize("name", WITHOUT_TORCH)
def test_what_needs_no_torch_does_not_import_it(name: str) -> None:
    ran = run(f"import sys, isoflop; isoflop.{name}; sys.exit(int('torch' in sys.modules))")
    assert ran.returncode == 0, ran.stderr


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES)
def test_the_examples_of_the_docstrings_run(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    loaded = importlib.import_module(module)
    assert doctest.testmod(loaded, optionflags=doctest.NORMALIZE_WHITESPACE).failed == 0


@pytest.mark.torch
def test_every_function_has_an_example() -> None:
    for name in isoflop.__all__:
        value = getattr(isoflop, name)
        if inspect.isfunction(value) and not name.startswith("plot_"):
            assert ">>> " in (value.__doc__ or ""), name


@pytest.mark.slow
def test_a_users_script_is_typed(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(USER_SCRIPT)
    known = ROOT / ".mypy_cache"  # of make check, by the same settings, with torch and pandas
    cache = known if known.is_dir() else tmp_path / "cache"
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(cache)]
    command.append(str(tmp_path / "script.py"))
    environment = os.environ | {"MYPYPATH": str(ROOT / "src")}
    ran = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert ran.returncode == 0, ran.stdout
    wrong = USER_SCRIPT.replace('seed="seed"', "seed=3")
    (tmp_path / "script.py").write_text(wrong)
    ran = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert '"seed" to "fit" has incompatible type "int"' in ran.stdout
