"""What is said where NVIDIA's bindings for Python cannot be imported."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from isoflop.meter.device import hardware, nvml

THERE = "libc.so.6"
"""A library that every Linux has, in place of the driver's."""


def test_without_a_driver_nothing_is_to_be_installed(
    without: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    without("pynvml")
    monkeypatch.setattr(nvml, "LIBRARY", "libabsent-ml.so.1")
    assert hardware.gpus() == ((), nvml.UNAVAILABLE["LibraryNotFound"])


def test_with_a_driver_the_extra_is_named(
    without: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    without("pynvml")
    monkeypatch.setattr(nvml, "LIBRARY", THERE)
    needs = "nvidia-ml-py, which is not installed: pip install 'isoflop[energy]'"
    assert hardware.gpus() == ((), f"the energy of a GPU needs {needs}")


def test_bindings_that_are_broken_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ImportError("cannot import name 'c_uint'")

    monkeypatch.setattr(nvml, "_binding", broken)
    monkeypatch.setattr(nvml, "LIBRARY", THERE)
    assert hardware.gpus() == ((), "nvidia-ml-py cannot be imported: cannot import name 'c_uint'")
