"""make audit: what an index knows of the pinned versions, and that silence is not an all-clear."""

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "audit.py"


@pytest.fixture(scope="module")
def audit():
    spec = importlib.util.spec_from_file_location("audit", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CLEAN = {"name": "idna", "version": "3.20", "vulns": []}
HOLE = {"name": "jinja2", "version": "2.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"]}]}
SKIPPED = {"name": "yacs", "skip_reason": "Dependency not found on PyPI"}


def test_a_hole_is_named_with_its_cure_and_fails(audit):
    printed, code = audit.lines({"dependencies": [CLEAN, HOLE]})
    assert code == 1
    assert printed == ["jinja2 2.0: PYSEC-1, fixed in 2.1", "audit: 2 versions checked, 1 known holes"]


def test_what_the_index_does_not_know_is_named(audit):
    assert audit.lines({"dependencies": [CLEAN, SKIPPED]}) == (
        ["audit: 1 versions checked, 0 known holes; the index does not know yacs"],
        0,
    )


@pytest.mark.parametrize("report", [None, {"dependencies": [SKIPPED]}])
def test_where_no_index_answers_one_line_says_that_nothing_was_checked(audit, report):
    assert audit.lines(report) == (["audit: no package index answered: nothing was checked"], 0)


def test_a_pip_audit_that_cannot_connect_is_no_report(audit, monkeypatch, tmp_path):
    monkeypatch.setattr(audit.sys, "executable", "/bin/false")
    assert audit.ask(tmp_path / "constraints.txt") is None
