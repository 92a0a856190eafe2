"""The documentation site: built strictly, complete, and asking nothing of any other site."""

from __future__ import annotations

import functools
import http.server
import importlib.util
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import yaml

import isoflop

ROOT = Path(__file__).parents[1]
CONFIG = (ROOT / "mkdocs.yml").read_text()
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FETCHED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio)\b[^>]*?\bsrc=["']?([^"'\s>]+)|<link\b[^>]*>"""
)
REFERENCE = re.compile(r"""\b(?:href|src)="([^"#]+)""")


def nav() -> list[str]:
    """The pages of the nav, in order."""
    entries = yaml.safe_load(CONFIG)["nav"]
    pages: list[str] = []
    while entries:
        ((_, value),) = entries.pop(0).items()
        if isinstance(value, list):
            entries = value + entries
        else:
            pages.append(value)
    return pages


@pytest.fixture(scope="module")
def layout() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_site", ROOT / "scripts/docs_site.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages(layout: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("laid") / "docs"
    layout.lay_out(path)
    return path


@pytest.mark.parametrize(
    ("file", "place"),
    [
        ("docs/fitting.md", "fitting.md"),
        ("results/digits-cpu/README.md", "results/digits-cpu.md"),
        ("results/digits-cpu/index.html", "results/digits-cpu/index.html"),
        ("slurm/README.md", "slurm.md"),
        ("CONTRIBUTING.md", "contributing.md"),
        ("README.md", "index.md"),
        ("examples/notebook.ipynb", "examples/notebook.ipynb"),
    ],
)
def test_where_files_lie_in_the_site(layout: ModuleType, file: str, place: str) -> None:
    assert layout.site_path(file) == place


def test_links_are_those_of_the_site(layout: ModuleType) -> None:
    known = frozenset({"results/digits-cpu/README.md", "docs/fitting.md", "docs/index.md", "slurm/README.md"})
    code = "`[e](nosuch.md)`\n```text\n[f](nosuch)\n```\n"
    page, files = layout.translate(
        "[a](../../docs/fitting.md#model) [b](index.html) ![c](figures/error_compute.png) [d](../../src) "
        f"[g](https://example.org) [h](../../slurm) [i](../../results) {code}",
        "results/digits-cpu/README.md",
        known,
    )
    assert page == (
        "[a](../fitting.md#model) [b](digits-cpu/index.html) ![c](digits-cpu/figures/error_compute.png) d "
        f"[g](https://example.org) [h](../slurm.md) [i](../results.md) {code}"
    )
    assert files == {"results/digits-cpu/index.html", "results/digits-cpu/figures/error_compute.png"}


def test_a_broken_link_is_named(layout: ModuleType) -> None:
    with pytest.raises(layout.BrokenLinkError, match=r"docs/api\.md links to nosuch\.py, which is not there"):
        layout.translate("[a](nosuch.py)", "docs/api.md", frozenset())


def test_every_page_is_in_the_nav_but_those_of_results(pages: Path) -> None:
    laid = {path.relative_to(pages).as_posix() for path in pages.rglob("*.md")}
    assert {page for page in laid if not page.startswith("results/")} == set(nav())
    listed = (pages / "results.md").read_text()
    assert all(f"]({page})" in listed for page in laid if page.startswith("results/"))


def test_the_reference_names_every_verb_and_every_python_name(pages: Path) -> None:
    commands = (pages / "reference/commands.md").read_text()
    assert {"run", "sweep", "fit", "report", "doctor"} <= set(
        re.findall(r"^## isoflop (\w+)$", commands, re.M)
    )
    assert "--hold-out" in commands
    named = set(re.findall(r"heading: isoflop\.(\w+)", (pages / "reference/api.md").read_text()))
    assert named >= set(isoflop.__all__) - {"__version__"}


@pytest.fixture(scope="module")
def site(pages: Path) -> Path:
    pytest.importorskip("zensical", reason="zensical is not installed (make env)")
    folder = pages.parent
    config = CONFIG.replace("build/docs", "docs").replace("build/site", "site")
    (folder / "mkdocs.yml").write_text(config.replace("[src]", f"[{ROOT / 'src'}]"))
    ended = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict", "-f", folder / "mkdocs.yml"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode == 0, said
    assert re.findall(r"^.*(?:[Ww]arning|griffe|mkdocs).*$", said, re.MULTILINE) == []
    return folder / "site"


@pytest.mark.slow
def test_every_page_is_built_and_every_file_that_it_names_is_there(site: Path) -> None:
    built = list(site.rglob("*.html"))
    assert {page.replace(".md", ".html") for page in nav()} <= {p.relative_to(site).as_posix() for p in built}
    for page in built:
        if "data-md-" not in (text := page.read_text()) or page.name == "404.html":
            continue  # a sweep's own page
        local = {each for each in REFERENCE.findall(text) if ":" not in each}
        assert {each for each in local if not (page.parent / each).exists()} == set(), page


@pytest.mark.slow
def test_nothing_is_fetched_from_another_site(site: Path) -> None:
    fetched = set()
    for page in site.rglob("*.html"):
        for match in FETCHED.finditer(page.read_text()):
            fetched |= {match[1]} if match[1] else set(re.findall(r'href="([^"]+)', match[0]))
    assert fetched
    assert {each for each in fetched if each.startswith(("http:", "https:", "//"))} == set()
    styles = " ".join(path.read_text() for path in site.rglob("*.css"))
    assert not re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//[^)]*", styles)


@pytest.fixture
def address(site: Path) -> Iterator[str]:
    """Where the site is served, as its search asks for."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing on standard error."""

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=site)
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.slow
@pytest.mark.browser
def test_a_browser_asks_this_site_alone_finds_words_and_fits_a_phone(address: str) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    asked: list[str] = []
    with playwright.sync_playwright() as started:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = started.chromium.launch(executable_path=CHROMIUM, args=flags)
        page = browser.new_page(viewport={"width": 390, "height": 800})
        page.on("request", lambda request: asked.append(request.url))
        for name in ("index", "quickstart", "fitting", "reference/api", "results/digits-cpu"):
            page.goto(f"{address}/{name}.html", wait_until="networkidle")
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= 390, f"{name} is {wide} pixels wide on a phone"
        page.set_viewport_size({"width": 1280, "height": 900})
        page.goto(f"{address}/index.html", wait_until="networkidle")
        page.keyboard.press("Control+k")
        page.get_by_role("combobox").or_(page.locator("input[type=text]:visible")).first.wait_for(
            timeout=60_000
        )
        page.keyboard.type("leverage")
        page.get_by_text("Uncertainty").first.wait_for(timeout=60_000)
        browser.close()
    assert asked
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
