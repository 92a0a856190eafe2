"""The rate of one device for the parallel index: as given, measured in a sweep, or a share of a peak."""

from __future__ import annotations

import dataclasses
import difflib
import re

import numpy as np

from isoflop.config import ConfigError
from isoflop.meter.device import peaks
from isoflop.parallel import shapes
from isoflop.parallel.index import Device
from isoflop.parallel.links import Link
from isoflop.parallel.shapes import Stored, Timed
from isoflop.plan.trend import LEAST_SIZES, rate_trend

SHARE = 0.4
"""Of a device's dense peak that training sustains where nothing was measured: large language models reach 21%
to 46% (Chowdhery et al., PaLM, 2022, table 3)."""
LAYER_SECONDS = 28e-6
"""Least time of a product of the chain with what stands around it, where nothing was measured: that of the
gpt shapes of results/language-isoflop-h200 (34 runs, one H200, whole-step CUDA graphs)."""
DTYPE = "bf16"
"""Data type of a peak rate, where none was measured."""


@dataclasses.dataclass(frozen=True)
class Given:
    """What the user says of a device; None for what was not said.

    Attributes:
        device: part of a GPU's name (meter.device.peaks).
        share: of its dense peak that is sustained.
        gpu_tflops: 1e12 FLOPs a second that it sustains.
        layer_us: least microseconds of a layer of the chain.
    """

    device: str | None = None
    share: float | None = None
    gpu_tflops: float | None = None
    layer_us: float | None = None


def of(given: Given, link: Link, stored: Stored | None, worker: Device | None = None) -> Device:
    """Return the device: what the user gives, else what runs measured, else a share of a peak.

    Args:
        given: what the user says.
        link: names the GPU that usually has it, where neither user nor runs do.
        stored: the runs of a sweep, None without one.
        worker: one as `isoflop parallel` measured it, where no runs of a sweep tell.

    Raises:
        ConfigError: no such GPU, or nothing says what a device sustains.
    """
    layer_seconds = None if given.layer_us is None else given.layer_us * 1e-6
    if given.gpu_tflops is not None:
        layer = LAYER_SECONDS if layer_seconds is None else layer_seconds
        return Device("as given", given.gpu_tflops * 1e12, layer, f"--gpu-tflops; {_layer_text(given)}")
    runs = () if stored is None else shapes.one_device(stored.timed)
    wanted = given.device
    if given.share is None and runs and (wanted is None or wanted.lower() in runs[0].device.lower()):
        return _measured(runs, layer_seconds)
    if (
        given.share is None
        and worker is not None
        and (wanted is None or wanted.lower() in worker.name.lower())
    ):
        return worker if layer_seconds is None else dataclasses.replace(worker, layer_seconds=layer_seconds)
    name = wanted or link.gpu
    if name is None:
        raise ConfigError(
            f"--link {link.name}: no GPU goes with it alone: say --device, such as h100, --gpu-tflops, or "
            "--rates-of DIR, a sweep that was trained on such a device"
        )
    return _of_peak(name, given, layer_seconds)


def _measured(runs: tuple[Timed, ...], layer_seconds: float | None) -> Device:
    """Return the trend of the runs' rates with the work of a layer.

    With F FLOPs a step and L products in a row, seconds are F/R + L t: then F over seconds, the rate, is
    1 / (1/R + t L/F), the trend of plan.rates in F/L.
    """
    with_chain = [each for each in runs if each.shape.step_chain]
    if not with_chain:
        raise ConfigError("none of the runs has a chain of layers that is known: say --gpu-tflops")
    work = np.array([each.shape.step_flops / each.shape.step_chain for each in with_chain])
    rate = np.array([each.shape.step_flops / each.step_seconds for each in with_chain])
    ceilings = [each.ceiling_flops_per_second or each.peak_flops_per_second for each in with_chain]
    known = [each for each in ceilings if each is not None]
    trend = rate_trend(work, rate, max(known) if known else None, 0.95)
    assert trend is not None
    layer = trend.overhead if layer_seconds is None else layer_seconds
    scatter = f"{100 * trend.deviation:.0f}% about the trend"
    said = f"measured: {len(with_chain)} runs of {trend.sizes} sizes, {scatter}"
    if trend.sizes < LEAST_SIZES:
        said = f"measured: {len(with_chain)} runs; fewer than {LEAST_SIZES} sizes tell no time of a layer"
    if layer_seconds is not None:
        said += "; time of a layer as given"
    return Device(runs[0].device, trend.most, layer, said)


def _of_peak(name: str, given: Given, layer_seconds: float | None) -> Device:
    gpu, row = named_gpu(name, "its")
    dtype = DTYPE if row.rate(DTYPE) is not None else "fp16"
    tflops = row.rate(dtype)
    assert tflops is not None
    share = SHARE if given.share is None else given.share
    how = "assumed" if given.share is None else "as given"
    layer = LAYER_SECONDS if layer_seconds is None else layer_seconds
    source = f"{share:g} ({how}) of {tflops:g} TFLOP/s dense {dtype}; {_layer_text(given)}"
    return Device(gpu, share * tflops * 1e12, layer, source)


def named_gpu(name: str, subject: str) -> tuple[str, peaks.Peak]:
    """Return the GPU of the table of peaks whose name is, or holds, `name`: its whole name, and its row.

    Raises:
        ConfigError: there is none; `subject` begins what the message says of its peak rate.
    """
    known = {text: each for each in peaks.PEAKS for text in _plain_names(each.names)}
    wanted = _folded(peaks.VENDOR.sub("", name))
    found = next((text for text in known if _folded(text) == wanted), None)
    found = found or next((text for text in known if wanted and wanted in _folded(text)), None)
    if found is None:
        near = difflib.get_close_matches(name.upper(), known, 1, 0.4)
        meant = f"did you mean {near[0]}? " if near else ""
        raise ConfigError(
            f"--device {name}: {subject} peak rate is not known: {meant}docs/hardware.md lists known ones, "
            "or give --gpu-tflops"
        )
    return found, known[found]


def _layer_text(given: Given) -> str:
    return "time of a layer as given" if given.layer_us is not None else "time of a layer as on an H200 (gpt)"


def _folded(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip().lower()


def _plain_names(names: str) -> list[str]:
    """Return the names that a regular expression of peaks.PEAKS stands for, one alternative of each group."""
    plain = re.sub(r"\(([^|)]*)\|[^)]*\)", r"\1", names)
    return [re.sub(r"\[(.)[^\]]*\]", r"\1", each) for each in plain.split("|")]
