"""The report of a sweep: figures as files, and one self-contained HTML page."""

from __future__ import annotations

import dataclasses
import importlib.resources
from pathlib import Path

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup

from isoflop import __version__, record
from isoflop.aggregate import Table
from isoflop.curve.result import FitFile, FitReport
from isoflop.report import charts, costs, drawn, figures, style
from isoflop.report import points as views
from isoflop.report.figures import Drawing
from isoflop.report.numerals import compact, estimate, interval, number, padded, percent, plural, seconds
from isoflop.report.origins import origins
from isoflop.report.verdict import judge


@dataclasses.dataclass(frozen=True)
class Card:
    """A headline number with its title and one line of context."""

    title: str
    value: str
    note: str


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a sortable table; `sorted` marks the one the rows come sorted by."""

    title: str
    numeric: bool
    sorted: bool = False


@dataclasses.dataclass(frozen=True)
class Grid:
    """A sortable table: its columns and its rows of words."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclasses.dataclass(frozen=True)
class Panel:
    """A titled figure, or the reason there is none; `live` figures become interactive."""

    title: str
    drawing: dict[str, object] | None
    live: bool
    missing: str


_RUN_COLUMNS = (
    ("test_error", "Test error (%)", 100.0),
    ("test_loss", "Test loss (nats)", 1.0),
    ("train_gflops", "GFLOPs", 1.0),
    ("energy_joules", "Energy (J)", 1.0),
    ("train_seconds", "Time (s)", 1.0),
    ("mfu", "MFU (%)", 100.0),
    ("dollars", "Cost (USD)", 1.0),
    ("lr", "Learning rate", 1.0),
)


def _cards(table: Table, fits: FitFile, report: FitReport | None) -> tuple[Card, ...]:
    rows, found = table.rows, []
    plain = costs.law(report, "polynomial") if report else None
    b = costs.exponent(report) if report else None
    if plain is not None and b is not None and report is not None:
        found.append(
            Card("Exponent b", number(b.value), f"95% {interval(b.interval)}; error ∝ compute to the −b")
        )
        if plain.paper_alpha is not None:
            note = f"95% {interval(plain.paper_alpha.interval)}; per training compute"
            found.append(Card("alpha = 1/b", number(plain.paper_alpha.value), note))
        bent = costs.law(report, "power_floor") if costs.floor_identified(report) else None
        half = costs.halving(bent or plain, report.x_max)
        value = f"× {number(half.factor, 2)}" if half.factor is not None else "no finite factor"
        note = f"compute from the largest run, by the power law{' with a floor' if bent else ''}"
        found.append(Card("To halve the error", value, note))
    if len(rows):
        best = rows.sort_values("test_error").iloc[0]
        note = f"{best['label']}, seed {best['seed']:.0f}"
        found.append(Card("Least test error", percent(float(best["test_error"])), note))
    shapes = plural(rows["config_id"].nunique(), "configuration")
    found.append(Card("Runs", f"{len(rows):,}", f"of {shapes}, {plural(rows['seed'].nunique(), 'seed')}"))
    compute = rows["train_gflops"].dropna()
    if len(compute):
        span = f"one run: {number(compute.min())} to {number(compute.max())}"
        found.append(Card("Training compute", f"{number(compute.sum())} GFLOPs", span))
    joules = rows["energy_joules"].dropna()
    if len(joules):
        found.append(
            Card("Training energy", f"{number(joules.sum())} J", f"known for {plural(len(joules), 'run')}")
        )
    else:
        found.append(Card("Training energy", "unknown", "see the reason below"))
    found.append(Card("Training time", seconds(float(rows["train_seconds"].sum())), "summed over runs"))
    excluded = len(report.excluded) if report else 0
    found.append(
        Card("Left out", f"{len(table.dropped) + excluded:,}", "dropped or not fitted, with reasons")
    )
    return tuple(found)


