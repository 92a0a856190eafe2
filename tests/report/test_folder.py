"""A report's folder: whole or as it was."""

from pathlib import Path

import pytest

from isoflop.report import folder


def fill(made: Path, name: str) -> None:
    (made / "figures").mkdir()
    (made / f"figures/{name}.png").write_text(name)
    (made / folder.PAGE).write_text(name)


def test_a_report_replaces_the_one_before_it_and_its_figures(tmp_path: Path) -> None:
    out = tmp_path / "deep/report"
    for name in ("old", "new"):
        folder.check(out)
        with folder.replaced(out) as made:
            fill(made, name)
    assert {each.name for each in out.rglob("*")} == {"figures", "new.png", "index.html"}
    assert (out / folder.PAGE).read_text() == "new"
    assert [each.name for each in out.parent.iterdir()] == ["report"]


def test_a_failure_leaves_the_report_before_it(tmp_path: Path) -> None:
    out = tmp_path / "report"
    with folder.replaced(out) as made:
        fill(made, "old")

    def broken() -> None:
        with folder.replaced(out) as made:
            fill(made, "new")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        broken()
    assert (out / "figures/old.png").is_file()
    assert (out / folder.PAGE).read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["report"]
