import dataclasses

import pytest

from isoflop.paper import saved
from isoflop.paper.section import PaperSection


@dataclasses.dataclass(frozen=True)
class _Result:
    name: str
    value: float | None


def test_what_is_written_is_read_in_the_order_of_the_page(tmp_path):
    for name in ("growth", "claims"):
        section = PaperSection(name, name.title(), ("text",), (), (), ())
        saved.write(
            tmp_path, _Result(name, None), section, [_Result("a", 1.5), _Result("b", None)], "isoflop"
        )
    assert [s.section.name for s in saved.read_sections(tmp_path)] == ["claims", "growth"]
    assert saved.read_result(tmp_path, "growth", _Result) == _Result("growth", None)
    assert saved.read_result(tmp_path, "theory", _Result) is None
    assert (tmp_path / "growth.csv").read_text() == "name,value\na,1.5\nb,\n"


@pytest.mark.parametrize("content", ["{", "[]", '{"schema": 99}', '{"schema": 2}'])
def test_a_damaged_file_says_what_to_run(tmp_path, content):
    (tmp_path / "growth.json").write_text(content)
    with pytest.raises(ValueError, match=r"run isoflop paper growth again"):
        saved.read_sections(tmp_path)


def test_a_section_of_an_earlier_release_is_passed_over_by_the_page_and_refused_by_the_claims(tmp_path):
    """Else no part could be made again in a folder that holds others of an earlier release."""
    (tmp_path / "growth.json").write_text('{"schema": 1, "isoflop_version": "0.1.0"}')
    assert saved.read_sections(tmp_path) == ()
    with pytest.raises(ValueError, match=r"run isoflop paper growth again"):
        saved.read_result(tmp_path, "growth", _Result)
