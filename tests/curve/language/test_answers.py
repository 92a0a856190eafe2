"""Answers of a synthetic language sweep: known exponents recovered, the bias of parabolas, and unknowns."""

import math

import msgspec
import numpy as np
import pytest

from isoflop.curve.language.answers import BITS, language_answers
from isoflop.curve.language.law import text_rows
from isoflop.curve.language.published import PUBLISHED
from isoflop.curve.language.result import LanguageAnswers


@pytest.fixture(scope="module")
def rows(language_sweep):
    return language_sweep.language_table().rows


@pytest.fixture(scope="module")
def answers(rows):
    return language_answers(rows)


def _inside(estimate, low, high):
    """Whether the interval of an estimate meets the range of a truth that depends on the depth."""
    return estimate.interval.low < high and estimate.interval.high > low


def test_the_laws_exponents_are_within_their_intervals(language_sweep, answers):
    law, truth = answers.sizes[0].law, language_sweep.LAW
    known = {each.name: each for each in law.parameters}
    for name, value in (
        ("E", truth.floor),
        ("exponent_parameters", truth.alpha),
        ("exponent_data", truth.beta),
    ):
        assert known[name].interval.low < value < known[name].interval.high
    assert law.y == BITS
    assert law.configs == 24


def test_the_optimum_follows_the_counted_compute_and_not_six_n_d(language_sweep, answers):
    split, (n1, d1), (n2, d2) = (
        answers.sizes[0].split,
        *(language_sweep.exponents(depth=depth) for depth in (1, 2)),
    )
    assert _inside(split.size_exponent, min(n1, n2), max(n1, n2))
    assert _inside(split.seen_exponent, min(d1, d2), max(d1, d2))
    assert split.size_exponent.interval.high - split.size_exponent.interval.low < 0.15
    as_if_six_n_d = language_sweep.LAW.alpha / (language_sweep.LAW.alpha + language_sweep.LAW.beta)
    assert split.seen_exponent.interval.low > as_if_six_n_d + 0.01
    assert split.size_exponent.value + split.seen_exponent.value > 1.04
    for at, budget in zip(split.at_budgets, language_sweep.BUDGETS, strict=True):
        assert not at.outside
        best, seen = language_sweep.optimum(budget)
        assert at.compute == pytest.approx(1e-9 * budget, rel=0.01)
        assert at.size.value == pytest.approx(best, rel=0.1)
        assert at.seen.value == pytest.approx(seen, rel=0.25), "between the depths, whose costs differ"
        assert at.size.interval.low < best < at.size.interval.high


def test_without_noise_only_the_ladder_stands_between_law_and_truth(language_sweep):
    answer = language_answers(language_sweep.language_table(noise=0).rows, resamples=0).sizes[0]
    (n1, d1), (n2, d2) = (language_sweep.exponents(depth=depth) for depth in (1, 2))
    assert answer.law.value("exponent_parameters") == pytest.approx(language_sweep.LAW.alpha, abs=1e-4)
    assert answer.split.size_exponent.value == pytest.approx((n1 + n2) / 2, abs=0.01)
    assert answer.split.seen_exponent.value == pytest.approx((d1 + d2) / 2, abs=0.01)
    assert answer.split.size_exponent.interval.low is None


def test_parabolas_are_biased_where_the_law_is_not_symmetric(language_sweep):
    """Without noise, alpha far from beta and wide budgets: the vertices are off, the joint law is not."""
    law = language_sweep.Law(floor=0.5, a=900.0, alpha=0.8, b=12.0, beta=0.16)
    table = language_sweep.language_table(law, noise=0, sizes=14)
    answer = language_answers(table.rows, resamples=0).sizes[0]
    truth = [language_sweep.optimum(budget, law)[0] for budget in language_sweep.BUDGETS]
    by_law = [each.size.value for each in answer.split.at_budgets]
    by_parabola = [each.optimum[0].value for each in answer.profiles.budgets]
    off = [abs(math.log(each / best)) for each, best in zip(by_law, truth, strict=True)]
    parabolas_off = [abs(math.log(each / best)) for each, best in zip(by_parabola, truth, strict=True)]
    assert max(off) < 0.1
    assert min(parabolas_off) > 0.15
    bias = answer.profiles.growth[0].bias
    assert bias.by_parabolas == pytest.approx(answer.profiles.growth[0].exponent.value, abs=1e-3)
    unbiased = [each.optimum[0].value / each.bias[0] for each in answer.profiles.budgets]
    assert np.max(np.abs(np.log(np.divide(unbiased, truth)))) < 0.1, "the bias is known where the law is"


def test_with_embeddings_the_size_grows_more_slowly(answers):
    """The table of embeddings is a smaller part of a larger model."""
    without, with_table = (each.split.size_exponent.value for each in answers.sizes)
    assert with_table < without - 0.01


def test_pairs_of_equal_size_differ_by_what_the_law_expects(language_sweep, rows, answers):
    shapes = answers.shapes
    assert len(shapes.pairs) >= 5
    for pair in shapes.pairs:
        assert pair.shallow.depth < pair.deep.depth
        assert abs(math.log(pair.deep.size / pair.shallow.size)) <= math.log(1.15)
        means = rows[(rows["width"] == pair.deep.width) & (rows["depth"] == pair.deep.depth)]
        assert pair.deep.bits == pytest.approx(
            means[np.isclose(means["train_gflops"], pair.compute, rtol=0.1)][BITS].mean()
        )
    assert shapes.unexplained.interval.low < 0 < shapes.unexplained.interval.high
    spread = 0.005 * math.sqrt(0.5) * rows[BITS].mean()
    assert shapes.seed_spread == pytest.approx(spread, rel=0.4)
    costly = language_answers(language_sweep.language_table(depth_costs=0.1).rows, resamples=0).shapes
    assert costly.difference.value - shapes.difference.value == pytest.approx(0.1, abs=0.02)


