"""What a sweep is judged on: test error of images, bits per byte of text, with its words, unit and axes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING

from isoflop.record import Record
from isoflop.table import text_columns

if TYPE_CHECKING:  # the progress of a run is written by this module's words, and needs no pandas
    import pandas as pd

DOMAIN = text_columns.DOMAIN
"""Column of the table that says what was trained on: IMAGE, TEXT or, in a loop of the user's own, OTHER."""
IMAGE, TEXT, OTHER = text_columns.IMAGE, text_columns.TEXT, text_columns.OTHER
TABLE = "table"
"""Domain of a table of the user's own, of which is known what the user and the names of its columns say."""
DOLLARS = "dollars"
PARAMETERS = "parameters"
"""Column of all parameters of a model; TEXTS.size leaves out the table of embeddings."""
BITS = "bits a byte"


@dataclasses.dataclass(frozen=True)
class Quantity:
    """A measured quantity that falls as compute grows.

    Attributes:
        column: of the table.
        title: begins a title, such as Test error.
        noun: what falls, in a sentence.
        unit: as it is shown, after `scale` has multiplied the column's values.
        scale: 100 for a share that is shown in per cent, else 1.
        counted: whether it is a share of counted test examples, with Wilson intervals and a chance level.
    """

    column: str
    title: str
    noun: str
    unit: str
    scale: float
    counted: bool

    @property
    def name(self) -> str:
        """Its title in a sentence: test error, or ImageNet error, whose first word is a name."""
        first = self.title.partition(" ")[0]
        return self.title if first[1:] != first[1:].lower() else f"{self.title[:1].lower()}{self.title[1:]}"

    @property
    def axis_title(self) -> str:
        """Its title with its unit, as an axis or a column of a table has it."""
        return f"{self.title} ({self.unit})" if self.unit else self.title


TEST_ERROR = Quantity("test_error", "Test error", "error", "%", 100.0, counted=True)
TEST_LOSS = Quantity("test_loss", "Test loss", "loss", "nats", 1.0, counted=False)
TEST_BITS = Quantity("test_bits_per_byte", "Test loss", "loss", BITS, 1.0, counted=False)
VAL_ERROR = Quantity("val_error", "Validation error", "error", "%", 100.0, counted=False)
VAL_LOSS = Quantity("val_loss", "Validation loss", "loss", "nats", 1.0, counted=False)
_QUANTITIES = {each.column: each for each in (TEST_ERROR, TEST_LOSS, TEST_BITS, VAL_ERROR, VAL_LOSS)}


@dataclasses.dataclass(frozen=True)
class Target:
    """What the runs of one domain are judged on.

    Attributes:
        domain: IMAGE, TEXT or OTHER.
        quantity: the y of the sweep.
        axes: (x, y) of the fits; the first pair is the one that must succeed.
        examples: what an example is called, in the plural.
        size: the column of the size N of a law in several resources.
        validation: the column of the validation part that belongs to the quantity.
    """

    domain: str
    quantity: Quantity
    axes: tuple[tuple[str, str], ...]
    examples: str
    size: str
    validation: str

    @property
    def y(self) -> str:
        """The column of the quantity."""
        return self.quantity.column


IMAGES = Target(
    domain=IMAGE,
    quantity=TEST_ERROR,
    axes=(
        ("train_gflops", "test_error"),
        ("train_gflops", "test_loss"),
        ("energy_joules", "test_error"),
        ("train_seconds", "test_error"),
        (DOLLARS, "test_error"),
    ),
    examples="images",
    size=PARAMETERS,
    validation="val_error",
)
TEXTS = Target(
    domain=TEXT,
    quantity=TEST_BITS,
    axes=tuple(
        (x, "test_bits_per_byte")
        for x in ("train_gflops", "examples_seen", "energy_joules", "train_seconds", DOLLARS)
    ),
    examples="bytes",
    size=text_columns.WITHOUT_EMBEDDINGS,
    validation="val_bits_per_byte",
)
_COSTS = ("train_gflops", "energy_joules", "train_seconds", DOLLARS)
OTHERS = tuple(
    Target(
        domain=OTHER,
        quantity=quantity,
        axes=tuple((x, quantity.column) for x in _COSTS),
        examples="examples",
        size=PARAMETERS,
        validation=VAL_ERROR.column if quantity.noun == "error" else VAL_LOSS.column,
    )
    for quantity in (TEST_ERROR, VAL_ERROR, TEST_LOSS, VAL_LOSS)
)
"""What runs of the user's own loop may be judged on: of those, the one that the most runs know."""


