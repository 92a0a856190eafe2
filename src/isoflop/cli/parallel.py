"""isoflop parallel: how far work can be spread over workers, measured or predicted."""

from __future__ import annotations

import argparse
from pathlib import Path

from isoflop.cli import output, parallel_measure

EXAMPLES = """examples:
  isoflop parallel model=mlp --workers 1,2,4 out=results/NAME         measure here, strong and weak scaling
  isoflop parallel results/NAME                                       what that folder holds
  isoflop parallel --predict model=vit model.width=512 --devices 8    before anything is trained"""
DEVICES, LINK = (8,), "nvlink4"


def add(add_verb: output.AddVerb) -> None:
    """Add the verb to the parser."""
    text = "How far work can be spread over workers: measured, or with --predict before anything is trained"
    verb = add_verb("parallel", _parallel, text)
    verb.usage = "isoflop parallel [--predict] [OVERRIDES | DIR] [OPTIONS]"
    verb.epilog, verb.formatter_class = EXAMPLES, argparse.RawDescriptionHelpFormatter
    parallel_measure.add_options(verb.add_argument_group("to measure"))
    _add_predict(verb.add_argument_group("to predict"))
    output.add_config_dir(verb)
    output.add_json(verb)


def _add_predict(verb: argparse._ArgumentGroup) -> None:
    """Add the options of the index before training."""
    verb.add_argument(
        "--predict", action="store_true", help="predict, of overrides or of the shapes in a sweep's folder"
    )
    verb.add_argument("--links", action="store_true", help="list the links with their sources")
    verb.add_argument(
        "--devices", metavar="N", type=_numbers, default=DEVICES, help="one number, or 2,4,8 (default 8)"
    )
    verb.add_argument(
        "--link", metavar="NAME", default=LINK, help="such as ib-ndr, 12GB/s,20us or measured (nvlink4)"
    )
    verb.add_argument("--device", metavar="NAME", help="part of a GPU's name, such as h100")
    verb.add_argument("--share", metavar="V", type=float, help="of its dense peak that training sustains")
    verb.add_argument("--gpu-tflops", metavar="V", type=float, help="TFLOP/s that one device sustains")
    verb.add_argument("--layer-us", metavar="V", type=float, help="least microseconds of a layer")
    verb.add_argument("--rates-of", metavar="DIR", type=Path, help="a folder whose runs say both")
    verb.add_argument(
        "--gradient-bytes", metavar="V", type=float, default=4, help="bytes of a gradient (4: fp32)"
    )


def _numbers(text: str) -> tuple[int, ...]:
    """Return the numbers of `2,4,8`. Raises argparse.ArgumentTypeError."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: give whole numbers, such as 8 or 2,4,8") from None


def _parallel(options: argparse.Namespace) -> int:
    if options.links:
        return _links(options)
    return _predict(options) if options.predict else parallel_measure.run(options)


def _predict(options: argparse.Namespace) -> int:
    from isoflop.api import parallel, parallel_text
    from isoflop.api.device_rate import Given

    if options.json:
        output.check_target(options.json)
    ask = parallel.Ask(
        options.devices,
        options.link,
        Given(options.device, options.share, options.gpu_tflops, options.layer_us),
        options.rates_of,
        options.gradient_bytes,
    )
    made = parallel.make(options.overrides, ask, options.config_dir)
    if options.json:
        return output.write_json(made, options.json)
    print("\n".join(parallel_text.lines(made)))
    return output.DONE


def _links(options: argparse.Namespace) -> int:
    from isoflop.api import parallel_text
    from isoflop.parallel import links

    if options.json:
        return output.write_json(links.LINKS, options.json)
    print("\n".join(parallel_text.links(links.LINKS)))
    return output.DONE
