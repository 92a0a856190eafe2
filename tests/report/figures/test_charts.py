import base64
import gzip
import json
import re

import numpy as np
import pytest
from plotly.offline import get_plotlyjs

from isoflop.report import packed
from isoflop.report.figures import charts
from isoflop.report.text import lead

HOSTILE = "</script><img src=x onerror=alert(1)><!--\u2028"


def unpack(text: str) -> str:
    """Undo `packed.pack`, as page.js does."""
    return gzip.decompress(base64.b64decode(text, validate=True)).decode()


def test_packed_text_is_whole_and_holds_nothing_that_html_reads():
    text = packed.pack(HOSTILE * 50)
    assert unpack(text) == HOSTILE * 50
    assert re.fullmatch("[A-Za-z0-9+/=]+", text)


def test_the_library_is_whole_and_has_its_licence():
    text = unpack(packed.plotly_library())
    assert text == get_plotlyjs()
    assert "MIT" in text[:500]
    assert len(packed.plotly_library()) < 2_100_000


def test_hover_names_the_cell_its_seed_and_what_is_known(sweep):
    _, table, fits = sweep
    words = json.loads(charts.specs(table.rows, fits))["runs"][0]
    row = table.rows.iloc[0]
    assert words.startswith(f"<b>{row['label']}</b>, seed {row['seed']:.0f}")
    for unit in ("test error", "GFLOPs", " J", "trained"):
        assert unit in words


def test_hover_leaves_unknown_joules_out(make_table, make_fits):
    table = make_table(joules=False)
    found = json.loads(charts.specs(table.rows, make_fits(table)))
    assert not any(" J" in words or "nan" in words for words in found["runs"])
    assert set(found["views"]) == {"error_compute", "error_seconds", "loss_compute"}


def test_hostile_names_are_literal_text_for_plotly(make_table, make_fits):
    table = make_table(label=HOSTILE + "{w}{d}")
    text = charts.specs(table.rows, make_fits(table))
    assert "<img" not in text
    assert "&lt;img" in text


def test_a_spec_has_seeds_means_laws_and_the_extrapolated_region(sweep):
    _, table, fits = sweep
    spec = json.loads(charts.specs(table.rows, fits))["views"]["error_compute"]
    assert spec["layout"]["xaxis"]["type"] == spec["layout"]["yaxis"]["type"] == "log"
    assert spec["layout"]["shapes"][0]["x0"] == fits.reports[0].x_max
    runs = [t for t in spec["data"] if t.get("meta") == "runs"]
    assert sorted(i for t in runs for i in t["text"]) == list(range(len(table.rows)))
    for trace in runs:
        shown = table.rows.loc[trace["text"], "test_error"] * 100
        assert trace["y"] == pytest.approx(list(shown), rel=1e-5)
    curve = [t for t in spec["data"] if t.get("legendgroup") == "power_law_ols" and "fill" not in t]
    dashes = {t["line"].get("dash") for t in curve}
    assert dashes == {"solid", "dash"}
    assert sum("error_y" in t for t in spec["data"]) == 15, "five widths of three depths"


def test_the_law_of_the_sentence_leads_and_further_laws_are_off_at_first(sweep):
    _, table, fits = sweep
    assert lead.main_law(fits.reports[0]) == "power_law_ols"
    spec = json.loads(charts.specs(table.rows, fits))["views"]["error_compute"]
    lines = {t["name"]: t for t in spec["data"] if t.get("line", {}).get("dash") == "dash"}
    off = {name for name, t in lines.items() if t.get("visible") == "legendonly"}
    assert set(lines) - off == {"Forecast", "Power law (OLS)", "Exponential"}
    assert len(off) == 5
    bands = [t for t in spec["data"] if t.get("fill") == "toself"]
    assert [t["legendgroup"] for t in bands] == ["forecast"] * 2 + ["power_law_ols"] * 2
    x_max = fits.reports[0].x_max
    assert all(min(t["x"]) == pytest.approx(x_max, rel=1e-3) for t in bands[:2]), "ahead: the forecast's"
    assert all(max(t["x"]) == pytest.approx(x_max, rel=1e-3) for t in bands[2:]), "measured: the law's"
    for new_run, mean in (bands[:2], bands[2:]):
        assert max(new_run["y"]) > max(mean["y"])
    first = spec["legend"][0]["entries"]
    assert [entry["name"] for entry in first[:4]] == [
        *("Power law (OLS)", "95%, mean"),
        *("95%, new run", "Forecast"),
    ]


def test_every_chart_has_the_same_main_curve_and_a_colour_for_each_configuration(sweep):
    _, table, fits = sweep
    table.rows.loc[table.rows["width"] == 8, "energy_joules"] = np.nan
    views = json.loads(charts.specs(table.rows, fits))["views"]
    assert {spec["legend"][0]["entries"][0]["name"] for spec in views.values()} == {"Power law (OLS)"}
    colours = [{e["name"]: e["colour"] for e in spec["legend"][1]["entries"]} for spec in views.values()]
    assert any("8" not in each for each in colours)
    for each in colours:
        assert each.items() <= colours[0].items()


def test_what_the_legend_switches_off_takes_its_bands_and_shapes_along(sweep):
    _, table, fits = sweep
    spec = json.loads(charts.specs(table.rows, fits))["views"]["error_compute"]
    switches = {entry["tag"] for part in spec["legend"] for entry in part["entries"]}
    tags = {tag for trace in spec["data"] for tag in trace["tags"]}
    assert tags == switches - {""}
    for trace in spec["data"]:
        kinds = {tag.partition(":")[0] for tag in trace["tags"]}
        if trace.get("fill"):
            assert kinds == {"law", "band"}
        elif trace["mode"] == "markers":
            assert kinds == {"colour", "shape"}
            assert len(set(trace["marker"]["symbol"])) == 1
    assert [part["title"] for part in spec["legend"]] == ["", "Width", "Depth"]


def test_the_tested_and_the_untested_region_are_marked(make_table, make_fits):
    table = make_table()
    layouts = {}
    for ratio in (4.0, 30.0, None):
        fits = make_fits(table, tested_ratio=ratio)
        layouts[ratio] = json.loads(charts.specs(table.rows, fits))["views"]["error_compute"]["layout"]
    x_max = fits.reports[0].x_max
    ends = [(s["x0"] / x_max, s["x1"] / x_max) for s in layouts[4.0]["shapes"] if s["type"] == "rect"]
    assert ends == [pytest.approx((1.0, 4.0)), pytest.approx((4.0, 10.0))]
    words = {ratio: [a["text"] for a in layout["annotations"]] for ratio, layout in layouts.items()}
    assert words[4.0] == ["largest run", "×4: untested beyond"]
    assert words[30.0] == ["largest run; tested to ×10"], "as far as the forecast goes"
    assert words[None] == ["largest run; untested beyond"]
    assert layouts[4.0]["annotations"][1]["x"] == pytest.approx(np.log10(4 * x_max))
