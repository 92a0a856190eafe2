"""The table of named models, a part of the section on implications."""

from __future__ import annotations

from isoflop.paper.named import ARTICLE_POUNDS, CARS, NAMED, SEARCH_POUNDS, NamedModel
from isoflop.paper.section import SectionTable
from isoflop.report.text.numerals import number, percent

COLUMNS = (
    "Model",
    "As reported",
    "Processors × peak × time",
    "Counted FLOPs",
    "Share of peak",
    "What does not fit",
)


def table() -> SectionTable:
    """Return the named models, and the architecture search whose CO2 is reported in two ways."""
    cars = (
        f"{number(SEARCH_POUNDS)} lb are {number(SEARCH_POUNDS / CARS, 2)} cars' lifetimes; an article of "
        f"the authors has {number(ARTICLE_POUNDS)} lb [S], {number(ARTICLE_POUNDS / CARS, 2)} cars, and "
        "calls it five as well"
    )
    search = (
        "Architecture search (Strubell et al. 2019)",
        f"{SEARCH_POUNDS:,.0f} lb of CO₂, “five cars” [M]",
        "–",
        "–",
        "–",
        cars,
    )
    return SectionTable(
        "Named models: processors × peak × time against counted FLOPs",
        COLUMNS,
        (*(_row(each) for each in NAMED), search),
    )


def _row(model: NamedModel) -> tuple[str, ...]:
    burden, share = model.burden_flops, model.share
    return (
        f"{model.name} ({model.year})",
        f"{model.reported} [{model.mark}]",
        "–" if burden is None else _range(burden, number) + " FLOP",
        "not known" if model.counted_flops is None else f"{number(model.counted_flops)} [D]",
        "–" if share is None else _range(share, percent),
        f"{model.remark} Sources: {model.source}",
    )


def _range(ends: tuple[float, float], show: object) -> str:
    assert callable(show)
    least, most = show(ends[0], 2), show(ends[1], 2)
    return least if least == most else f"{least} to {most}"
