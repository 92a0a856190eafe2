"""isoflop wandb."""

from __future__ import annotations

import argparse
from pathlib import Path

from isoflop.cli import output


def add(verb: output.Add) -> None:
    """wandb."""
    made = verb("wandb", _wandb, "Upload a sweep's records to W&B, with a workspace and a report")
    made.add_argument("directory", metavar="DIR", type=Path, help="the folder of a sweep")
    made.add_argument("--project", default="isoflop", help="W&B project (default isoflop)")
    made.add_argument("--entity", help="W&B user or team (default: your own)")
    made.add_argument("--dry-run", action="store_true", help="send nothing: print what would be sent")
    output.add_json(made)


def _wandb(options: argparse.Namespace) -> int:
    from isoflop.report.wandb import upload

    where = (options.directory, options.project, options.entity)
    if options.dry_run:
        return output.write_json(upload.dry_run(*where), options.json or "-")
    found = upload.upload(*where)
    if options.json:
        return output.write_json(found, options.json)
    print(upload.told(found))
    return output.DONE
