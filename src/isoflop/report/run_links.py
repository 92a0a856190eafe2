"""Runs in the text of a page: by the name of their configuration and their seed, linked to their row."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping

import pandas as pd
from markupsafe import Markup

from isoflop.report.text.amounts import seed_after

_HASH = re.compile(r"[0-9a-f]{8,}")
"""An id that names nothing to a reader; those of a table of one's own are names already."""
_ROW = re.compile(r"row \d+")


def names(rows: pd.DataFrame) -> dict[str, str]:
    """Return {run id: what the run is called}: `resnet w16 d1, seed 0`, or the id where it is a name."""
    called = {}
    for row in rows[["run_id", "label", "seed"]].to_dict("records"):
        run_id = str(row["run_id"])
        called[run_id] = f"{row['label']}{seed_after(row)}" if _HASH.fullmatch(run_id) else run_id
    return called


def anchor(run_id: str) -> str:
    """Return the id of a run's row in the page."""
    return f"run-{re.sub(r'[^0-9A-Za-z_-]', '-', run_id)}"


@dataclasses.dataclass(frozen=True)
class RunLinks:
    """Makes links of the run ids in a text.

    Attributes:
        called: run id -> what the run is called, of the runs that have a row in the page.
    """

    called: Mapping[str, str]

    @functools.cached_property
    def _known(self) -> re.Pattern[str] | None:
        # A name such as `small` is a word of other sentences too: there only ids that can be nothing else.
        ids = [each for each in self.called if _HASH.fullmatch(each) or _ROW.fullmatch(each)]
        alternatives = "|".join(map(re.escape, sorted(ids, key=len, reverse=True)))
        return re.compile(rf"(?<![\w.-])(?:{alternatives})(?![\w-]|\.\w)") if ids else None

    def entry(self, text: str) -> Markup:
        """Return the entry of a table, which is a link if it is a run's id."""
        return self._link(text) if text in self.called else self.sentence(text)

    def sentence(self, text: str) -> Markup:
        """Return a text, escaped, with a link under the run's name in place of each run id."""
        parts, end = [], 0
        for found in self._known.finditer(text) if self._known is not None else ():
            parts += [Markup.escape(text[end : found.start()]), self._link(found[0])]
            end = found.end()
        return Markup("").join([*parts, Markup.escape(text[end:])])

    def _link(self, run_id: str) -> Markup:
        return Markup('<a href="#{}">{}</a>').format(anchor(run_id), self.called[run_id])
