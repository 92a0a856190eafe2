"""`isoflop meter -- COMMAND...`: the joules of any program, which needs no change and no import.

The boards are those that CUDA would give the command in this environment. The command keeps standard input,
output and error; the account goes to standard error when it has ended, and the exit code is the command's.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from isoflop.meter.device import visible
from isoflop.meter.device.nvml import canonical_uuid
from isoflop.meter.energy import rapl
from isoflop.meter.energy.energy_meter import Measurement
from isoflop.meter.energy.relay import relayed
from isoflop.meter.energy.window_meter import WindowMeter
from isoflop.record import Energy

NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""What shells answer for a command that is not there, or may not be run."""


@dataclasses.dataclass(frozen=True)
class Metered:
    """A command that has run. `energy` is None with its reason; watts are over all devices (`mean_watts`) and
    of the one that drew the most (`peak_watts`)."""

    command: tuple[str, ...]
    exit_code: int
    seconds: float
    energy_joules: float | None
    energy_joules_reason: str | None
    mean_watts: float | None
    mean_watts_reason: str | None
    peak_watts: float | None
    peak_watts_reason: str | None
    energy: Energy | None
    energy_reason: str | None


def meter(
    command: Sequence[str],
    *,
    gpus: Sequence[str] | None = None,
    idle_seconds: float = 0.0,
    period_seconds: float = 0.1,
    polls_path: Path | None = None,
) -> Metered:
    """Run `command` and meter it from its start to its end. `gpus` are UUIDs, by default those it would use.

    Raises:
        ValueError: there is no command, or a duration is out of range.
    """
    if not command:
        raise ValueError("give the command after --, such as isoflop meter -- python train.py")
    missing = _missing(command[0])
    if missing:
        return _not_run(command, missing)
    found = visible.boards() if gpus is None else visible.Visible(tuple(map(canonical_uuid, gpus)), None)
    window_meter = WindowMeter(
        found.uuids or (),
        host=rapl.find(),
        period_seconds=period_seconds,
        idle_seconds=idle_seconds,
        polls_path=polls_path,
        own_processes=None,
        no_gpu=found.reason or "no GPU was named",
    )
    with window_meter, relayed() as relay:
        window_meter.begin()
        try:
            code = relay.run(command)
        except FileNotFoundError:
            return _not_run(command, NOT_FOUND)
        except OSError:
            return _not_run(command, NOT_EXECUTABLE)
        finally:
            window_meter.end()
        energy, reason = window_meter.measurement()
    if found.uuids is None:
        energy, reason = None, found.reason
    return _metered(command, code, Measurement(window_meter.windows[0].seconds, energy, reason))


def _missing(name: str) -> int | None:
    """The exit code for a command that cannot be run, found before anything is metered."""
    if shutil.which(name):
        return None
    return NOT_EXECUTABLE if os.sep in name and Path(name).exists() else NOT_FOUND


def _not_run(command: Sequence[str], code: int) -> Metered:
    why = "not found" if code == NOT_FOUND else "not executable"
    return _metered(command, code, Measurement(0.0, None, f"{command[0]}: {why}"))


def _metered(command: Sequence[str], code: int, found: Measurement) -> Metered:
    no_peak = found.reason or "no device's power was read"
    return Metered(
        command=tuple(command),
        exit_code=code,
        seconds=found.seconds,
        energy_joules=found.energy_joules,
        energy_joules_reason=found.reason,
        mean_watts=found.mean_watts,
        mean_watts_reason=found.reason,
        peak_watts=found.peak_watts,
        peak_watts_reason=no_peak if found.peak_watts is None else None,
        energy=found.energy,
        energy_reason=found.reason,
    )


def account(metered: Metered) -> str:
    """What was metered, in lines for people."""
    energy = metered.energy
    if energy is None:
        if metered.seconds == 0:
            return f"isoflop: {metered.energy_reason}\n"
        return f"isoflop meter: {metered.seconds:.4g} s, joules unknown: {metered.energy_reason}\n"
    peak = "" if metered.peak_watts is None else f", peak {metered.peak_watts:.4g} W"
    lines = [
        f"isoflop meter: {energy.energy_joules:.4g} J in {metered.seconds:.4g} s, "
        f"mean {metered.mean_watts:.4g} W{peak}, by {energy.used}, grade {energy.grade}"
    ]
    for device in energy.devices:
        joules = (device.mean_watts or 0.0) * energy.window_seconds
        most = "" if device.peak_watts is None else f", peak {device.peak_watts:.4g} W"
        lines.append(f"  {device.uuid} {device.name}: {joules:.4g} J, mean {device.mean_watts:.4g} W{most}")
    if energy.host_joules is not None:
        lines.append(f"  processors and memory beside (RAPL, not in the sum): {energy.host_joules:.4g} J")
    if energy.net_joules is not None:
        lines.append(f"  above idle ({energy.idle_watts:.4g} W): {energy.net_joules:.4g} J")
    lines += [f"  {words}" for words in energy.grade_reasons]
    return "\n".join(lines) + "\n"


def tell(metered: Metered) -> None:
    """Write the account to standard error, which the command's output is kept apart from."""
    sys.stderr.write(account(metered))
    sys.stderr.flush()
