"""isoflop flops: count the work of one model."""

from __future__ import annotations

import argparse

from isoflop import extras
from isoflop.cli import output
from isoflop.config import ConfigError
from isoflop.config.compose import compose_config


def add(add_verb: output.AddVerb) -> None:
    """Add the verb to the parser."""
    verb = add_verb("flops", _flops, "Count a model's work: isoflop flops resnet, or torchvision:vit_b_16")
    verb.usage = "isoflop flops NAME [OVERRIDES] [--input C,H,W] [--batch N] [--classes N] [--json FILE]"
    verb.add_argument(
        "name",
        metavar="NAME",
        help="resnet, torchvision:NAME, path/to/file.py:function or package.module:function",
    )
    verb.add_argument(
        "--input", help="channels,height,width (default 3,224,224); gpt takes model.context instead"
    )
    verb.add_argument("--batch", type=int, help="images or bytes a step (default: optim.batch_size)")
    verb.add_argument("--classes", type=int, help="(default 1000, and 256 for gpt)")
    verb.add_argument("--dtype", help="of the input to your own model, such as int64 for tokens")
    output.add_json(verb)


def _flops(options: argparse.Namespace) -> int:
    extras.check("isoflop flops", "torch")
    from isoflop import flop_ledger
    from isoflop.meter.flops import user_model

    own = user_model.is_users(options.name)
    of_text = options.name == "gpt"
    if of_text and options.input:
        raise ConfigError(f"--input {options.input}: gpt reads windows of text: set model.context instead")
    input_shape = flop_ledger.parse_input_sizes(options.input or "3,224,224", image=not own)
    if options.classes is None:
        options.classes = 256 if of_text else 1000
    if options.classes < 1:
        raise ConfigError(f"--classes {options.classes}: must be at least 1")
    if options.dtype and not own:
        raise ConfigError(
            "--dtype is for path/to/file.py:function, package.module:function: others take images"
        )
    settings = compose_config(_model_overrides(options, own=own), None)
    if own:
        ledger = flop_ledger.of_user(options.name, settings, input_shape, options.classes, options.dtype)
    else:
        context = settings.model.context
        ledger = flop_ledger.of_config(settings, (context,) if context else input_shape, options.classes)
    if options.json:
        output.write_json(ledger.flat(), options.json)
    else:
        from isoflop.cli.terminal import ledger_table

        ledger_table.show(ledger.flat())
    return output.FAILED if ledger.count.reason else output.DONE


def _model_overrides(options: argparse.Namespace, *, own: bool) -> list[str]:
    """Return the Hydra overrides that NAME and --batch stand for, before those that the user gave."""
    overrides = []
    if own:
        path = options.name.replace("\\", "\\\\").replace("'", "\\'")
        overrides += ["model=custom", f"model.path='{path}'"]
    else:
        family, _, architecture = options.name.partition(":")
        overrides += [f"model={family}"]
        if family == "gpt" and not any(given.startswith("recipe=") for given in options.overrides):
            overrides.append("recipe=language")  # whose batch is a whole number of windows
        overrides += [f"model.architecture={architecture}"] if architecture else []
    if options.batch is not None:
        overrides.append(f"optim.batch_size={options.batch}")
    return overrides + list(options.overrides)
