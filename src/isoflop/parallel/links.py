"""Links between devices: bytes a second in one direction and seconds a message, each with its source.

What NVLink and PCI Express move is not the datasheet's rate but what NCCL's own model of them assumes, which
leaves out the overhead of packets; a network has its line rate. Latencies are those that NCCL's model gives a
step of a ring of large messages. Measured values replace both: `isoflop parallel`, or a link of your own.
"""

from __future__ import annotations

import dataclasses
import math
import re

from isoflop.config.errors import ConfigError, did_you_mean

NCCL = (
    "NCCL: bandwidths of src/graph/topo.h, latencies of src/graph/tuning.cc (a ring, protocol Simple), 2026"
)
"""What the sources of LINKS call NCCL: github.com/NVIDIA/nccl, commit 069a3d4."""
_NVLINK_SECONDS, _PCIE_SECONDS, _NETWORK_SECONDS = 3.4e-6, 5.7e-6, 14.0e-6
_TCP_SECONDS = 50e-6
_TCP = "line rate; latency assumed, through the kernel's TCP on both sides"


@dataclasses.dataclass(frozen=True)
class Link:
    """What joins the devices, as one step of a ring meets it.

    Attributes:
        name: as --link gives it.
        bytes_per_second: from a device to the next, in one direction.
        latency_seconds: of one message.
        source: of both.
        most_devices: that the link itself joins; None where a network does, of any size.
        gpu: the GPU that usually has it, as meter.device.peaks names it; None where many do.
    """

    name: str
    bytes_per_second: float
    latency_seconds: float
    source: str
    most_devices: int | None = None
    gpu: str | None = None


def _nvlink(generation: int, links: int, each: float, datasheet: str, gpu: str, most: int = 8) -> Link:
    source = f"{links} links of {each:g} GB/s (NCCL), of {datasheet}, one way"
    rate = links * each * 1e9
    return Link(f"nvlink{generation}", rate, _NVLINK_SECONDS, source, most, gpu)


def _pcie(generation: int, rate: float, most: int = 8) -> Link:
    source = f"NCCL, of {2 ** (generation - 3) * 15.75:g} GB/s on 16 lanes, one way"
    return Link(f"pcie{generation}", rate * 1e9, _PCIE_SECONDS, source, most)


def _infiniband(speed: str, gigabits: int, gpu: str | None) -> Link:
    source = f"line rate of {gigabits} Gbit/s, a port a device; latency: NCCL"
    return Link(f"ib-{speed}", gigabits / 8 * 1e9, _NETWORK_SECONDS, source, None, gpu)


def _ethernet(gigabits: int) -> Link:
    return Link(f"ethernet-{gigabits}", gigabits / 8 * 1e9, _TCP_SECONDS, _TCP)


LINKS = (
    _nvlink(2, 6, 20.0, "150 in the V100 datasheet", "Tesla V100-SXM2-32GB"),
    _nvlink(3, 12, 20.0, "300 in the A100 datasheet", "NVIDIA A100-SXM4-80GB"),
    _nvlink(4, 18, 20.6, "450 in the H100 datasheet", "NVIDIA H100 80GB HBM3"),
    _nvlink(5, 18, 40.1, "900 in the Blackwell datasheet", "NVIDIA B200", 72),
    _pcie(3, 12.0),
    _pcie(4, 24.0),
    _pcie(5, 48.0),
    _infiniband("edr", 100, None),
    _infiniband("hdr", 200, "NVIDIA A100-SXM4-80GB"),
    _infiniband("ndr", 400, "NVIDIA H100 80GB HBM3"),
    _ethernet(10),
    _ethernet(25),
    _ethernet(100),
    Link(
        *("gloo-loopback", 0.63e9, 50e-6),
        "measured: best of 25 all-reduces of 26 MB and of 200 of 4 bytes, two gloo processes on two cores of "
        "an AMD EPYC",
    ),
)
"""The table of --link; `isoflop parallel --links` prints it."""

_UNITS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
_OWN = re.compile(
    r"([\d.]+(?:e[+-]?\d+)?)\s*([kmgt]?)(b|bit)/s(?:,\s*([\d.]+(?:e[+-]?\d+)?)\s*(n|u|µ|m|)s)?", re.I
)
_SECONDS = {"n": 1e-9, "u": 1e-6, "µ": 1e-6, "m": 1e-3, "": 1.0}


def find(name: str) -> Link:
    """Return the link of a name of LINKS, or one's own: `12GB/s,20us` or `100Gbit/s`.

    Raises:
        ConfigError: no link has that name (names the nearest), or a rate of one's own is not positive.
    """
    known = {link.name: link for link in LINKS}
    if name.lower() in known:
        return known[name.lower()]
    own = _OWN.fullmatch(name.strip())
    if own is None:
        meant = did_you_mean(name.lower(), list(known), parts=False)
        listed = "" if meant else f": one of {', '.join(known)}"
        raise ConfigError(f"--link {name}: no such link{meant or listed} (or one of your own: 12GB/s,20us)")
    try:
        rate = float(own[1]) * _UNITS[own[2].lower()] / (8 if own[3].lower() == "bit" else 1)
        latency = float(own[4] or 0) * _SECONDS[(own[5] or "").lower()]
    except ValueError:
        rate = latency = math.nan
    if not (0 < rate < math.inf and 0 <= latency < math.inf):
        raise ConfigError(f"--link {name}: give a bandwidth above 0, such as 12GB/s,20us")
    return Link(name, rate, latency, "as given" if own[4] else "as given, without a latency")
