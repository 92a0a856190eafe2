"""Names of laws: of those in several resources, and in files that older versions of isoflop wrote."""

from __future__ import annotations

from typing import Any

OF_SEVERAL_RESOURCES = ("chinchilla", "chinchilla_repeated", "width_depth_data", "rosenfeld")
"""The laws of joint/laws.py, which `--law` names; a test compares the two lists."""
OLD_LAW_NAMES = {
    "polynomial": "power_law_ols",
    "power": "power_law",
    "power_floor": "power_law_floor",
    "broken": "broken_power_law",
}
"""Name in older files -> name of today. A law that is not listed kept its name."""


def current(name: str) -> str:
    """Return today's name of a law; a name that never changed is returned as it is."""
    return OLD_LAW_NAMES.get(name, name)


def renamed(fit_file: dict[str, Any]) -> dict[str, Any]:
    """Return the decoded content of a fit.json with today's names of laws; `fit_file` is not changed.

    Laws are named in `reports[].fits[].law` and `reports[].forecast.members[].law`. Content of another
    structure is returned as it is: decoding it says what is wrong with it.
    """
    try:
        return {**fit_file, "reports": [_renamed_report(report) for report in fit_file["reports"]]}
    except (KeyError, TypeError):
        return fit_file


def _renamed_report(report: dict[str, Any]) -> dict[str, Any]:
    forecast = report["forecast"]
    if forecast is not None:
        forecast = {**forecast, "members": _renamed_entries(forecast["members"])}
    return {**report, "fits": _renamed_entries(report["fits"]), "forecast": forecast}


def _renamed_entries(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**entry, "law": current(entry["law"])} for entry in entries]
