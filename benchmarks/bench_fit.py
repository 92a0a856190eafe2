"""Time and memory of fits and pages by the command line as a table grows, beside scipy and a peer.

    python benchmarks/bench_fit.py --save results/fit-speed [--rows 100,1000] [--repeats 1] [--peer PYTHON]

Expected time: five minutes on two idle cores. On a busy machine seconds on the wall mean nothing: compare
processor seconds then. Each row of a table is a configuration of its own on y = 0.05 + 0.6 x^-0.3 with 5%
noise over five decades.

- `isoflop fit FILE`: imports, reading, checks, seven laws with 1,000 resamples each, forecast, printing; with
  as many threads of NumPy's linear algebra as there are cores, and with one (OMP_NUM_THREADS=1).
- the same with --frontier; with three runs a configuration; `isoflop report` of the 57 runs of an H200.
- laws, forecast: parts of the fit, in one thread, in processor seconds.
- scipy: curve_fit of the power law with a floor alone, Huber's loss, one start, refitted once a resample; up
  to --loop refits are timed and scaled to 1,000, in processor seconds.
- peer: simple-scaling-laws (its default law, 1,000 draws), under the interpreter --peer that has it, without
  its imports.

Byte code is written to a folder of its own by a first run, which is not counted: without it a third of a
short fit is Python compiling what it imports. Writes DIR/speed.json, and the table into DIR/README.md between
its lines BEGIN and END.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy
from scipy import optimize

from isoflop import __version__
from isoflop.curve.fit import Method, fit_table

RESAMPLES = 1000
ROWS = (33, 100, 333, 1000, 10_000, 100_000)
PARTS = (100, 1000, 10_000)
"""Rows for which the parts of a fit, scipy and the peer are timed."""
FRONTIERS = (1000, 10_000, 100_000)
OFTEN = 1000
"""Rows up to which a command is repeated."""
CODE = Path(tempfile.gettempdir()) / "isoflop-bench-byte-code"
PAGE = Path(__file__).parents[1] / "results" / "cifar10-h200-fixed-recipe"
PEER_SCRIPT = Path(__file__).with_name("rival_simple_scaling_laws.py")
BEGIN, END = "<!-- measured by benchmarks/bench_fit.py -->", "<!-- end of what was measured -->"
AXES = ("--x", "flops", "--y", "loss")

Array = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a command took: seconds on the wall, processor seconds, and the most memory at once."""

    command: str
    rows: int
    threads: int
    repeats: int
    wall_seconds: float
    processor_seconds: float
    peak_mebibytes: float


@dataclasses.dataclass(frozen=True)
class Parts:
    """Processor seconds of parts of a fit in one thread, and of the others; None where not timed."""

    rows: int
    laws: float
    forecast: float
    scipy: float
    peer: float | None


def synthetic(rows: int, seeds: int = 1) -> pd.DataFrame:
    """Return `rows` configurations of so many runs on y = 0.05 + 0.6 x^-0.3, 5% noise, five decades."""
    generator = np.random.default_rng(0)
    x = np.repeat(np.sort(10 ** generator.uniform(0, 5, rows)), seeds)
    y = (0.05 + 0.6 * x**-0.3) * np.exp(0.05 * generator.standard_normal(rows * seeds))
    configs = np.repeat([f"run{i}" for i in range(rows)], seeds)
    runs = [f"{name}s{i % seeds}" for i, name in enumerate(configs)]
    seed = np.tile(np.arange(seeds), rows)
    return pd.DataFrame({"run_id": runs, "config_id": configs, "flops": x, "loss": y, "seed": seed})


def cost(name: str, arguments: Sequence[str], *, rows: int, threads: int, repeats: int) -> Cost:
    """Return what a command takes: the least seconds of `repeats`, the most memory of the last.

    Args:
        name: what the command is called.
        arguments: of the `isoflop` command.
        rows: of its table.
        threads: how many it may have.
        repeats: how often it is run.
    """
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONPYCACHEPREFIX": str(CODE)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    walls, processors, peak = [], [], 0.0
    for _ in range(repeats):
        began = time.perf_counter()
        child = subprocess.Popen(
            [sys.executable, "-m", "isoflop", *arguments], stdout=subprocess.DEVNULL, env=environment
        )
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        walls.append(time.perf_counter() - began)
        processors.append(used.ru_utime + used.ru_stime)
        peak = used.ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)
        if child.returncode:
            raise SystemExit(f"isoflop {' '.join(arguments)}: exit code {child.returncode}")
    return Cost(name, rows, threads, repeats, min(walls), min(processors), peak)


