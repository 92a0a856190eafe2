"""python -m mutants --sample 400 --seed 0: try a seeded sample of mutants, and go on where it was cut off."""

from __future__ import annotations

import argparse
import collections
import hashlib
import json
import multiprocessing
import os
import signal
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

from mutants import mutate, reach, trial, workplace
from mutants.mutate import Mutant

REPOSITORY = Path(__file__).parents[2]
EQUIVALENT = REPOSITORY / "tests/equivalent_mutants.toml"
SUBJECTS = (
    *("meter", "curve", "record", "table", "report/text", "sweep/status.py"),
    *(f"runner/{name}.py" for name in ("attempt", "checkpoint", "session", "state", "trajectory")),
)
"""What decides an answer, within src/isoflop: the meter, the fits, the records, the tables, the page's
sentences, a sweep's state, and how a run resumes."""


def every_mutant() -> list[Mutant]:
    """Return all mutants of the subjects, without those that are listed as equivalent."""
    known = {entry["id"] for entry in tomllib.loads(EQUIVALENT.read_text()).get("mutant", [])}
    files: list[Path] = []
    for subject in SUBJECTS:
        path = REPOSITORY / "src/isoflop" / subject
        files += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    found = [m for f in files for m in mutate.mutants(f.read_text(), str(f.relative_to(REPOSITORY)))]
    unknown = known - {mutant.id for mutant in found}
    if unknown:
        raise SystemExit(f"{EQUIVALENT}: no such mutant, delete the entry: {sorted(unknown)[0]}")
    return [mutant for mutant in found if mutant.id not in known]


def drawn(population: list[Mutant], sample: int, seed: int) -> list[Mutant]:
    """Return the sample: a larger one with the same seed begins with a smaller one's mutants."""
    return sorted(population, key=lambda m: hashlib.sha256(f"{seed}:{m.id}".encode()).digest())[:sample]


