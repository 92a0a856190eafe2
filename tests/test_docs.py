from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path

import pytest

import isoflop

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("results/*/README.md"),
        *ROOT.glob("*/README.md"),
    ]
)
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_link_is_broken(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if not target.startswith("https://"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_readme_is_one_screen() -> None:
    assert len(README.splitlines()) <= 60
    assert len(re.findall(r"!\[", README)) == 1
    assert len(re.findall(r"(?<!!)\[[^\]]*\]\(", README)) == 5
    assert len(re.findall(r"^\$ ", README, re.MULTILINE)) == 2


def test_the_list_of_pages_names_every_page() -> None:
    index = (ROOT / "docs/index.md").read_text()
    pages = {path.name for path in ROOT.glob("docs/*.md")} - {"index.md"}
    assert {page for page in pages if f"]({page})" not in index} == set()


def test_the_sections_that_the_page_on_the_page_names_exist() -> None:
    named = re.findall(r"(?<!\*)\*([A-Z][^*]+)\*(?!\*)", (ROOT / "docs/reading.md").read_text())
    template = (ROOT / "src/isoflop/report/page.html.j2").read_text()
    assert len(named) > 7
    assert [title for title in named if title not in template] == []


def grouped_names(docstring: str) -> list[str]:
    """The names of a docstring's Args, of which one line may have several: "width, depth: ..."."""
    args = re.search(r"^( *)Args:\n((?:\1 +.*\n|\n)+)", f"{docstring}\n", re.MULTILINE)
    lines = (
        re.findall(r"^ {4}(?! )([\w*, ]+):", re.sub(rf"(?m)^{args[1]}", "", args[2]), re.MULTILINE)
        if args
        else []
    )
    return [name.strip().lstrip("*") for line in lines for name in line.split(",")]


def test_arguments_that_the_reference_names_exist() -> None:
    assert grouped_names(
        "X.\n\nArgs:\n    a, b: two.\n        More: c.\n    d: one.\n\nRaises:\n    E: f.\n"
    ) == ["a", "b", "d"]
    checked = 0
    for name, home in isoflop._HOMES.items():
        tree = ast.parse(Path(importlib.util.find_spec(home).origin).read_text())
        (node,) = (each for each in tree.body if getattr(each, "name", None) == name)
        members = node.body if isinstance(node, ast.ClassDef) else [node]
        functions = [each for each in members if isinstance(each, ast.FunctionDef)]
        of_class = ast.get_docstring(node) if isinstance(node, ast.ClassDef) else None
        for function in functions:
            known = {
                a.arg for a in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
            }
            known |= {a.arg for a in (function.args.vararg, function.args.kwarg) if a}
            text = of_class if function.name == "__init__" and of_class else ast.get_docstring(function)
            said = grouped_names(text or "")
            checked += len(said)
            assert set(said) <= known, f"{name}.{function.name}: {set(said) - known}"
    assert checked > 40


def test_every_script_and_benchmark_that_a_page_names_exists() -> None:
    pages = [*PAGES, *ROOT.glob("scripts/*.*"), *ROOT.glob("benchmarks/*.py")]
    names = {
        name for page in pages for name in re.findall(r"\b(?:scripts|benchmarks)/\w+\.\w+", page.read_text())
    }
    assert names
    assert not [name for name in names if not (ROOT / name).is_file()]


def test_the_map_names_every_module_and_folder() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    inside = text[text.index("## Map") : text.index("## Docs")]
    for name in ("benchmarks", "scripts", "examples", "slurm", "conf", "containers", "docs", "results"):
        assert re.search(rf"^    {name}/\s", inside, re.MULTILINE), name
    for path in (ROOT / "src/isoflop").iterdir():
        if path.name not in ("__init__.py", "__main__.py", "__pycache__", "py.typed"):
            assert re.search(rf"^\s+{re.escape(path.name)}/?\s", inside, re.MULTILINE), path.name


def test_committed_results_carry_their_evidence() -> None:
    # Other folders under results/ are ignored by git: what whoever runs these tests has measured.
    committed = re.findall(r"^!/results/([^/]+-[^/]+)/$", (ROOT / ".gitignore").read_text(), re.MULTILINE)
    assert "cifar10-h200-fixed-recipe" in committed
    for name in committed:
        if (ROOT / "results" / name).is_dir():
            text = (ROOT / "results" / name / "README.md").read_text()
            assert re.search(r"^Evidence: ", text, re.MULTILINE), name