def log_law(x: Array, e: float, log_a: float, b: float) -> Array:
    """Return ln y of the power law with a floor."""
    return np.asarray(np.log(e + np.exp(log_a) * x**-b))


def scipy_loop(table: pd.DataFrame, refits: int) -> float:
    """Return the processor seconds of RESAMPLES refits of the law with a floor, scaled from `refits`."""
    generator = np.random.default_rng(0)
    x, y = table["flops"].to_numpy(), table["loss"].to_numpy()
    bounds = ([0.0, -10.0, 1e-3], [1.0, 10.0, 5.0])
    began = time.process_time()
    for _ in range(refits):
        drawn = generator.integers(0, len(x), len(x))
        start = [0.5 * y[drawn].min(), float(np.log(y[drawn].max())), 0.3]
        optimize.curve_fit(
            *(log_law, x[drawn], np.log(y[drawn]), start),
            **{"bounds": bounds, "method": "trf", "loss": "huber", "f_scale": 0.07},
        )
    return (time.process_time() - began) * RESAMPLES / refits


def peer(table: pd.DataFrame, interpreter: str) -> float | None:
    """Return the processor seconds of simple-scaling-laws, without its imports; None where it gives none."""
    sweep = {"x": table["flops"].tolist(), "y": table["loss"].tolist()}
    law = "separable-power"
    request = {"sweeps": [sweep], "at": [1e6], "laws": [law], "draws": RESAMPLES}
    done = subprocess.run(
        [interpreter, str(PEER_SCRIPT)],
        check=False,
        capture_output=True,
        text=True,
        input=json.dumps(request),
    )
    answer = json.loads(done.stdout)[law][0] if done.returncode == 0 else {}
    seconds = answer.get("seconds")
    return None if seconds is None else float(seconds)


def _fit_seconds(table: pd.DataFrame, method: Method) -> float:
    began = time.process_time()
    fit_table(table, x="flops", y="loss", method=method)
    return time.process_time() - began


