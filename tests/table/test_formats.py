"""Every format gives the same rows; a file that does not read cleanly is refused with its name and line."""

import gzip
import json
import sys
import types
from pathlib import Path

import pandas as pd
import pytest

from isoflop.table import columns, formats

GOOD = "flops,error\n1000,0.4\n10000,0.2\n1e5,0.1\n"
FLOPS, ERRORS = [1e3, 1e4, 1e5], [0.4, 0.2, 0.1]
ROWS = [{"flops": x, "error": y} for x, y in zip(FLOPS, ERRORS, strict=True)]


@pytest.fixture
def load(tmp_path):
    """The rows of a file of this text."""

    def loaded(text: str | bytes, name: str) -> pd.DataFrame:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return formats.read_rows(path)

    return loaded


def numbers(table: pd.DataFrame) -> tuple[list[float], list[float]]:
    flops, errors = (columns.numbers(table[name]).tolist() for name in ("flops", "error"))
    return flops, errors


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", GOOD),
        ("a.CSV", GOOD),
        ("a.csv", "\ufeff" + GOOD),
        ("a.csv", GOOD.replace("\n", "\r\n")),
        ("a.csv", GOOD.replace("\n", "\n\n")),
        ("a.csv", GOOD.replace(",", " , ")),
        ("a.csv", GOOD.replace(",", ";")),
        ("a.csv", GOOD.encode("utf-16")),
        ("a.csv", "sep=;\n" + GOOD.replace(",", ";")),
        ("a.csv", '\ufeff"sep=;"\r\n' + GOOD.replace(",", ";").replace("\n", "\r\n")),
        ("a.csv", "SEP=|\n" + GOOD.replace(",", "|")),
        ("a.csv", "sep=\t\n" + GOOD.replace(",", "\t")),
        ("a.tsv", GOOD.replace(",", "\t")),
        ("a.txt", GOOD.replace(",", "\t")),
        ("a.csv.gz", gzip.compress(GOOD.encode(), mtime=0)),
        ("a.csv", pd.DataFrame(ROWS).to_csv()),
        ("a.json", json.dumps(ROWS)),
        ("a.json", json.dumps(ROWS, indent=2)),
        ("a.json", "\n".join(map(json.dumps, ROWS))),
        ("a.json", pd.DataFrame(ROWS).to_json()),
        ("a.json", pd.DataFrame(ROWS, index=[7, 3, 5]).to_json(indent=1)),
        ("a.json", pd.DataFrame(ROWS).to_json(orient="index")),
        ("a.json", pd.DataFrame(ROWS).to_json(orient="split")),
        ("a.json", pd.DataFrame(ROWS).to_json(orient="records")),
        ("a.json", json.dumps(pd.DataFrame(ROWS).to_dict("list"))),
        ("a.jsonl", json.dumps(pd.DataFrame(ROWS).to_dict("list"))),
        ("a.jsonl", "\n".join(map(json.dumps, ROWS))),
        ("a.ndjson", "\n\n".join(map(json.dumps, ROWS)) + "\n"),
        ("a.jsonl.gz", gzip.compress("\n".join(map(json.dumps, ROWS)).encode(), mtime=0)),
    ],
)
def test_each_format_gives_the_same_rows(load, name, text):
    rows = load(text, name)
    assert numbers(rows) == (FLOPS, ERRORS)
    assert list(rows) == ["flops", "error"]
    assert list(rows.index) == [1, 2, 3]


def test_words_stay_as_written_and_only_the_empty_is_none(load):
    rows = load('name,note\n007,none\n"a, ""b""",\n', "a.csv")
    assert rows.to_numpy().tolist() == [["007", "none"], ['a, "b"', None]]


def test_the_rows_of_pandas_table_schema_and_of_one_run_are_read(load):
    rows = load(pd.DataFrame(ROWS).to_json(orient="table"), "a.json")
    assert numbers(rows) == (FLOPS, ERRORS)
    one = load('{"config": {"flops": 1}, "summary": {"error": 2, "step": 3}}', "a.json")
    assert one.to_dict("records") == [{"config.flops": 1, "summary.error": 2, "summary.step": 3}]


def test_missing_cells_of_columns_by_row_are_none(load):
    rows = load('{"flops": {"0": 1, "1": 2}, "error": {"1": 0.5}}', "a.json")
    assert rows.to_dict("records") == [{"flops": 1, "error": None}, {"flops": 2, "error": 0.5}]


def test_nested_keys_are_joined_by_dots_and_lists_are_text(load):
    rows = load('[{"a": {"b": {"c": 1}}, "l": [1, {"x": 2}]}, {"a": 3}]', "a.json")
    assert rows.to_dict("records") == [
        {"a.b.c": 1, "l": '[1, {"x": 2}]', "a": None},
        {"a.b.c": None, "l": None, "a": 3},
    ]


