"""isoflop completion: what a shell asks for at TAB, through argcomplete.

The script that the verb prints makes the shell start isoflop with $_ARGCOMPLETE at each TAB. Then `offer`
walks the parser and ends the process, before any verb runs. Words without a dash are overrides: groups, keys
and, behind the equals sign, the options of a group or the values of a key, from the catalog of settings.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from isoflop.cli import output
from isoflop.config import catalog, value_types

SHELLS = ("bash", "zsh", "fish")
ASKED = "_ARGCOMPLETE"
"""Variable that the shell sets when it asks."""
FOLDERS = ("DIR", "D")
FILES = ("FILE", "PATH")
"""Placeholders of options and arguments that are files; of other values a file is no completion."""
Completer = Callable[..., Iterable[str]]


def add(add_verb: output.AddVerb) -> None:
    """Add the verb to the parser."""
    verb = add_verb("completion", _completion, 'Completion of the shell: eval "$(isoflop completion bash)"')
    verb.add_argument("shell", choices=SHELLS, metavar="SHELL", help=f"one of {', '.join(SHELLS)}")


def _completion(options: argparse.Namespace) -> int:
    from argcomplete.shell_integration import shellcode

    print(shellcode(["isoflop"], shell=options.shell))
    return output.DONE


def offer(parser: argparse.ArgumentParser, take_overrides: Iterable[str]) -> None:
    """Print completions and end the process, if a shell asks for them; else do nothing.

    Args:
        parser: of all verbs.
        take_overrides: the verbs whose further words are overrides.
    """
    if ASKED not in os.environ:
        return
    import argcomplete

    _attach(parser, tuple(take_overrides))
    argcomplete.autocomplete(parser, always_complete_options=False)


def _attach(parser: argparse.ArgumentParser, take_overrides: tuple[str, ...]) -> None:
    """Give every argument of the verbs its completer; overrides, which argparse does not know, become one."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, verb in action.choices.items():
                if name in take_overrides:
                    verb.add_argument("overrides", nargs="*")
                _attach(verb, take_overrides)
        elif action.choices is None and action.nargs != 0:
            action.completer = _completer(action, parser.prog.rpartition(" ")[2])  # type: ignore[attr-defined]


def _completer(action: argparse.Action, verb: str) -> Completer:
    from argcomplete import completers

    special = COMPLETERS.get((verb, action.dest)) or COMPLETERS.get((None, action.dest))
    if special is not None:
        return special
    if action.metavar in FOLDERS:
        return completers.DirectoriesCompleter()
    return completers.FilesCompleter() if action.metavar in FILES else nothing


def nothing(**_: Any) -> tuple[str, ...]:
    """Return no completion: of a number or a free text, where argcomplete alone would offer files."""
    return ()


def overrides(prefix: str, parsed_args: argparse.Namespace, **_: Any) -> dict[str, str]:
    """Return completion -> explanation of a word such as `mo`, `model.wi`, `data=dig` or `model.block=`.

    Before anything is typed the groups are offered, then keys too.
    """
    folder = getattr(parsed_args, "config_dir", None)
    name, equals, value = prefix.partition("=")
    # Hydra's signs before a key: + and ++ add it, ~ takes it out.
    signs = name[: len(name) - len(name.lstrip("+~"))]
    if equals:
        offered = _values(name[len(signs) :], value, folder)
        return {f"{name}={each}": text for each, text in offered.items()}
    words = {f"{signs}{group}=": text for group, text in catalog.group_texts().items()}
    for key in catalog.all_keys():
        if name or "." not in key.key:
            words[f"{signs}{key.key}="] = key.text
    return words


def _values(name: str, value: str, config_dir: str | None) -> dict[str, str]:
    """Return the values of a group or key that may follow; behind a comma, those of the next in a list."""
    before, comma, _ = value.rpartition(",")
    if name in catalog.group_texts():
        return {
            f"{before}{comma}{each}": catalog.first_sentence(catalog.option(name, each, config_dir).text)
            for each in catalog.option_names(name, config_dir)
        }
    key = next((each for each in catalog.all_keys() if each.key == name), None)
    if key is None:
        return {}
    offered = dict.fromkeys((f"{before}{comma}{each}" for each in value_types.listed_values(key.schema)), "")
    if value_types.is_path(key.schema):
        from argcomplete.completers import FilesCompleter

        offered |= dict.fromkeys(FilesCompleter()(value), "")
    return offered


def settings(prefix: str, parsed_args: argparse.Namespace, **_: Any) -> dict[str, str]:
    """Return completion -> explanation of the argument of `isoflop config`."""
    folder = getattr(parsed_args, "config_dir", None)
    names = dict(catalog.group_texts())
    if "/" in prefix:
        group = prefix.partition("/")[0]
        options = catalog.option_names(group, folder) if group in names else ()
        return {f"{group}/{each}": "" for each in options}
    if prefix:
        names |= {each.key: each.text for each in catalog.all_keys()}
    return names


def cost_sets(**_: Any) -> tuple[str, ...]:
    """Return the names of the sets of prices."""
    from isoflop.config import costs
    from isoflop.config.compose import conf_dir

    return costs.known_names(conf_dir() / "cost")


def families(**_: Any) -> tuple[str, ...]:
    """Return the families whose work `isoflop flops` counts."""
    return tuple(each for each in catalog.option_names("model") if each != "custom")


def devices(**_: Any) -> tuple[str, ...]:
    """Return the devices whose steps were measured, the last word of their names."""
    from isoflop.sweep import step_costs

    return tuple(sorted({step.device.rpartition(" ")[2] for step in step_costs.shipped()}))


def laws(prefix: str, **_: Any) -> list[str]:
    """Return the laws in one resource, for a list with commas."""
    from isoflop.curve.laws import LAWS

    return _listed(prefix, LAWS)


def joint_laws(**_: Any) -> tuple[str, ...]:
    """Return the laws in several resources."""
    from isoflop.curve.joint.laws import JOINT_LAWS

    return tuple(JOINT_LAWS)


def states(prefix: str, **_: Any) -> list[str]:
    """Return the states whose runs can be trained again, for a list with commas."""
    from isoflop.sweep import retry

    return _listed(prefix, retry.STATES)


def _listed(prefix: str, names: Iterable[str]) -> list[str]:
    before, comma, _ = prefix.rpartition(",")
    return [f"{before}{comma}{name}" for name in names if name not in before.split(",")]


COMPLETERS: Mapping[tuple[str | None, str], Completer] = {
    (None, "overrides"): overrides,
    ("config", "name"): settings,
    ("flops", "name"): families,
    (None, "cost"): cost_sets,
    ("sweep", "on"): devices,
    ("sweep", "retry"): states,
    ("fit", "laws"): laws,
    ("forecast", "laws"): laws,
    ("fit", "law"): joint_laws,
    ("compare", "law"): laws,
}
"""(verb, or None for all of them, name of the argument) -> what completes it."""
