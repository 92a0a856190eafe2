"""isoflop flops, meter and doctor: the meters without a sweep."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from isoflop.cli import output
from isoflop.config import ConfigError
from isoflop.config.compose import compose_config


def add(verb: output.Add) -> None:
    """flops, meter, doctor."""
    made = verb("flops", _flops, "Count a model's work: isoflop flops resnet, or torchvision:vit_b_16")
    made.add_argument("name", metavar="NAME", help="resnet, torchvision:NAME or path/to/file.py:factory")
    made.usage = "isoflop flops NAME [OVERRIDES] [--input C,H,W] [--batch N] [--classes N] [--json FILE]"
    made.add_argument("--input", default="3,224,224", help="channels,height,width (default 3,224,224)")
    made.add_argument("--batch", type=int, help="examples a step (default: optim.batch_size)")
    made.add_argument("--classes", type=int, default=1000)
    made.add_argument("--dtype", help="of the input to a file's model, such as int64 for tokens")
    output.add_json(made)
    made = verb("meter", _meter, "Meter any program: isoflop meter -- python train.py")
    made.usage = "isoflop meter [--idle S] [--gpu UUID] [--polls FILE] [--json FILE] -- COMMAND..."
    made.add_argument("--idle", type=float, default=0.0, help="seconds of idle baseline before the command")
    made.add_argument("--period", type=float, default=0.1, help="seconds between polls (default 0.1)")
    made.add_argument("--gpu", action="append", metavar="UUID", help="a board (default: CUDA's choice)")
    made.add_argument("--polls", metavar="FILE", type=Path, help="keep every poll in this file")
    output.add_json(made)
    made = verb("doctor", _doctor, "Say what this machine can measure, what it cannot, and why")
    made.add_argument("--measure", action="store_true", help="measure the roofline's ceilings, and keep them")
    made.add_argument("--seconds", type=float, help="how long to measure in all (default 10)")
    made.add_argument("--dtype", metavar="A,B", help="of fp32, tf32, bf16, fp16 (default: all it trains in)")
    made.add_argument("--threads", type=int, help="measure the CPU with so many threads")
    made.add_argument("--cpu", action="store_true", help="measure the CPU where there is a GPU too")
    output.add_json(made)


def _flops(options: argparse.Namespace) -> int:
    from isoflop import flop_ledger

    own = flop_ledger.is_file(options.name)
    sizes = flop_ledger.parse_input_sizes(options.input, image=not own)
    if options.classes < 1:
        raise ConfigError(f"--classes {options.classes}: must be at least 1")
    if options.dtype and not own:
        raise ConfigError("--dtype is for path/to/file.py:factory: the others take images")
    family, _, architecture = options.name.partition(":")
    chosen = [] if own else [f"model={family}"]
    chosen += [f"model.architecture={architecture}"] if architecture and not own else []
    chosen += [] if options.batch is None else [f"optim.batch_size={options.batch}"]
    settings = compose_config([*chosen, *options.overrides], None)
    if own:
        ledger = flop_ledger.of_file(options.name, settings, sizes, options.classes, options.dtype)
    else:
        ledger = flop_ledger.of_config(settings, sizes, options.classes)
    if options.json:
        output.write_json(ledger.flat(), options.json)
    else:
        from isoflop.cli.terminal import console

        console.show_flops(ledger.flat())
    return output.FAILED if ledger.count.reason else output.DONE


def _meter(options: argparse.Namespace) -> int:
    from isoflop.meter.energy import command

    if options.json:
        output.check_target(options.json)
    found = command.meter(
        options.command,
        gpus=options.gpu,
        idle_seconds=options.idle,
        period_seconds=options.period,
        polls_path=options.polls,
    )
    command.print_report(found)
    if options.json:
        output.write_json(found, options.json)
    return found.exit_code


def _doctor(options: argparse.Namespace) -> int:
    from isoflop import doctor

    if options.measure:
        return _ceilings(options)
    for option in ("seconds", "dtype", "threads", "cpu"):
        if getattr(options, option) not in (None, False):
            raise ConfigError(f"--{option} needs --measure")
    found = doctor.examine(Path(os.environ.get("ISOFLOP_DATA", ".data")), Path())
    if options.json:
        return output.write_json(found, options.json)
    from isoflop.cli.terminal import console

    for line in found:
        console.OUT.print(f"{'yes' if line.ok else 'no ':3}  {line.subject:9} {line.detail}", markup=False)
    return output.DONE


def _ceilings(options: argparse.Namespace) -> int:
    from isoflop import doctor
    from isoflop.cli.terminal import console

    found = doctor.measure(
        seconds=options.seconds, dtypes=options.dtype, threads=options.threads, on_cpu=options.cpu
    )
    if options.json:
        return output.write_json(found, options.json)
    for measured in found:
        console.OUT.print(doctor.describe(measured), markup=False)
    return output.DONE
