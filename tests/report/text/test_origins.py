from isoflop import record
from isoflop.record import Gpu, ModelFacts, Provenance, Record, Spent, known, unknown
from isoflop.report.text.origins import origins

NONE = "not measured here"


def a_record(run_id: str, **facts) -> Record:
    provenance = {
        "isoflop_version": "0.1.0",
        "command": "isoflop run model=<mlp>",
        "versions": {"torch": "2.11", "numpy": "2.0"},
        "host": "secret-host",
        "cpu": "a processor",
        "device": "cpu",
        "precision": "fp32",
        "threads": 1,
        "deterministic": True,
        "started_at": "2026-01-01T00:00:00+00:00",
        **known(git_commit="0123abcd", dirty=False),
        **unknown("trained on the CPU", "gpu", "slurm"),
    }
    return Record(
        schema=record.SCHEMA,
        run_id=run_id,
        config_id="c",
        trunk_id="t",
        horizon=1.0,
        cell={},
        attempt=1,
        state="done",
        reason=None,
        seed=0,
        cost={},
        model=ModelFacts(
            "mlp",
            "mlp",
            **known(width=8, depth=1, parameters=10),
            **unknown("not a language model", "parameters_without_embeddings"),
        ),
        provenance=Provenance(**(provenance | facts)),
        spent=Spent(
            seconds=1.0,
            wasted_seconds=0.0,
            **unknown(NONE, "flops", "joules", "wasted_flops", "wasted_joules"),
        ),
        curve=(),
        **unknown(
            NONE, "optim", "data", "error", "loss", "compute", "energy", "time", "cost_source", "train_loss"
        ),
    )


def test_the_table_alone_tells_the_essentials(make_table, tmp_path):
    rows = make_table(widths=(8,), depths=(1,), seeds=2).rows
    rows.loc[0, "precision"] = "bf16"
    found = {o.name: o.values for o in origins(rows, tmp_path)}
    assert set(found["Precision"]) == {"bf16 (1 run)", "fp32 (1 run)"}
    assert found["Started"] == ("2026-01-01T00:00:00+00:00 to 2026-01-02T00:00:00+00:00",)
    assert found["Code"] == ("0123456789abcdef0123456789abcdef01234567",)
    assert [o.name for o in origins(rows, tmp_path) if o.code] == ["Code"]
    assert "Energy grade" not in found


def test_the_records_add_machine_versions_and_command(make_table, tmp_path):
    rows = make_table(widths=(8,), depths=(1,), seeds=3).rows
    card = ("default_power_limit_watts", "max_sm_clock_mhz", "memory_bytes", "persistence_mode", "mig")
    gpu = Gpu("NVIDIA H100", "GPU-1", "570.1", **known(power_limit_watts=700.0), **unknown(NONE, *card))
    dirty = known(git_commit="feed", dirty=True, gpu=gpu)
    record.write(a_record(rows["run_id"][0]), tmp_path)
    record.write(a_record(rows["run_id"][1], **dirty), tmp_path)
    record.path_of(tmp_path, rows["run_id"][2]).write_text("{ damaged")
    found = {o.name: o.values for o in origins(rows, tmp_path)}
    assert set(found["Code"]) == {"0123abcd (1 run)", "feed with uncommitted changes (1 run)"}
    assert "NVIDIA H100, driver 570.1, power limit 700 W (1 run)" in found["GPU"]
    assert found["Versions"] == ("numpy 2.0, torch 2.11",)
    assert found["Processor"] == ("a processor, 1 thread",)
    assert found["Command"] == ("isoflop run model=<mlp>",)
    assert [o.name for o in origins(rows, tmp_path) if o.code] == ["Code", "Command"]
    assert not any("secret-host" in value for values in found.values() for value in values)
