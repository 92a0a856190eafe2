"""The anchor: one shape metered alone at the beginning and at the end of a campaign, which should agree."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import msgspec

from isoflop.config import Config
from isoflop.runner import provenance
from isoflop.sweep.campaign import journal
from isoflop.sweep.local import metering_pass

FILE, FOLDER = "anchor.jsonl", "anchor"


@dataclasses.dataclass(frozen=True)
class AnchorReading:
    """Energy of the anchor shape alone on the machine.

    Attributes:
        moment: `first` or `last`.
        started_at: wall-clock time, a label.
        run_id: of the configuration, whose polls lie in anchor/power.
        device: as records name it.
        examples: trained in the window.
        joules_per_example: None where there is no energy, for the `reason`.
        idle_watts: of the device before the window, where it was measured.
        grade: of the energy.
        reason: why there is none.
    """

    moment: str
    started_at: str
    run_id: str
    device: str
    examples: int
    joules_per_example: float | None
    idle_watts: float | None
    grade: str | None
    reason: str | None


def measure(config: Config, directory: Path, moment: str) -> str:
    """Meter the anchor, append its reading to DIR/anchor.jsonl, and return it as a sentence.

    Raises:
        ConfigError: the input of the run cannot be used.
        RuntimeError: the metering process died.
        OSError: the file cannot be written.
    """
    started_at = provenance.now()
    config = dataclasses.replace(config, out=str(directory / FOLDER))
    solo = metering_pass.measure_alone(config)
    energy = solo.energy
    reading = AnchorReading(
        moment=moment,
        started_at=started_at,
        run_id=config.run_id,
        device=solo.device,
        examples=solo.examples,
        joules_per_example=energy.energy_joules / solo.examples if energy else None,
        idle_watts=energy.idle_watts if energy else None,
        grade=energy.grade if energy else None,
        reason=solo.reason,
    )
    journal.append(reading, directory / FILE)
    return describe(read(directory))


def read(directory: Path) -> tuple[AnchorReading, ...]:
    """Return the readings so far. Raises OSError, and msgspec.DecodeError for a damaged file."""
    path = directory / FILE
    lines = path.read_bytes().splitlines() if path.is_file() else ()
    return tuple(msgspec.json.decode(line, type=AnchorReading) for line in lines)


def describe(readings: tuple[AnchorReading, ...]) -> str:
    """Return the latest reading, and its ratio to the first one, as a sentence."""
    last, first = readings[-1], readings[0]
    if last.joules_per_example is None:
        return f"anchor, {last.moment}: energy unknown: {last.reason}"
    idle = "" if last.idle_watts is None else f", {last.idle_watts:.0f} W idle"
    text = f"anchor, {last.moment}: {last.joules_per_example:.4g} J an example{idle}, grade {last.grade}"
    if len(readings) > 1 and first.joules_per_example is not None:
        text += f"; {last.joules_per_example / first.joules_per_example:.3f} times the first"
    return text
