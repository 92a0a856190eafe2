"""The page in a real browser: it opens from a file, asks for nothing, hovers, sorts and fits a phone."""

import base64
import shutil

import pytest

from isoflop.report.figures import style
from isoflop.report.page import write_report

pytestmark = pytest.mark.browser
DRAWN = "document.querySelector('#error_compute .live').data.filter((t) => t.visible === true).length"
CORNER = """(() => {
  const image = document.querySelector('#width_depth img');
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const context = canvas.getContext('2d');
  context.drawImage(image, 0, 0);
  return [...context.getImageData(2, 2, 1, 1).data];
})()"""
"""The colour of a corner of a drawing."""
HOSTILE = "</script><img src=x onerror=alert(1)>"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    with playwright.sync_playwright() as started:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        found = started.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield found
        found.close()


@pytest.fixture(scope="module")
def report(make_table, make_fits, tmp_path_factory):
    table = make_table(joules=True)
    fits = make_fits(table)
    table.rows.loc[table.rows["label"] == "mlp w128 d3", "label"] = f"mlp {HOSTILE}"
    table.rows.loc[table.rows["label"] == "mlp w8 d1", "test_loss"] = float("nan")
    return write_report(tmp_path_factory.mktemp("sweep"), table, fits).resolve().as_uri()


def open_page(browser, address, **options):
    page = browser.new_page(**options)
    page.seen, page.said = [], []
    page.on("request", lambda request: page.seen.append(request.url))
    page.on("console", lambda message: page.said.append(message.text))
    page.on("pageerror", lambda error: page.said.append(str(error)))
    page.on("dialog", lambda dialog: page.said.append(dialog.message))
    page.goto(address)
    return page


def live(page):
    # Not wait_for_function, which evaluates a string in the page: its content policy forbids that.
    page.wait_for_selector("html[data-charts=live]", state="attached", timeout=30_000)
    return page


def column(page, table, index):
    cells = f"table.sortable >> nth={table} >> tbody tr > *:nth-child({index})"
    return page.locator(cells).all_text_contents()


def test_charts_come_alive_without_network_or_complaint(browser, report):
    page = live(open_page(browser, report, viewport={"width": 1280, "height": 900}))
    assert page.locator("figure[data-state=live] .main-svg").count() >= 4
    assert page.locator(".still:visible").count() == 1, "the grid, which is no chart"
    hover = page.evaluate(
        """() => {
          const place = document.querySelector('#error_compute .live');
          const curve = place.data.findIndex((t) => t.meta === 'runs' && /img/.test(t.text));
          const point = place.data[curve].text.findIndex((w) => w.includes('img'));
          window.Plotly.Fx.hover(place, [{ curveNumber: curve, pointNumber: point }]);
          return place.querySelector('.hoverlayer').textContent;
        }"""
    )
    assert HOSTILE in hover
    assert "seed" in hover
    assert page.locator("img[onerror], img:not([src^='data:image/svg+xml'])").count() == 0
    point = page.locator("#error_compute .live .scatterlayer .points path.point").first
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.locator("#error_compute .hoverlayer", has_text="mlp w8").wait_for(state="attached")
    assert all(url.startswith(("file:", "data:", "blob:")) for url in page.seen), page.seen
    assert page.said == []
    page.close()


def test_a_law_that_is_off_at_first_is_switched_on_by_its_name_in_the_legend(browser, report):
    page = live(open_page(browser, report, viewport={"width": 1280, "height": 900}))
    before = page.evaluate(DRAWN)
    page.locator("#error_compute .legend").get_by_role("button", name="M4").click()
    assert page.evaluate(DRAWN) == before + 2
    assert page.said == []
    page.close()


