"""The recipe of a sweep, from its records: what all runs share, and what a further run may vary."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from isoflop import record as records
from isoflop.config import ConfigError, flatten, keys
from isoflop.config.identity import ABSENT
from isoflop.record import Record
from isoflop.table import rate_search

FACTORS = (0.5, 1.0, 2.0)
"""Of the learning rate, where a search is needed and the sweep does not say which rates it tried."""
TRANSFERRING = ("mup", "completep")
"""Parametrizations under which one learning rate suits all shapes."""
LENGTHS = ("schedule.epochs", "schedule.steps", "schedule.train_gflops")
"""Settings of which one says how long a run is."""
WIDTH, DEPTH, RATE, FRACTION = "model.width", "model.depth", "optim.lr", "data.fraction"
OPTIM_OF_BATCH = "optim.batch_size"
Shape = tuple[int, int | None]
"""Width and depth."""
Settings = Mapping[str, Any]
"""Dotted keys of a configuration."""


@dataclasses.dataclass(frozen=True)
class Variant:
    """Settings that a run may have beside its shape: fraction of the data, length, and what else the sweep
    varied. `new` says that no run of the sweep has had this length."""

    settings: tuple[tuple[str, Any], ...]
    new: bool = False

    def get(self, key: str, default: Any = None) -> Any:
        """Return a setting."""
        return dict(self.settings).get(key, default)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What further runs are made of.

    Attributes:
        shared: settings of all runs.
        variants: the others, as the sweep combined them.
        existing: shape and number of the variant -> seeds that are done.
        config_ids: the same -> config_id of the runs.
        factors: of the learning rate that the sweep searched over for each shape; () where it did not.
        scaled: whether the widths may be changed: a family with a width.
        own_code: whether runs train a model or data of the user's own, of which a record holds the hash
        alone.
    """

    shared: Settings
    variants: tuple[Variant, ...]
    existing: Mapping[tuple[Shape, int], tuple[int, ...]]
    config_ids: Mapping[tuple[Shape, int], tuple[str, ...]]
    factors: tuple[float, ...]
    scaled: bool
    own_code: bool = False

    def settings(self, variant: int) -> dict[str, Any]:
        """Return all settings of a variant but its shape and seed."""
        return {**self.shared, **dict(self.variants[variant].settings)}

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """The shapes that the sweep has trained."""
        return tuple(
            sorted({shape for shape, _ in self.existing}, key=lambda shape: (shape[0], shape[1] or 0))
        )

    def search(self, shape: Shape) -> tuple[float, ...]:
        """Return the factors of the learning rate that a shape has to try; () where the rate is known.

        A sweep that searched goes on to search. Otherwise its one rate suits every shape under a
        parametrization that transfers it, and within the range of shapes that were trained with it.
        """
        if self.factors:
            return self.factors
        if self.shared.get("model.parametrization") in TRANSFERRING or not self.existing:
            return ()
        widths, depths = zip(*self.shapes, strict=True)
        known = [depth or 0 for depth in depths]
        inside = min(widths) <= shape[0] <= max(widths) and min(known) <= (shape[1] or 0) <= max(known)
        return () if inside else FACTORS


def of_folder(directory: Path, run_ids: Sequence[str]) -> Recipe:
    """Return the recipe of the runs of a sweep's folder that are fitted.

    Raises:
        ConfigError: their records do not hold their configurations, or they are of several model families or
            data sets.
        RecordError: a record cannot be read.
    """
    wanted = set(run_ids)
    read = [records.read(path) for path in sorted((directory / "records").glob("[!.]*.json"))]
    kept = [
        each for each in read if each.run_id in wanted and {"model", "optim", "schedule"} <= set(each.cell)
    ]
    if not kept:
        raise ConfigError(
            f"{directory}: no record holds the configuration of its run, so no sweep can go on from it: "
            "isoflop plan on a table (isoflop aggregate) proposes amounts of compute"
        )
    factors, base_rate = _search_of(directory, kept)
    flat = [_flat(record, base_rate) for record in kept]
    for key, called in (("model.family", "model families"), ("data.name", "data sets")):
        if len(several := sorted({str(each.get(key)) for each in flat})) > 1:
            raise ConfigError(
                f"{directory}: its runs are of several {called} ({', '.join(several)}): choose by --where"
            )
    shared = {
        key: value for key, value in flat[0].items() if all(each.get(key, ...) == value for each in flat)
    }
    variants: dict[Variant, int] = {}
    existing: dict[tuple[Shape, int], set[int]] = {}
    ids: dict[tuple[Shape, int], set[str]] = {}
    for record, each in zip(kept, flat, strict=True):
        varied = {k: v for k, v in each.items() if k not in shared and k not in (WIDTH, DEPTH)}
        variant = Variant(tuple(sorted(varied.items(), key=lambda pair: pair[0])))
        number = variants.setdefault(variant, len(variants))
        shape = (int(each.get(WIDTH) or 0), each.get(DEPTH))
        existing.setdefault((shape, number), set()).add(int(record.cell["seed"]))
        ids.setdefault((shape, number), set()).add(record.config_id)
    fixed = {key: value for key, value in shared.items() if key not in (WIDTH, DEPTH)}
    return Recipe(
        fixed,
        tuple(variants),
        {key: tuple(sorted(seeds)) for key, seeds in existing.items()},
        {key: tuple(sorted(each)) for key, each in ids.items()},
        factors,
        all(each.get(WIDTH) is not None for each in flat),
        any(each.cell[group].get("sha256") for each in kept for group in ("model", "data")),
    )


