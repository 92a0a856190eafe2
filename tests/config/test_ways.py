"""Sets of prices of GPUs that are rented and that are bought, apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from isoflop.config import ConfigError, costs, ways
from isoflop.config.cost import HOURS_PER_YEAR


def own(folder: Path, **changed: object) -> str:
    """Write a set with a purchase of 35,040 dollars over 4 years, half used: 2 dollars an hour."""
    values = {"dollars_per_gpu_bought": 35040, "amortised_years": 4, "utilisation": 0.5} | changed
    path = folder / "own.yaml"
    lines = [f"{key}: {value}" for key, value in values.items() if value is not None]
    path.write_text("\n".join([*lines, "source: our quote 2026\n"]))
    return str(path)


def test_an_hour_of_a_gpu_that_was_bought_is_its_share_of_the_purchase(tmp_path: Path) -> None:
    prices = costs.load([own(tmp_path)])
    assert prices.factors == {"dollars_per_gpu_hour": pytest.approx(35040 / (4 * HOURS_PER_YEAR * 0.5))}
    assert prices.factors["dollars_per_gpu_hour"] == pytest.approx(2.0)


def test_electricity_is_added_to_hours_that_were_bought_and_not_to_rented_ones(tmp_path: Path) -> None:
    bought = costs.load([own(tmp_path), "us_2023"])
    assert bought.factors["dollars_per_kwh"] == 0.0806
    assert bought.not_added == ()
    both = ways.load([own(tmp_path), "aws_h100_2026", "us_2023_typical_room"])
    assert both.rent is not None
    assert both.own is not None
    assert both.rent.factors == {"dollars_per_gpu_hour": 6.88, "grams_co2_per_kwh": 366, "pue": 1.58}
    assert both.own.factors["dollars_per_gpu_hour"] == pytest.approx(2.0)
    assert both.own.factors["dollars_per_kwh"] == 0.0806
    assert both.own.factors["pue"] == 1.58
    assert both.bought == ways.Bought(35040, 4, 0.5)


def test_electricity_alone_is_no_rent_beside_a_purchase(tmp_path: Path) -> None:
    assert ways.load([own(tmp_path), "us_2023"]).rent is None
    alone = ways.load(["us_2023"])
    assert alone.rent is not None
    assert alone.own is None


@pytest.mark.parametrize(
    ("device", "names"),
    [
        ("NVIDIA H100 80GB HBM3", ("runpod_h100_2026", "us_2023", "own_h100_2026")),
        ("NVIDIA H200", ("spheron_h200_2026", "us_2023", "own_h200_2026")),
        ("NVIDIA A100-SXM4-80GB", ("aws_a100_2026", "us_2023")),
        ("Intel(R) Xeon(R) CPU", None),
        (None, None),
    ],
)
def test_without_a_set_the_device_names_its_prices(device: str | None, names: tuple[str, ...] | None) -> None:
    found = ways.of_device(device)
    assert (None if found is None else found.names) == names
    assert found is None or found.is_default


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"utilisation": None}, "give all three"),
        ({"utilisation": 1.5}, "utilisation=1.5"),
        ({"amortised_years": 0}, "amortised_years=0"),
        ({"dollars_per_gpu_hour": 3}, "both price an hour"),
        ({"dollars_per_train_gflop": 1e-9}, "already holds hours"),
    ],
)
def test_a_purchase_that_cannot_be_is_refused(tmp_path: Path, changed: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        ways.load([own(tmp_path, **changed)])
    assert "\n" not in str(refused.value)


def test_two_purchases_and_two_hours_are_refused() -> None:
    with pytest.raises(ConfigError, match="both give dollars_per_gpu_bought"):
        ways.load(["own_h100_2026", "own_h200_2026"])
    with pytest.raises(ConfigError, match="both give dollars_per_gpu_hour"):
        costs.load(["own_h100_2026", "aws_h100_2026"])
