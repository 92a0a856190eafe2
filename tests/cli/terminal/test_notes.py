"""Notes on the terminal: each once, in the order of what they change, five unless all are asked for."""

import pytest

from isoflop.cli.terminal import console
from isoflop.cli.terminal import notes as printed
from isoflop.report.text import notes
from isoflop.report.text.notes import Note

SAID = [
    Note("optimum at a bound: log_k is at its least, -3", ("m4",)),
    Note("floor not identified: the interval of E includes 0", ("power_law_floor", "m4")),
    Note("mixed devices: a, b"),
    Note("12 runs at or above chance are left out: the fit is biased downwards at their x"),
    Note("loss rises with x (rank correlation 0.60): the laws are of what falls"),
    Note("--where x > 1: 3 of 4 rows"),
    Note("a note of another kind"),
    Note("loss rises with x, says another axis", of_further_axes=True),
]


@pytest.fixture
def shown(monkeypatch, capsys):
    """shown(**how) -> the lines that notes.show prints in 80 columns."""
    monkeypatch.setattr(console.OUT, "width", 80)

    def run(said=SAID, **how):
        printed.show(said, **how)
        return capsys.readouterr().out.splitlines()

    return run


def test_five_notes_are_shown_what_changes_most_first(shown):
    lines = shown(every=False)
    starts = [line.removeprefix("note: ")[:8] for line in lines if line.startswith("note: ")]
    assert starts == ["--where ", "loss ris", "12 runs ", "a note o", "mixed de"]
    assert lines[-1] == "--notes: 3 more"


def test_all_notes_are_shown_once_each_and_whole(shown):
    long = Note("rows repeat " + "and again " * 40)
    lines = shown([*SAID, *SAID, long], every=True)
    assert len(lines) == len(set(lines)) == len(SAID) + 1
    assert max(map(len, lines)) > 400
    assert "note: power_law_floor, m4: floor not identified: the interval of E includes 0" in lines


def test_a_long_note_is_cut_after_two_lines_and_the_screen_is_kept(shown):
    long = Note("rows repeat " + "and again " * 40)
    lines = notes.lines_of([long, *SAID], 80, most_lines=4, also="; --full: more")
    assert lines[0].startswith("note: --where")
    assert len(lines) <= 4
    assert lines[-1].endswith("more; --full: more")
    cut = shown([long], every=False)
    assert len(cut) == 2
    assert cut[1].endswith(" ...")


def test_notes_of_laws_that_agree_are_one(make_table, make_fits):
    fits = make_fits(make_table())
    texts = [note.text for note in notes.of_file(fits)]
    assert len(texts) == len(set(texts))
