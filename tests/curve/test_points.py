import numpy as np
import pytest

from isoflop.curve import points
from isoflop.table import grouping

X = np.geomspace(1, 1e4, 9)
Y = 0.8 * X**-0.2


def _reasons(chosen):
    return {e.run_id: e.reason for e in chosen.excluded}


def test_every_bad_row_is_excluded_by_name_and_reason(make_table):
    table = make_table(X, Y)
    table.loc[0, "test_error"] = np.nan
    table.loc[1, "test_error"] = 1.2
    table.loc[2, "test_error"] = 0.0
    table.loc[2, "test_n"] = np.nan
    table.loc[3, "test_error"] = 0.9
    table.loc[4, "train_gflops"] = np.nan
    table.loc[4, "train_gflops_reason"] = "op foo is not counted"
    table.loc[5, "train_gflops"] = -1.0
    reasons = _reasons(points.select(table, "train_gflops", "test_error"))
    assert set(reasons) == {f"run{i}" for i in range(6)}
    assert reasons["run0"] == "unknown test_error: no value in the table"
    assert "outside [0, 1]" in reasons["run1"]
    assert reasons["run2"].startswith("0 errors of an unknown number (test_n)")
    assert "at chance (0.9): no information about the law" in reasons["run3"]
    assert reasons["run4"] == "unknown train_gflops: op foo is not counted"
    assert "above 0" in reasons["run5"]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("train_gflops", np.inf, "train_gflops is infinite"),
        ("train_gflops", 0.0, "train_gflops is 0"),
        ("test_error", -0.1, "outside"),
        ("test_error", np.inf, "infinite"),
        ("config_id", None, "no config_id"),
    ],
)
def test_no_bad_value_passes(make_table, column, value, message):
    table = make_table(X, Y)
    table.loc[4, column] = value
    chosen = points.select(table, "train_gflops", "test_error")
    assert message in _reasons(chosen)["run4"]
    assert len(chosen.runs.x) == 8


def test_a_run_listed_twice_counts_once(make_table):
    table = make_table(X, Y)
    table.loc[8, "run_id"] = "run0"
    chosen = points.select(table, "train_gflops", "test_error")
    assert len(chosen.runs.x) == 8
    assert "listed twice" in _reasons(chosen)["run0"]


def test_unknown_joules_carry_the_meters_reason(make_table):
    table = make_table(X, Y).assign(energy_joules=X)
    table.loc[0, "energy_joules"] = np.nan
    table.loc[0, "energy_reason"] = "no counter on this GPU"
    reasons = _reasons(points.select(table, "energy_joules", "test_error"))
    assert reasons["run0"] == "unknown energy_joules: no counter on this GPU"


def test_joules_of_a_low_grade_are_left_out_by_name_and_only_of_an_axis_of_joules(make_table):
    table = make_table(X, Y).assign(energy_joules=X, energy_grade=["D", "C", "B", "A", *"AAAAA"])
    reasons = _reasons(points.select(table, "energy_joules", "test_error"))
    assert reasons == {"run0": "energy graded D, below C"}
    assert not _reasons(points.select(table, "train_gflops", "test_error"))
    assert not _reasons(points.select(table, "energy_joules", "test_error", least_energy_grade="D"))
    strict = _reasons(points.select(table, "energy_joules", "test_error", least_energy_grade="B"))
    assert set(strict) == {"run0", "run1"}
    with pytest.raises(ValueError, match="no energy grade E: give one of A, B, C, D"):
        points.select(table, "energy_joules", "test_error", least_energy_grade="E")


def test_chance_and_the_range_of_errors_do_not_bind_losses(make_table):
    table = make_table(X, Y).assign(test_loss=2.5 * X**-0.1)
    table.loc[1, "test_loss"] = 0.0
    chosen = points.select(table, "train_gflops", "test_loss")
    assert chosen.runs.y.max() == 2.5
    assert "above 0" in _reasons(chosen)["run1"]


def test_fewer_than_three_scales_says_how_many_there_are_and_what_to_do(make_table):
    table = make_table([1.0, 1.005, 100.0, 100.9], [0.5, 0.5, 0.2, 0.2], seeds=2)
    with pytest.raises(ValueError, match=r"2 distinct compute scales in 8 usable runs.*other sizes"):
        points.select(table, "train_gflops", "test_error")


