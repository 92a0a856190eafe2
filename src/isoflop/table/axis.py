"""What the axes of a fit are called, and their units: those of a sweep, and those of a table of one's own."""

from __future__ import annotations

import dataclasses
import math
import re

from isoflop.table import columns, target
from isoflop.table.target import Quantity

SHARES = ("percent", "fraction")
"""The units of y that say what its numbers are; any other is shown as it is given."""
PREFIXES = {"": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18, "Z": 21, "Y": 24, "R": 27, "Q": 30}
"""SI prefix -> power of ten."""
SECONDS_PER_DAY = 86_400

_UNIT = re.compile(
    r"(?P<prefix>[kKMGTPEZYRQ]?|kilo|mega|giga|tera|peta|exa|zetta|yotta)-?"
    r"(?P<base>FLOP|MAC)s?(?P<days>[ /-]?(?:/s|s)?[ -]days?)?",
    re.IGNORECASE,
)
_COMPUTE = re.compile(r"(?<![a-z])compute(?![a-z])|flops?(?![a-z/])")
_OF_COMPUTE = frozenset(
    (
        *("train", "training", "total", "model", "compute", "infer", "inference", "forward", "pass", "per"),
        *("image", "example", "sample", "token", "the", "of", "a", "count", "n", "summary", "config"),
    )
)
"""Words beside a unit of compute in a column's name that leave its numbers as they are."""
_OF_A_PASS = re.compile(
    r"(?<![a-z])(infer\w*|forward|pass|[gmt]?macs?|(per|a) ?(image|example|token|sample))"
)
_WORDS = {
    "err": "error",
    "val": "validation",
    "params": "parameters",
    "acc": "accuracy",
    "ppl": "perplexity",
    "num": "number of",
    "top1": "top-1",
    "top5": "top-5",
}
"""Parts of a column's name -> what they are called."""
_EXPRESSION = re.compile(r"[+*()`'\"<>=&|^%\[\]]| - ")


@dataclasses.dataclass(frozen=True)
class Axis:
    """The resource on the axis of x.

    Attributes:
        column: of the table.
        name: in a sentence, such as training compute.
        unit: of the column's values, empty where it is not known.
        flops: FLOPs in one of that unit; None where x is no compute, or compute in an unknown unit.
        of_training: whether x is the compute of training, as a sweep counts it.
        a_pass: whether x is the compute of one pass of a trained model.
    """

    column: str
    name: str
    unit: str
    flops: float | None = None
    of_training: bool = False
    a_pass: bool = False

    @property
    def is_compute(self) -> bool:
        """Whether x is compute of any kind."""
        return self.of_training or self.a_pass or self.flops is not None or self.name == "compute"

    @property
    def short(self) -> str:
        """What there is ten times more of, in a sentence: compute, or the name."""
        return "compute" if self.is_compute else self.name

    @property
    def title(self) -> str:
        """The name as the title of an axis, with the unit if that is known."""
        return with_unit(capital(self.name), self.unit)


@dataclasses.dataclass(frozen=True)
class Axes:
    """What is known of a pair of axes: x, the resource, and y, what falls."""

    x: Axis
    y: Quantity

    @property
    def units(self) -> tuple[str, str]:
        """The units in which a law's parameters are said, those of the columns as they are fitted."""
        y = "fraction" if self.y.unit == "%" else self.y.unit or self.y.column
        return self.x.unit or f"unit of {self.x.column}", y


_OF_SWEEPS = {
    each.column: each
    for each in (
        Axis("train_gflops", "training compute", "GFLOPs", 1e9, of_training=True),
        Axis("total_train_gflops", "training compute and prior work", "GFLOPs", 1e9, of_training=True),
        Axis("energy_joules", "training energy", "J"),
        Axis("net_joules", "training energy above idle", "J"),
        Axis("train_seconds", "training time", "s"),
        Axis("dollars", "cost", "USD"),
        Axis("grams_co2", "CO2", "g"),
        Axis("examples_seen", "examples seen", ""),
        Axis("parameters", "parameters", ""),
    )
}


def of(column: str) -> Axis:
    """Return what is known of a column of x by its name alone."""
    return _OF_SWEEPS.get(column) or describe(column)


def capital(text: str) -> str:
    """Return the text with a capital letter first."""
    return f"{text[:1].upper()}{text[1:]}"


def with_unit(title: str, unit: str) -> str:
    """Return `Test error (%)`, or the title alone where there is no unit."""
    return f"{title} ({unit})" if unit else title


