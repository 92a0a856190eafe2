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
    assert {each.name for each in out.rglob("*")} == {"figures", "new.png", "index.html", folder.LISTED}
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


def test_files_that_no_report_wrote_are_never_replaced_or_deleted(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / folder.PAGE).write_text("my home page")
    with pytest.raises(ValueError, match="no report of isoflop"):
        folder.check(site)
    out = tmp_path / "report"
    with folder.replaced(out) as made:
        fill(made, "old")
    (out / "figures/mine.png").write_text("mine")
    (out / "notes.txt").write_text("mine")
    with folder.replaced(out) as made:
        fill(made, "new")
    assert {each.name for each in (out / "figures").iterdir()} == {"new.png", "mine.png"}
    assert (out / "notes.txt").read_text() == "mine"

    def over_mine() -> None:
        with folder.replaced(out) as made:
            fill(made, "mine")

    with pytest.raises(ValueError, match=r"figures/mine\.png there is not of a report"):
        over_mine()
    assert (out / folder.PAGE).read_text() == "new"
    assert (out / "figures/mine.png").read_text() == "mine"
