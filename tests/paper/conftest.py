import pytest

from isoflop.paper import published


@pytest.fixture(autouse=True)
def _few_quantiles(monkeypatch):
    """A line of a quantile is a linear program: 10 resamples of it say enough here."""
    monkeypatch.setattr(published, "QUANTILE_RESAMPLES", 10)
