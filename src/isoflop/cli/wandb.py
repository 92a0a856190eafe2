"""isoflop wandb: a sweep's records, workspace and report in W&B."""

from __future__ import annotations

import argparse

from isoflop.cli import output


def add(add_verb: output.AddVerb) -> None:
    """Add the verb to the parser."""
    verb = add_verb("wandb", _wandb, "Upload a sweep's records to W&B, with a workspace and a report")
    output.add_directory(verb)
    verb.add_argument("--project", default="isoflop", help="W&B project (default isoflop)")
    verb.add_argument("--entity", help="W&B user or team (default: your own)")
    verb.add_argument("--dry-run", action="store_true", help="send nothing: print what would be sent")
    output.add_json(verb)


def _wandb(options: argparse.Namespace) -> int:
    from isoflop.report.wandb import upload

    target = (options.directory, options.project, options.entity)
    if options.dry_run:
        return output.write_json(upload.dry_run(*target), options.json or "-")
    result = upload.upload(*target)
    if options.json:
        return output.write_json(result, options.json)
    print(upload.as_text(result))
    return output.DONE
