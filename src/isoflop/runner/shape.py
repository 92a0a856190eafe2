"""What a worker meters beside its runs: the energy of a shape, an anchor's, and the idle power of a GPU."""

from __future__ import annotations

import torch

from isoflop.config import Config
from isoflop.meter.device import hardware
from isoflop.meter.energy.shape_energy import ShapeEnergy
from isoflop.meter.energy.window_meter import IdlePower
from isoflop.record import Energy
from isoflop.runner import session
from isoflop.runner.prepare import pick_device, prepare
from isoflop.runner.replay import replay
from isoflop.runner.session import Session, ShapeWork
from isoflop.runner.workload import workload
from isoflop.train import precision
from isoflop.train.loop import deterministic, warm_trainer

LEAST_SECONDS = 10.0
"""Length of a replay where meter.window_seconds is 0 and no run was metered: shorter ones are graded down."""


def measure_idle(config: Config, device_index: int, *, use: bool) -> IdlePower:
    """Return the power of the idle GPU over meter.idle_seconds; `use` it for net joules from now on.

    Raises:
        ValueError: there is no such GPU.
    """
    kept = session.of(config, pick_device(config.launch, device_index))
    if not kept.meter.has_readings:
        return {}
    idle = kept.meter.measure_idle(config.meter.idle_seconds)
    if use:
        kept.meter.use_idle(idle)
    return idle


def meter_shape(
    config: Config, device_index: int, seconds: float | None = None, *, runs_of_step: int = 1
) -> ShapeEnergy:
    """Return the energy of a shape: its runs in this process, and a replay where these are short.

    Args:
        config: a run of the shape.
        device_index: the GPU.
        seconds: meter a replay of this length alone, without the runs (an anchor).
        runs_of_step: as in RunRequest, so that the step is carried out as the runs' is.

    Raises:
        ValueError: the input of the run cannot be used.
    """
    if config.launch.threads is not None:
        torch.set_num_threads(config.launch.threads)
    device = pick_device(config.launch, device_index)
    kept = session.of(config, device)
    with deterministic(config.launch.deterministic, config.precision.compute):
        if seconds is not None:
            return _measure(config, device, kept, ShapeWork(config.shape_id), seconds, runs_of_step)
        kept.begin(config.shape_id)
        least = config.meter.window_seconds or (0.0 if kept.work.windows else LEAST_SECONDS)
        measured = _measure(config, device, kept, kept.work, least, runs_of_step)
        if measured.energy is None and kept.work.windows and kept.meter.has_readings:
            # A sensor failed while the runs trained: a replay alone may still tell.
            least = least or LEAST_SECONDS
            measured = _measure(config, device, kept, ShapeWork(config.shape_id), least, runs_of_step)
    return measured


def _measure(
    config: Config,
    device: torch.device,
    kept: Session,
    work: ShapeWork,
    least_seconds: float,
    runs_of_step: int,
) -> ShapeEnergy:
    """Meter `work` and a replay that lengthens it to `least_seconds`.

    Args:
        config: a run of the shape.
        device: the GPU.
        kept: the session on it.
        work: what runs have trained.
        least_seconds: length of all windows together.
        runs_of_step: as in RunRequest.
    """
    meter, first, examples = kept.meter, len(kept.meter.windows), 0
    if work.seconds < least_seconds and meter.has_readings:
        prepared = prepare(config, device)
        steps, load = prepared.plan.steps, workload(config, prepared, device, runs_of_step)
        trainer = warm_trainer(config, prepared.data, steps, device, work=load)
        trainer.warm_up()
        examples = replay(config, trainer, meter, least_seconds - work.seconds)
    repeated = meter.windows[first:]
    windows = (*work.windows, *repeated)
    measured: tuple[Energy | None, str | None] = meter.measurement(windows, replayed=bool(repeated))
    energy, reason = measured
    return ShapeEnergy(
        shape_id=config.shape_id,
        energy=energy,
        reason=reason,
        examples=work.examples + examples,
        train_seconds=work.seconds,
        replay_seconds=sum(window.seconds for window in repeated),
        runs=work.runs,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else hardware.describe_cpu(),
        precision=precision.resolve(config.precision.compute, device),
        ended_seconds=windows[-1].end_seconds if windows else 0.0,
    )
