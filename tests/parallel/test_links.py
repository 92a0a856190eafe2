import pytest

from isoflop.config import ConfigError
from isoflop.meter.device import peaks
from isoflop.parallel import links


def test_each_link_has_a_source_and_is_no_faster_than_its_datasheet():
    most = {"nvlink2": 150.0, "nvlink3": 300.0, "nvlink4": 450.0, "nvlink5": 900.0}
    most |= {"pcie3": 15.75, "pcie4": 31.5, "pcie5": 63}
    names = [link.name for link in links.LINKS]
    assert len(set(names)) == len(names)
    for link in links.LINKS:
        assert link.source
        assert link.bytes_per_second > 0
        assert link.latency_seconds > 0
        assert link.bytes_per_second <= most.get(link.name, 100) * 1e9
        if link.gpu is not None:
            assert peaks.find_peak(link.gpu) is not None
    assert links.find("NVLink4").bytes_per_second == pytest.approx(18 * 20.6e9)
    assert links.find("ib-ndr").bytes_per_second == 50e9


@pytest.mark.parametrize(
    ("text", "rate", "latency"),
    [
        ("12GB/s,20us", 12e9, 20e-6),
        ("100Gbit/s", 12.5e9, 0.0),
        ("1.5 TB/s, 900 ns", 1.5e12, 900e-9),
        ("2e9B/s,1e-5s", 2e9, 1e-5),
    ],
)
def test_a_link_of_ones_own(text, rate, latency):
    link = links.find(text)
    assert link.bytes_per_second == pytest.approx(rate)
    assert link.latency_seconds == pytest.approx(latency)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("nvlink44", "did you mean nvlink4?"),
        ("ib-ndrr", "did you mean ib-ndr?"),
        ("carrier pigeon", "one of nvlink2, nvlink3"),
        ("0GB/s", "give a bandwidth above 0"),
        ("1.2.3GB/s", "give a bandwidth above 0"),
    ],
)
def test_an_unknown_link_names_the_nearest(text, line):
    with pytest.raises(ConfigError, match="--link") as caught:
        links.find(text)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)
