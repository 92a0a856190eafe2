import importlib.util
import re
from pathlib import Path

import pytest
import torchvision
from torchvision import models

from isoflop.paper import torchvision_weights
from isoflop.paper.torchvision_weights import COLUMNS, read_weights_table

SCRIPT = Path(__file__).parents[2] / "scripts" / "torchvision_weights.py"


@pytest.fixture(scope="module")
def classifiers():
    return torchvision_weights.read_models()


@pytest.fixture(scope="module")
def installed_rows():
    """The rows that the generator makes from the installed torchvision."""
    spec = importlib.util.spec_from_file_location("generate_torchvision_weights", SCRIPT)
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    return generator.metadata_rows()


def _by_weights(rows):
    return {(row["model"], row["weights"]): row for row in rows}


def test_the_shipped_table_is_what_the_installed_torchvision_says(installed_rows):
    """Another version may add or lack weights; those that both know have the same numbers."""
    version, rows = read_weights_table()
    shipped, installed = _by_weights(rows), _by_weights(installed_rows)
    known_to_both = shipped.keys() & installed.keys()
    assert len(known_to_both) >= 100
    assert {key: shipped[key] for key in known_to_both} == {key: installed[key] for key in known_to_both}
    if torchvision.__version__.partition("+")[0] == version:
        assert rows == installed_rows


def test_the_shipped_table_names_its_version_and_lists_weights_once():
    version, rows = read_weights_table()
    assert re.fullmatch(r"0\.\d+\.\d+", version)
    assert all(tuple(row) == COLUMNS for row in rows)
    assert len(_by_weights(rows)) == len(rows) == 115


def test_resnet50_is_as_published(classifiers):
    at = classifiers.names.index("resnet50.IMAGENET1K_V1")
    assert classifiers.error[at] == pytest.approx(1 - 0.76130)
    assert classifiers.compute[at] == pytest.approx(2 * 4.089)
    assert classifiers.parameters[at] == 25_557_032
    assert classifiers.families[at] == "resnet"
    assert classifiers.year[at] == pytest.approx(2015.96, abs=0.01)


def test_every_weight_is_used_or_excluded_with_its_reason(classifiers):
    _, rows = read_weights_table()
    assert len(classifiers.names) + len(classifiers.excluded) == len(rows)
    excluded = {e.run_id for e in classifiers.excluded}
    assert {name for name in excluded if "SWAG" not in name} == {"vgg16.IMAGENET1K_FEATURES"}
    assert len(classifiers.names) == 102
    assert all(0 < e < 1 for e in classifiers.error)
    assert None not in classifiers.year


def test_the_years_are_those_of_torchvisions_own_citations():
    """Where a builder's documentation links to arXiv, it is the paper in our table."""
    checked = set()
    for name in models.list_models(module=models):
        documentation = models.get_model_builder(name).__doc__ or ""
        links = re.findall(r"arxiv\.org/(?:abs|pdf)/(\d{4}\.\d{4,5})", documentation)
        prefix = max((p for p in torchvision_weights.PUBLISHED if name.startswith(p)), key=len, default=None)
        if links and prefix is not None:
            assert torchvision_weights.PUBLISHED[prefix] in links, name
            checked.add(prefix)
    assert len(checked) >= 15


def test_a_model_of_no_known_paper_has_no_year():
    assert torchvision_weights.year_of("brandnew50") is None
