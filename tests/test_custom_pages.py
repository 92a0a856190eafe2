"""The code and the commands of docs/custom_model.md and docs/custom_data.md, in the order of the pages."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from isoflop.cli import main

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(("page", "file"), [("custom_model", "net.py"), ("custom_data", "data.py")])
def test_the_code_and_the_commands_of_the_page_run(
    page: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    parts = re.findall(r"```(python|console)\n(.*?)```", (ROOT / f"docs/{page}.md").read_text(), re.DOTALL)
    assert [kind for kind, _ in parts].count("console") > 0
    for kind, text in parts:
        if kind == "python":
            (tmp_path / file).write_text(text)
            continue
        for line in text.splitlines():
            words = shlex.split(line.removeprefix("$ isoflop "))
            trains = ["launch.threads=1", "meter.energy=none"] if words[0] in ("run", "sweep") else []
            assert main.main([*words, *trains]) == 0, line
    assert list(tmp_path.glob("results/*/records/*.json"))


def test_the_examples_train_together(tmp_path: Path) -> None:
    words = [
        "model=custom",
        f"model.path={ROOT}/examples/custom/net.py:build",
        "model.width=4",
        "data=custom",
    ]
    words += [f"data.path={ROOT}/examples/custom/data.py:load", "data.arguments.examples=200"]
    quick = ["schedule.epochs=1", "launch.threads=1", "meter.energy=none"]
    assert main.main(["run", *words, *quick, f"out={tmp_path}"]) == 0
