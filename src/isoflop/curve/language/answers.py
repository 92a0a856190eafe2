"""The answers of a language sweep: the joint law first, the parabolas as the picture, shapes and joules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from isoflop.curve.isoflop.profiles import fit_profiles
from isoflop.curve.isoflop.result import Profiles
from isoflop.curve.joint import fit as joint
from isoflop.curve.joint import rows as joint_rows
from isoflop.curve.joint.result import JointFit
from isoflop.curve.joint.rows import JointRows
from isoflop.curve.joint.solve import Solved
from isoflop.curve.language import shapes
from isoflop.curve.language.comparable import Comparable, comparable
from isoflop.curve.language.cost import ByteCost, byte_cost
from isoflop.curve.language.joules import joules_a_byte
from isoflop.curve.language.law import RESAMPLES, refuse_one_path, solve_law, text_rows
from isoflop.curve.language.result import (
    CountedSplit,
    LanguageAnswers,
    OptimalTraining,
    SizeAnswer,
    WidthDepth,
)
from isoflop.curve.language.split import counted_split
from isoflop.table import target

SIZES = (target.TEXTS.size, target.PARAMETERS)
"""How the size of a model is counted; the first is without the embedding table, with the readout."""
SEEN, COMPUTE, BITS = shapes.SEEN, shapes.COMPUTE, shapes.BITS


def language_answers(
    rows: pd.DataFrame, *, directory: Path | None = None, resamples: int = RESAMPLES, seed: int = 0
) -> LanguageAnswers | None:
    """Return what a sweep says about language models; None where no run is of text.

    Args:
        rows: one row a run, as table.aggregate makes them.
        directory: folder of the sweep, whose losses of single windows are compared; None for a table alone.
        resamples: of configurations, for each interval; 0 for none.
        seed: of the resamples.
    """
    text = text_rows(rows)
    if text.empty:
        return None
    chosen = comparable(text)
    if chosen.refused is not None:
        return _refused(chosen, chosen.refused)
    used = chosen.rows
    solved = [_solved(used, size, resamples, seed) for size in SIZES]
    sizes = tuple(
        _size_answer(used, size, law, law_reason, resamples, seed)
        for size, (law, law_reason) in zip(SIZES, solved, strict=True)
    )
    compared, reason = _compared(used, sizes[0].law, directory)
    optimal, optimal_reason = _optimal(solved[0][0], sizes[0])
    return LanguageAnswers(
        runs=len(used),
        configs=int(used["config_id"].nunique()),
        sizes=sizes,
        optimal=optimal,
        optimal_reason=optimal_reason,
        shapes=compared,
        shapes_reason=reason,
        joules=joules_a_byte(used),
        note=chosen.note,
        refused=None,
    )


def _refused(chosen: Comparable, why: str) -> LanguageAnswers:
    """Return the answers of runs that cannot be compared: all unknown."""
    return LanguageAnswers(
        runs=len(chosen.rows),
        configs=int(chosen.rows["config_id"].nunique()),
        sizes=tuple(SizeAnswer(size, None, why, None, why, None, why) for size in SIZES),
        optimal=None,
        optimal_reason=why,
        shapes=None,
        shapes_reason=why,
        joules=(),
        note=chosen.note,
        refused=why,
    )


def _solved(rows: pd.DataFrame, size: str, resamples: int, seed: int) -> tuple[Solved | None, str | None]:
    try:
        return solve_law(rows, size, resamples=resamples, seed=seed), None
    except ValueError as error:
        return None, str(error)


def _size_answer(
    rows: pd.DataFrame, size: str, solved: Solved | None, why_none: str | None, resamples: int, seed: int
) -> SizeAnswer:
    """Return what follows if the size of a model is the column `size`.

    Args:
        rows: runs of text.
        size: the column.
        solved: the joint law in it.
        why_none: the reason if there is no law, that is if `solved` is None.
        resamples, seed: of the intervals of the parabolas.
    """
    law = None if solved is None else joint.report(solved)
    profiles, profiles_reason = _profiles(rows, size, resamples, seed)
    split, split_reason = None, why_none
    if solved is not None:
        split, split_reason = _split(rows, solved, profiles)
    return SizeAnswer(size, law, why_none, split, split_reason, profiles, profiles_reason)


def _profiles(rows: pd.DataFrame, size: str, resamples: int, seed: int) -> tuple[Profiles | None, str | None]:
    try:
        profiles = fit_profiles(
            *(rows, COMPUTE, (size,), BITS, (SEEN,)), data=SEEN, resamples=resamples, seed=seed
        )
        return profiles, None
    except ValueError as error:
        return None, str(error)


def _split(
    rows: pd.DataFrame, solved: Solved, profiles: Profiles | None
) -> tuple[CountedSplit | None, str | None]:
    """Return the split of counted compute under a solved law, or why there is none."""
    if useless := solved.law.useless(solved.fitted.parameters[:1]):
        return (
            None,
            f"{' and '.join(useless)} explains nothing here: no optimal split of compute can be given",
        )
    used = joint_rows.select(rows, solved.resources, solved.y, compute=COMPUTE)
    assert used.compute is not None
    if not len(used.compute):
        return None, f"{COMPUTE} is unknown in every run"
    try:
        cost = _cost(rows, used)
    except ValueError as error:
        return None, str(error)
    spent = np.array([used.compute.min(), used.compute.max()])
    budgets = spent if profiles is None else np.array([each.compute for each in profiles.budgets])
    if budgets.max() < budgets.min() * 1.5:
        budgets = spent
    if budgets.max() < budgets.min() * 1.5:
        return None, f"{COMPUTE} is about the same in all runs: exponents need several budgets"
    return counted_split(solved, cost, budgets), None


def _cost(rows: pd.DataFrame, used: JointRows) -> ByteCost:
    """Return the compute a byte of the rows that are fitted, with the depths that `rows` give them."""
    assert used.compute is not None
    depths = dict(zip(rows["run_id"].astype(str), rows["depth"], strict=True))
    depth = np.array([depths[name] for name in used.names], dtype=float)
    return byte_cost(used.x[:, 0], depth, used.compute / used.x[:, 1])


def _optimal(solved: Solved | None, answer: SizeAnswer) -> tuple[OptimalTraining | None, str | None]:
    """Return loss at the best size against compute, or why the sweep does not show it."""
    if solved is None or answer.law is None or answer.split is None:
        return None, answer.split_reason
    try:
        refuse_one_path(solved)
    except ValueError as error:
        return None, str(error)
    split, law = answer.split, answer.law
    floor = next(each for each in law.parameters if each.name == solved.law.floor)
    identified = floor.interval.low is not None and floor.interval.low > 0
    return (
        OptimalTraining(
            law=law.law,
            points=law.points,
            configs=law.configs,
            floor=floor,
            floor_identified=identified,
            exponent=split.reducible_exponent if identified else split.bits_exponent,
            curve=(*split.curve, *split.beyond),
            largest=split.curve[-1],
            ahead=split.beyond[-1],
            misfit=law.log10_rmse * float(np.log(10)),
            warnings=law.warnings,
        ),
        None,
    )


def _compared(
    rows: pd.DataFrame, law: JointFit | None, directory: Path | None
) -> tuple[WidthDepth | None, str | None]:
    try:
        return shapes.width_against_depth(rows, law, directory), None
    except ValueError as error:
        return None, str(error)
