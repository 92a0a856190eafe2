"""Windows of two runs are compared pair by pair; heartbeats come once a second."""

import os
import time

import numpy as np
import pytest

from isoflop.record import heartbeat, window_losses


def test_the_difference_of_pairs_has_the_standard_error_of_a_mean(tmp_path):
    first, second = np.array([1.0, 2.0, 4.0, 7.0]), np.array([0.5, 1.0, 4.5, 5.0])
    # Differences 0.5, 1, -0.5, 2: mean 0.75, s.d. 1.0408, over the root of 4.
    assert window_losses.paired_difference(first, second) == pytest.approx((0.75, 1.0408 / 2), rel=1e-4)
    with pytest.raises(ValueError, match="3 and 4 windows"):
        window_losses.paired_difference(first[:3], second)
    with pytest.raises(ValueError, match="1 and 1 windows"):
        window_losses.paired_difference(first[:1], second[:1])
    assert window_losses.paired_difference(first[:2], second[:2])[0] == pytest.approx(0.75)


def test_windows_are_read_back_and_a_damaged_file_is_none(tmp_path):
    path = window_losses.write([1.5, 2.25], tmp_path, "run")
    assert path == tmp_path / "windows" / "run.npy"
    assert window_losses.read(tmp_path, "run").tolist() == [1.5, 2.25]
    assert window_losses.read(tmp_path, "other") is None
    path.write_bytes(path.read_bytes()[:20])
    assert window_losses.read(tmp_path, "run") is None


def test_a_heartbeat_is_due_after_a_second_and_its_age_is_never_negative(tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    writer = heartbeat.HeartbeatWriter(tmp_path, "run")
    beat = heartbeat.Heartbeat(1, 5, 10, 2.0, "host", 1, None)
    for later, due in ((0.99, False), (1.0, True)):
        now[0] = 1000.0 + later
        assert writer.due() == due
    assert heartbeat.last(tmp_path, "run") is None
    writer.write(beat)
    now[0] += 0.99
    assert not writer.due()
    written, age = heartbeat.last(tmp_path, "run")
    assert written == beat
    assert 0 <= age < 60
    path = heartbeat.path_of(tmp_path, "run")
    future = time.time() + 100
    os.utime(path, (future, future))
    assert heartbeat.last(tmp_path, "run")[1] == 0.0
    os.utime(path, (future - 150, future - 150))
    assert heartbeat.last(tmp_path, "run")[1] == pytest.approx(50, abs=5)
    heartbeat.remove(tmp_path, "run")
    assert heartbeat.last(tmp_path, "run") is None
    heartbeat.remove(tmp_path, "run")
    assert list(path.parent.iterdir()) == [], "nothing is left behind"


def test_a_heartbeat_that_is_damaged_is_none_and_one_that_cannot_be_written_is_left_out(tmp_path):
    beat = heartbeat.Heartbeat(1, 5, 10, 2.0, "host", 1, "job")
    path = heartbeat.path_of(tmp_path, "run")
    assert path == tmp_path / "progress" / "run.json"
    heartbeat.HeartbeatWriter(tmp_path, "run").write(beat)
    assert [each.name for each in path.parent.iterdir()] == ["run.json"]
    path.write_text("{")
    assert heartbeat.last(tmp_path, "run") is None
    (tmp_path / "file").write_text("")
    heartbeat.HeartbeatWriter(tmp_path / "file", "run").write(beat)