def readable(column: str) -> str:
    """Return the name of a column as people write it: `top1_err (%)` is top-1 error; expressions stay."""
    name = re.sub(r"^(summary|config|summary_metrics)\.", "", column)
    plain = re.sub(r"[\s_./]+", " ", columns.without_percent(name)).strip()
    if not plain or _EXPRESSION.search(plain):
        return column
    words = [_WORDS.get(word.lower(), word) for word in plain.split()]
    return " ".join(word if word.isupper() else word[:1].lower() + word[1:] for word in words)


def compute_unit(text: str) -> tuple[float, str] | None:
    """Return (FLOPs in one, how it is written) of a unit of compute, None for any other.

    Understood are FLOP and MAC (2 FLOPs) with an SI prefix, and such as PFLOP/s-days.
    """
    match = _UNIT.fullmatch(text.strip())
    if match is None:
        return None
    prefix = match["prefix"][:1].upper().replace("K", "k") if match["prefix"] else ""
    base = match["base"].upper()
    flops = 10.0 ** PREFIXES[prefix] * (2.0 if base == "MAC" else 1.0)
    if match["days"]:
        return flops * SECONDS_PER_DAY, f"{prefix}{base}/s-days"
    return flops, f"{prefix}{base}"


def describe(column: str, unit: str | None = None, label: str | None = None) -> Axis:
    """Return the axis of a column of one's own table.

    Args:
        column: its name.
        unit: of its values, as the user gives it; without it, that which the name says, if any.
        label: what it is called, as the user gives it.
    """
    if column in _OF_SWEEPS and unit is None and label is None:
        return _OF_SWEEPS[column]
    said = f"{column} {label or ''} {unit or ''}".lower().replace("_", " ")
    known = compute_unit(unit) if unit else _unit_in(column)
    is_compute = known is not None or (bool(_COMPUTE.search(said)) and "second" not in said)
    a_pass = is_compute and "train" not in said and bool(_OF_A_PASS.search(said))
    of_training = is_compute and ("train" in said or column == "C")
    return Axis(
        column=column,
        name=label or _name(column, is_compute, of_training, a_pass),
        unit=known[1] if known else unit or "",
        flops=known[0] if known else None,
        of_training=of_training,
        a_pass=a_pass,
    )


def _name(column: str, is_compute: bool, of_training: bool, a_pass: bool) -> str:
    if not is_compute:
        return readable(column)
    return "training compute" if of_training else "compute of one pass" if a_pass else "compute"


def _unit_in(column: str) -> tuple[float, str] | None:
    """Return the unit of compute that a column's name says, None where other words may change it."""
    if column == "C":  # of the files that external.CND recognises
        return compute_unit("FLOP")
    words = re.sub(r"[\s_.()]+", " ", column).split()
    units = [known for word in words if (known := compute_unit(word)) is not None]
    others = [word for word in words if compute_unit(word) is None]
    if len(units) != 1 or not all(word.lower() in _OF_COMPUTE for word in others):
        return None
    return units[0]


def describe_y(column: str, unit: str | None = None, label: str | None = None) -> Quantity:
    """Return what is known of a column of y of one's own table; shares are held as fractions.

    Args:
        column: its name in the table.
        unit: `percent`, `fraction`, or what its numbers are, such as nats.
        label: what it is called.
    """
    known = target.quantity(column)
    is_share = unit in SHARES or (unit is None and (known.unit == "%" or columns.is_share(column)))
    title = capital(label or (known.title if known.counted else readable(column)))
    noun = "error" if is_share else "loss" if "loss" in title.lower() else title
    if is_share:
        return Quantity(column, title, noun, "%", 100.0, counted=known.counted)
    return Quantity(column, title, noun, unit or "", 1.0, counted=False)


def prefixed(axis: Axis, least: float, most: float) -> tuple[Axis, float]:
    """Return the axis in the SI prefix that suits values from `least` to `most`, and the factor to it.

    It is that of the values' geometric mean. Axes without a plain unit of compute stay as they are.
    """
    if axis.flops is None or "/" in axis.unit or axis.unit == "GFLOPs" or not 0 < least <= most < math.inf:
        return axis, 1.0
    base, each = ("MAC", 2.0) if axis.unit.endswith("MAC") else ("FLOP", 1.0)
    one = axis.flops / each
    power = math.log10(one) + (math.log10(least) + math.log10(most)) / 2
    prefix = next(p for p, at in reversed(PREFIXES.items()) if at <= max(power, 0.0))
    flops = each * 10.0 ** PREFIXES[prefix]
    return dataclasses.replace(axis, unit=f"{prefix}{base}", flops=flops), axis.flops / flops
