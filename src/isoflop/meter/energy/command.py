"""`isoflop meter -- COMMAND...`: the energy of any program, which needs no change and no import.

The GPUs are those that CUDA would give the command in this environment. The command keeps standard input,
output and error; the report goes to standard error after it has ended, and the exit code is the command's.
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
from isoflop.record import Energy, redact

NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""A shell's exit codes for a command that does not exist, or may not be executed."""


@dataclasses.dataclass(frozen=True)
class Metered:
    """A command that has run, with its energy or the reason it is unknown.

    `command` is without secrets, `mean_watts` is over all devices, and `peak_watts` is that of the device
    that drew the most.
    """

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
    """Run `command` and meter it from its start to its end.

    Args:
        command: the program and its arguments.
        gpus: UUIDs of the GPUs to meter; default: those the command would use.
        idle_seconds: length of the idle baseline before the command starts (0: none).
        period_seconds: time between polls.
        polls_path: file to keep every poll in.

    Raises:
        ValueError: there is no command, or a duration is out of range.
    """
    if not command:
        raise ValueError("give the command after --, such as isoflop meter -- python train.py")
    if code := _startup_error(command[0]):
        return _not_run(command, code)
    if gpus is None:
        visible_gpus = visible.visible_gpus()
    else:
        visible_gpus = visible.VisibleGpus(tuple(map(canonical_uuid, gpus)), None)
    window_meter = WindowMeter(
        visible_gpus.uuids or (),
        host=rapl.find(),
        period_seconds=period_seconds,
        idle_seconds=idle_seconds,
        polls_path=polls_path,
        own_processes=None,
        no_gpu=visible_gpus.reason or "no GPU was named",
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
    if visible_gpus.uuids is None:  # which GPUs it used is unknown: what else was metered is not its energy
        energy, reason = None, visible_gpus.reason
    return _metered(command, code, Measurement(window_meter.windows[0].seconds, energy, reason))


def _startup_error(name: str) -> int | None:
    """Return the exit code for a command that cannot be run, before a sampler is started for it."""
    if shutil.which(name):
        return None
    return NOT_EXECUTABLE if os.sep in name and Path(name).exists() else NOT_FOUND


def _not_run(command: Sequence[str], code: int) -> Metered:
    why = "not found" if code == NOT_FOUND else "not executable"
    return _metered(command, code, Measurement(0.0, None, f"{command[0]}: {why}"))


def _metered(command: Sequence[str], code: int, measured: Measurement) -> Metered:
    no_peak = measured.reason or "no device's power was read"
    return Metered(
        command=redact.command_line(command),
        exit_code=code,
        seconds=measured.seconds,
        energy_joules=measured.energy_joules,
        energy_joules_reason=measured.reason,
        mean_watts=measured.mean_watts,
        mean_watts_reason=measured.reason,
        peak_watts=measured.peak_watts,
        peak_watts_reason=no_peak if measured.peak_watts is None else None,
        energy=measured.energy,
        energy_reason=measured.reason,
    )


def format_report(metered: Metered) -> str:
    """Format a metered command as lines for the terminal."""
    energy = metered.energy
    if energy is None:
        if metered.seconds == 0:  # it was not run
            return f"isoflop: {metered.energy_reason}\n"
        return f"isoflop meter: {metered.seconds:.4g} s, joules unknown: {metered.energy_reason}\n"
    peak = "" if metered.peak_watts is None else f", peak {metered.peak_watts:.4g} W"
    lines = [
        f"isoflop meter: {energy.energy_joules:.4g} J in {metered.seconds:.4g} s, "
        f"mean {metered.mean_watts:.4g} W{peak}, by {energy.used}, grade {energy.grade}"
    ]
    for device in energy.devices:
        joules = (device.mean_watts or 0.0) * energy.window_seconds
        peak = "" if device.peak_watts is None else f", peak {device.peak_watts:.4g} W"
        lines.append(f"  {device.uuid} {device.name}: {joules:.4g} J, mean {device.mean_watts:.4g} W{peak}")
    if energy.host_joules is not None:
        lines.append(f"  processors and memory beside (RAPL, not in the sum): {energy.host_joules:.4g} J")
    if energy.net_joules is not None:
        lines.append(f"  above idle ({energy.idle_watts:.4g} W): {energy.net_joules:.4g} J")
    lines += [f"  {reason}" for reason in energy.grade_reasons]
    return "\n".join(lines) + "\n"


def print_report(metered: Metered) -> None:
    """Write the report to standard error; standard output belongs to the command."""
    sys.stderr.write(format_report(metered))
    sys.stderr.flush()
