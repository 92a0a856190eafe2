"""What a sensor can truly read, both sides of each bound."""

import pytest

from isoflop.meter.device import nvml, plausible


@pytest.mark.parametrize(
    ("limit", "watts", "possible"),
    [
        (400.0, 800.0, True),  # twice the limit
        (400.0, 800.1, False),
        (400.0, 1.0, True),  # a 400th of it
        (400.0, 0.99, False),  # 400 W counted in a unit of 1000
        (1400.0, 2400.0, True),  # a limit that is known counts, not that of GPUs in general
        (None, 2000.0, True),
        (None, 2000.1, False),
        (None, 1.0, True),
        (None, 0.9, False),
        (None, 4294967.295, False),
        (400.0, 0.0, False),
    ],
)
def test_power_is_between_an_idle_gpus_and_twice_the_limit(
    limit: float | None, watts: float, possible: bool
) -> None:
    assert plausible.power_range(limit).contains(watts) is possible


@pytest.mark.parametrize(("watts", "possible"), [(0.0, True), (2000.0, True), (2000.1, False), (-0.1, False)])
def test_the_memory_of_a_processor_may_draw_nothing(watts: float, possible: bool) -> None:
    assert plausible.PROCESSOR_RANGE.contains(watts) is possible


@pytest.mark.parametrize(
    ("bounds", "inside", "outside"),
    [
        (plausible.CELSIUS, (0, 105, 150), (-1, 151, 2**32 - 1)),
        (plausible.CLOCK_MHZ, (0, 1980, 10_000), (10_001, 2**32 - 1)),
        (plausible.POWER_LIMIT_WATTS, (1.0, 700.0, 10_000.0), (0.0, 10_001.0, (2**32 - 1) * 1e-3)),
    ],
)
def test_a_value_beyond_its_bounds_is_an_error(
    bounds: plausible.Bounds, inside: tuple[float, ...], outside: tuple[float, ...]
) -> None:
    for value in inside:
        assert nvml.within(value, bounds, "units") == value
    for value in outside:
        with pytest.raises(nvml.OutOfRangeError, match=r"read .* units"):
            nvml.within(value, bounds, "units")
    assert nvml.within(None, bounds, "units") is None
