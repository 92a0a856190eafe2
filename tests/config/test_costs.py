"""Sets of prices: by name or file, several together, and one line for what cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from isoflop.config import ConfigError, costs


def test_a_price_of_hours_holds_its_electricity() -> None:
    prices = costs.load(["us_2023", "aws_h100_2023"])
    assert prices.factors == {"grams_co2_per_kwh": 366, "dollars_per_gpu_hour": 12.29}
    assert prices.named == {"grams_co2_per_kwh": "us_2023", "dollars_per_gpu_hour": "aws_h100_2023"}
    (sentence,) = prices.not_added
    assert "0.0806 dollars a kWh of us_2023 are not added" in sentence
    assert prices.names == ("us_2023", "aws_h100_2023")


def test_the_room_s_overhead_multiplies_all_energy_and_goes_with_it(tmp_path: Path) -> None:
    own = tmp_path / "room.yaml"
    own.write_text("dollars_per_kwh: 2e-1\npue: 1.3\nsource: our invoice 2026\n")
    assert costs.load([str(own), "france_2023"]).factors == {
        "dollars_per_kwh": 0.2,
        "pue": 1.3,
        "grams_co2_per_kwh": 56,
    }
    assert costs.load([str(own)]).names == ("room.yaml",), "no folder of this machine"
    assert costs.load([str(own), "aws_h100_2023"]).factors == {"dollars_per_gpu_hour": 12.29}


def test_one_file_may_price_hours_and_energy(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("dollars_per_gpu_hour: 1\ndollars_per_kwh: 0.2\nsource: our machine 2026\n")
    prices = costs.load([str(own)])
    assert prices.factors == {"dollars_per_gpu_hour": 1, "dollars_per_kwh": 0.2}
    assert prices.not_added == ()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["us_2023", "us_2023"], "--cost us_2023 is given twice"),
        (["us_2023", "world_2023"], "--cost us_2023 and --cost world_2023 both give grams_co2_per_kwh"),
        (["paper", "aws_h100_2023"], "both price dollars"),
        (["none"], "it prices nothing"),
        (["us_2032"], "no such set of prices: did you mean us_2023"),
        (["us_2023,paper"], "repeat --cost for each set"),
        (["absent.yaml"], "--cost absent.yaml: no such file"),
    ],
)
def test_sets_that_do_not_go_together_are_refused(names: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        costs.load(names)
    assert "\n" not in str(caught.value)


def test_an_unknown_name_is_answered_by_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"Known are aws_a100_2020, .*us_2023.*; or give a YAML file"):
        costs.load(["nowhere"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dollars_per_kwh: -1\nsource: x\n", "dollars_per_kwh=-1: expected float >= 0"),
        ("dollars_per_kwh: 0.2 USD\nsource: x\n", "dollars_per_kwh=0.2 USD: expected float"),
        ("dollars_per_kwh: .nan\nsource: x\n", "dollars_per_kwh=nan"),
        ("dollars: 0.2\nsource: x\n", "unknown key dollars: .*The keys, with their units"),
        ("dollars_per_kwh: 0.2\n", "needs its source"),
        ("dollars_per_kwh: 1\ndollars_per_kwh: 2\n", "duplicate key"),
        ("dollars_per_kwh: [1\n", "no YAML that can be read"),
        ("- 1\n", "holds no keys"),
        ("3\n", "holds no keys"),
        ("", "prices nothing"),
    ],
)
def test_a_file_of_one_s_own_is_checked(tmp_path: Path, text: str, message: str) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        costs.load([str(own)])
    assert "\n" not in str(caught.value)
