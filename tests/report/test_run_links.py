"""Runs in the text of a page: named, linked to their row, and nothing else taken for one."""

from __future__ import annotations

import pandas as pd

from isoflop.report.run_links import RunLinks, anchor, names

HASH = "40a6b34fd159c14c"
ROWS = pd.DataFrame(
    {
        "run_id": [HASH, "small", "row 3", "row 31"],
        "label": ["resnet w1 <d3>", "small", "a", "b"],
        "seed": [1.0, float("nan"), float("nan"), float("nan")],
    }
)


def test_an_id_becomes_the_name_of_the_run_linked_to_its_row():
    links = RunLinks(names(ROWS))
    said = links.sentence(f"1 run lies far off: {HASH}, beside <b>")
    assert said == (
        f'1 run lies far off: <a href="#run-{HASH}">resnet w1 &lt;d3&gt;, seed 1</a>, beside &lt;b&gt;'
    )
    assert links.entry(HASH) == f'<a href="#run-{HASH}">resnet w1 &lt;d3&gt;, seed 1</a>'
    assert links.sentence(f"x{HASH} and {HASH}0") == f"x{HASH} and {HASH}0"


def test_a_name_that_is_a_word_is_linked_in_a_table_alone():
    links = RunLinks(names(ROWS))
    assert links.sentence("a small sweep") == "a small sweep"
    assert links.entry("small") == '<a href="#run-small">small</a>'
    assert links.sentence("see row 31.") == f'see <a href="#{anchor("row 31")}">row 31</a>.'
    assert RunLinks({}).sentence("row 3") == "row 3"


def test_an_anchor_is_one_word():
    assert anchor("my run, row 3") == "run-my-run--row-3"
