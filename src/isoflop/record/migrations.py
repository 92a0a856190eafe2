"""Older schemas to newer ones, one step at a time, on plain dictionaries."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any


def _from_1(raw: dict[str, Any]) -> dict[str, Any]:
    """Schema 1 had no horizons, parametrizations, learning-rate grids or compile time."""
    optim, timing = raw["optim"], raw["time"]
    if optim is not None:
        optim = optim | {"parametrization": "standard", "lr_interior": None}
        optim["lr_interior_reason"] = "no learning-rate grid was tried"
    if timing is not None:
        timing = timing | {"compile_seconds": 0.0}
    return raw | {"schema": 2, "horizon": 1.0, "optim": optim, "time": timing}


def _unknown(*names: str, schema: int = 2) -> dict[str, Any]:
    return dict.fromkeys(names) | {f"{name}_reason": f"not recorded in schema {schema}" for name in names}


def _from_2(raw: dict[str, Any]) -> dict[str, Any]:
    """Schema 2 kept less of the meters: no separate backward pass, no roofline, no state of the GPUs."""
    compute, timing, energy = raw["compute"], raw["time"], raw["energy"]
    if compute is not None:
        compute = compute | _unknown(
            "backward_flops_per_example", "closed_form_macs_per_example", "train_bytes_per_example"
        )
    if timing is not None:
        timing = timing | _unknown(
            "hardware_burden_flops", "ceiling", "intensity_flops_per_byte", "roofline_share"
        )
    if energy is not None:
        devices = [device | {"throttle_reasons": []} | _unknown(*_GPU_STATE) for device in energy["devices"]]
        energy = energy | {"devices": devices} | _unknown("host_joules")
    spent = raw["spent"] | {"wasted_flops": 0.0, "wasted_joules": 0.0}
    spent |= {"wasted_flops_reason": None, "wasted_joules_reason": None}
    origin = raw["provenance"]
    if origin["gpu"] is not None:
        origin = origin | {"gpu": origin["gpu"] | _unknown(*_GPU_FACTS)}
    source = {"cost_source": None, "cost_source_reason": "not recorded in schema 2"}
    new = source | {"schema": 3, "compute": compute, "time": timing, "energy": energy}
    return raw | new | {"spent": spent, "provenance": origin}


def _from_3(raw: dict[str, Any]) -> dict[str, Any]:
    """Schema 3 kept no training loss over the steps, no Brier score, no work of normalisation and no engine
    of the step, and of a replayed run only the joules of the replay; its `optim.lr` was the configured rate,
    without the factor of the batch size."""
    new = {"schema": 4} | _unknown("train_loss", schema=3)
    for section, names in _NEW_IN_4.items():
        if raw.get(section) is not None:
            new[section] = raw[section] | _unknown(*names, schema=3)
    if raw["optim"] is not None:
        factor = _batch_factor(raw["cell"].get("optim", {}))
        new["optim"] = raw["optim"] | {"lr": raw["optim"]["lr"] * factor}
    if raw.get("energy") is not None:
        new["energy"] = raw["energy"] | _own_joules(raw["energy"])
    return raw | new


def _from_4(raw: dict[str, Any]) -> dict[str, Any]:
    """Schema 4 knew images only, and did not say how often they were read."""
    new: dict[str, Any] = {"schema": 5}
    data, model, loss = raw["data"], raw["model"], raw["loss"]
    if data is not None and raw["compute"] is None:  # written by no version: a file that was edited
        new |= {"data": None, "data_reason": "how often they were read is unknown, as the work is"}
    elif data is not None:
        new["data"] = {key: value for key, value in data.items() if key != "image_shape"} | {
            "input_shape": data["image_shape"],
            "passes": raw["compute"]["examples_seen"] / data["train_n"],
            "text": None,
            "text_reason": "the data are images",
        }
    new["model"] = model | {
        "parameters_without_embeddings": None,
        "parameters_without_embeddings_reason": "the model has no token embeddings",
    }
    if loss is not None:
        new["loss"] = loss | {
            "test_document_se_nats": None,
            "test_document_se_nats_reason": "images are not parts of documents",
        }
    return raw | new


def _from_5(raw: dict[str, Any]) -> dict[str, Any]:
    """Schema 5 knew isoflop's own training loop only, which knows every figure that may be unknown since."""
    return raw | {"schema": 6}


def _from_6(raw: dict[str, Any]) -> dict[str, Any]:
    """Schema 6 knew no levers, and nobody measured the forward passes of a finished network."""
    return raw | {"schema": 7}


def _own_joules(energy: dict[str, Any]) -> dict[str, Any]:
    """Return whose windows the joules of schema 3 are of: its own run's, or those of a replay."""
    if energy["replayed"]:
        return {"source": "shape"} | _unknown("own_joules", schema=3)
    return {"source": "run", "own_joules": energy["energy_joules"], "own_joules_reason": None}


def _batch_factor(settings: dict[str, Any]) -> float:
    """Return the batch size's factor on the learning rate, as `train.optim` applied it in schema 3."""
    base = settings.get("base_batch_size")
    if base is None:
        return 1.0
    ratio: float = settings["batch_size"] / base
    return ratio if settings["name"] == "sgd" else math.sqrt(ratio)


_NEW_IN_4 = {
    "loss": ("test_brier",),
    "compute": ("norm_activation_forward_flops_per_example",),
    "time": ("step_engine", "step_choice"),
}
_GPU_STATE = (
    *("temperature_begin_celsius", "temperature_end_celsius", "sm_clock_mhz", "power_limit_watts"),
    *("throttled_share", "compute_processes", "stale_share"),
)
_GPU_FACTS = ("default_power_limit_watts", "max_sm_clock_mhz", "memory_bytes", "persistence_mode", "mig")

MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {
    1: _from_1,
    2: _from_2,
    3: _from_3,
    4: _from_4,
    5: _from_5,
    6: _from_6,
}
"""Older schema number -> function that returns the same record in the next schema."""
