"""isoflop config: every setting with type, default and explanation, and the options of every group."""

from __future__ import annotations

import argparse

from isoflop.cli import output


def add(add_verb: output.AddVerb) -> None:
    """Add the verb to the parser."""
    text = "List the settings: all, or isoflop config model, model/vit, model.width"
    verb = add_verb("config", _config, text)
    verb.usage = "isoflop config [GROUP | GROUP/OPTION | KEY] [--config-dir D] [--json FILE]"
    verb.add_argument("name", nargs="?", metavar="NAME", help="a group, one of its options, or a key")
    output.add_config_dir(verb)
    output.add_json(verb)


def _config(options: argparse.Namespace) -> int:
    from isoflop.cli.terminal import settings_list
    from isoflop.config import catalog

    if options.json:
        output.check_target(options.json)
    folder = options.config_dir
    catalog.check_folder(folder)
    found = catalog.all_keys() if options.name is None else catalog.matching(options.name, folder)
    if options.json:
        if isinstance(found, catalog.Option):
            return output.write_json(found, options.json)
        return output.write_json(catalog.plain(found, options.name, folder), options.json)
    if isinstance(found, catalog.Option):
        settings_list.show_option(found)
    elif len(found) == 1 and found[0].key == options.name:
        settings_list.show_key(found[0], folder)
    else:
        settings_list.show_groups(found, options.name, folder)
    return output.DONE