def test_an_axis_without_a_known_value_is_refused_with_its_reason(make_table):
    table = make_table(X, Y).assign(energy_reason="no NVML here")
    with pytest.raises(
        ValueError, match=r"0 distinct compute scales in 0 usable runs, 9 excluded.*no NVML here"
    ):
        points.select(table, "energy_joules", "test_error")
    with pytest.raises(ValueError, match="0 distinct compute scales"):
        points.select(table.iloc[:0], "train_gflops", "test_error")


def test_a_missing_column_is_named_with_the_nearest_valid_one(make_table):
    with pytest.raises(ValueError, match="no column train_gflop in the table: did you mean train_gflops"):
        points.select(make_table(X, Y), "train_gflop", "test_error")
    with pytest.raises(ValueError, match="did you mean test_error"):
        points.select(make_table(X, Y), "train_gflops", "testerror")


def test_a_column_of_words_is_refused(make_table):
    table = make_table(X, Y).assign(label="mlp")
    with pytest.raises(ValueError, match="label holds text"):
        points.select(table, "label", "test_error")


def test_errors_that_never_change_are_refused(make_table):
    with pytest.raises(ValueError, match=r"0\.5 in every run"):
        points.select(make_table(X, np.full(9, 0.5)), "train_gflops", "test_error")


def test_noisy_x_of_seeds_makes_one_scale_a_configuration(make_table):
    table = make_table(X[:4], Y[:4], seeds=5)
    jitter = 1 + 0.2 * np.random.default_rng(0).standard_normal(20)
    table["train_seconds"] = table["train_gflops"] * jitter
    chosen = points.select(table, "train_seconds", "test_error")
    assert chosen.scales == 4
    first = table["train_seconds"][:5]
    assert chosen.means.x[0] == pytest.approx(np.exp(np.log(first).mean()))
    assert chosen.means.y[0] == pytest.approx(table["test_error"][:5].mean())


def test_scales_within_one_percent_are_one():
    assert grouping.distinct_scales(np.array([100.0, 1.0, 1.009, 1.02, 100.5])).tolist() == [2, 0, 0, 1, 2]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("device", "mixed devices: cpu, other"),
        ("precision", "mixed precisions"),
        ("data", "mixed data sets"),
    ],
)
def test_mixed_provenance_gives_a_warning(make_table, column, message):
    table = make_table(X, Y, seeds=2)
    assert not points.select(table, "train_gflops", "test_error").warnings
    table.loc[3, column] = "other"
    assert any(message in warning for warning in points.select(table, "train_gflops", "test_error").warnings)


@pytest.mark.parametrize(
    ("x", "column", "message"),
    [
        ("train_gflops", "git_commit", "mixed git commits"),
        ("train_gflops", "isoflop_version", "mixed isoflop versions"),
        ("train_seconds", "device", "mixed devices"),
        ("energy_joules", "power_limit_watts", "mixed power caps"),
    ],
)
def test_what_cannot_be_compared_is_refused_unless_asked_for(make_table, x, column, message):
    table = make_table(X, Y, seeds=2)
    table = table.assign(train_seconds=table["train_gflops"], energy_joules=table["train_gflops"])
    table = table.assign(power_limit_watts=300.0)
    assert points.select(table, x, "test_error").runs.x.size == 18
    table.loc[3, column] = 200.0 if column == "power_limit_watts" else "other"
    with pytest.raises(ValueError, match=rf"{message}.*--mixed"):
        points.select(table, x, "test_error")
    assert points.select(table, x, "test_error", mixed=True).runs.x.size == 18


def test_few_seeds_short_span_and_perfect_runs_give_warnings(make_table):
    table = make_table(X[:4], Y[:4])
    table.loc[4] = table.loc[3].to_dict() | {"run_id": "perfect", "config_id": "perfect", "test_error": 0.0}
    chosen = points.select(table, "train_gflops", "test_error")
    warnings = " | ".join(chosen.warnings)
    assert "5 of 5 configurations have fewer than 2 seeds" in warnings
    assert "1.5 decades, under two" in warnings
    assert "1 runs have 0 errors" in warnings
    assert chosen.runs.y.min() == 0
    assert np.isfinite(chosen.runs.log_y).all()


def test_seeds_variance_is_pooled_within_places(make_table):
    table = make_table(X, Y, seeds=4, noise=0.1)
    chosen = points.select(table, "train_gflops", "test_error")
    by_place = np.log(table["test_error"]).groupby(table["config_id"]).var()
    assert chosen.means.seed_variance == pytest.approx(by_place.mean(), rel=1e-9)
    assert chosen.means.trials.tolist() == [40000.0] * 9
    assert chosen.chance == 0.9
    assert points.select(table.assign(chance_error=np.nan), "train_gflops", "test_error").chance is None