def of(table: pd.DataFrame, source: object = "") -> Target:
    """Return what the runs of a table are judged on: test error, unless they were trained on text, or in a
    loop of the user's own that knows another error or loss only.

    `source` names the table in a message.

    Raises:
        ValueError: some runs were trained on images, or in a loop of the user's own, and some on text.
    """
    if DOMAIN not in table:
        return IMAGES
    images, texts, others = (int((table[DOMAIN] == domain).sum()) for domain in (IMAGE, TEXT, OTHER))
    if texts and (images or others):
        where = f"{source}: " if str(source) else ""
        rest = f"{images} runs on images" if images else f"{others} runs of another training loop"
        raise ValueError(
            f"{where}{rest} and {texts} on text are no one curve ({IMAGES.y} and {TEXTS.y} "
            "have no common axis): move the records of each into a folder of their own and fit it there"
        )
    if others:  # max takes the first of equals
        return max(OTHERS, key=lambda each: int(table[each.y].notna().sum()) if each.y in table else 0)
    return TEXTS if texts else IMAGES


def varies(table: pd.DataFrame, column: str) -> bool:
    """Return whether a column holds no constant; what is missing, or unknown throughout, is no constant."""
    return column not in table or len(table) < 2 or len(set(table[column].dropna())) != 1


def axes(table: pd.DataFrame) -> tuple[tuple[str, str], ...]:
    """Return the axes of the table's domain: the first, and the others along which its runs differ.

    Dollars are among them only where prices were chosen.

    Raises:
        ValueError: as `of`.
    """
    first, *others = of(table).axes
    return first, *((x, y) for x, y in others if varies(table, x) and (x != DOLLARS or _is_priced(table)))


def _is_priced(table: pd.DataFrame) -> bool:
    """Return whether prices were chosen for the table, or it holds dollars of its own."""
    return any(name in table and table[name].notna().any() for name in (DOLLARS, f"{DOLLARS}_factors"))


def of_records(records: Iterable[Record]) -> Target:
    """Return what records are judged on: bits per byte if all that have data were trained on text; as `of`
    where they are of the user's own loop."""
    known = [record for record in records if record.data is not None]
    domains = {text_columns.domain(record) for record in known}
    if OTHER in domains:
        return max(OTHERS, key=lambda each: sum(_value(each.y, record) is not None for record in known))
    return TEXTS if domains == {TEXT} else IMAGES


def _value(column: str, record: Record) -> float | None:
    """Return the error or loss of a record that one of OTHERS is judged on."""
    section = record.error if column.endswith("_error") else record.loss
    part, _, _ = column.partition("_")
    value: float | None = getattr(section, part, None)
    return value


def quantity(column: str) -> Quantity:
    """Return what is known of a column of y; a column of another name is shown as it is.

    Other columns that end in `_error` are shares, those that end in `_loss` or `_bits_per_byte` losses.
    """
    if column in _QUANTITIES:
        return _QUANTITIES[column]
    for suffix, like in (("_error", TEST_ERROR), ("_loss", TEST_LOSS), ("_bits_per_byte", TEST_BITS)):
        if column.endswith(suffix):
            title = column.replace("_", " ").capitalize()
            return dataclasses.replace(like, column=column, title=title, counted=False)
    return Quantity(column, column, column, column, 1.0, counted=False)


def unit_of(column: str) -> str:
    """Return the unit in which the table holds a column of y."""
    known = quantity(column)
    return "fraction" if known.unit == "%" else known.unit
