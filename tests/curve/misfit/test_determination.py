import numpy as np
import pytest

from isoflop.curve import fit
from isoflop.curve.misfit import unexplained
from isoflop.curve.misfit.determination import determination
from isoflop.curve.result import ColumnShare, Determination


def power_law(x):
    return 0.6 * x**-0.3


RNG = np.random.default_rng(0)


def of(table):
    return determination(table, "x", "y", np.log(table["x"]).to_numpy(), np.log(table["y"]).to_numpy())


def mixed(make_sweep, spread=0.5):
    """Three data sets whose errors differ by e^spread, and a width that x determines."""
    table = make_sweep(power_law, configs=36, noise=0.05)
    data = np.tile(["a", "b", "c"], 12)
    effect = {"a": -spread, "b": 0.0, "c": spread}
    return table.assign(
        dataset=data, width=np.round(8 * table["x"] ** 0.4), y=table["y"] * [np.exp(effect[d]) for d in data]
    )


def test_a_data_set_that_x_does_not_determine_is_named_with_both_shares(make_sweep):
    seen = of(mixed(make_sweep))
    assert [c.column for c in seen.columns] == ["dataset"]
    assert seen.columns[0].share > 0.9
    assert seen.columns[0].levels == 3
    # Var of the curve 0.3^2 var(ln x), of the data sets 2/3 0.5^2, of the noise 0.05^2.
    of_x = 0.09 * np.log(mixed(make_sweep)["x"]).var(ddof=0)
    assert seen.x_share == pytest.approx(of_x / (of_x + 1 / 6 + 0.0025), abs=0.06)


def test_learning_rates_enter_as_numbers(make_sweep):
    table = make_sweep(power_law, configs=40, noise=0.05)
    lr = np.exp(RNG.uniform(-7, -3, 40))
    table = table.assign(lr=lr, y=table["y"] * np.exp(0.3 * (np.log(lr) + 5) ** 2))
    assert [c.column for c in of(table).columns] == ["lr"]


def test_nothing_is_named_where_x_determines_y(make_sweep):
    table = make_sweep(power_law, configs=36, noise=0.05, lr=np.tile([0.1, 0.2, 0.4], 12))
    seen = of(table)
    assert seen.x_share > 0.98
    assert seen.columns == ()


def test_outcomes_identifiers_and_what_follows_x_are_no_causes(make_sweep):
    table = mixed(make_sweep)
    noise = table["y"] / power_law(table["x"].to_numpy())
    table = table.assign(test_acc=1 - noise / 3, val_loss=noise, train_seconds=noise, run_name=noise)
    assert [c.column for c in of(table).columns] == ["dataset"]


def test_of_columns_that_say_the_same_one_is_named(make_sweep):
    table = mixed(make_sweep)
    assert len(of(table.assign(tokenizer=table["dataset"] + "-bpe")).columns) == 1


def test_columns_of_noise_are_named_in_few_tables(make_sweep):
    named = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        extra = {f"option_{i}": rng.choice(["u", "v", "w"], 30) for i in range(10)}
        named += bool(of(make_sweep(power_law, noise=0.6, seed=seed, **extra)).columns)
    assert named <= 3


def test_few_rows_and_unknown_values_say_nothing(make_sweep):
    assert of(make_sweep(power_law, configs=7)) is None
    table = mixed(make_sweep)
    table.loc[0, "dataset"] = None
    assert of(table).columns == ()


def test_the_fits_notes_say_so_and_seeds_do_not_count_as_many(make_sweep):
    table = mixed(make_sweep)
    method = fit.Method(laws=("power_law",), resamples=60, forecast=False)
    (note,) = [
        w for w in fit.fit_table(table, x="x", y="y", method=method).warnings if w.startswith("x explains")
    ]
    assert "of the variance of ln y; of the rest, dataset explains 9" in note
    assert note.endswith("one curve of x does not describe these rows, fit them apart")
    # Six configurations with many seeds are six rows.
    few = make_sweep(power_law, configs=6, noise=0.4, option=list("uvuvuv"))
    again = few.loc[few.index.repeat(20)].reset_index(drop=True)
    again["run_id"] = [f"r{i}" for i in range(len(again))]
    assert fit.fit_table(again, x="x", y="y", method=method).determination is None


@pytest.mark.parametrize(
    ("columns", "advice"),
    [
        (("width",), "how x is spent on size and data matters, see --isoflop and --law"),
        (("model.width", "Tokens"), "how x is spent on size and data matters, see --isoflop and --law"),
        (("width", "dataset"), "one curve of x does not describe these rows, fit them apart"),
    ],
)
def test_the_note_says_what_the_columns_call_for(columns, advice):
    shares = tuple(ColumnShare(name, 0.9 - 0.55 * i, 3) for i, name in enumerate(columns))
    each = " and ".join(
        f"{name} explains {share}" for name, share in zip(columns, ("90%", "35%"), strict=False)
    )
    said = unexplained._columns_note(Determination(0.614, shares), "test_error")
    assert said == f"x explains 61% of the variance of ln test_error; of the rest, {each}: {advice}"
    assert unexplained._columns_note(Determination(-0.1, shares), "y").startswith("x explains 0% of")