def main(arguments: list[str] | None = None) -> int:
    """Measure what is not measured, try what is not tried, and print the share of killed mutants."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the copy is deleted
    folder = REPOSITORY / ".mutants" / workplace.source_key(REPOSITORY)
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"seed-{options.seed}.jsonl"
    results = _read(kept)
    if options.again:
        results = {
            key: each for key, each in results.items() if each["outcome"] not in ("survived", "untested")
        }
    population = [mutant for mutant in every_mutant() if options.only in mutant.path]
    sample = drawn(population, options.sample, options.seed)
    if not options.measured:
        with workplace.copied(REPOSITORY) as place:
            reach.measure(place, folder, options.tests, options.marks)
    left = [mutant for mutant in sample if mutant.id not in results]
    _try_all(left, folder, kept, options.seconds, options.jobs)
    results |= _read(kept)
    tried = [results[mutant.id] | {"line": mutant.line} for mutant in sample if mutant.id in results]
    _print(tried)
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="mutants", description=__doc__)
    parser.add_argument("--sample", type=int, default=400, help="how many mutants")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument(
        "--only", default="", help="part of a path, such as curve/frontier.py: mutants of that alone"
    )
    parser.add_argument("--again", action="store_true", help="try the survivors again, after new tests")
    parser.add_argument(
        "--seconds", type=float, default=float("inf"), help="stop after so long; a later call goes on"
    )
    parser.add_argument("--measured", action="store_true", help="run no coverage: the map is as it should be")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="mutants that are tried at a time")
    parser.add_argument("--marks", default=reach.FAST, help="pytest's -m: which tests may judge")
    parser.add_argument("tests", nargs="*", help="test files that are measured (default: all)")
    return parser.parse_args(arguments)


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """Return the stored results by mutant, the last of each; a line that was cut off is left out."""
    results = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            result = json.loads(line)
        except json.JSONDecodeError:
            continue
        results[result["id"]] = result
    return results


def _try_all(mutants: list[Mutant], folder: Path, kept: Path, seconds: float, jobs: int) -> None:
    """Try mutants in several processes, each with a copy of the working tree of its own.

    Args:
        mutants: to try.
        folder: of the coverage map.
        kept: the file of results, one a line.
        seconds: after which no further mutant is tried.
        jobs: number of processes.

    Raises:
        SystemExit: a process failed.
    """
    # Forked before anything heavy is imported: each puts its own copy on its path. No daemons: those may not
    # start processes, which some tests do.
    parts = [part for number in range(jobs) if (part := mutants[number::jobs])]
    arguments = [(part, folder, kept, seconds) for part in parts]
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_try_part, args=each) for each in arguments]
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    finally:
        for worker in workers:
            worker.terminate()  # one that still runs deletes its copy
    if any(worker.exitcode for worker in workers):
        raise SystemExit("a process that tried mutants failed: see above")


def _try_part(mutants: list[Mutant], folder: Path, kept: Path, seconds: float) -> None:
    """Try mutants one after the other, in a copy of the working tree, and store each result at once."""
    end = time.monotonic() + seconds
    with workplace.copied(REPOSITORY) as place:
        map_ = reach.Reach(folder, place)
        trial.warm(place)
        judges = [map_.judges(mutant) for mutant in mutants]
        trial.prepare(place, sorted({name.split("::")[0] for names in judges for name in names}))
        outcome, output = trial.run(place, next(filter(None, judges), [])[:3], 600)
        if outcome == "killed":
            raise SystemExit(f"tests fail without any mutant: {output}")
        for number, (mutant, tests) in enumerate(zip(mutants, judges, strict=True), 1):
            if time.monotonic() > end:
                return
            result = _tried(mutant, tests, place, 60 + 5 * map_.seconds(tests))
            with kept.open("a") as file:
                file.write(json.dumps(result, ensure_ascii=False) + "\n")
            shown = f"{result['outcome']} {mutant.path}:{mutant.line} {mutant.change}"
            print(f"{number}/{len(mutants)} {shown}", flush=True)


def _tried(mutant: Mutant, tests: list[str], place: Path, limit_s: float) -> dict[str, Any]:
    """Return the result of one mutant, as it is stored."""
    started = time.monotonic()
    source = (place / mutant.path).read_text()
    with workplace.changed(place / mutant.path, mutate.apply(source, mutant)):
        outcome, output = trial.run(place, tests, limit_s)
        if (
            outcome == "survived"
            and mutant.change.endswith("→ None")
            and trial.refused_by_types(place, mutant.path)
        ):
            outcome = "refused"
    return {
        "id": mutant.id,
        "path": mutant.path,
        "line": mutant.line,
        "statement": mutant.statement,
        "change": mutant.change,
        "outcome": outcome,
        "tests": len(tests),
        "seconds": round(time.monotonic() - started, 1),
        "output": output[-400:] if outcome != "survived" else "",
    }


def _print(tried: list[dict[str, Any]]) -> None:
    """Print the survivors, then the share killed by package, then of all with Wilson's 95% interval.

    A mutant that all tests pass and that the type checker of `make check` refuses counts as killed.
    """
    import numpy as np

    sys.path.insert(0, str(REPOSITORY / "src"))
    for name in [name for name in sys.modules if name.split(".")[0] == "isoflop"]:
        del sys.modules[name]
    from isoflop.record.binomial import wilson

    dead = {"killed", "timeout", "refused"}
    for each in sorted(tried, key=lambda each: (each["path"], each["line"])):
        if each["outcome"] not in dead:
            where = f"{each['path']}:{each['line']}"
            print(f"{where}: {each['outcome']}: {each['change']}    in: {each['statement']}")
    counts: dict[str, list[bool]] = collections.defaultdict(list)
    for each in tried:
        counts[each["path"].split("/")[2]].append(each["outcome"] in dead)
    for package, killed in sorted(counts.items()):
        print(f"{package}: {sum(killed)} of {len(killed)}")
    killed = [outcome for each in counts.values() for outcome in each]
    if not killed:
        raise SystemExit("no mutant was tried")
    share = np.array([sum(killed) / len(killed)])
    low, high = wilson(share, np.array([float(len(killed))]))
    bounds = f"95% interval {low[0]:.1%} to {high[0]:.1%}"
    refused = sum(each["outcome"] == "refused" for each in tried)
    print(
        f"killed {sum(killed)} of {len(killed)} mutants, {share[0]:.1%} ({bounds}); {refused} by types alone"
    )


if __name__ == "__main__":
    raise SystemExit(main())
