"""Prices of the question about GPUs: those chosen, else the shipped ones of the device."""

from __future__ import annotations

from isoflop.config import ways
from isoflop.config.costs import Prices
from isoflop.config.ways import Ways


def of_device(device: str | None) -> Ways:
    """Return the shipped prices of the device, none where no set is of it."""
    return ways.of_device(device) or Ways(None, None, None, is_default=True)


def one(chosen: Ways) -> Prices | None:
    """Return the prices of one GPU for the forecast by laws: rented, else bought."""
    rent = chosen.rent
    has_dollars = rent is not None and any(key.startswith("dollars_") for key in rent.factors)
    return rent if has_dollars or chosen.own is None else chosen.own


def warnings(chosen: Ways, device: str | None) -> tuple[str, ...]:
    """Return what is to be known of prices before any number."""
    if not chosen.is_default:
        return ()
    if not chosen.names:
        return (f"no price: no set of prices is shipped for {device or 'this device'}: give --cost",)
    return (f"no --cost was given: priced by {', '.join(chosen.names)}: your own prices may differ",)
