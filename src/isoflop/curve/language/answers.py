"""The answers of a language sweep: the joint law first, the parabolas as the picture, shapes and joules."""

from __future__ import annotations

import numpy as np
import pandas as pd

from isoflop.curve.isoflop.profiles import fit_profiles
from isoflop.curve.isoflop.result import Profiles
from isoflop.curve.joint import fit as joint
from isoflop.curve.joint import rows as joint_rows
from isoflop.curve.joint.laws import JOINT_LAWS
from isoflop.curve.joint.result import JointFit
from isoflop.curve.joint.rows import JointRows
from isoflop.curve.language import shapes
from isoflop.curve.language.cost import ByteCost, byte_cost
from isoflop.curve.language.joules import joules_a_byte
from isoflop.curve.language.result import CountedSplit, LanguageAnswers, SizeAnswer, WidthDepth
from isoflop.curve.language.split import counted_split
from isoflop.table import held_out

LAW = "chinchilla"
SIZES = ("parameters_without_embeddings", "parameters")
"""How the size of a model is counted; the first is without the embedding table, with the readout."""
SEEN, COMPUTE, BITS = shapes.SEEN, shapes.COMPUTE, shapes.BITS
RESAMPLES = 400


def text_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the runs of text that are not held out; none in a table of images."""
    if "domain" not in rows:
        return rows.iloc[:0]
    return rows[(rows["domain"] == "text").to_numpy() & ~held_out.mask(rows)]


def language_answers(
    rows: pd.DataFrame, *, resamples: int = RESAMPLES, seed: int = 0
) -> LanguageAnswers | None:
    """Return what a sweep says about language models; None where no run is of text.

    Args:
        rows: one row a run, as table.aggregate makes them.
        resamples: of configurations, for each interval; 0 for none.
        seed: of the resamples.
    """
    used = text_rows(rows)
    if used.empty:
        return None
    sizes = tuple(_size_answer(used, size, resamples, seed) for size in SIZES)
    compared, reason = _compared(used, sizes[0].law)
    return LanguageAnswers(
        runs=len(used),
        configs=int(used["config_id"].nunique()),
        sizes=sizes,
        shapes=compared,
        shapes_reason=reason,
        joules=joules_a_byte(used),
    )


def _size_answer(rows: pd.DataFrame, size: str, resamples: int, seed: int) -> SizeAnswer:
    law, law_reason = _law(rows, size, resamples, seed)
    profiles, profiles_reason = _profiles(rows, size, resamples, seed)
    split, split_reason = None, law_reason
    if law is not None:
        split, split_reason = _split(rows, law, profiles)
    without_noise = None if law is None or profiles is None else _without_noise(rows, law)
    return SizeAnswer(size, law, law_reason, split, split_reason, profiles, profiles_reason, without_noise)


def _without_noise(rows: pd.DataFrame, law: JointFit) -> tuple[float, float] | None:
    """Return the exponents that parabolas through the law's own values at these runs have.

    How far they are from those of the law itself is the error of the method on this design.
    """
    size = law.resources[0]
    known = rows.dropna(subset=[size, SEEN, COMPUTE, BITS])
    at_law = known.assign(**{BITS: law.predict(known[[size, SEEN]].to_numpy(float))})
    profiles, _ = _profiles(at_law, size, 0, 0)
    if profiles is None or profiles.growth is None:
        return None
    of_size, of_seen = (growth.exponent.value for growth in profiles.growth)
    return of_size, of_seen


def _law(rows: pd.DataFrame, size: str, resamples: int, seed: int) -> tuple[JointFit | None, str | None]:
    try:
        return joint.fit_joint(rows, LAW, (size, SEEN), BITS, resamples, seed), None
    except ValueError as error:
        return None, str(error)


def _profiles(rows: pd.DataFrame, size: str, resamples: int, seed: int) -> tuple[Profiles | None, str | None]:
    try:
        return fit_profiles(rows, COMPUTE, (size,), BITS, (SEEN,), resamples=resamples, seed=seed), None
    except ValueError as error:
        return None, str(error)


def _split(
    rows: pd.DataFrame, law: JointFit, profiles: Profiles | None
) -> tuple[CountedSplit | None, str | None]:
    """Return the split of counted compute under a fitted law, or why there is none.

    The law is solved again from the same rows and resamples, whose parameters the split needs one by one.
    """
    joint_law = JOINT_LAWS[law.law]
    if law.allocation is None:
        return None, "; ".join(law.warnings)
    used = joint_rows.select(rows, law.resources, law.y, compute=COMPUTE)
    try:
        joint_rows.refuse_too_few(law.law, joint_law.form.free_parameters, law.resources, used)
        assert used.compute is not None
        cost = _cost(rows, used)
    except ValueError as error:
        return None, str(error)
    weights = joint_rows.resample(used, law.resamples, law.bootstrap_seed)
    fitted = joint.fit_law(joint_law, used, weights, law.delta, None)
    spent = np.array([used.compute.min(), used.compute.max()])
    budgets = spent if profiles is None else np.array([each.compute for each in profiles.budgets])
    if budgets.max() < budgets.min() * 1.5:
        budgets = spent
    if budgets.max() < budgets.min() * 1.5:
        return None, f"{COMPUTE} is about the same in all runs: exponents need several budgets"
    return counted_split(joint_law, used, fitted, cost, budgets), None


def _cost(rows: pd.DataFrame, used: JointRows) -> ByteCost:
    """Return the compute a byte of the rows that are fitted, with the depths that `rows` give them."""
    assert used.compute is not None
    depths = dict(zip(rows["run_id"].astype(str), rows["depth"], strict=True))
    depth = np.array([depths[name] for name in used.names], dtype=float)
    return byte_cost(used.x[:, 0], depth, used.compute / used.x[:, 1])


def _compared(rows: pd.DataFrame, law: JointFit | None) -> tuple[WidthDepth | None, str | None]:
    try:
        return shapes.width_against_depth(rows, law), None
    except ValueError as error:
        return None, str(error)