def _reasons(rows: pd.DataFrame) -> str:
    """Why joules are unknown, each reason with how many runs it holds for."""
    counts = (
        rows.loc[rows["energy_joules"].isna(), "energy_reason"].fillna("no reason recorded").value_counts()
    )
    return "; ".join(f"{reason} ({plural(int(count), 'run')})" for reason, count in counts.items())


def _panels(rows: pd.DataFrame, drawings: tuple[Drawing, ...]) -> tuple[Panel, ...]:
    by_name = {d.name: d for d in drawings}
    titles = {view.key: view.title for view in views.VIEWS} | {
        "width_depth": "Mean test error by width and depth"
    }
    found = []
    for position, (key, title) in enumerate(titles.items()):
        drawing = by_name.get(key)
        shown: dict[str, object] | None = None
        if drawing is not None:
            svg = Markup(drawn.inline(drawing.svg, "abcde"[position], drawing.alt))
            shown = {"name": key, "title": title, "caption": drawing.caption, "svg": svg}
        missing = ""
        if key == "error_joules" and rows["energy_joules"].isna().any():
            which = "Some joules are unknown" if drawing else "No joules are known, so there is no chart"
            missing = f"{which}: {_reasons(rows)}."
        elif drawing is None:
            missing = {
                "width_depth": "No run has both a width and a depth, so there is no grid.",
                "loss_compute": "No run has a known test loss and training compute, so there is no chart.",
                "error_seconds": "No run has a known training time, so there is no chart.",
                "error_compute": "No run has a known training compute and an error above 0: no chart.",
            }[key]
        found.append(Panel(title, shown, key != "width_depth", missing))
    return tuple(found)


def _laws(fits: FitFile) -> list[dict[str, object]]:
    groups: list[dict[str, object]] = []
    for report in fits.reports:
        laws = []
        for fit in report.fits:
            half = costs.halving(fit, report.x_max)
            alpha = [fit.paper_alpha] if fit.paper_alpha else []
            parameters = [
                {"name": p.name, "text": estimate(p), "unit": p.unit} for p in (*fit.parameters, *alpha)
            ]
            laws.append(
                {
                    "name": style.law_name(fit.law),
                    "formula": fit.formula,
                    "parameters": parameters,
                    "halving": f"× {number(half.factor, 2)}" if half.factor else half.reason,
                    "r_squared": number(fit.r_squared),
                    "r_squared_of": fit.r_squared_of,
                    "rmse": number(fit.log10_rmse),
                    "warnings": fit.warnings,
                }
            )
        note = (
            f"{plural(report.points, 'run')} of {plural(report.configs, 'configuration')} at "
            f"{plural(report.scales, 'scale')}, {report.x} from {number(report.x_min)} to "
            f"{number(report.x_max)}; intervals from {plural(report.resamples, 'resample')} of "
            f"configurations (seed {report.bootstrap_seed}). Halving: times the largest {report.x}, from the "
            "fitted value there."
        )
        title = next((v.title for v in views.VIEWS if (v.x, v.y) == (report.x, report.y)), None)
        groups.append({"title": title or f"{report.y} against {report.x}", "note": note, "laws": laws})
    return groups


def _runs(rows: pd.DataFrame) -> Grid:
    """Every run, grouped by configuration: label, seed, and the columns that are known anywhere."""
    known = [(name, title, scale) for name, title, scale in _RUN_COLUMNS if rows[name].notna().any()]
    columns = (
        Column("Configuration", False),
        Column("Seed", True),
        *(Column(title, True) for _, title, _ in known),
    )
    order = rows.groupby("place_id")["train_gflops"].transform("mean")
    ordered = rows.assign(order=order).sort_values(["order", "place_id", "seed"])
    cells = [
        ordered["label"].astype(str),
        ordered["seed"].map("{:.0f}".format),
        *((scale * ordered[name]).map(compact if name == "lr" else padded) for name, _, scale in known),
    ]
    return Grid(columns, tuple(zip(*cells, strict=True)))