def test_joules_are_medians_of_a_shape(answers):
    narrow, wide = answers.joules[0], answers.joules[-1]
    assert (narrow.width, wide.width) == (8, 128)
    assert narrow.joules == pytest.approx(1e-8 * 21)
    assert wide.net_joules == pytest.approx(1e-8 * 21)
    assert narrow.reason is None


def test_unknown_energy_has_the_records_reason(language_sweep):
    rows = language_sweep.language_table(joules=False).rows
    for each in language_answers(rows, resamples=0).joules:
        assert each.joules is None
        assert each.reason == "no GPU and no readable RAPL counter on this machine"
    gross = language_sweep.language_table().rows.assign(net_joules_per_example=np.nan)
    for each in language_answers(gross, resamples=0).joules:
        assert each.joules is not None
        assert each.net_joules is None
        assert each.reason == "idle power was not measured"


def test_images_and_held_out_runs_are_no_part_of_it(language_sweep, rows):
    assert language_answers(rows.drop(columns="domain")) is None
    assert language_answers(rows.assign(domain="image")) is None
    held = rows["train_gflops"] > 5000
    assert len(text_rows(rows.assign(held_out=held))) == (~held).sum()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda rows: rows[rows["train_gflops"] < 200], "split"),
        (lambda rows: rows[rows["width"] == 32], "law"),
        (lambda rows: rows.assign(test_bits_per_byte=np.nan), "law"),
        (lambda rows: rows.assign(parameters_without_embeddings=np.nan), "law"),
        (lambda rows: rows.assign(examples_seen=1e6), "law"),
        (lambda rows: rows.assign(train_gflops=np.nan), "split"),
        (lambda rows: rows[rows["depth"] == 1], "shapes"),
        (lambda rows: rows.assign(depth=np.nan), "shapes"),
        (lambda rows: rows.iloc[:1], "law"),
        (lambda rows: rows.assign(config_id="one", place_id="one"), "interval"),
    ],
)
def test_what_is_unknown_has_a_reason(rows, change, what):
    answers = language_answers(change(rows), resamples=40)
    for each in answers.sizes:
        for value, reason in (
            (each.law, each.law_reason),
            (each.split, each.split_reason),
            (each.profiles, each.profiles_reason),
        ):
            assert (value is None) == bool(reason)
    assert (answers.shapes is None) == bool(answers.shapes_reason)
    first = answers.sizes[0]
    if what in ("law", "split"):
        assert getattr(first, what) is None
    if what == "shapes":
        assert answers.shapes is None
    if what == "interval" and first.split is not None:
        assert first.split.size_exponent.interval.low is None


def test_one_seed_has_no_spread_and_says_so(language_sweep):
    shapes = language_answers(language_sweep.language_table(seeds=1).rows, resamples=0).shapes
    assert shapes.seed_spread is None
    assert shapes.seed_spread_reason == "no configuration has two seeds"


def test_an_optimum_beyond_the_ladder_is_marked(language_sweep, rows):
    """Only sizes below every optimum."""
    small = rows[rows["parameters_without_embeddings"] < 2.2e4]
    more = small.assign(train_gflops=small["train_gflops"] * 100, examples_seen=small["examples_seen"] * 100)
    law = language_sweep.LAW
    bits = [law.bits(n, d) for n, d in more[["parameters_without_embeddings", "examples_seen"]].to_numpy()]
    split = language_answers(more.assign(test_bits_per_byte=bits), resamples=0).sizes[0].split
    assert all(each.outside for each in split.at_budgets)


def test_answers_encode_to_json_and_back(answers):
    assert msgspec.json.decode(msgspec.json.encode(answers), type=LanguageAnswers) == answers


def test_published_exponents_follow_from_what_they_say():
    by_study = {(each.study, each.method): each for each in PUBLISHED}
    refit = next(each for (study, _), each in by_study.items() if study.startswith("Besiroglu"))
    assert refit.size == pytest.approx(0.3658 / (0.3478 + 0.3658), abs=5e-4)
    for each in PUBLISHED:
        assert each.seen is None or each.size + each.seen == pytest.approx(1)
        assert "arXiv" in each.source
    kaplan = next(each for (study, _), each in by_study.items() if study.startswith("Kaplan"))
    assert (kaplan.size, kaplan.seen, kaplan.loss) == (0.73, 0.27, 0.050)


def test_an_optimum_outside_its_budgets_sizes_is_marked_though_others_are_as_large(language_sweep, rows):
    """Only the largest budget reaches above its optimum: other N* lie within all sizes, not within theirs."""
    best = {budget: language_sweep.optimum(budget)[0] for budget in language_sweep.BUDGETS}
    budgets = np.array(list(best))
    nearest = budgets[np.abs(np.log(rows["train_gflops"].to_numpy()[:, None] * 1e9 / budgets)).argmin(axis=1)]
    size = rows["parameters_without_embeddings"]
    kept = (size < 0.8 * np.array([best[b] for b in nearest])) | (nearest == budgets.max())
    split = language_answers(rows[kept], resamples=0).sizes[0].split
    *others, last = split.at_budgets
    assert others[-1].size.value < size[kept].max()
    assert others[-1].size.measured.largest < others[-1].size.value
    assert any("parameters measured at GFLOPs" in reason for reason in others[-1].outside)
    assert not last.outside
