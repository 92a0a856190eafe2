"""What each schema did not have, and how a record of it is read today: every step, field by field."""

from __future__ import annotations

import math
from typing import Any

import pytest

from isoflop.record import MIGRATIONS


def unrecorded(schema: int, *names: str) -> dict[str, Any]:
    """Fields that a record of the schema does not have."""
    return dict.fromkeys(names) | {f"{name}_reason": f"not recorded in schema {schema}" for name in names}


def test_every_schema_leads_to_the_next() -> None:
    assert list(MIGRATIONS) == [1, 2, 3, 4, 5, 6]
    failed: dict[str, Any] = dict.fromkeys(("optim", "time", "compute", "energy", "data", "loss"))
    raw = failed | {"schema": 1, "spent": {}, "model": {}, "cell": {}, "provenance": {"gpu": None}}
    for older, step in MIGRATIONS.items():
        assert raw["schema"] == older
        raw = step(raw)
        assert [raw[name] for name in failed] == [None] * len(failed), "a failure has none of them"
    assert raw["schema"] == 7


def test_schema_1_had_one_horizon_one_parametrization_and_no_compilation() -> None:
    assert MIGRATIONS[1]({"schema": 1, "optim": {"lr": 0.1}, "time": {"train_seconds": 2.0}}) == {
        "schema": 2,
        "horizon": 1.0,
        "optim": {
            "lr": 0.1,
            "parametrization": "standard",
            "lr_interior": None,
            "lr_interior_reason": "no learning-rate grid was tried",
        },
        "time": {"train_seconds": 2.0, "compile_seconds": 0.0},
    }


def test_schema_2_kept_less_of_the_meters() -> None:
    raw = {
        "schema": 2,
        "compute": {"train_flops": 5.0},
        "time": {"train_seconds": 2.0},
        "energy": {"energy_joules": 7.0, "devices": [{"uuid": "GPU-a"}]},
        "spent": {"flops": 5.0},
        "provenance": {"device": "a", "gpu": {"uuid": "GPU-a"}},
    }
    assert MIGRATIONS[2](raw) == {
        "schema": 3,
        "compute": {"train_flops": 5.0}
        | unrecorded(
            2, "backward_flops_per_example", "closed_form_macs_per_example", "train_bytes_per_example"
        ),
        "time": {"train_seconds": 2.0}
        | unrecorded(2, "hardware_burden_flops", "ceiling", "intensity_flops_per_byte", "roofline_share"),
        "energy": {
            "energy_joules": 7.0,
            "devices": [
                {"uuid": "GPU-a", "throttle_reasons": []}
                | unrecorded(
                    2,
                    *("temperature_begin_celsius", "temperature_end_celsius", "sm_clock_mhz"),
                    *("power_limit_watts", "throttled_share", "compute_processes", "stale_share"),
                )
            ],
        }
        | unrecorded(2, "host_joules"),
        # No work was counted as lost, since no run could be resumed.
        "spent": {
            "flops": 5.0,
            "wasted_flops": 0.0,
            "wasted_joules": 0.0,
            "wasted_flops_reason": None,
            "wasted_joules_reason": None,
        },
        "provenance": {
            "device": "a",
            "gpu": {"uuid": "GPU-a"}
            | unrecorded(
                2,
                *("default_power_limit_watts", "max_sm_clock_mhz", "memory_bytes", "persistence_mode", "mig"),
            ),
        },
        **unrecorded(2, "cost_source"),
    }
    assert raw["schema"] == 2, "the older record is left as it is"


def test_schema_3_kept_no_curve_of_the_training_loss_and_no_engine() -> None:
    raw = {
        "schema": 3,
        "loss": {"test": 1.5},
        "compute": {"train_flops": 5.0},
        "time": {"train_seconds": 2.0},
        "optim": {"lr": 0.1},
        "cell": {},
        "energy": {"energy_joules": 7.0, "replayed": True},
    }
    assert MIGRATIONS[3](raw) == {
        "schema": 4,
        "loss": {"test": 1.5} | unrecorded(3, "test_brier"),
        "compute": {"train_flops": 5.0} | unrecorded(3, "norm_activation_forward_flops_per_example"),
        "time": {"train_seconds": 2.0} | unrecorded(3, "step_engine", "step_choice"),
        "optim": {"lr": 0.1},
        "cell": {},
        "energy": {"energy_joules": 7.0, "replayed": True, "source": "shape"} | unrecorded(3, "own_joules"),
        **unrecorded(3, "train_loss"),
    }
    own = MIGRATIONS[3](raw | {"energy": {"energy_joules": 7.0, "replayed": False}})["energy"]
    assert own == {
        "energy_joules": 7.0,
        "replayed": False,
        "source": "run",
        "own_joules": 7.0,
        "own_joules_reason": None,
    }


@pytest.mark.parametrize(
    ("settings", "factor"),
    [
        ({}, 1.0),
        ({"name": "sgd", "batch_size": 512, "base_batch_size": None}, 1.0),
        ({"name": "sgd", "batch_size": 512, "base_batch_size": 128}, 4.0),
        ({"name": "adamw", "batch_size": 640, "base_batch_size": 128}, math.sqrt(5)),
    ],
)
def test_the_rate_of_schema_3_gets_the_factor_of_its_batch(settings: dict[str, Any], factor: float) -> None:
    raw = {"optim": {"lr": 0.1, "batch_size": 512}, "cell": {"optim": settings} if settings else {}}
    migrated = MIGRATIONS[3](raw)["optim"]
    assert migrated == {"lr": pytest.approx(0.1 * factor), "batch_size": 512}


def test_schema_4_knew_images_only() -> None:
    raw = {
        "schema": 4,
        "data": {"name": "digits", "image_shape": [1, 8, 8], "train_n": 50},
        "compute": {"examples_seen": 75},
        "model": {"parameters": 9},
        "loss": {"test": 1.5},
    }
    assert MIGRATIONS[4](raw) == {
        "schema": 5,
        "data": {
            "name": "digits",
            "train_n": 50,
            "input_shape": [1, 8, 8],
            "passes": 1.5,
            "text": None,
            "text_reason": "the data are images",
        },
        "compute": {"examples_seen": 75},
        "model": {
            "parameters": 9,
            "parameters_without_embeddings": None,
            "parameters_without_embeddings_reason": "the model has no token embeddings",
        },
        "loss": {
            "test": 1.5,
            "test_document_se_nats": None,
            "test_document_se_nats_reason": "images are not parts of documents",
        },
    }
    without_work = MIGRATIONS[4](raw | {"compute": None})
    assert (without_work["data"], without_work["data_reason"]) == (
        None,
        "how often they were read is unknown, as the work is",
    )


@pytest.mark.parametrize("schema", [5, 6])
def test_schemas_5_and_6_are_read_as_they_are(schema: int) -> None:
    assert MIGRATIONS[schema]({"schema": schema, "seed": 3}) == {"schema": schema + 1, "seed": 3}
