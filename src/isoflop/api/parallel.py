"""predict_parallel: how well shapes would run on several devices, before any of it is trained."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from isoflop import extras
from isoflop.api import device_rate, parallel_text, written
from isoflop.api.arguments import in_python, named_as_in_python
from isoflop.api.device_rate import Given
from isoflop.config import ConfigError
from isoflop.parallel import beside, index, links, shapes
from isoflop.parallel.index import ParallelIndex, Scaled
from isoflop.parallel.links import Link
from isoflop.parallel.shapes import GRADIENT_BYTES, Shape, Stored
from isoflop.record.parallel import ParallelRecord

NOTHING_GIVEN = Given()


@dataclasses.dataclass(frozen=True)
class Ask:
    """What is asked, as it was given; None for what was not.

    Attributes:
        devices: numbers of devices.
        link: a name of links.LINKS, one's own, or `measured`.
        rate: what one device sustains.
        rates_of: folder whose runs, or measurements of isoflop parallel, say what one device sustains.
        gradient_bytes: bytes of one gradient.
        critical_batch: the critical batch size in examples, as `isoflop batch` finds it.
    """

    devices: tuple[int, ...]
    link: str
    rate: Given = NOTHING_GIVEN
    rates_of: Path | None = None
    gradient_bytes: float = GRADIENT_BYTES
    critical_batch: float | None = None

    def check(self) -> Link | None:
        """Return the link, None where it is the measured one; nothing has been read yet.

        Raises:
            ConfigError: one device, numbers that do not increase, an unknown link, a number that is not
                above 0, a share above 1, or two rates of one device.
        """
        if not self.devices or min(self.devices) < 2:
            given = ",".join(map(str, self.devices))
            raise ConfigError(f"--devices {given}: one device has no other to wait for: give 2 or more")
        if any(after <= before for before, after in zip(self.devices, self.devices[1:], strict=False)):
            raise ConfigError(f"--devices {','.join(map(str, self.devices))}: give numbers that increase")
        rate = self.rate
        for name, value in (
            *dataclasses.asdict(rate).items(),
            ("gradient_bytes", self.gradient_bytes),
            ("critical_batch", self.critical_batch),
        ):
            if isinstance(value, (int, float)) and not 0 < value < math.inf:
                raise ConfigError(f"--{name.replace('_', '-')} {value:g}: give a number above 0")
        if rate.share is not None and rate.share > 1:
            raise ConfigError(f"--share {rate.share:g}: a share of the peak is at most 1")
        if rate.gpu_tflops is not None and (rate.device is not None or rate.share is not None):
            raise ConfigError("--gpu-tflops says what a device sustains: leave --device and --share out")
        return None if self.link == beside.MEASURED else links.find(self.link)


@dataclasses.dataclass(frozen=True)
class ParallelForecast:
    """Indices of shapes, the smallest first, and what they rest on.

    Attributes:
        source: the folder or the overrides.
        indices: one a shape and batch size.
        notes: assumptions, and what was left out.
    """

    source: str
    indices: tuple[ParallelIndex, ...]
    notes: tuple[str, ...]


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class Predicted:
    """What predict_parallel returns.

    Attributes:
        result: everything, as `isoflop parallel --predict --json` writes it.
    """

    result: ParallelForecast

    @property
    def table(self) -> pd.DataFrame:
        """One row a shape and number of devices: efficiency, speedup, seconds, and the index of the shape."""
        return pd.DataFrame([_row(each, scaled) for each in self.result.indices for scaled in each.scaled])

    def to_json(self, path: str | Path | None = None) -> str | None:
        """Return the result as JSON, the same as `isoflop parallel --predict --json`, or write it."""
        return written.as_json(self.result, path)

    def __repr__(self) -> str:
        """What `isoflop parallel --predict` prints, in plain text."""
        return in_python("\n".join(parallel_text.lines(self.result)))


def _row(made: ParallelIndex, scaled: Scaled) -> dict[str, object]:
    shape = made.shape
    measured = next((each for each in made.measured if each.devices == scaled.devices), None)
    return {
        "label": shape.label,
        "family": shape.family,
        "width": shape.width,
        "depth": shape.depth,
        "batch_size": shape.batch_size,
        "devices": scaled.devices,
        "efficiency": scaled.efficiency,
        "efficiency_apart": scaled.efficiency_apart,
        "efficiency_hidden": scaled.efficiency_hidden,
        "measured_efficiency": None if measured is None else measured.efficiency.value,
        "weak_efficiency": scaled.weak_efficiency,
        "speedup": scaled.speedup,
        "speedup_to_loss": scaled.speedup_to_loss,
        "parallel_fraction": scaled.parallel_fraction,
        "step_seconds": scaled.step.seconds,
        "compute_seconds": scaled.step.compute_seconds,
        "communication_seconds": scaled.step.communication_seconds,
        "waiting_seconds": scaled.step.waiting_seconds,
        "gradient_bytes": made.gradient_bytes,
        "flops_per_gradient_byte": made.flops_per_gradient_byte,
        "flops_per_layer": made.flops_per_layer,
        "chain": None if shape.chain is None else shape.chain.products,
        "serial_fraction": made.serial_fraction,
        "speedup_limit": made.speedup_limit,
        "useful_devices": made.useful_devices,
        "fastest_devices": made.fastest_devices,
        "bound": made.bound,
    }


def make(given: Sequence[str], ask: Ask, config_dir: str | None = None) -> ParallelForecast:
    """Return the indices of the shapes of a sweep's folder, or of overrides. Nothing is written.

    Args:
        given: one folder, or overrides, whose values may be several.
        ask: what is asked.
        config_dir: of the user's own groups.

    Raises:
        ValueError: as Ask.check; both a folder and overrides, no such folder, a shape whose work is unknown,
            no shape whose batch the devices can share, or no rate of one device.
    """
    known = ask.check()
    folder = _folder(given)
    stored = None if folder is None else shapes.read(folder)
    told = folder if ask.rates_of is None else ask.rates_of
    measured = beside.read(told)
    link = beside.link(measured, told) if known is None else known
    rates = stored if told == folder else _rates(ask.rates_of, measured)
    # Before torch is imported: the device may not be known.
    device = device_rate.of(ask.rate, link, rates, beside.device(measured))
    every = _new(given, config_dir) if stored is None else stored.shapes
    chosen = [shape for shape in every if _shared(shape, ask.devices)]
    if not chosen:
        raise ConfigError(_not_shared(every[0], ask.devices))
    made = tuple(
        dataclasses.replace(
            index.index(shape, device, link, ask.devices, ask.gradient_bytes, ask.critical_batch),
            measured=beside.efficiencies(measured, shape),
        )
        for shape in chosen
    )
    return ParallelForecast(
        " ".join(given) if folder is None else str(folder),
        made,
        _notes(link, ask, every, stored),
    )


def _rates(directory: Path | None, measured: Sequence[ParallelRecord]) -> Stored | None:
    """Return the runs of a sweep; None of a folder that holds measurements of `isoflop parallel` alone."""
    if directory is None or (measured and not (directory / "records").is_dir()):
        return None
    return shapes.read(directory)


def _notes(link: Link, ask: Ask, every: Sequence[Shape], stored: Stored | None) -> tuple[str, ...]:
    notes = [
        f"{shape.label}, batch {shape.batch_size}, is left out: {_not_shared(shape, ask.devices)}"
        for shape in every
        if not _shared(shape, ask.devices)
    ]
    if stored is not None and stored.left_out:
        count = len(stored.left_out)
        notes.append(f"{count} record{'s' * (count > 1)} left out, such as {stored.left_out[0]}")
    unknown = [shape.label for shape in every if shape.chain is None]
    if unknown:
        notes.append(
            f"{', '.join(dict.fromkeys(unknown))}: a record does not tell the chain of layers, so that no "
            "time is counted for it: predict it from its overrides"
        )
    if link.most_devices is not None and ask.devices[-1] > link.most_devices:
        notes.append(
            f"{link.name} joins at most {link.most_devices} devices: of more, give the slower link between "
            "nodes, such as ib-ndr"
        )
    return tuple(notes)


def _shared(shape: Shape, devices: Sequence[int]) -> bool:
    return all(shape.rows % n == 0 for n in devices)


def _not_shared(shape: Shape, devices: Sequence[int]) -> str:
    """Return why the batch cannot be shared, and what could be."""
    number = next(n for n in devices if shape.rows % n)
    near = max(1, round(shape.rows / number)) * number * shape.row_size
    return (
        f"optim.batch_size={shape.batch_size} cannot be shared by {number} devices: try "
        f"optim.batch_size={near}, or another --devices"
    )


def _folder(given: Sequence[str]) -> Path | None:
    """Return the folder that was given, None where overrides were."""
    if not given:
        raise ConfigError(
            "say what to predict: a sweep's folder, or overrides such as model=vit model.width=512"
        )
    folders = [each for each in given if "=" not in each or Path(each).is_dir()]
    if not folders:
        return None
    if len(given) > 1:
        other = next(each for each in given if each != folders[0])
        raise ConfigError(f"{folders[0]} {other}: give one folder of a sweep, or overrides: not both")
    if not Path(folders[0]).is_dir():
        raise ConfigError(f"{folders[0]}: no such folder: give a sweep's, or overrides such as model=vit")
    return Path(folders[0])


def _new(given: Sequence[str], config_dir: str | None) -> tuple[Shape, ...]:
    """Return the shapes of overrides; torch counts their work, without weights or data.

    Raises:
        ConfigError: an override that cannot be used, or a shape whose work cannot be counted.
    """
    from isoflop.config.compose import compose_config
    from isoflop.sweep import grid

    text = any(each == "model=gpt" for each in given)
    named = any(each.startswith("recipe=") for each in given)
    # A batch of text is a whole number of windows, which the recipe of images does not give.
    overrides = [*(["recipe=language"] if text and not named else []), *given]
    composed = compose_config(overrides, config_dir)
    extras.check("isoflop parallel --predict of a new shape", "torch")
    from isoflop.parallel import counted

    configs = {each.config.config_id: each.config for each in grid.expand(composed)}
    made = {(shape.label, shape.batch_size): shape for shape in map(counted.shape, configs.values())}
    return tuple(made.values())


def predict_parallel(
    source: str | Path | Sequence[str],
    *,
    devices: int | Sequence[int] = 8,
    link: str = "nvlink4",
    device: str | None = None,
    share: float | None = None,
    gpu_tflops: float | None = None,
    layer_us: float | None = None,
    rates_of: str | Path | None = None,
    gradient_bytes: float = GRADIENT_BYTES,
    critical_batch: float | None = None,
) -> Predicted:
    """Predict how well shapes would run on several devices, before any of it is trained.

    The numbers are those of `isoflop parallel --predict` with the options of these names (docs/parallel.md).

    Args:
        source: the folder of a sweep, whose stored shapes need no torch, or overrides of a new one, such as
            ["model=vit", "model.width=512"], as a list or in one string.
        devices: one number of devices, or several that increase.
        link: a name such as "nvlink4" or "ib-ndr", one's own: "12GB/s,20us", or "measured" in the folder.
        device: part of a GPU's name; by default the one of the sweep, or the one that usually has the link.
        share: of its dense peak that is sustained.
        gpu_tflops: 1e12 FLOPs a second that one device sustains, instead of both.
        layer_us: least microseconds of a layer of the chain.
        rates_of: folder whose runs, or measurements of isoflop parallel, say what one device sustains.
        gradient_bytes: bytes of one gradient.
        critical_batch: the critical batch size in examples (`critical_batch`): then also how much sooner N
            devices with a batch each reach a loss.

    Raises:
        ValueError: one device, an unknown link or GPU, a batch that the devices cannot share, a shape whose
            work is unknown, or nothing that says what one device sustains.
        MissingExtraError: overrides, and torch is not installed.

    Examples:
        >>> import isoflop
        >>> made = isoflop.predict_parallel("results/digits-cpu", devices=2, link="gloo-loopback")
        >>> made.table[["label", "efficiency"]].shape
        (15, 2)
    """
    given = [str(source)] if isinstance(source, str | Path) else list(source)
    if len(given) == 1 and "=" in given[0] and not Path(given[0]).is_dir():
        given = given[0].split()
    ask = Ask(
        (devices,) if isinstance(devices, int) else tuple(devices),
        link,
        Given(device, share, gpu_tflops, layer_us),
        None if rates_of is None else Path(rates_of),
        gradient_bytes,
        critical_batch,
    )
    with named_as_in_python():
        return Predicted(make(given, ask))
