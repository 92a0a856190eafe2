"""What a cell that looks like a number is told to become: the number itself, never an empty cell."""

import pytest

from isoflop.table import number_text


@pytest.mark.parametrize(
    ("cell", "numbers"),
    [
        ("1,000,000", ["1000000"]),
        ("-1,000,000.5", ["-1000000.5"]),
        ("1,234,567e3", ["1234567e3"]),
        ("1.000.000", ["1000000"]),
        ("1.234.567,5", ["1234567.5"]),
        ("1.234,5", ["1234.5"]),
        ("1,234.5", ["1234.5"]),
        ("1 000 000", ["1000000"]),
        ("1\u202f000\u202f000,5", ["1000000.5"]),
        ("1'000'000", ["1000000"]),
        ("1_000_000", ["1000000"]),
        ("0,125", ["0.125"]),
        ("3,70186", ["3.70186"]),
        ("1,5e18", ["1.5e18"]),
        ("1,5E+18", ["1.5e+18"]),
        ("1,500", ["1.500", "1500"]),
        ("-1,500e3", ["-1.500e3", "-1500e3"]),
        ("0,500", ["0.500"]),
        ("12.5%", ["0.125"]),
        ("12,5 %", ["0.125"]),
        ("\u22120.5", ["-0.5"]),
        ("10^18", ["1e18"]),
        ("1.5 \u00d7 10^18", ["1.5e18"]),
        ("2*10**-3", ["2e-3"]),
    ],
)
def test_the_number_meant_is_named(cell: str, numbers: list[str]) -> None:
    advice = number_text.hint(cell)
    assert "empty" not in advice
    words = advice.replace(",", " ").replace(")", " ").split()
    assert [number for number in numbers if number in words] == numbers
    for number in numbers:
        float(number)
    if len(numbers) == 1:
        assert "thousands, 1" not in advice.partition("marks between")[0], "one cure where one is possible"


@pytest.mark.parametrize(
    "cell", ["1.5 GFLOP", "125M", "$3", "<0.1", "0.3\u00b10.01", "1.2.3", "0x1F", "1,2,3"]
)
def test_anything_with_a_digit_is_asked_for_as_a_plain_number(cell: str) -> None:
    advice = number_text.hint(cell)
    assert "plain number" in advice
    assert "empty" not in advice


@pytest.mark.parametrize("cell", ["diverged", "-", "unknown", "#DIV/!"])
def test_only_what_has_no_digit_may_be_left_empty(cell: str) -> None:
    assert number_text.hint(cell) == "leave the cell empty where the value is unknown"