def _configs(rows: pd.DataFrame) -> Grid:
    """One row a configuration: arithmetic means over its seeds, and the seeds' range of error."""
    known = [entry for entry in _RUN_COLUMNS if rows[entry[0]].notna().any()]
    titles = ("Seeds", "Mean test error (%)", "Lowest (%)", "Highest (%)", *(t for _, t, _ in known[1:]))
    columns = (Column("Configuration", False), *(Column(t, True, t == "GFLOPs") for t in titles))
    found = []
    for _, group in rows.groupby("place_id", sort=False):
        error = 100 * group["test_error"]
        means = [(name, scale * group[name].mean()) for name, _, scale in known[1:]]
        numbers = (error.mean(), error.min(), error.max(), *(mean for _, mean in means))
        words = tuple(padded(float(v)) for v in numbers)
        found.append((group["train_gflops"].mean(), (str(group["label"].iloc[0]), str(len(group)), *words)))
    found.sort(key=lambda entry: (np.isnan(entry[0]), entry[0]))
    return Grid(columns, tuple(row for _, row in found))


def _left_out(table: Table, fits: FitFile) -> Grid:
    names = dict(zip(table.rows["run_id"], table.rows["label"] + " seed ", strict=True))
    seeds = dict(zip(table.rows["run_id"], table.rows["seed"], strict=True))
    found = [(d.run_id, d.state, d.reason) for d in table.dropped]
    for report in fits.reports:
        for entry in report.excluded:
            label = f"{names[entry.run_id]}{seeds[entry.run_id]:.0f}: " if entry.run_id in names else ""
            found.append((entry.run_id, f"not in {report.y} against {report.x}", label + entry.reason))
    return Grid((Column("Run", False), Column("What", False), Column("Reason", False)), tuple(found))


def _asset(name: str) -> str:
    return importlib.resources.files("isoflop.report").joinpath(name).read_text(encoding="utf-8")


def _why_none(fits: FitFile) -> str:
    return "; ".join(f"{e.run_id}: {e.reason}" for e in fits.unfitted) or "the file of fits holds none"


def render(name: str, directory: Path, table: Table, fits: FitFile, drawings: tuple[Drawing, ...]) -> str:
    """The page of the sweep called `name`. Everything that is not markup of ours is escaped by jinja2."""
    report = views.report_of(fits, views.VIEWS[0])
    left_out = _left_out(table, fits)
    context = {
        "name": name,
        "version": __version__,
        "verdict": judge(table.rows, report, _why_none(fits)),
        "warnings": report.warnings if report else (),
        "cards": _cards(table, fits, report),
        "panels": _panels(table.rows, drawings),
        "laws": _laws(fits),
        "unfitted": fits.unfitted,
        "configs": _configs(table.rows),
        "runs": _runs(table.rows),
        "left_out": left_out,
        "left_out_note": (
            f"Records that gave no point of the curve: {len(table.dropped):,}. "
            f"Rows that a fit did not use: {len(left_out.rows) - len(table.dropped):,}."
        ),
        "origins": origins(table.rows, directory),
        "css": Markup(_asset("page.css")),
        "js": Markup(_asset("page.js")),
        "packed_charts": Markup(charts.pack(charts.specs(table.rows, fits))),
        "packed_plotly": Markup(charts.library()),
    }
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=False)
    return environment.from_string(_asset("page.html.j2")).render(context)


def write_report(directory: Path, table: Table, fits: FitFile) -> Path:
    """Write DIR/figures/*.png and *.svg and DIR/index.html, each atomically; return the page's path.

    Raises:
        ValueError: the table has no row, so there is nothing to report.
        OSError: disk full or not writable.
    """
    if table.rows.empty:
        raise ValueError(
            f"{directory}: no finished run to report on: see the {len(table.dropped)} dropped records"
        )
    drawings = figures.draw(table.rows, fits)
    figures.write(drawings, directory)
    path = directory / "index.html"
    name = directory.resolve().name
    record.write_bytes(path, render(name, directory, table, fits, drawings).encode())
    return path