def test_what_is_switched_off_takes_its_bands_and_shapes_along(browser, report):
    page = live(open_page(browser, report, viewport={"width": 1280, "height": 900}))
    legend = page.locator("#error_compute .legend")
    before = page.evaluate(DRAWN)
    for name, traces in (("Forecast", 3), ("95%, mean", 2), ("Width 16", 6), ("Depth 2", 10)):
        button = legend.get_by_role("button", name=name, exact=True)
        assert button.get_attribute("aria-pressed") == "true"
        button.click()
        assert button.get_attribute("aria-pressed") == "false"
        assert page.evaluate(DRAWN) == before - traces, name
        button.click()
    assert page.evaluate(DRAWN) == before
    # A shape that is off stays off where a colour goes and comes back.
    for name in ("Depth 2", "Width 16", "Width 16"):
        legend.get_by_role("button", name=name, exact=True).click()
    assert page.evaluate(DRAWN) == before - 10
    page.close()


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_the_first_screen_holds_sentence_curve_four_figures_and_the_checks(browser, report, width, height):
    page = live(open_page(browser, report, viewport={"width": width, "height": height}))
    for part in (
        ".verdict strong",
        "#error_compute .main-svg >> nth=0",
        ".first .cards",
        ".found >> text=check",
    ):
        box = page.locator(part).bounding_box()
        assert box["y"] >= 0, part
        assert box["y"] + box["height"] <= height, part
        assert box["x"] + box["width"] <= width, part
    page.close()


def test_a_link_to_a_run_opens_the_table_that_holds_its_row(browser, report):
    page = open_page(browser, report, viewport={"width": 1280, "height": 800})
    row = page.locator("#runs tbody tr").last
    assert not row.is_visible()
    page.evaluate("id => { location.hash = id; }", row.get_attribute("id"))
    row.wait_for(state="visible")
    page.locator("nav a", has_text="Laws").click()
    page.locator("#laws table").first.wait_for(state="visible")
    page.close()


def test_a_dark_page_has_dark_charts_and_drawings(browser, report):
    page = live(open_page(browser, report, color_scheme="dark"))
    layout = "document.querySelector('#error_compute .live').layout"
    assert page.evaluate(f"{layout}.plot_bgcolor") == style.DARK[style.PAPER]
    ink, paper = page.evaluate(
        "(() => { const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]; })()"
    )
    assert sum(channels(ink)) > 600 > 150 > sum(channels(paper))
    corner = page.evaluate(CORNER)
    assert sum(corner[:3]) < 150, "the drawing follows the page"
    page.emulate_media(color_scheme="light")
    page.wait_for_timeout(300)
    assert page.evaluate(f"{layout}.plot_bgcolor") == style.PAPER
    assert page.said == []
    page.close()


def channels(colour):
    return [int(value) for value in colour.removeprefix("rgb(").removesuffix(")").split(",")]


def test_the_buttons_of_a_chart_offer_no_upload_and_cover_no_data(browser, report):
    page = live(open_page(browser, report, viewport={"width": 1280, "height": 900}))
    chart = page.locator("#error_compute .live")
    chart.hover()
    titles = chart.locator(".modebar-btn").evaluate_all("all => all.map((b) => b.dataset.title)")
    assert "Zoom" in titles
    assert not [title for title in titles if "hare" in title or "loud" in title]
    bar, plot = chart.locator(".modebar").bounding_box(), chart.locator(".nsewdrag").bounding_box()
    assert bar["y"] + bar["height"] <= plot["y"] + 2
    page.close()


def test_a_click_on_a_header_sorts_and_unknown_values_stay_last(browser, report):
    page = open_page(browser, report)
    page.locator("#runs > summary").click()
    runs = page.locator("table.sortable").nth(1)
    button = runs.get_by_role("button", name="Test loss (nats)")
    for order, name in ((1, "ascending"), (-1, "descending")):
        button.click()
        shown = column(page, 1, 4)
        known = [float(v) for v in shown if v != "–"]
        assert known == sorted(known, reverse=order < 0)
        assert shown[-4:] == ["–"] * 4
        assert runs.locator("th[aria-sort]").get_attribute("aria-sort") == name
    button.focus()
    page.keyboard.press("Enter")
    assert runs.locator("th[aria-sort]").get_attribute("aria-sort") == "ascending"
    runs.get_by_role("button", name="Configuration").click()
    names = [n.strip() for n in column(page, 1, 1)]
    assert names.index("mlp w8 d1") < names.index("mlp w16 d1") < names.index("mlp w64 d1")
    page.close()


