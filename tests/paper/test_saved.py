import dataclasses

import pytest

from isoflop.paper import saved
from isoflop.paper.section import Section


@dataclasses.dataclass(frozen=True)
class _Found:
    name: str
    value: float | None


def test_what_is_written_is_read_in_the_order_of_the_page(tmp_path):
    for name in ("growth", "claims"):
        section = Section(name, name.title(), ("words",), (), (), ())
        saved.write(tmp_path, _Found(name, None), section, [_Found("a", 1.5), _Found("b", None)], "isoflop")
    assert [s.section.name for s in saved.sections(tmp_path)] == ["claims", "growth"]
    assert saved.result(tmp_path, "growth", _Found) == _Found("growth", None)
    assert saved.result(tmp_path, "theory", _Found) is None
    assert (tmp_path / "growth.csv").read_text() == "name,value\na,1.5\nb,\n"


@pytest.mark.parametrize("words", ["{", "[]", '{"schema": 99}', '{"schema": 1}'])
def test_a_damaged_file_says_what_to_run(tmp_path, words):
    (tmp_path / "growth.json").write_text(words)
    with pytest.raises(ValueError, match=r"run isoflop paper growth again"):
        saved.sections(tmp_path)
