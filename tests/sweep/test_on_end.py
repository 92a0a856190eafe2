"""launch.on_end: the user's command after a sweep, what it is told, and what becomes of its failures."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from isoflop.config import Config
from isoflop.sweep import on_end
from isoflop.sweep.on_end import Ended

MakeConfig = Callable[..., Config]


def ended(directory: Path) -> Ended:
    return Ended(directory, "the sweep", 1, 12, 10, "Error falls; `touch no` $(touch no)")


def test_the_command_knows_the_sweep_by_its_environment(tmp_path: Path) -> None:
    """Names that a shell would read as code are only text there."""
    folder = tmp_path / "a $(touch no) 'folder' \";"
    folder.mkdir()
    command = 'cd "$ISOFLOP_SWEEP_DIR" && printf "%s|" "$ISOFLOP_SWEEP_DIR" "$ISOFLOP_SWEEP_NAME" '
    command += '$ISOFLOP_EXIT_CODE $ISOFLOP_RUNS $ISOFLOP_RUNS_DONE "$ISOFLOP_VERDICT" > told'
    on_end.run(command, ended(folder))
    assert [path.name for path in folder.iterdir()] == ["told"]
    told = (folder / "told").read_text().split("|")
    assert told[:-1] == [str(folder), "the sweep", "1", "12", "10", "Error falls; `touch no` $(touch no)"]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("exit 3", "isoflop: launch.on_end=exit 3 ended with exit code 3: the sweep is not affected"),
        ("kill -TERM $$", "isoflop: launch.on_end=kill -TERM $$ was killed by SIGTERM: the sweep is not"),
        ("no-such-program", "ended with exit code 127"),
        ("true &&\n false " + "x" * 100, f"launch.on_end=true && false {'x' * 46}... ended with exit code 1"),
        ("read answer", "launch.on_end=read answer ended with exit code 1"),
    ],
)
def test_a_failure_is_one_line(
    command: str, said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    on_end.run(command, ended(tmp_path))
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("isoflop: ")]
    assert len(lines) == 1
    assert said in lines[0]


def test_a_request_to_stop_ends_the_command_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "run", interrupted)
    on_end.run("sleep 100", ended(tmp_path))
    assert capsys.readouterr().err == "isoflop: launch.on_end=sleep 100 was interrupted\n"


def test_without_a_command_nothing_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_end, "SHELL", "/no/such/shell")
    on_end.run(None, ended(tmp_path))


def test_a_shell_that_is_missing_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(on_end, "SHELL", "/no/such/shell")
    on_end.run("true", ended(tmp_path))
    assert "launch.on_end=true could not be started: No such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("' '", "give a shell command, or null for none"),
        ("'curl -H \"Authorization: Bearer abcdefgh1234\" x'", "holds a key or a password"),
    ],
)
def test_a_command_that_must_not_be_kept_is_refused(given: str, said: str, make_config: MakeConfig) -> None:
    with pytest.raises(ValueError, match=said):
        make_config(f"launch.on_end={given}")


def test_a_key_that_the_environment_holds_may_be_named(make_config: MakeConfig) -> None:
    command = 'curl -H "Authorization: Bearer $NTFY_TOKEN" -d "$ISOFLOP_VERDICT" ntfy.sh/me'
    assert make_config(f"launch.on_end='{command}'").launch.on_end == command