def test_a_phone_needs_no_sideways_scrolling(browser, report):
    page = live(open_page(browser, report, viewport={"width": 390, "height": 844}))
    widths = page.evaluate("[document.documentElement.scrollWidth, document.body.scrollWidth, innerWidth]")
    assert max(widths) == 390
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.close()


HINTS = """[...document.querySelectorAll('.still:not([hidden])')].filter(s => s.clientWidth).map(still => [
    still.scrollWidth > still.clientWidth,
    getComputedStyle(still.parentElement.lastElementChild, '::before').content.includes('sideways'),
])"""


@pytest.mark.parametrize("width", [360, 390, 430, 450, 560, 600, 1280])
def test_a_drawing_wider_than_the_screen_says_that_it_scrolls(browser, report, width):
    page = live(open_page(browser, report, viewport={"width": width, "height": 800}))
    hints = page.evaluate(HINTS)
    assert hints
    assert all(scrolls == said for scrolls, said in hints)
    assert any(said for _, said in hints) == (width < 576)
    page.close()


def test_the_table_of_laws_fits_a_desktop(browser, report):
    page = live(open_page(browser, report, viewport={"width": 1280, "height": 900}))
    page.locator("#trust > summary").click()
    table = page.locator(".scroll:has(> table.ranks) >> nth=0")
    assert table.evaluate("e => e.scrollWidth - e.clientWidth") == 0
    page.close()


def test_without_scripts_the_drawings_stand(browser, report):
    context = browser.new_context(java_script_enabled=False)
    page = open_page(context, report)
    assert page.locator(".still:visible").count() == 5
    drawing = page.locator("#error_compute .still img")
    assert "Test error" in drawing.get_attribute("alt")
    assert "Training compute (GFLOPs)" in svg_of(drawing)
    context.close()


def svg_of(drawing):
    return base64.b64decode(drawing.get_attribute("src").partition(",")[2]).decode()


def test_an_old_browser_keeps_the_drawings(browser, report):
    context = browser.new_context()
    context.add_init_script("delete window.DecompressionStream")
    page = open_page(context, report)
    assert page.locator(".still:visible").count() == 5
    widths = page.evaluate("[...document.querySelectorAll('.still img')].map((i) => i.naturalWidth)")
    assert len(widths) == 8
    assert min(widths) > 200, "each is decoded, not a broken image"
    assert page.said == []
    context.close()


def test_the_policy_lets_no_other_script_run_and_nothing_be_sent(browser, report):
    page = live(open_page(browser, report))
    assert page.said == []  # plotly itself broke no rule
    page.evaluate(
        "() => { const script = document.createElement('script');"
        " script.textContent = 'window.ran = true'; document.head.append(script);"
        " const image = new Image(); image.setAttribute('onerror', 'window.ran = true');"
        " image.src = 'http://127.0.0.1:9/x'; document.body.append(image); }"
    )
    sent = page.evaluate("fetch('http://127.0.0.1:9/').then(() => 'sent', error => error.name)")
    page.wait_for_timeout(300)
    assert page.evaluate("window.ran === undefined")
    assert sent == "TypeError"
    refused = " ".join(page.said)
    for directive in ("script-src", "img-src", "default-src"):
        assert directive in refused, refused


def test_a_chart_can_still_be_saved(browser, report):
    page = live(open_page(browser, report))
    chart = "document.querySelector('figure[data-state=live] .live')"
    drawn = page.evaluate(f"Plotly.toImage({chart}, {{format: 'png'}})")
    assert drawn.startswith("data:image/png")
    assert page.said == []
