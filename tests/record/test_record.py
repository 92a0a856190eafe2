from __future__ import annotations

import dataclasses
import errno
import functools
import json
import multiprocessing
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoflop import record as records
from isoflop.record import Record


def test_a_record_reads_back_equal(done_record: Record, tmp_path: Path) -> None:
    assert records.read(records.write(done_record, tmp_path)) == done_record


def test_a_pipe_stays_a_pipe_and_a_link_a_link(tmp_path: Path) -> None:
    """As /dev/null has to stay what it is, also for root."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        records.write_bytes(pipe, b"through")
        assert os.read(reader, 100) == b"through"
    finally:
        os.close(reader)
    assert pipe.is_fifo()
    link, named = tmp_path / "link", tmp_path / "folder" / "file"
    named.parent.mkdir()
    link.symlink_to(named)
    for payload in (b"new", b"newer"):  # of a file that is not there yet, and of one that is
        records.write_bytes(link, payload)
        assert link.is_symlink()
        assert named.read_bytes() == payload
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder", "link", "pipe"]


@given(
    reason=st.text(max_size=200),
    lr=st.floats(1e-300, 1e300),
    cost=st.dictionaries(st.text(), st.floats(0, 1e9)),
)
def test_any_text_and_number_survives_the_file(
    reason: str,
    lr: float,
    cost: dict[str, float],
    done_record: Record,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    assert done_record.optim is not None
    optim = dataclasses.replace(done_record.optim, lr=lr)
    odd = dataclasses.replace(done_record, reason=reason, optim=optim, cost=cost)
    assert records.read(records.write(odd, tmp_path_factory.mktemp("odd"))) == odd


def test_a_full_disk_leaves_the_old_record_and_nothing_else(
    done_record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = records.write(done_record, tmp_path)
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        records.write(dataclasses.replace(done_record, attempt=9), tmp_path)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_record_is_readable_by_the_group_as_the_umask_says(done_record: Record, tmp_path: Path) -> None:
    umask = os.umask(0o027)
    try:
        path = records.write(done_record, tmp_path)
    finally:
        os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda text: text[: len(text) // 2], "damaged"),
        (lambda text: "", "damaged"),
        (lambda text: "[1, 2]", "not a record"),
        (
            lambda text: text.replace('"seed": 0', '"seed": "zero"', 1).replace('"seed": 0', '"seed": "z"'),
            "not a rec",
        ),
        (lambda text: json.dumps(json.loads(text) | {"schema": 99}), "schema 99 is newer"),
        (lambda text: json.dumps(json.loads(text) | {"schema": 0}), "schema 0 was never released"),
        (lambda text: json.dumps(json.loads(text) | {"error_reason": "both"}), "exactly one"),
        (lambda text: json.dumps(json.loads(text) | {"state": "fine"}), "not a record"),
    ],
)
def test_a_bad_file_is_named_with_what_to_do(
    damage: Any, words: str, done_record: Record, tmp_path: Path
) -> None:
    path = records.write(done_record, tmp_path)
    path.write_text(damage(path.read_text()))
    with pytest.raises(records.RecordError) as caught:
        records.read(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_older_schema_is_migrated(
    done_record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = records.write(done_record, tmp_path)
    raw = json.loads(path.read_text())
    raw["schema"], raw["random_seed"] = 0, raw.pop("seed")
    path.write_text(json.dumps(raw))

    def rename(old: dict[str, Any]) -> dict[str, Any]:
        return {k: v for k, v in old.items() if k != "random_seed"} | {
            "seed": old["random_seed"],
            "schema": 1,
        }

    def stamped(schema: int, older: dict[str, Any]) -> dict[str, Any]:
        return older | {"schema": schema}

    monkeypatch.setitem(records.MIGRATIONS, 0, rename)
    for older in range(1, records.SCHEMA):
        monkeypatch.setitem(records.MIGRATIONS, older, functools.partial(stamped, older + 1))
    assert records.read(path) == done_record


def test_every_committed_record_can_still_be_read() -> None:
    paths = sorted((Path(__file__).parents[2] / "results").glob("*/records/*.json"))
    assert len(paths) >= 45
    assert all(records.read(path).schema == records.SCHEMA for path in paths)


def test_a_board_metered_under_schema_2_says_what_was_not_recorded(tmp_path: Path) -> None:
    raw = json.loads((Path(__file__).parents[1] / "data/record_schema_2_gpu.json").read_text())
    path = tmp_path / "old.json"
    path.write_text(json.dumps(raw))
    found = records.read(path)
    assert found.energy is not None
    (board,) = found.energy.devices
    assert board.mean_watts == raw["energy"]["devices"][0]["mean_watts"]
    assert board.temperature_end_celsius is None
    assert board.temperature_end_celsius_reason == "not recorded in schema 2"
    assert found.spent.wasted_joules == 0.0


def test_a_record_as_schema_1_wrote_it_is_read() -> None:
    found = records.read(Path(__file__).parents[1] / "data/record_schema_1.json")
    assert (found.schema, found.horizon, found.state) == (records.SCHEMA, 1.0, "done")
    assert found.optim is not None
    assert found.optim.parametrization == "standard"
    assert found.time is not None
    assert found.time.compile_seconds == 0.0


def test_nan_and_a_missing_reason_are_never_written(done_record: Record, tmp_path: Path) -> None:
    assert done_record.loss is not None
    nan = dataclasses.replace(done_record, loss=dataclasses.replace(done_record.loss, test=float("nan")))
    mute = dataclasses.replace(done_record, error=None)
    for bad, words in ((nan, "record.loss.test is nan"), (mute, "record.error and record.error_reason")):
        with pytest.raises(AssertionError, match=words):
            records.write(bad, tmp_path)
    assert not (tmp_path / "records").exists()


def _hold(directory: Path, run_id: str, held: Any, release: Any) -> None:
    with records.claim(directory, run_id):
        held.set()
        release.wait(20)


def test_two_processes_cannot_work_on_one_run(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    held, release = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(tmp_path, "ab" * 8, held, release))
    other.start()
    assert held.wait(20)
    with pytest.raises(records.RecordBusyError, match="another process"), records.claim(tmp_path, "ab" * 8):
        pass
    with records.claim(tmp_path, "cd" * 8):
        pass
    release.set()
    other.join()
    with records.claim(tmp_path, "ab" * 8):
        pass


@pytest.mark.parametrize(("name", "factor"), [("sgd", 4.0), ("adamw", 2.0)])
def test_schema_3_kept_the_rate_without_the_batch_sizes_factor(name: str, factor: float) -> None:
    settings = {"name": name, "lr": 0.1, "batch_size": 512, "base_batch_size": 128}
    raw = {"cell": {"optim": settings}, "optim": {"lr": 0.1}, "loss": None, "compute": None, "time": None}
    assert records.MIGRATIONS[3](raw)["optim"]["lr"] == pytest.approx(factor * 0.1)
    raw["cell"] = {"optim": settings | {"base_batch_size": None}}
    assert records.MIGRATIONS[3](raw)["optim"]["lr"] == 0.1


@pytest.mark.parametrize(("replayed", "source", "own"), [(True, "shape", None), (False, "run", 12.5)])
def test_schema_3_kept_either_what_a_run_read_or_its_replay(
    replayed: bool, source: str, own: float | None
) -> None:
    raw = dict.fromkeys(("loss", "optim", "compute"))
    raw |= {"cell": {}, "energy": {"replayed": replayed, "energy_joules": 12.5}}
    energy = records.MIGRATIONS[3](raw)["energy"]
    assert (energy["source"], energy["own_joules"]) == (source, own)
    assert (energy["own_joules_reason"] is None) == (own is not None)


def as_schema_4(record: Record) -> dict[str, Any]:
    """The file that the version before text wrote of a run on images."""
    raw = json.loads(msgspec.json.encode(record))
    raw["schema"] = 4
    raw["data"]["image_shape"] = raw["data"].pop("input_shape")
    added = {
        "data": ("passes", "text", "text_reason"),
        "model": ("parameters_without_embeddings", "parameters_without_embeddings_reason"),
        "loss": ("test_document_se_nats", "test_document_se_nats_reason"),
    }
    for section, names in added.items():
        for name in names:
            del raw[section][name]
    return dict(raw)


def test_a_record_of_schema_4_is_read_as_todays(done_record: Record, tmp_path: Path) -> None:
    path = records.path_of(tmp_path, done_record.run_id)
    path.parent.mkdir()
    path.write_text(json.dumps(as_schema_4(done_record)))
    found = records.read(path)
    assert found == done_record, "what a run on images writes today"
    assert found.data is not None
    assert found.compute is not None
    assert found.data.passes == found.compute.examples_seen / found.data.train_n


def test_a_failure_of_schema_4_is_read(done_record: Record, tmp_path: Path) -> None:
    raw = as_schema_4(done_record) | {"state": "failed", "reason": "a test", "curve": []}
    for section in ("optim", "data", "error", "loss", "train_loss", "compute", "time", "energy"):
        raw |= {section: None, f"{section}_reason": "the run failed"}
    path = records.path_of(tmp_path, done_record.run_id)
    path.parent.mkdir()
    path.write_text(json.dumps(raw))
    found = records.read(path)
    assert (found.schema, found.state, found.data, found.loss) == (records.SCHEMA, "failed", None, None)
    assert found.model.parameters_without_embeddings_reason == "the model has no token embeddings"


def test_how_often_data_were_read_is_never_made_up() -> None:
    """Schema 4 did not record it: it is the work over the data, and unknown is not 0."""
    data = {"image_shape": [1, 8, 8], "train_n": 50}
    raw = {"data": data, "model": {}, "loss": None, "compute": {"examples_seen": 75}}
    assert records.MIGRATIONS[4](raw)["data"]["passes"] == 1.5
    unknown = records.MIGRATIONS[4](raw | {"compute": None})
    assert unknown["data"] is None
    assert unknown["data_reason"]


def test_a_record_lies_in_its_folder_in_lines_that_can_be_read(done_record: Record, tmp_path: Path) -> None:
    path = records.write(done_record, tmp_path)
    assert path == tmp_path / "records" / f"{done_record.run_id}.json"
    text = path.read_text()
    assert text.startswith('{\n "')
    assert text.endswith("}\n")


def test_what_is_added_to_a_file_stands_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "new/file"
    for part in (b"one\n", b"two\n"):
        records.append_bytes(path, part)
    assert path.read_bytes() == b"one\ntwo\n"


def test_the_hashes_of_a_finished_point_are_read_without_the_rest(
    done_record: Record, tmp_path: Path
) -> None:
    assert done_record.data is not None
    files = {"model": {"own.py": "0" * 64}}
    origin = dataclasses.replace(done_record.provenance, user_files=files)
    path = records.write(dataclasses.replace(done_record, provenance=origin), tmp_path)
    assert records.read_split_sha256(path) == done_record.data.split_sha256
    assert records.read_user_files(path) == files
    assert records.read_state(path) == "done"
    raw = json.loads(path.read_text())
    path.write_text(json.dumps({"schema": raw["schema"], "state": "done"}))
    assert (records.read_split_sha256(path), records.read_user_files(path)) == (None, {})
    path.write_text(json.dumps({"schema": raw["schema"]}))
    assert records.read_state(path) == "failed", "a file that says nothing is no point"
    path.write_text(json.dumps(raw | {"state": "failed"}))
    assert (records.read_split_sha256(path), records.read_user_files(path)) == (None, {})
    path.write_text(json.dumps(raw | {"data": 3, "provenance": 3}))
    assert (records.read_split_sha256(path), records.read_user_files(path)) == (None, {})


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (1.5, None),
        (float("inf"), "record is inf"),
        ({"a": [1.0, float("nan")]}, "record.a[1] is nan"),
        (("x", None, 3), None),
        (((0.0,), (float("-inf"),)), "record[1][0] is -inf"),
        ({"a": 1.0, "b": float("nan"), "c": float("inf")}, "record.b is nan"),
    ],
)
def test_the_first_number_that_is_none_is_named(value: Any, message: str | None) -> None:
    assert records.problem(value) == message


def test_a_value_has_no_reason_and_an_unknown_one_has_one(done_record: Record) -> None:
    both = dataclasses.replace(done_record, energy=None, energy_reason=None)
    message = "record.energy and record.energy_reason must be exactly one of them None"
    assert records.problem(both) == message
    assert done_record.error is not None
    said = dataclasses.replace(done_record, error_reason="and a reason")
    assert records.problem(said) == message.replace("energy", "error")
    inner = dataclasses.replace(done_record, error=dataclasses.replace(done_record.error, test=float("nan")))
    assert records.problem(inner) == "record.error.test is nan"
    assert records.problem(done_record) is None
    assert dict(records.unknown("why", "a", "b")) == {
        "a": None,
        "b": None,
        "a_reason": "why",
        "b_reason": "why",
    }
    assert dict(records.known(a=1)) == {"a": 1, "a_reason": None}