def _flat(record: Record, base_rate: float | None) -> dict[str, Any]:
    """Return a run's settings as dotted keys with hashable values, without the seed."""
    flat = settings_of(record.cell)
    if base_rate is not None:
        flat[RATE] = base_rate
    return flat


def settings_of(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of an identity (config/identity.py) as dotted keys with hashable values, without
    the seed; those that were left out of it at their values, and without what no setting sets."""
    groups = {name: value for name, value in identity.items() if isinstance(value, dict)}
    known = set(keys.names())
    flat = {key: value for key, value in (dict(ABSENT) | dict(flatten(groups))).items() if key in known}
    return {key: tuple(value) if isinstance(value, list) else value for key, value in flat.items()}


def _search_of(directory: Path, kept: Sequence[Record]) -> tuple[tuple[float, ...], float | None]:
    """Return the factors of the sweep's search for learning rates and the rate that they multiply.

    () and None where it made no search. The trials in DIR/tuning say which rates were tried; without them the
    factors are FACTORS and the rate is the median of those chosen.
    """
    if not any(each.optim is not None and each.optim.lr_interior is not None for each in kept):
        return (), None
    tried: Counter[float] = Counter()
    for path in sorted((directory / rate_search.TRIALS / "records").glob("[!.]*.json")):
        if (trial := records.find(path)) is not None:
            tried[float(trial.cell["optim"]["lr"])] += 1
    if len(tried) < 2:
        return FACTORS, statistics.median(float(each.cell["optim"]["lr"]) for each in kept)
    rates = sorted(tried)
    middle = rates[len(rates) // 2]
    return tuple(float(f"{rate / middle:.6g}") for rate in rates), middle


def longer(recipe: Recipe) -> Recipe:
    """Return the recipe with runs of twice the longest length; of text, which is read once, without."""
    if recipe.shared.get("data.name") == "text":
        return recipe
    added = list(recipe.variants)
    for key in LENGTHS:
        lengths = [recipe.settings(i).get(key) for i in range(len(recipe.variants))]
        known = [value for value in lengths if value is not None]
        if not known:
            continue
        longest = max(known)
        for index, value in enumerate(lengths):
            if value != longest:
                continue
            doubled = 2 * longest if not isinstance(longest, float) else float(2 * longest)
            settings = dict(recipe.variants[index].settings) | {key: doubled}
            added.append(Variant(tuple(sorted(settings.items(), key=lambda pair: pair[0])), new=True))
    return dataclasses.replace(recipe, variants=tuple(added))


def examples(settings: Settings, train_n: float, flops_per_example: float) -> int:
    """Return the examples that a run of these settings sees to its end (train/schedule.total_steps).

    Args:
        settings: all of the run.
        train_n: examples of its training part.
        flops_per_example: training FLOPs of one.
    """
    batch = int(settings[OPTIM_OF_BATCH])
    if (steps := settings.get("schedule.steps")) is not None:
        wanted = float(steps)
    elif (epochs := settings.get("schedule.epochs")) is not None:
        wanted = epochs * (train_n // batch)
    else:
        wanted = settings["schedule.train_gflops"] * 1e9 / (flops_per_example * batch)
    return max(1, round(wanted)) * batch


def horizons(settings: Settings) -> tuple[float, ...]:
    """Return the shares of the trunk at which points are cooled down."""
    return tuple(settings.get("schedule.cooldowns") or ()) or (1.0,)


def spent(settings: Settings) -> float:
    """Return the examples of trunk and cooldown branches over those of the trunk.

    Each point but the last has a branch of its own decay: decay_fraction of its length.
    """
    decay = settings.get("schedule.decay_fraction", 0.0) if settings.get("schedule.shape") == "wsd" else 0.0
    return 1.0 + decay * math.fsum(horizons(settings)[:-1])
