import numpy as np
import pytest

from isoflop.report.figures import views

VIEW = views.VIEWS[0]


def test_means_are_geometric_and_seeds_of_a_configuration_stay_together(make_table):
    rows = make_table(widths=(8, 16), depths=(1,), seeds=3).rows
    means = views.select(rows, VIEW).means
    assert list(means["seeds"]) == [3, 3]
    errors = rows.loc[rows["place_id"] == means["place_id"][0], "test_error"]
    assert means["y"][0] == pytest.approx(np.exp(np.log(errors).mean()))
    assert (means["low"] < means["y"]).all()
    assert (means["y"] < means["high"]).all()


def test_a_run_without_errors_is_counted_and_takes_its_configurations_mean_away(make_table):
    rows = make_table(widths=(8, 16), depths=(1,), seeds=2).rows
    rows.loc[rows.index[-1], "test_error"] = 0.0
    found = views.select(rows, VIEW)
    assert (len(found.seeds), len(found.means), found.zero) == (3, 1, 1)
    assert "1 run with no error at all" in views.note(found, None)


def test_unknown_values_are_left_out_and_counted(make_table):
    rows = make_table(widths=(8, 16), depths=(1,), seeds=2).rows
    rows.loc[0, "train_gflops"] = np.nan
    rows.loc[1, "test_error"] = np.nan
    found = views.select(rows, VIEW)
    assert (len(found.seeds), found.unknown_x, found.unknown_y) == (2, 1, 1)
    assert "1 run left out: train_gflops unknown" in views.note(found, None)


def test_colour_stands_for_the_model_where_shapes_have_no_dials(make_table):
    rows = make_table(widths=(8, 16), depths=(1,), seeds=1).rows.assign(width=np.nan, depth=np.nan)
    found = views.select(rows, VIEW)
    assert (found.tint_name, found.mark_name) == ("model", "")
    assert set(found.seeds["tint"]) == {"mlp"}


def test_shape_stands_for_family_and_depth_where_there_are_two_families(make_table):
    rows = make_table(widths=(8, 16), depths=(1,), seeds=1).rows
    rows.loc[0, "family"] = "resnet"
    found = views.select(rows, VIEW)
    assert found.mark_name == "family and depth"
    assert set(found.seeds["mark"]) == {"mlp 1", "resnet 1"}
