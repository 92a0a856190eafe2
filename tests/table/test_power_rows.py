"""The power trace of a run: means over equal intervals, from watts or from a rising counter."""

import json

import pytest

from isoflop.table.power_rows import power_rows


def written(tmp_path, *polls):
    path = tmp_path / "polls.jsonl"
    path.write_text("".join(json.dumps(poll) + "\n" for poll in polls) + '{"cut off')
    return path


def test_polls_become_means_over_equal_intervals(tmp_path):
    polls = [{"time": 100.0 + t, "uuid": "a", "watts": 10.0 * (t + 1)} for t in range(5)]
    # Four seconds in two rows: polls at 0 and 1, and those at 2, 3 and 4, which is the end.
    assert power_rows(written(tmp_path, *polls), 2) == [
        {"power/seconds": 1.0, "power/device_0_watts": 15.0},
        {"power/seconds": 3.0, "power/device_0_watts": 40.0},
    ]


def test_devices_have_columns_of_their_own_and_empty_intervals_no_row(tmp_path):
    polls = [(0.0, "a", 10.0), (0.0, "b", 20.0), (8.0, "b", 40.0)]
    path = written(tmp_path, *({"time": t, "uuid": u, "watts": w} for t, u, w in polls))
    assert power_rows(path, 4) == [
        {"power/seconds": 1.0, "power/device_0_watts": 10.0, "power/device_1_watts": 20.0},
        {"power/seconds": 7.0, "power/device_1_watts": 40.0},
    ]


def test_without_watts_the_counter_s_rise_a_second_is_the_power(tmp_path):
    polls = [(0.0, 100.0), (2.0, 300.0), (2.0, 310.0), (4.0, 250.0), (5.0, 300.0)]
    path = written(tmp_path, *({"time": t, "uuid": "a", "joules": j} for t, j in polls))
    # 200 J in 2 s; no time passed; the counter fell; 50 J in 1 s.
    assert power_rows(path, 5) == [
        {"power/seconds": 2.5, "power/device_0_watts": 100.0},
        {"power/seconds": 4.5, "power/device_0_watts": 50.0},
    ]


def test_a_clock_that_begins_elsewhere_adds_no_time(tmp_path):
    polls = [(1000.0, 10.0), (1002.0, 20.0), (5.0, 30.0), (6.0, 40.0)]
    path = written(tmp_path, *({"time": t, "uuid": "a", "watts": w} for t, w in polls))
    rows = power_rows(path, 3)
    assert [row["power/seconds"] for row in rows] == [0.5, 2.5]
    assert [row["power/device_0_watts"] for row in rows] == pytest.approx([10.0, 30.0])


def test_no_file_and_no_power_give_no_rows(tmp_path):
    assert power_rows(None) == []
    assert power_rows(tmp_path / "absent") == []
    assert power_rows(written(tmp_path, {"time": 1.0, "uuid": "a", "watts": 0.0}, {"other": 1}, [1])) == []


def test_times_and_powers_have_three_decimals_and_five_hundred_rows_at_most(tmp_path):
    polls = [{"time": t / 7, "uuid": "a", "watts": 100 + t / 7} for t in range(1401)]
    rows = power_rows(written(tmp_path, *polls))
    assert len(rows) == 500
    # 200 s in 500 rows of 0.4 s: the first has polls at 0, 1/7 and 2/7 s.
    assert rows[0] == {"power/seconds": 0.2, "power/device_0_watts": 100.143}
    assert rows[-1]["power/seconds"] == 199.8
    third = power_rows(written(tmp_path, *polls), 3)
    assert [row["power/seconds"] for row in third] == [33.333, 100.0, 166.667]


def test_a_rejected_reading_leaves_a_gap_though_the_counter_rose(tmp_path):
    polls = [{"time": 0.0, "joules": 0.0}, {"time": 1.0, "joules": 50.0, "rejected_watts": 4e6}]
    polls += [{"time": 2.0, "joules": 100.0}]
    path = written(tmp_path, *(poll | {"uuid": "a"} for poll in polls))
    # The rise of both seconds is read at the last poll: 100 J in 2 s.
    assert power_rows(path, 2) == [{"power/seconds": 1.5, "power/device_0_watts": 50.0}]
