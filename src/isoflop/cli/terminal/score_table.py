"""The benchmark's score on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from isoflop.curve.forecast.score import RIVALS, Score


def show(found: Score, out: Console) -> None:
    """Mean RMSLE by domain and law, the share of curves won, interval coverage and seconds a curve."""
    out.print(
        f"{found.source}: {len(found.curves)} curves, {found.duplicates} duplicated rows left out",
        markup=False,
    )
    names = list(found.domains[0].mean_rmsle)
    view = Table(box=None, pad_edge=False)
    for name in ("domain", "curves", *names, "won", "coverage", "s a curve"):
        view.add_column(name, justify="left" if name == "domain" else "right", overflow="fold")
    for domain in found.domains:
        view.add_row(
            domain.domain,
            str(domain.curves),
            *(f"{domain.mean_rmsle[name]:.4f}" for name in names),
            f"{domain.won:.0%}",
            f"{domain.coverage:.1%}",
            f"{domain.seconds_per_curve:.2f}",
        )
    out.print(view)
    out.print(
        "mean over curves of the root mean square of ln(predicted / seen) held out; won: the forecast "
        f"beats each of {', '.join(RIVALS)}; coverage: of its 95% interval for a new point",
        markup=False,
    )
