from __future__ import annotations

import copy
import functools
import json
from pathlib import Path
from typing import Any

import pytest

from isoflop import config
from isoflop.config import compose
from isoflop.config.data import TEXT
from isoflop.config.identity import digest, identity, without_seed

ROOT = Path(__file__).parents[2]
RECORDS = [
    *sorted((ROOT / "results").glob("*/records/*.json")),
    *sorted((ROOT / "../shared/gpu").glob("*/*/records/*.json")),
]


def record_ids(raw: dict[str, Any], cell: dict[str, Any]) -> dict[str, str]:
    """The three ids that the record's configuration must give."""
    branch = {"horizon": raw["horizon"]} if cell.get("schedule", {}).get("cooldowns") else {}
    return {
        "run_id": digest(cell | branch),
        "trunk_id": digest(cell),
        "config_id": digest(without_seed(cell)),
    }


@functools.cache
def defaults() -> dict[str, Any]:
    return config.to_dict(compose.compose_config([], None))


def rebuilt(cell: dict[str, Any]) -> config.Config:
    """The configuration of today's code with the settings that a record holds."""
    raw = copy.deepcopy(defaults())
    for group, settings in cell.items():
        raw[group] = raw[group] | settings if isinstance(settings, dict) else settings
    if raw["data"]["name"] in TEXT:
        raw["data"]["passes"] = 1.0  # not hashed, as it changes no result, but needed
    return config.from_dict(raw)


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_every_committed_record_hashes_to_its_own_ids(path: Path) -> None:
    raw = json.loads(path.read_text())
    stored = {name: raw[name] for name in ("run_id", "trunk_id", "config_id")}
    assert record_ids(raw, raw["cell"]) == stored
    if raw["cell"].get("source") == "recorder":
        return  # another training loop's: there is no configuration of ours to rebuild
    made = rebuilt(raw["cell"])
    assert made.identity == raw["cell"]
    assert {"run_id": made.point_ids[raw["horizon"]], "trunk_id": made.run_id} == {
        name: stored[name] for name in ("run_id", "trunk_id")
    }
    assert made.config_id == stored["config_id"]


def groups(**optim: Any) -> dict[str, dict[str, Any]]:
    return {"data": {"name": "digits"}, "model": {}, "optim": optim, "schedule": {}, "precision": {}}


def test_a_renamed_setting_is_hashed_under_its_stored_name() -> None:
    renamed = identity(groups(rate=0.1), 0, stored_names={"optim.rate": "optim.lr"})
    assert renamed == identity(groups(lr=0.1), 0)


def test_a_later_setting_is_left_out_at_the_value_that_means_as_before() -> None:
    absent = {"optim.lookahead": None}
    assert identity(groups(lr=0.1, lookahead=None), 0, absent=absent) == identity(groups(lr=0.1), 0)
    assert identity(groups(lr=0.1, lookahead=5), 0, absent=absent)["optim"] == {"lr": 0.1, "lookahead": 5}
