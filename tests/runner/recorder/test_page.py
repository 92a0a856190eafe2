"""Every piece of code of docs/recorder.md runs, in the order of the page, and then its commands."""

from __future__ import annotations

import importlib.util
import logging
import re
import shlex
from pathlib import Path

import pytest

from isoflop import record as records
from isoflop.cli import main

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
PAGE = (Path(__file__).parents[3] / "docs/recorder.md").read_text()
CODE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = re.findall(r"^\$ isoflop (.*)$", PAGE, re.MULTILINE)
NEEDS = {"lightning": "lightning", "transformers": "transformers", "accelerate": "accelerate"}


@pytest.mark.parametrize("number", range(len(CODE)), ids=["loop", *NEEDS])
def test_the_code_of_the_page_leaves_records(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = ("torch", *NEEDS)[number]
    if importlib.util.find_spec(needed) is None:
        pytest.skip(f"{needed} is not installed")
    monkeypatch.chdir(tmp_path)
    logging.disable(logging.WARNING)
    try:
        exec(compile(CODE[number], f"docs/recorder.md, code {number}", "exec"), {"__name__": "__main__"})
    finally:
        logging.disable(logging.NOTSET)
    paths = list(Path("results/mine/records").glob("*.json"))
    assert len(paths) == (4 if number == 0 else 1)
    for path in paths:
        record = records.read(path)
        assert record.state == "done"
        assert record.compute is not None
        assert record.compute.train_flops is not None, record.compute.train_flops_reason
        assert record.error is not None


def test_the_commands_of_the_page_read_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(CODE[0], "docs/recorder.md", "exec"), {"__name__": "__main__"})
    assert [command.split()[0] for command in COMMANDS] == ["fit", "check", "report", "status"]
    for command in COMMANDS:
        assert main.main(shlex.split(command)) == 0, command
