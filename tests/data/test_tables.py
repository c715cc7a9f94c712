"""Rows of tables carry their text and part, or the line and what is wrong with it."""

from pathlib import Path

import pytest

from riverrun.data import DataOptions, read
from riverrun.data.tables import Row, rows_of, table_of
from riverrun.errors import DataError


def from_csv(text: str, field: str = "text", tabs: bool = False) -> list[Row]:
    return list(rows_of(iter(text.splitlines(keepends=True)), "t.csv", ".tsv" if tabs else ".csv", field))


def from_json(*lines: str, field: str = "text") -> list[Row]:
    return list(rows_of(iter(lines), "t.jsonl", ".jsonl", field))


def test_csv_follows_its_quotes_and_counts_lines() -> None:
    assert from_csv('id,text\n1,"a, ""b""\nc"\n\n2,d\n') == [Row(2, 'a, "b"\nc'), Row(5, "d")]


def test_tsv_takes_quotation_marks_as_text() -> None:
    assert from_csv('text\tn\n"Hm, he said\t1\nb\t2\n', tabs=True) == [Row(2, '"Hm, he said'), Row(3, "b")]


def test_a_missing_column_is_told_with_those_there_are() -> None:
    with pytest.raises(DataError, match=r"t.csv:1: no column 'text' in the header; it has 'texts', 'n'.*mean 'texts'"):
        from_csv("texts,n\n")


def test_rows_with_another_number_of_columns_are_wrong_and_the_rest_goes_on() -> None:
    rows = from_csv("text,n\na,1\nb\nc,3,4\nd,5\n")
    assert [row.text for row in rows if row.wrong is None] == ["a", "d"]
    assert [(row.line, row.wrong) for row in rows if row.wrong] == [
        (3, "expected 2 columns as in the header, got 1"),
        (4, "expected 2 columns as in the header, got 3"),
    ]


def test_a_quote_that_is_never_closed_is_wrong() -> None:
    good, bad = from_csv('text\ngood\n"a\nb\nc\n')
    assert good == Row(2, "good")
    assert (bad.line, bad.lines) == (3, 3)  # where the quote is, and what is lost with it
    assert "unexpected end of data; from a quote in it on, 3 lines are none" in str(bad.wrong)
    bad, good = from_csv('text\n"a\n"b" c\nd\n')
    assert (bad.line, bad.lines, good) == (2, 2, Row(4, "d"))


def test_semicolons_and_tabs_stand_between_columns_where_the_header_has_no_comma() -> None:
    assert from_csv('n;text\n1;"a; b, c"\n') == [Row(2, "a; b, c")]
    assert from_csv("n\ttext\n1\ta, b\n") == [Row(2, "a, b")]
    assert from_csv("text,a;b\na,1\n") == [Row(2, "a")]


def test_a_tsv_has_quotes_where_its_whole_header_is_quoted_and_is_told_elsewhere() -> None:
    assert from_csv('"text"\t"n"\n"a ""b""\nc"\t"1"\n', tabs=True) == [Row(2, 'a "b"\nc')]
    rows = from_csv('text\n"he said ""no"""\n"no"\n"a" and ""\n""\n"\n', tabs=True)
    assert [row.text for row in rows] == ['he said "no"', '"no"', '"a" and ""', '""', '"']
    [first, _] = from_csv('text\tn\n"a\nb"\t1\n', tabs=True)
    assert first.wrong == "expected 2 columns as in the header, got 1; a .tsv has no quotes, so put them into a .csv"


def test_of_columns_with_the_same_name_the_first_one_counts() -> None:
    assert from_csv("text,text\na,b\n") == [Row(2, "a")]


def test_json_lines_have_the_columns_of_their_first_object() -> None:
    found = table_of(iter(["[]\n", '{"a": 1, "b": 2}\n', '{"c": 3}']), "t.jsonl", ".jsonl")
    assert (found.header, found.line) == (["a", "b"], 2)
    assert [record.wrong is None for record in found.records] == [False, True, True]
    assert table_of(iter(["1"]), "t.jsonl", ".jsonl").header is None


def test_documents_longer_than_csv_allows_by_default_are_read() -> None:
    assert [len(row.text) for row in from_csv("text\n" + "a" * 200_000 + "\n")] == [200_000]


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("{", "expected a JSON object, got '{'"),
        ("[1]", "expected a JSON object, got '[1]'"),
        ("[" * 100_000, "expected a JSON object"),
        ('{"txt": "a"}', "no field 'text'; it has 'txt' (name it with --field). Did you mean 'txt'?"),
        ('{"text": 3}', "field 'text': expected text, got '3'"),
        ('{"text": "a", "split": "banana"}', "split: expected train, valid or test, got 'banana'"),
    ],
)
def test_a_json_row_that_is_not_what_it_should_be_is_wrong(line: str, wrong: str) -> None:
    good, bad = from_json('{"text": "a"}\n', line)
    assert good == Row(1, "a")
    assert bad.line == 2
    assert wrong in str(bad.wrong)


def test_the_split_column_tells_the_part() -> None:
    assert [row.part for row in from_csv("text,split\na,train\nb,Dev\nc,test\nd,\n")] == ["train", "valid", "test", ""]
    assert from_json('{"text": "a", "split": "validation"}') == [Row(1, "a", "valid")]


def test_a_bad_row_stops_the_reading_unless_bad_rows_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(b'{"text": "a"}\n{"text": "\xe9"}\n{"text": "\\ud800"}\n{"text": "b"}\n')
    with pytest.raises(DataError, match=r"t.jsonl: byte 24 \(0xE9, line 2\)"):
        list(read([path], DataOptions()).pieces())
    corpus = read([path], DataOptions(skip_bad_rows=True))
    assert [piece.text for piece in corpus.pieces()] == ["a", "b"]
    assert [reason.split(": ", 1)[1] for reason in corpus.files[0].reasons] == [
        "byte 0xE9 cannot be decoded",
        "it has half a surrogate pair, U+D800",
    ]
    path.write_text('{"text": "a"}\n{"text": 1}\n')
    with pytest.raises(DataError, match=r"t.jsonl:2: field 'text': expected text, got '1'. Mend it.*--skip-bad-rows"):
        list(read([path], DataOptions()).pieces())
