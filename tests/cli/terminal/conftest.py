"""The synthetic sweeps of tests/report, for the tables of the terminal."""

import importlib.util
from pathlib import Path

_spec = importlib.util.spec_from_file_location(
    "synthetic_sweeps", Path(__file__).parents[2] / "report/conftest.py"
)
assert _spec is not None
assert _spec.loader is not None
_synthetic = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_synthetic)
make_table, make_fits = _synthetic.make_table, _synthetic.make_fits
