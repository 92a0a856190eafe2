"""docs/settings.md, from the dataclasses and the files of conf: `make settings` writes it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from isoflop.config import catalog, value_types
from isoflop.config.catalog import Key

PAGE = Path(__file__).parents[1] / "docs/settings.md"
HEAD = """# Settings

<!-- Written by `make settings` from src/isoflop/config and conf: edit those. -->

Every setting is a word of the command, `KEY=VALUE`; `GROUP=OPTION` sets several that belong together. The
first option of a group is its default.

    isoflop run model=vit data=cifar10 optim.lr=0.001
    isoflop run model=vit data=cifar10 --cfg job   # prints what that gives, and trains nothing
    isoflop config optim                           # a group, a key or model/vit of your version; --json

`null` is not set. Kinds in brackets are those that take a key. `${...}` is filled in by Hydra.
"""


def page() -> str:
    """Return the page."""
    alone = [key for key in catalog.all_keys() if "." not in key.key]
    parts = [HEAD, "## Of a run\n", "\n".join(_key_table(alone))]
    for group, text in catalog.group_texts().items():
        keys = [key for key in catalog.all_keys() if key.key.startswith(f"{group}.")]
        parts += [f"\n## {group}\n\n{text}\n", "\n".join(_option_table(group))]
        if keys:
            parts.append("\n" + "\n".join(_key_table(keys)))
    return "\n".join(parts) + "\n"


def _option_table(group: str) -> Iterator[str]:
    yield "| option | what it is |"
    yield "|---|---|"
    for name in catalog.option_names(group):
        text = catalog.first_sentence(catalog.option(group, name).text)
        yield f"| `{group}={name}` | {_escaped(text)} |"


def _key_table(keys: list[Key]) -> Iterator[str]:
    yield "| key | value | default | meaning |"
    yield "|---|---|---|---|"
    for key in keys:
        default = f"`{catalog.written(catalog.defaults()[key.key])}`"
        # A price is of its set alone: a list of them all would say nothing of the key.
        others = catalog.by_option(key) if key.group != "cost" else {}
        listed = "".join(f"; {name} `{catalog.written(value)}`" for name, value in others.items())
        kinds = f" [{', '.join(key.taken_by)}]" if key.taken_by else ""
        value = _escaped(value_types.described(key.schema))
        yield f"| `{key.key}` | {value} | {default}{listed} | {_escaped(key.text)}{kinds} |"


def _escaped(text: str) -> str:
    """Return a cell of a table: without the sign that divides cells, with links to pages."""
    return re.sub(r"docs/(\w+)\.md", r"[\1](\1.md)", text.replace("|", "\\|"))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
