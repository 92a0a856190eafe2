"""What a session does before its meter starts, and who holds a run."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import pytest
import torch

from isoflop import record as records
from isoflop.config import Config
from isoflop.runner import attempt, energy, session

MakeConfig = Callable[..., Config]


class Meter:
    """Stands in for the meter of a session."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        self.settings = settings

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, *error: Any) -> None:
        return None


@pytest.mark.parametrize("kind", ["cuda", "cpu"])
def test_idle_power_is_that_of_a_gpu_with_a_context(
    kind: str, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[torch.device] = []
    device = torch.device(kind, 0)
    monkeypatch.setattr(session, "WindowMeter", Meter)
    monkeypatch.setattr(energy, "gpu_uuids", lambda device: ())
    monkeypatch.setattr(torch, "zeros", lambda sizes, *, device: made.append(device))
    session.Session(make_config(), device)
    assert made == ([device] if kind == "cuda" else [])


def test_a_sweep_that_says_nothing_of_processes_has_one_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert session._own_processes == 1, "of a run alone"
    for name in ("_known_idle", "_shared", "_own_processes"):
        monkeypatch.setattr(session, name, None)
    session.configure(idle=None, shared="nothing")
    assert (session._known_idle, session._shared, session._own_processes) == (None, "nothing", 1)


def test_the_main_process_holds_the_run_and_the_others_wait_for_it(make_config: MakeConfig) -> None:
    config = make_config()

    def world(is_main: bool) -> Any:
        return types.SimpleNamespace(is_main=is_main, run_on_all=lambda work: work())

    with attempt._claimed(config, world(True)):
        with attempt._claimed(config, world(False)):
            pass
        with (
            pytest.raises(records.RecordBusyError, match="another process is working on this run"),
            attempt._claimed(config, world(True)),
        ):
            pass
    with attempt._claimed(config, world(True)):
        pass
