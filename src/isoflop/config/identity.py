"""Ids of a run: hashes of everything that changes its result.

Ids stand in records, manifests and file names, so they must outlive the code that made them. A setting is
hashed under its stored name, whatever the code calls it (STORED_NAMES), and one that was added later is left
out of the hash at the value that means "as before" (ABSENT), so that older runs keep their ids.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from isoflop.config.user_code.locate import function_of

GROUPS = ("data", "model", "optim", "schedule", "precision")
"""The sections of the configuration that change a result; the seed is hashed beside them."""
LEVER = "lever"
"""The section that is hashed where a run has a lever, without what is null; `none` leaves no trace."""
NOT_HASHED = ("data.download", "data.passes", "schedule.evaluations")
"""Keys of these sections that change no result."""
STORED_NAMES: Mapping[str, str] = {}
"""Key in the code -> key in records and hashes, for each hashed key that was renamed."""
OF_USER_CODE = ("model.path", "data.path", "lever.path")
"""Keys that name code of the user's own, where `sha256` stands beside them."""
ABSENT: Mapping[str, Any] = {
    "model.zero_init_residual": False,
    "model.context": None,
    "model.feedforward": None,
    "model.function": None,
    "model.sha256": None,
    "model.arguments": None,
    "data.function": None,
    "data.sha256": None,
    "data.arguments": None,
    "data.path": None,
    "data.separator": None,
    "data.offsets": None,
    "data.eval_path": None,
    "data.eval_offsets": None,
    "data.eval_bytes": None,
    "optim.clip_norm": None,
    "optim.base_steps": None,
    "schedule.decay_shape": "linear",
}
"""Key in records -> the value at which it is left out, for each hashed key that was added after a release."""


def identity(
    groups: Mapping[str, Mapping[str, Any]],
    seed: int,
    *,
    stored_names: Mapping[str, str] = STORED_NAMES,
    absent: Mapping[str, Any] = ABSENT,
) -> dict[str, Any]:
    """Return what defines a run, as it stands in its record.

    Args:
        groups: the plain settings of each of GROUPS, and of LEVER.
        seed: the seed of the run.
        stored_names: as STORED_NAMES.
        absent: as ABSENT.
    """
    lever = {name: value for name, value in groups.get(LEVER, {}).items() if value is not None}
    hashed = dict(groups) | {LEVER: lever if lever.get("name", "none") != "none" else {}}
    stored: dict[str, Any] = {group: {} for group in GROUPS}
    for group in (*GROUPS, LEVER):
        for name, given in hashed[group].items():
            key, value = f"{group}.{name}", given
            if key in NOT_HASHED or (key == "data.root" and groups["data"]["name"] != "imagefolder"):
                continue  # only a folder of images is identified by where it lies
            if (key in OF_USER_CODE and hashed[group].get("sha256") is not None) or key == "model.path":
                # Code of the user's own is its file's hash and the function in it, wherever the file lies.
                key, value = f"{group}.function", value and function_of(value)
            kept = stored_names.get(key, key)
            if kept in absent and value == absent[kept]:
                continue
            stored.setdefault(group, {})[kept.partition(".")[2]] = value
    return stored | {"seed": seed}


def digest(value: Any) -> str:
    """Return 16 hexadecimal digits of the SHA-256 of `value` as JSON with sorted keys."""
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()[:16]


def without_seed(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return what all seeds of a configuration share."""
    return {key: value for key, value in identity.items() if key != "seed"}