@pytest.mark.parametrize("index", [None, "run_id"])
def test_parquet(tmp_path, index):
    pytest.importorskip("pyarrow", reason="reading Parquet needs pyarrow")
    path = tmp_path / "a.parquet"
    table = pd.DataFrame(ROWS).assign(run_id=list("abc"), tags=pd.Series([["x"], [], ["y"]], dtype=object))
    (table.set_index(index) if index else table).to_parquet(path)
    rows = formats.read_rows(path)
    assert numbers(rows) == (FLOPS, ERRORS)
    assert rows["run_id"].tolist() == list("abc")
    assert rows["tags"].tolist() == ['["x"]', "[]", '["y"]']
    path.write_bytes(b"PAR1 no more")
    with pytest.raises(ValueError, match=r"a\.parquet: damaged Parquet"):
        formats.read_rows(path)


def test_parquet_without_a_reader_says_what_to_install(load, without):
    without("pyarrow")
    needs = r"Parquet needs pyarrow, which is not installed: pip install 'isoflop\[parquet\]'"
    with pytest.raises(ValueError, match=needs):
        load("", "a.parquet")


def test_a_broken_reader_of_parquet_says_so(load, monkeypatch):
    def broken(path):
        raise ImportError("libarrow.so: cannot open shared object file")

    monkeypatch.setattr(pd, "read_parquet", broken)
    monkeypatch.setitem(sys.modules, "pyarrow", types.ModuleType("pyarrow"))
    with pytest.raises(ValueError, match=r"pyarrow cannot read it: libarrow\.so"):
        load("", "a.parquet")


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("a.xlsx", b"PK", r"no reader for \.xlsx: give \.csv.*save a sheet as CSV"),
        ("runs", GOOD, "no reader for a name without a suffix"),
        ("a.csv", "", "no rows"),
        ("a.csv", "flops,error\n", "no rows"),
        ("a.json", "[]", "no rows"),
        ("a.jsonl", "\n\n", "no rows"),
        ("a.csv", "flops,error\n1,0.5\n2,0.4,7\n", r"row 2 \(line 3\) has 3 fields, the header 2"),
        ("a.csv", "flops,error\n1,0.5\n2\n", r"row 2 \(line 3\) has 1 fields, the header 2"),
        ("a.csv", 'flops,error\n1,0.5\n2,"0.4\n', "line 3: unexpected end of data"),
        ("a.csv", "flops,error,error\n1,0.5,2\n", "two columns are called error: rename one"),
        ("a.csv", b"flops,error\n1,0.5\n2,0.4 \xe9\n", "line 3 is not UTF-8: save it as UTF-8"),
        ("a.csv.gz", b"no gzip", "damaged"),
        ("a.csv.gz", gzip.compress(GOOD.encode(), mtime=0)[:-9], "damaged"),
        ("a.parquet.gz", b"", r"no reader for \.parquet"),
        ("a.json", '[{"flops": 1,', "damaged JSON"),
        ("a.json", '{"flops":\n1}', "a list of objects, or one object a line"),
        ("a.json", "[[1, 2]]", r"row 1 is \[1, 2\], not an object"),
        ("a.json", '{"flops": [1, 2], "error": [1]}', "different lengths: flops 2, error 1: write null"),
        ("a.json", '{"flops": [1, 2], "flops": [1, 2]}', "two columns are called flops: rename one"),
        ("a.json", '[{"flops": 1, "flops": 2}]', "two columns are called flops"),
        ("a.jsonl", '{"flops": 1}\n{"flops": 1, "flops": 2}', "line 2: two columns are called flops"),
        ("a.json", '{"columns": ["a"], "data": [[1, 2]]}', "columns and data do not fit"),
        (
            *("a.json", '{"flops": {"a": 1, "b": 2}, "error": {"a": 1, "b": 2}}'),
            r"rows and of columns cannot be told apart: .*to_json\(orient='records'\)",
        ),
        ("a.csv", "sep=;\nflops;error\n1;0.5\n2;0.4;7\n", r"row 2 \(line 4\) has 3 fields, the header 2"),
        ("a.jsonl", '{"flops": 1}\n{"flops": \n', "line 2: damaged JSON"),
        ("a.jsonl", '{"flops": 1}\n3\n', "line 2 is 3, not an object"),
    ],
)
def test_a_file_that_does_not_read_cleanly_is_refused(load, name, text, match):
    with pytest.raises(ValueError, match=match) as error:
        load(text, name)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


def test_no_such_file(tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        formats.read_rows(tmp_path / "a.csv")


@pytest.mark.parametrize("name", ["excel_sep.csv", "pandas_default_to_json.json"])
def test_the_shared_cases_are_read(name):
    path = Path(__file__).parents[2] / "../shared/cases" / name
    if not path.is_file():
        pytest.skip(f"no {name} in ../shared/cases")
    rows = formats.read_rows(path)
    assert list(rows) == ["flops", "loss"]
    assert len(rows) >= 12
    assert columns.numbers(rows["flops"])[0] == 1e18
