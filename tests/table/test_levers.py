"""What a table with and without levers stands for, and which rows one curve is of."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests import lever_sweep

from isoflop.table import levers, selection

DIGITS = Path(__file__).parents[2] / "results/digits-cpu"


def test_a_table_without_levers_is_all_baseline() -> None:
    rows = levers.completed(pd.DataFrame({"train_gflops": [1.0, 2.0]}))
    assert rows["lever"].tolist() == ["none", "none"]
    assert rows["total_train_gflops"].tolist() == [1.0, 2.0]
    assert rows["density"].isna().all()
    assert set(levers.arms(rows)) == {"baseline"}
    assert levers.one_arm(pd.DataFrame({"train_gflops": [1.0]})).compared is None


def test_a_lever_whose_prior_work_is_unknown_has_no_total() -> None:
    table = pd.DataFrame({"lever": ["none", "muon", None], "train_gflops": 2.0, "prior_train_gflops": np.nan})
    rows = levers.completed(table)
    assert rows["total_train_gflops"].tolist()[::2] == [2.0, 2.0]
    assert np.isnan(rows["total_train_gflops"][1])
    assert levers.arms(table).tolist() == ["baseline", "muon", "baseline"]


def test_a_shape_that_was_searched_for_is_at_its_baselines() -> None:
    table = pd.DataFrame({"width": [16.0, 24.0], "depth": [2.0, 1.0], "baseline_width": [np.nan, 16.0]})
    assert levers.at_baseline_shape(table)["width"].tolist() == [16.0, 16.0]
    assert levers.at_baseline_shape(table)["depth"].tolist() == [2.0, 1.0]
    assert levers.at_baseline_shape(table[["width"]])["width"].tolist() == [16.0, 24.0]


def test_totals_that_are_recorded_are_kept() -> None:
    table = pd.DataFrame({"train_gflops": [2.0], "prior_train_gflops": [1.0], "total_train_gflops": [4.0]})
    assert levers.completed(table)["total_train_gflops"].tolist() == [4.0]


def test_settings_make_arms_of_their_own_and_a_fit_is_of_the_baseline() -> None:
    table = lever_sweep.rows(
        {"muon": lever_sweep.Arm(), "pruning": lever_sweep.Arm(settings="rounds=3")}, sizes=4
    )
    one = levers.one_arm(table)
    assert set(one.rows["lever"]) == {"none"}
    assert one.compared is table
    assert set(levers.arms(table)) == {"baseline", "muon", "pruning"}
    of_seed = (table["lever"] == "pruning") & (table["seed"] == 0)
    two = table.assign(lever_settings=table["lever_settings"].mask(of_seed, "rounds=1"))
    assert set(levers.arms(two)) == {"baseline", "muon", "pruning (rounds=1)", "pruning (rounds=3)"}
    (note,) = one.notes
    assert note == (
        "runs with a lever (24 of 36) are compared by isoflop levers and not part of this fit; --where "
        "'lever == \"muon\"' fits another"
    )
    assert levers.one_arm(table, by="lever").compared is None, "the levers are the curves"


def test_the_condition_that_is_named_leaves_one_arm() -> None:
    three, nine = (lever_sweep.rows({"pruning": lever_sweep.Arm(settings=f"rounds={n}")}) for n in (3, 9))
    table = pd.concat([three, nine[nine["lever"] != "none"]], ignore_index=True)
    condition = levers.note(table).split("--where '")[1].split("' fits")[0]
    kept, _ = selection.where(table, condition)
    assert levers.one_arm(kept).notes == ()
    assert set(kept["lever_settings"]) == {"rounds=3"}


def test_levers_without_a_baseline_are_no_one_curve() -> None:
    table = lever_sweep.rows({"muon": lever_sweep.Arm(), "idle": lever_sweep.Arm()})
    with pytest.raises(ValueError, match=r"^DIR: runs of 2 levers \(idle, muon\) and none of the baseline"):
        levers.one_arm(table[table["lever"] != "none"], "DIR")


def test_levers_that_a_device_cannot_have_are_named_in_a_file(tmp_path: Path) -> None:
    assert levers.left_out(None) == levers.left_out(tmp_path) == ()
    path = tmp_path / "left_out.json"
    path.write_text('[{"lever": "fp8", "why": "no such type"}]')
    assert levers.left_out(tmp_path) == (levers.LeftOut("fp8", "no such type"),)
    path.write_text('{"fp8": "no such type"}')
    with pytest.raises(ValueError, match=r"left_out\.json: .*give a list such as"):
        levers.left_out(tmp_path)


def test_trials_are_counted_where_a_folder_holds_them(tmp_path: Path) -> None:
    assert levers.trials(None) is None
    none = levers.trials(tmp_path)
    assert none is not None
    assert none.empty
    folder = tmp_path / "tuning/records"
    folder.mkdir(parents=True)
    record = min((DIGITS / "records").iterdir())
    shutil.copy(record, folder)
    assert list(levers.arms(levers.trials(tmp_path))) == ["baseline"]
    (folder / "damaged.json").write_text("{")
    assert levers.trials(tmp_path) is None
