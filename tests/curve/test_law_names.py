"""Files with the names that laws had before are read under today's."""

import json
from pathlib import Path

import msgspec
import pytest

from isoflop import record
from isoflop.curve import law_names, result
from isoflop.curve.fit import Method
from isoflop.curve.joint.laws import JOINT_LAWS
from isoflop.curve.laws import LAWS

RESULTS = Path(__file__).parents[2] / "results"


def test_every_old_name_leads_to_a_law_of_today():
    assert set(law_names.OLD_LAW_NAMES.values()) <= set(LAWS)
    assert not set(law_names.OLD_LAW_NAMES) & set(LAWS)


def test_a_law_in_several_resources_is_pointed_to_its_option():
    assert tuple(JOINT_LAWS) == law_names.OF_SEVERAL_RESOURCES
    for name in JOINT_LAWS:
        with pytest.raises(ValueError, match=f"{name} is a law in several resources.*say --law {name}"):
            Method(laws=("power_law", name)).check()


@pytest.mark.parametrize("name", ["digits-cpu", "lr-transfer"])
def test_a_committed_fit_is_read_with_names_of_today(name, tmp_path):
    path = RESULTS / name / "fit.json"
    fits = result.read_fits(path)
    names = [fit.law for fit in fits.reports[0].fits]
    assert names == list(LAWS)[: len(names)]
    forecasts = [report.forecast for report in fits.reports if report.forecast is not None]
    assert {member.law for forecast in forecasts for member in forecast.members} <= set(LAWS)
    # The same file under the old names is read to the same result.
    old = {today: before for before, today in law_names.OLD_LAW_NAMES.items()}
    content = json.loads(msgspec.json.encode(fits))
    for report in content["reports"]:
        for entry in [*report["fits"], *(report["forecast"] or {"members": []})["members"]]:
            entry["law"] = old.get(entry["law"], entry["law"])
    assert "polynomial" in json.dumps(content)
    (tmp_path / "old.json").write_text(json.dumps(content))
    assert result.read_fits(tmp_path / "old.json") == fits
    result.write_fits(fits, tmp_path / "fit.json")
    assert result.read_fits(tmp_path / "fit.json") == fits


@pytest.mark.parametrize("text", ["[]", '{"reports": 3}', '{"reports": [{"fits": []}]}', '{"reports": [1]}'])
def test_content_of_another_structure_is_still_refused_as_damaged(text, tmp_path):
    (tmp_path / "fit.json").write_text(text)
    with pytest.raises(record.RecordError, match="damaged"):
        result.read_fits(tmp_path / "fit.json")
