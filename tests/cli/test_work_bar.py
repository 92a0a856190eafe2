"""The bar of verbs that compute long: on a terminal, beyond two seconds, never in what is printed."""

import io
import sys
import time

import pytest

from isoflop import tasks
from isoflop.api import work_bar
from isoflop.cli import main
from isoflop.cli.standard_streams import GuardedStream


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("x,y\n" + "".join(f"{10**k},{0.9 * 10 ** (-0.2 * k):.4f}\n" for k in range(8)))
    return path


def on_terminal(monkeypatch):
    """Return what is written to standard error, now a terminal. Not a fixture: pytest would undo it."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    return stream


def fit(table, *options):
    return main.main(["fit", str(table), "--x", "x", "--y", "y", "--resamples", "100", *options])


def test_a_long_fit_shows_what_it_computes(table, capsys, monkeypatch):
    terminal = on_terminal(monkeypatch)
    monkeypatch.setattr(work_bar, "WAIT_SECONDS", 0.0)
    assert fit(table) == 0
    shown = terminal.getvalue()
    assert "isoflop fit: " in shown
    assert "forecast" in shown
    printed = capsys.readouterr().out
    assert "isoflop fit: " not in printed
    assert "power_law" in printed


def test_a_short_fit_json_and_a_pipe_show_none(table, monkeypatch, tmp_path):
    terminal = on_terminal(monkeypatch)
    monkeypatch.setattr(work_bar, "WAIT_SECONDS", 600.0)
    assert fit(table) == 0
    monkeypatch.setattr(work_bar, "WAIT_SECONDS", 0.0)
    assert fit(table, "--json", str(tmp_path / "fit.json")) == 0
    monkeypatch.setattr(Terminal, "isatty", lambda _: False)
    assert fit(table) == 0
    assert "isoflop fit: " not in terminal.getvalue()


def test_the_bar_is_gone_before_the_first_text_is_printed(monkeypatch):
    terminal = on_terminal(monkeypatch)
    out = GuardedStream(io.StringIO())
    with work_bar.work_bar("isoflop fit") as bar:
        out.before_text = bar.close
        out.write("result")
        tasks.tell("forecast", 1, 2)
    assert terminal.getvalue() == ""


def test_the_bar_comes_by_itself_while_one_task_takes_long(monkeypatch):
    terminal = on_terminal(monkeypatch)
    monkeypatch.setattr(work_bar, "WAIT_SECONDS", 0.05)
    with work_bar.work_bar("isoflop fit"):
        tasks.tell("laws", 0, 7)
        ends = time.monotonic() + 30
        while "laws" not in terminal.getvalue() and time.monotonic() < ends:
            time.sleep(0.01)
    assert "laws" in terminal.getvalue()


def test_every_verb_that_computes_long_is_known():
    verbs = next(a for a in main.parser()._actions if a.dest == "verb").choices
    assert set(main.COMPUTE) < set(verbs)
