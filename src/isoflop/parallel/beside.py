"""What `isoflop parallel` has measured, for the index: link, one device, and efficiencies to set beside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import optimize

from isoflop.config.errors import ConfigError
from isoflop.parallel import scaling
from isoflop.parallel.index import Device, Measured
from isoflop.parallel.links import Link
from isoflop.parallel.shapes import Shape
from isoflop.record import parallel as store
from isoflop.record.parallel import ParallelRecord

MEASURED = "measured"
"""The name of the link that is read from measurements."""


def read(directory: Path | None) -> tuple[ParallelRecord, ...]:
    """Return the measurements of training in DIR/parallel, () where there are none.

    Raises:
        RecordError, OSError: one of them cannot be read.
    """
    every = () if directory is None else store.read_all(directory)
    return tuple(each for each in every if each.payload == "training")


def efficiencies(records: Sequence[ParallelRecord], shape: Shape) -> tuple[Measured, ...]:
    """Return what was measured of a shape with its batch shared, the fewest workers first."""
    own = {
        each.group_id
        for each in records
        if (each.settings.get("shape"), each.settings.get("batch_size")) == (shape.label, shape.batch_size)
    }
    return tuple(
        Measured(row.workers, row.efficiency, group.device)
        for group in scaling.groups(records)
        if group.group_id in own
        for row in group.of("strong")
        if row.workers > 1
    )


def link(records: Sequence[ParallelRecord], directory: Path | None) -> Link:
    """Return the bandwidth and latency with which a ring takes what all-reduces took.

    Of a step with bytes G in k exchanges on N workers, communication is 2 (N - 1)/N G/W + 2 (N - 1) k l: 1/W
    and l are fitted to the medians by least squares of relative errors, neither below 0. The library's
    algorithm may be another than a ring: then W and l are those of the ring that is as fast.

    Raises:
        ConfigError: no training on several workers was measured, or too little to tell the two apart.
    """
    several = [each for each in records if each.workers > 1 and each.split and each.exchanged_bytes_per_step]
    if not several:
        held = f"{directory}/parallel holds no training on several workers"
        where = "no folder was given" if directory is None else held
        raise ConfigError(f"--link {MEASURED}: {where}: isoflop parallel measures it, or name a link")
    seconds = np.array([_communication(each) for each in several])
    of_bytes = [2 * (each.workers - 1) / each.workers * each.exchanged_bytes_per_step for each in several]
    of_messages = [2 * (each.workers - 1) * each.exchanges_per_step for each in several]
    terms = np.array([of_bytes, of_messages]).T
    if len({(each.workers, each.exchanged_bytes_per_step) for each in several}) < 2:
        raise ConfigError(
            f"--link {MEASURED}: {directory}/parallel holds one number of workers and of bytes, which do "
            "not tell bandwidth and latency apart: measure a shape of another size too, or name a link"
        )
    solved, _ = optimize.nnls(terms / seconds[:, None], np.ones(len(several)))
    if not solved[0] > 0:
        raise ConfigError(
            f"--link {MEASURED}: communication in {directory}/parallel does not grow with bytes, so that no "
            "bandwidth follows: name a link"
        )
    said = f"fitted to {len(several)} measurements in {directory}/parallel"
    return Link(MEASURED, 1 / float(solved[0]), float(solved[1]), said)


def device(records: Sequence[ParallelRecord]) -> Device | None:
    """Return one worker as its training was measured, of the largest rate; None where there is none.

    What its layers take at least is in that rate already, and is not known apart.
    """
    alone = [each for each in records if each.workers == 1 and each.flops_per_step is not None]
    rates = [(each.flops_per_step or 0.0) / float(np.median(scaling.per_step(each))) for each in alone]
    if not alone:
        return None
    fastest = int(np.argmax(rates))
    said = f"measured: {alone[fastest].size}, on one worker; the time of a layer is not told apart"
    return Device(alone[fastest].provenance.device, rates[fastest], 0.0, said)


def _communication(record: ParallelRecord) -> float:
    return float(np.median([timing.communication_seconds for timing in record.split])) / record.steps
