import re

import pytest
from torchvision import models

from isoflop.paper import torchvision_weights


@pytest.fixture(scope="module")
def found():
    return torchvision_weights.read()


def test_resnet50_is_as_published(found):
    at = found.names.index("resnet50.IMAGENET1K_V1")
    assert found.error[at] == pytest.approx(1 - 0.76130)
    assert found.compute[at] == pytest.approx(2 * 4.089)
    assert found.parameters[at] == 25_557_032
    assert found.families[at] == "resnet"
    assert found.year[at] == pytest.approx(2015.96, abs=0.01)


def test_every_weight_is_used_or_left_out_with_its_reason(found):
    known = sum(len(models.get_model_weights(m)) for m in models.list_models(module=models))
    assert len(found.names) + len(found.excluded) == known
    assert all("SWAG" in e.run_id or e.run_id == "vgg16.IMAGENET1K_FEATURES" for e in found.excluded)
    assert all(0 < e < 1 for e in found.error)
    assert None not in found.year


def test_the_years_are_those_of_torchvisions_own_citations():
    """Where a builder's documentation links to arXiv, it is the paper in our table."""
    seen = set()
    for name in models.list_models(module=models):
        words = models.get_model_builder(name).__doc__ or ""
        links = re.findall(r"arxiv\.org/(?:abs|pdf)/(\d{4}\.\d{4,5})", words)
        prefix = max((p for p in torchvision_weights.PUBLISHED if name.startswith(p)), key=len)
        if links:
            assert torchvision_weights.PUBLISHED[prefix] in links, name
            seen.add(prefix)
    assert len(seen) >= 15


def test_a_model_of_no_known_paper_has_no_year():
    assert torchvision_weights.year_of("brandnew50") is None