@pytest.mark.parametrize("x", ["energy_joules", "net_joules", "train_seconds", "dollars", "grams_co2"])
def test_mixed_machines_are_refused_on_axes_that_depend_on_them(make_table, x):
    table = make_table(X, Y, seeds=2).assign(**{x: np.repeat(X, 2)})
    table.loc[3, "device"] = "other"
    with pytest.raises(ValueError, match=r"mixed devices \(cpu, other\)"):
        points.select(table, x, "test_error")
    assert points.select(table, x, "test_error", mixed=True).configs == 9
    capped = make_table(X, Y).assign(**{x: X, "power_limit_watts": [300.0, *[400.0] * 8]})
    with pytest.raises(ValueError, match=r"mixed power caps \(300.0, 400.0\)"):
        points.select(capped, x, "test_error")
    assert points.select(capped, "train_gflops", "test_error").configs == 9


def test_a_run_that_is_left_out_does_not_make_the_rest_mixed(make_table):
    table = make_table(X, Y)
    table.loc[3, "git_commit"] = "other"
    table.loc[3, "test_error"] = np.nan
    assert points.select(table, "train_gflops", "test_error").configs == 8


@pytest.mark.parametrize("known", ["none", "one unknown"])
def test_0_errors_of_an_unknown_number_are_left_out_by_name(make_table, known):
    table = make_table(X, Y)
    table.loc[2, "test_error"] = 0.0
    table.loc[slice(None) if known == "none" else [5], "test_n"] = np.nan
    chosen = points.select(table, "train_gflops", "test_error")
    assert _reasons(chosen)["run2"].startswith("0 errors of an unknown number")
    assert chosen.runs.trials is None


def test_errors_in_percent_are_refused_in_words(make_table):
    table = make_table(X, Y * 100)
    with pytest.raises(ValueError, match=r"outside \[0, 1\]: give the error as a fraction"):
        points.select(table, "train_gflops", "test_error")


def test_chance_is_known_only_where_all_rows_agree(make_table):
    table = make_table(X, Y)
    assert points.select(table, "train_gflops", "test_error").chance == 0.9
    table.loc[2, "chance_error"] = 0.95
    assert points.select(table, "train_gflops", "test_error").chance is None
    assert points.select(table.assign(test_loss=Y), "train_gflops", "test_loss").chance is None


def test_equal_values_are_named_with_the_value(make_table):
    with pytest.raises(points.NothingToFitError, match=r"test_error is 0\.25 in every run: there is no fall"):
        points.select(make_table(X, np.full(9, 0.25)), "train_gflops", "test_error")


@pytest.mark.parametrize("missing", ["split_sha256", "data"])
def test_versions_of_data_need_names_and_hashes(make_table, missing):
    table = make_table(X, Y).assign(data="c4", split_sha256=[f"{i % 2}" * 9 for i in range(9)])
    assert list(points.versions_of_data(table)) == ["c4"]
    assert points.versions_of_data(table.drop(columns=missing)) == {}


def test_versions_are_told_apart_within_a_fraction_of_a_data_set(make_table):
    table = make_table(X, Y).assign(data="c4", split_sha256="aa", data_fraction=1.0)
    table.loc[4:, ["split_sha256", "data_fraction"]] = ["bb", 0.5]
    assert points.versions_of_data(table) == {}, "other data of another fraction are no other version"
    table.loc[8, "split_sha256"] = "cc"
    table.loc[0, "data_fraction"] = np.nan  # unknown: the whole
    assert list(points.versions_of_data(table)) == ["c4, fraction 0.5"]
    assert sorted(set(points.versions_of_data(table)["c4, fraction 0.5"])) == ["bb", "cc"]


@pytest.mark.parametrize(("count", "shown"), [(4, "a, b, c, d"), (5, "a, b, c, d and 1 more")])
def test_of_many_values_four_are_shown(count, shown):
    assert points._shown(list("abcdefg"[:count])) == shown


def test_an_axis_against_itself_is_refused(make_table):
    with pytest.raises(ValueError, match="test_error against itself says nothing: choose another x or y"):
        points.select(make_table(X, Y), "test_error", "test_error")