def parts(rows: int, loop: int, interpreter: str | None) -> Parts:
    """Return the parts of a fit of a table of so many rows; `loop` is the most refits of scipy."""
    os.environ["OMP_NUM_THREADS"] = "1"
    table = synthetic(rows)
    laws = _fit_seconds(table, Method(resamples=RESAMPLES, forecast=False))
    both = _fit_seconds(table, Method(resamples=RESAMPLES))
    return Parts(
        rows=rows,
        laws=laws,
        forecast=max(0.0, both - laws),
        scipy=scipy_loop(table, max(5, min(loop, 100_000 // rows))),
        peer=peer(table, interpreter) if interpreter else None,
    )


def commands(rows: Sequence[int], cores: int, folder: Path, often: int, pages: bool) -> list[Cost]:
    """Return the cost of each command.

    Args:
        rows: of the tables.
        cores: of the machine.
        folder: where tables are written.
        often: how many times short commands are repeated.
        pages: time `isoflop report` too.
    """
    measured: list[Cost] = []

    def add(name: str, arguments: Sequence[str], count: int, threads: int, repeats: int) -> None:
        measured.append(cost(name, arguments, rows=count, threads=threads, repeats=repeats))
        print(line(measured[-1]), flush=True)

    first = folder / "first.csv"
    synthetic(12)[["flops", "loss"]].to_csv(first, index=False)
    cost("byte code", ["fit", str(first), *AXES], rows=12, threads=1, repeats=1)
    for count in rows:
        path = folder / f"{count}.csv"
        synthetic(count)[["flops", "loss"]].to_csv(path, index=False)
        for threads in sorted({cores, 1}, reverse=True):
            add("fit", ["fit", str(path), *AXES], count, threads, often if count <= OFTEN else 1)
    for count in (33, 333):
        path = folder / f"seeds{count}.csv"
        synthetic(count, 3).drop(columns="run_id").to_csv(path, index=False)
        arguments = ["fit", str(path), *AXES, "--group", "config_id", "--seed", "seed"]
        add("fit, 3 runs each", arguments, 3 * count, cores, often)
    for count in (each for each in FRONTIERS if each in rows):
        add("fit --frontier", ["fit", str(folder / f"{count}.csv"), *AXES, "--frontier"], count, cores, 1)
    if not pages:
        return measured
    shutil.copytree(PAGE, folder / "page")
    runs = len(list((PAGE / "records").iterdir()))
    for threads in sorted({cores, 1}, reverse=True):
        add("report", ["report", str(folder / "page")], runs, threads, often)
    return measured


def line(of: Cost) -> str:
    """Return a command's line of the table."""
    threads = f"{of.threads} thread{'s' if of.threads > 1 else ''}"
    return (
        f"| {of.command} | {of.rows:,} | {threads} | {of.wall_seconds:.1f} | {of.processor_seconds:.1f} | "
        f"{of.peak_mebibytes:.0f} |"
    )


def table_of(measured: Sequence[Cost], split: Sequence[Parts], environment: dict[str, object]) -> str:
    """Return both tables as Markdown, with what they were measured on."""
    lines = [
        "| isoflop | rows | | seconds on the wall | processor seconds | peak memory, MiB |",
        "|---|---|---|---|---|---|",
        *(line(each) for each in measured),
        "",
        "| rows | seven laws | forecast | scipy | simple-scaling-laws |",
        "|---|---|---|---|---|",
    ]
    for each in split:
        other = "-" if each.peer is None else f"{each.peer:.2f}"
        lines.append(
            f"| {each.rows:,} | {each.laws:.2f} | {each.forecast:.2f} | {each.scipy:.2f} | {other} |"
        )
    said = ", ".join(f"{name} {value}" for name, value in environment.items())
    return "\n".join([*lines, "", f"Measured with {said}.", ""])


def into_readme(path: Path, table: str) -> None:
    """Replace what stands between BEGIN and END in a README by the table."""
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise SystemExit(f"{path}: no lines {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n\n{table}\n{END}{after}", encoding="utf-8")


def main() -> None:
    """Print the table, and keep it with --save."""
    parser = argparse.ArgumentParser(description="Time and memory of fits as a table grows.")
    parser.add_argument("--rows", default=",".join(map(str, ROWS)), help="numbers of rows")
    parser.add_argument("--loop", type=int, default=200, help="most refits of scipy to time")
    parser.add_argument("--repeats", type=int, default=3, help="of short commands; the least is kept")
    parser.add_argument("--no-report", action="store_true", help="leave out isoflop report")
    parser.add_argument("--peer", metavar="PYTHON", help="an interpreter with simple-scaling-laws")
    parser.add_argument(
        "--save", type=Path, metavar="DIR", help="write DIR/speed.json and the table of DIR/README.md"
    )
    options = parser.parse_args()
    rows, load = [int(each) for each in options.rows.split(",")], os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        cores = os.cpu_count() or 1
        measured = commands(rows, cores, Path(folder), options.repeats, not options.no_report)
    split = [parts(count, options.loop, options.peer) for count in PARTS if count in rows]
    environment: dict[str, object] = {
        "isoflop": __version__,
        "Python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "cores": os.cpu_count(),
        "load at the start": round(load, 1),
        "resamples": RESAMPLES,
        "runs of each": options.repeats,
        "on": time.strftime("%Y-%m-%d"),
    }
    print(text := table_of(measured, split, environment))
    if options.save:
        options.save.mkdir(parents=True, exist_ok=True)
        content = {
            "environment": environment,
            "commands": [dataclasses.asdict(each) for each in measured],
            "parts": [dataclasses.asdict(each) for each in split],
        }
        (options.save / "speed.json").write_text(json.dumps(content, indent=1) + "\n")
        into_readme(options.save / "README.md", text)


if __name__ == "__main__":
    main()
