"""The parallel index as lines of text: of one shape in full, of several as a table."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from isoflop.parallel.index import USEFUL, Measured, ParallelIndex, Scaled
from isoflop.parallel.links import NCCL, Link
from isoflop.report.text.numerals import number, percent

if TYPE_CHECKING:
    from isoflop.api.parallel import ParallelForecast

WIDTH = 79
NOT_COUNTED = (
    "optimizer, data, stragglers, and that all-reduces slow what runs beside them; the time of a layer is "
    "taken not to shrink with the batch (docs/parallel.md)"
)
_PREFIXES = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def lines(made: ParallelForecast) -> list[str]:
    """Return the indices as lines of at most WIDTH columns."""
    first = made.indices[0]
    found = _one(first) if len(made.indices) == 1 else _several(made.indices)
    found += _wrapped("device", f"{first.device.name}: {_device(first)}; {first.device.source}")
    found += _wrapped("link", f"{first.link.name}: {_link(first)}; {first.link.source}")
    found += _wrapped("not counted", NOT_COUNTED)
    for note in made.notes:
        found += _wrapped("note", note)
    return found


def _one(made: ParallelIndex) -> list[str]:
    shape = made.shape
    chain = "unknown" if shape.chain is None else f"{shape.chain.products} products in a row"
    work = "" if made.flops_per_layer is None else f", {scaled_unit(made.flops_per_layer)}FLOP a layer of it"
    found = [f"{shape.label}, batch of {shape.batch_size}, shared by devices", ""]
    found += _table(
        (),
        [
            ("work of a step", f"{scaled_unit(shape.step_flops)}FLOP"),
            (
                "gradients",
                f"{scaled_unit(made.gradient_bytes)}B, {number(made.flops_per_gradient_byte)} FLOP a byte",
            ),
            ("chain of layers", f"{chain}{work}"),
            ("serial fraction", f"{percent(made.serial_fraction)}: {_limit(made)}"),
            ("useful devices", _useful(made)),
            ("bound by", f"{made.bound}; shortest step on {made.fastest_devices}"),
        ],
        left=2,
    )
    found += ["", "the batch shared (strong scaling), and a batch each (weak):"]
    found += _table(
        ("devices", "step", "waiting", "efficiency", "none/all hidden", "speed-up", "alpha", "weak"),
        [_scaled(each) for each in made.scaled],
    )
    if made.measured:
        beside = [
            (str(each.devices), percent(each.efficiency.value), _ends(each), _predicted(made, each.devices))
            for each in made.measured
        ]
        found += ["", f"measured with isoflop parallel, on {made.measured[0].device}:"]
        found += _table(("devices", "efficiency", "95%", "predicted"), beside)
    if made.alternatives:
        asked = made.scaled[-1].devices
        found += ["", f"depth against width at equal FLOPs, on {asked} devices:"]
        rows = [
            (
                f"{each.depth}{' (asked)' if each.depth == shape.depth else ''}",
                str(each.width),
                str(each.chain),
                percent(each.scaled.efficiency),
                number(each.scaled.speedup),
                str(each.useful_devices),
            )
            for each in made.alternatives
        ]
        found += _table(("depth", "about width", "chain", "efficiency", "speed-up", "useful devices"), rows)
    return [*found, ""]


def _several(made: Sequence[ParallelIndex]) -> list[str]:
    asked = made[0].scaled[-1].devices
    batches = {each.shape.batch_size for each in made}
    one = len(batches) == 1
    rows = []
    for each in made:
        last = each.scaled[-1]
        chain = "?" if each.shape.chain is None else str(each.shape.chain.products)
        row = (
            each.shape.label,
            str(each.shape.batch_size),
            f"{scaled_unit(each.shape.step_flops)}FLOP",
            f"{scaled_unit(each.gradient_bytes)}B",
            chain,
            percent(last.efficiency),
            percent(last.weak_efficiency),
            str(each.useful_devices),
            _BOUND[each.bound],
        )
        rows.append((*row[:1], *row[1 + one :]))
    head = ("shape", "batch", "a step", "gradients", "chain", "strong", "weak", "useful", "bound")
    of = f"of a batch of {batches.pop()}" if one else "of the batch"
    return [
        f"efficiency on {asked} devices, {of} shared (strong) and one each (weak);",
        f"useful: the most devices with at least {percent(USEFUL, 2)} of each, the batch shared",
        "",
        *_table((*head[:1], *head[1 + one :]), rows, left=1),
        "",
    ]


_BOUND = {
    "communication": "link",
    "the chain of layers": "chain",
    "rows of the batch": "batch",
}


def _scaled(each: Scaled) -> tuple[str, ...]:
    step = each.step
    return (
        str(each.devices),
        duration(step.seconds),
        percent(step.waiting_seconds / step.seconds, 2),
        percent(each.efficiency),
        f"{percent(each.efficiency_apart, 2)} to {percent(each.efficiency_hidden, 2)}",
        number(each.speedup),
        "–" if each.parallel_fraction is None else f"{each.parallel_fraction:.4f}",
        percent(each.weak_efficiency),
    )


def _ends(measured: Measured) -> str:
    low, high = measured.efficiency.low, measured.efficiency.high
    return f"{percent(low)} to {percent(high)}"


def _predicted(made: ParallelIndex, devices: int) -> str:
    found = next((each for each in made.scaled if each.devices == devices), None)
    return "not asked" if found is None else percent(found.efficiency)


def _useful(made: ParallelIndex) -> str:
    return f"{made.useful_devices}, the most with at least {percent(USEFUL, 2)} of each used"


def _limit(made: ParallelIndex) -> str:
    if made.speedup_limit is None:
        return "no limit by the chain"
    return f"no speed-up above {number(made.speedup_limit)} on any number"


def _device(made: ParallelIndex) -> str:
    device = made.device
    return f"{scaled_unit(device.flops_per_second)}FLOP/s, {duration(device.layer_seconds)} a layer"


def _link(made: ParallelIndex) -> str:
    return f"{scaled_unit(made.link.bytes_per_second)}B/s, {duration(made.link.latency_seconds)}"


def scaled_unit(value: float) -> str:
    """Return a number with the prefix that suits it, to be followed by a unit: `12.6 G`."""
    size, prefix = next((pair for pair in _PREFIXES if abs(value) >= pair[0]), (1.0, ""))
    return f"{number(value / size)} {prefix}"


def duration(seconds: float) -> str:
    """Return a duration in the unit that suits it: 3.4 µs, 12 ms, 1.2 s."""
    if seconds == 0:
        return "0 s"
    size, unit = next((p for p in ((1.0, "s"), (1e-3, "ms")) if seconds >= p[0]), (1e-6, "µs"))
    return f"{number(seconds / size)} {unit}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 0) -> list[str]:
    """Return rows in columns, below `head` where there is one; the first `left` columns to the left."""
    every = [head, *rows] if head else list(rows)
    widths = [max(len(row[column]) for row in every) for column in range(len(every[0]))]
    return [
        "  ".join(
            text.ljust(width) if column < left else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in every
    ]


def links(known: Sequence[Link]) -> list[str]:
    """Return the table of links, with the source of each."""
    found = [f"{'':14} {'one way':>10} {'latency':>8}"]
    for link in known:
        rate = f"{scaled_unit(link.bytes_per_second)}B/s"
        head = f"{link.name:14} {rate:>10} {duration(link.latency_seconds):>8}  "
        found += textwrap.wrap(link.source, WIDTH, initial_indent=head, subsequent_indent=" " * 37)
    return [*found, *_wrapped("NCCL", NCCL.removeprefix("NCCL: "))]


def _wrapped(name: str, text: str) -> list[str]:
    return textwrap.wrap(f"{name}: {text}", WIDTH, subsequent_indent="  ", break_long_words=False)
