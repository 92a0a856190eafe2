"""Whether what was trained before was trained on the data that are there now.

Ids name data by their settings, such as a path: the files there may have changed since, and data=python is
the source of whichever interpreter runs. So records and checkpoints keep the hash of the data, which is
compared before a run counts as done or is resumed.
"""

from __future__ import annotations

from isoflop import record as records
from isoflop.config import Config, ConfigError
from isoflop.notices import notify
from isoflop.runner import checkpoint, provenance


def check(config: Config, split_sha256: str) -> None:
    """Check that what a run has reached so far was trained on the data of this hash.

    Records and checkpoints that do not say what they were trained on pass.

    Raises:
        ConfigError: a finished point or the checkpoint was trained on other data.
    """
    for run_id in config.point_ids.values():
        path = records.path_of(config.directory, run_id)
        _check(config, records.read_split_sha256(path), split_sha256, f"record {path}")
    _announce_changed_imports(config)
    state = checkpoint.read_state(config)
    if state is not None:
        _check(config, state.split_sha256, split_sha256, f"checkpoint {checkpoint.path_of(config)}")


def _announce_changed_imports(config: Config) -> None:
    """Say which files that the user's own import have changed since a finished point was trained with them.

    They are no part of the run's identity, so that the point stays.
    """
    now = provenance.user_files(config)
    for run_id in config.point_ids.values() if now else ():
        path = records.path_of(config.directory, run_id)
        for section, files in records.read_user_files(path).items():
            others = [name for name, sha256 in files.items() if now.get(section, {}).get(name) != sha256]
            if others and others[0] not in _announced:
                _announced.add(others[0])
                notify(
                    f"{others[0]}, which the {section} imports, is not what {path.name} was trained "
                    "with: that record stays; isoflop run --again trains it anew"
                )


_announced: set[str] = set()


def _check(config: Config, before: str | None, now: str, what: str) -> None:
    """Raise ConfigError if `what` was trained on data of the hash `before`, and those are others `now`."""
    if before is None or before == now:
        return
    key, remedy = _source(config)
    raise ConfigError(
        f"{key}: these are not the data of {what} (split_sha256 {before[:8]}, now {now[:8]}): {remedy}, "
        "set out to another folder, or train it anew with isoflop run --again"
    )


def _source(config: Config) -> tuple[str, str]:
    """Return the settings that say where the data are, and how to have the former data again."""
    data = config.data
    if data.name == "python":
        return "data=python", "use the former interpreter, whose source it is"
    if data.name == "custom":
        return f"data.path={data.path}", "have it return the former arrays"
    if data.path is not None:
        other = f", data.eval_path={data.eval_path}" if data.eval_path is not None else ""
        return f"data.path={data.path}{other}", "put the former text back"
    return f"data={data.name}, data.root={data.root}", "put the former data back"
