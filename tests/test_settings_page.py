"""docs/settings.md is what `make settings` would write now."""

import importlib.util
from pathlib import Path

from isoflop.config import catalog

SCRIPT = Path(__file__).parents[1] / "scripts" / "settings_page.py"


def test_the_page_of_settings_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("settings_page", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    page = script.PAGE.read_text(encoding="utf-8")
    assert page == script.page(), "run make settings"
    assert all(f"| `{key.key}` |" in page for key in catalog.all_keys())
