"""Energy counters of the processor (RAPL), read from the kernel's powercap folder.

Summed are the packages (package-N) and the memory beside them (dram). Left out is what would be counted
twice: core and uncore lie inside a package, psys contains all packages, and intel-rapl-mmio repeats them.
Linux lists AMD's counters under the same names. A counter wraps to 0 at max_energy_range_uj. Since Linux 5.10
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
    """One counter, of a processor package or of its memory; it wraps to 0 after `range_joules`."""

    path: Path
    uuid: str
    range_joules: float


@dataclasses.dataclass(frozen=True)
class Domains:
    """The counters to sum, or () and the reason there are none."""

    domains: tuple[Domain, ...]
    reason: str | None


NOT_REQUESTED = Domains((), "RAPL was not requested")


class RaplError(RuntimeError):
    """A counter could not be read; the message is a short reason."""


def find(root: Path = ROOT) -> Domains:
    """Return every package and memory counter under `root` that is to be summed.

    One counter that cannot be read makes them all unknown: part of the processor is no figure for the whole.
    """
    try:
        folders = sorted(root.glob("intel-rapl:*"))
        domains = tuple(domain for folder in folders if (domain := _domain(folder)))
    except (OSError, ValueError) as error:
        return Domains((), f"RAPL could not be listed: {error}")
    if not domains:
        return Domains((), ABSENT)
    for domain in domains:
        try:
            read_joules(domain)
        except RaplError as error:
            denied = isinstance(error.__cause__, PermissionError)
            return Domains((), UNREADABLE.format(root) if denied else f"{domain.uuid}: {error}")
    return Domains(domains, None)


def _domain(folder: Path) -> Domain | None:
    """Return the counter in this folder, or None if it lies inside another one or contains others."""
    # intel-rapl:0 is a top-level zone (package-0 or psys), intel-rapl:0:2 a zone inside it (core, uncore,
    # dram). In sysfs all are listed side by side, so the parent's folder follows from the name.
    name = _read_text(folder / "name")
    is_inner = folder.name.count(":") > 1
    parent = _read_text(folder.parent / folder.name.rpartition(":")[0] / "name") if is_inner else None
    if not (name.startswith("package-") if parent is None else name == "dram"):
        return None
    range_joules = int(_read_text(folder / "max_energy_range_uj")) * 1e-6
    label = name if parent is None else f"{parent}/{name}"
    return Domain(folder, f"RAPL {label}", range_joules)


def _read_text(path: Path) -> str:
    return path.read_text().strip()


def read_joules(domain: Domain) -> float:
    """Return the counter's present value in joules; `rise` gives the difference of two values.

    Raises:
        RaplError: it could not be read.
    """
    try:
        return int(_read_text(domain.path / "energy_uj")) * 1e-6
    except (OSError, ValueError) as error:
        raise RaplError(getattr(error, "strerror", None) or str(error)) from error


def rise(before: float, after: float, range_joules: float) -> float:
    """Return the joules between two readings, undoing at most one wrap-around.

    At full power a counter takes minutes to wrap, so polls many times a second cannot miss one.
    """
    return after - before if after >= before else after - before + range_joules
