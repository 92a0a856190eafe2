"""The benchmark's score on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from isoflop.curve.forecast.score import RIVALS, BenchmarkScore


def show(score: BenchmarkScore, out: Console) -> None:
    """Print mean RMSLE by domain and law, share of curves won, interval coverage and seconds per curve."""
    out.print(
        f"{score.source}: {len(score.curves)} curves, {score.duplicates} duplicated rows left out",
        markup=False,
    )
    names = list(score.domains[0].mean_rmsle)
    table = Table(box=None, pad_edge=False)
    for name in ("domain", "curves", *names, "won", "coverage", "s a curve"):
        table.add_column(name, justify="left" if name == "domain" else "right", overflow="fold")
    for domain in score.domains:
        table.add_row(
            domain.domain,
            str(domain.curves),
            *(f"{domain.mean_rmsle[name]:.4f}" for name in names),
            f"{domain.won:.0%}",
            f"{domain.coverage:.1%}",
            f"{domain.seconds_per_curve:.2f}",
        )
    out.print(table)
    out.print(
        "mean over curves of the root mean square of ln(predicted / seen) held out; won: the forecast "
        f"beats each of {', '.join(RIVALS)}; coverage: of its 95% interval for a new point",
        markup=False,
    )
