"""The processor's own energy counters (RAPL), through the kernel's powercap folder.

Read are the packages (package-N) and the memory beside them (dram). Left out is what would count twice: core
and uncore lie inside a package, psys contains all packages, and intel-rapl-mmio repeats them. Linux lists
AMD's counters under the same name. A counter starts again from 0 at max_energy_range_uj. Since Linux 5.10
(CVE-2020-8694) only root may read them. Never imports torch or numpy: the sampler process uses this module.

Source: Linux, Documentation/power/powercap/powercap.rst.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

ROOT = Path("/sys/class/powercap")
FIELD = "RAPL energy_uj"
ABSENT = (
    "this machine offers no RAPL counters (virtual machines, containers and processors other than x86 often "
    "have none)"
)
UNREADABLE = (
    "RAPL may be read by root only: run as root, or let everyone read it with sudo chmod a+r {}/*/energy_uj"
)


@dataclasses.dataclass(frozen=True)
class Domain:
    """One counter: a processor package or its memory. It wraps to 0 after `range_joules`."""

    path: Path
    uuid: str
    range_joules: float


@dataclasses.dataclass(frozen=True)
class Found:
    """The counters that can be read, or none and the reason."""

    domains: tuple[Domain, ...]
    reason: str | None


NOT_ASKED = Found((), "RAPL was not asked for")


class RaplError(RuntimeError):
    """A counter could not be read; the message is a short reason."""


def find(root: Path = ROOT) -> Found:
    """Every package and memory counter under `root` that is to be summed, each readable.

    One that cannot be read makes all of them unknown: a part of the processor is no figure for the whole.
    """
    try:
        folders = sorted(root.glob("intel-rapl:*"))
        domains = tuple(domain for folder in folders if (domain := _domain(folder)))
    except (OSError, ValueError) as error:
        return Found((), f"RAPL could not be listed: {error}")
    if not domains:
        return Found((), ABSENT)
    for domain in domains:
        try:
            read_joules(domain)
        except RaplError as error:
            denied = isinstance(error.__cause__, PermissionError)
            return Found((), UNREADABLE.format(root) if denied else f"{domain.uuid}: {error}")
    return Found(domains, None)


def _domain(folder: Path) -> Domain | None:
    """The counter in this folder, or None where it is part of another one or holds others."""
    name = _text(folder / "name")
    parent = _text(folder.parent / folder.name.rpartition(":")[0] / "name") if _is_inner(folder) else None
    if not (name.startswith("package-") if parent is None else name == "dram"):
        return None
    range_joules = int(_text(folder / "max_energy_range_uj")) * 1e-6
    label = name if parent is None else f"{parent}/{name}"
    return Domain(folder, f"RAPL {label}", range_joules)


def _is_inner(folder: Path) -> bool:
    return folder.name.count(":") > 1


def _text(path: Path) -> str:
    return path.read_text().strip()


def read_joules(domain: Domain) -> float:
    """The counter now, in joules since some moment; see `rise` for what two readings are apart.

    Raises:
        RaplError: it could not be read.
    """
    try:
        return int(_text(domain.path / "energy_uj")) * 1e-6
    except (OSError, ValueError) as error:
        raise RaplError(getattr(error, "strerror", None) or str(error)) from error


def rise(before: float, after: float, range_joules: float) -> float:
    """Joules between two readings that are less than a whole range apart (minutes at full power)."""
    return after - before if after >= before else after - before + range_joules
