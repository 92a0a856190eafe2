"""What was trained before a run with a lever, from its records: weights to begin from, and the cost."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from isoflop import record as records
from isoflop.config import Config, ConfigError
from isoflop.config import prior as priors
from isoflop.config.errors import shown
from isoflop.record import Record
from isoflop.record import search as searches


@dataclasses.dataclass(frozen=True)
class PriorWork:
    """The work of all runs that had to be trained before; none of it where a run needs none.

    Attributes:
        run_ids: of these runs, in the order in which they are trained.
        train_flops, joules: of all of them; None with the reason where that of one is unknown.
        seconds: wall time of all of them.
        weights: file of the last one's weights; None after a search, which leaves only a shape.
    """

    run_ids: tuple[str, ...] = ()
    train_flops: float | None = 0.0
    train_flops_reason: str | None = None
    joules: float | None = 0.0
    joules_reason: str | None = None
    seconds: float = 0.0
    weights: Path | None = None


NOTHING = PriorWork()
"""Of a run that needs none."""


def found(config: Config) -> PriorWork:
    """Return what was trained before `config`.

    Raises:
        ConfigError: a run is missing, or the weights of the last one are; the message says how to train it.
        RecordError, OSError: a record cannot be read.
    """
    if config.lever.kind == "search":
        return _of_search(config)
    chain = priors.chain(config)
    if not chain:
        return NOTHING
    done = [_record(config, before) for before in chain]
    weights = priors.weights_path(chain[-1])
    if not weights.is_file():
        raise ConfigError(_missing(config, chain[-1], f"its weights, {weights}, are missing"))
    return _work(
        done,
        lambda r: r.compute.train_flops if r.compute else None,
        lambda r: r.energy.energy_joules if r.energy else None,
        weights,
    )


def _of_search(config: Config) -> PriorWork:
    """Return the work of all candidates of the search that the run's shape is from.

    Raises:
        ConfigError: there is no such search, or the record of a candidate is missing.
        RecordError, OSError: a file cannot be read.
    """
    lever, place = config.lever, priors.folder(config)
    sweep = f"`isoflop sweep` with the same settings and out={shown(config.directory)}"
    if lever.search_id is None:
        raise ConfigError(
            f"lever={lever.name}: a sweep searches for the shape before it trains it: give {sweep}"
        )
    search = searches.find(place, lever.search_id)
    if search is None:
        path = searches.path_of(place, lever.search_id)
        raise ConfigError(
            f"lever={lever.name}: {path} is missing, which says what was searched: give {sweep}"
        )
    tried = [_candidate(place, each.run_id) for each in search.candidates]
    return _work(tried, lambda r: r.spent.flops, lambda r: r.spent.joules)


def _candidate(place: Path, run_id: str) -> Record:
    """Return the record of a candidate, whatever became of it: it cost what it took. Raises ConfigError."""
    path = records.path_of(place, run_id)
    record = records.find(path)
    if record is None:
        raise ConfigError(
            f"{path} is missing, of a shape that was searched: give the command of the sweep again"
        )
    return record


def _record(config: Config, before: Config) -> Record:
    last = list(before.point_ids.values())[-1]
    record = records.find(records.path_of(before.directory, last))
    if record is None or record.state != "done":
        state = "is not there" if record is None else f"has state {record.state}"
        raise ConfigError(_missing(config, before, f"its record, {last}, {state}"))
    return record


def _missing(config: Config, before: Config, what: str) -> str:
    return (
        f"lever={config.lever.name} needs a run before it, and {what}: train it with "
        f"`{priors.command(before)}`"
    )


def _work(
    before: Sequence[Record],
    flops_of: Callable[[Record], float | None],
    joules_of: Callable[[Record], float | None],
    weights: Path | None = None,
) -> PriorWork:
    """Return the work of all records together."""
    flops, flops_reason = _sum(before, flops_of, "training FLOPs")
    joules, joules_reason = _sum(before, joules_of, "joules")
    return PriorWork(
        run_ids=tuple(record.run_id for record in before),
        train_flops=flops,
        train_flops_reason=flops_reason,
        joules=joules,
        joules_reason=joules_reason,
        seconds=sum(record.spent.seconds for record in before),
        weights=weights,
    )


def _sum(
    done: Sequence[Record], amount: Callable[[Record], float | None], name: str
) -> tuple[float | None, str | None]:
    """Return the sum over records, or None and which of them has no such amount."""
    amounts = [amount(record) for record in done]
    known = [each for each in amounts if each is not None]
    if len(known) == len(done):
        return sum(known), None
    unknown = next(record.run_id for record, each in zip(done, amounts, strict=True) if each is None)
    return None, f"the {name} of run {unknown}, trained before, are unknown"
