"""Tables of pairs: columns by header or by number, and the line of every row that is none."""

import pytest

from riverrun.data.pair_rows import PairRow
from riverrun.data.pair_tables import csv_rows, json_rows, tab_rows
from riverrun.errors import DataError


def tab(text: str, source: str = "", target: str = "") -> list[PairRow]:
    return list(tab_rows(iter(text.splitlines(keepends=True)), "t.tsv", source, target))


def sides(rows: list[PairRow]) -> list[tuple[str, str]]:
    return [(row.source, row.target) for row in rows if row.wrong is None]


def test_without_a_header_the_first_line_is_a_pair() -> None:
    rows = tab('"Go.\tVa !\n\nRun\tCours\r\n')
    assert [(row.line, row.source, row.target) for row in rows] == [(1, '"Go.', "Va !"), (3, "Run", "Cours")]


def test_a_header_names_columns_and_a_split() -> None:
    rows = tab("id\ttarget\tsource\tsplit\n7\tb\ta\ttest\n8\td\tc\t\n9\td\tc\tmaybe\n")
    assert [(row.line, row.source, row.target, row.part) for row in rows[:2]] == [
        (2, "a", "b", "test"),
        (3, "c", "d", ""),
    ]
    assert (
        rows[2].wrong
        == "split: expected train, valid or test, got 'maybe' (rename the column if it means something else)"
    )


def test_columns_may_be_named_or_numbered() -> None:
    assert sides(tab("fr\ten\nva\tgo\n", "fr", "en")) == [("va", "go")]
    assert sides(tab("1\tgo\tva\n2\trun\tcours\n", "3", "2")) == [("va", "go"), ("cours", "run")]


def test_a_first_line_that_calls_the_sides_by_name_is_a_header() -> None:
    assert sides(tab("fr\tEN\nva\tgo\n")) == [("va", "go")]
    rows = tab("id\tsource\ttarget\tsplit\n7\ta\tb\ttest\n", "2", "3")
    assert [(row.source, row.target, row.part) for row in rows] == [("a", "b", "test")]
    assert sides(tab("va\tgo\n")) == [("va", "go")]


def test_columns_of_a_header_may_be_numbered() -> None:
    text = "id,french,english\n1,va,go\n"
    assert sides(list(csv_rows(iter(text.splitlines(keepends=True)), "t.csv", "3", "french"))) == [("go", "va")]
    with pytest.raises(
        DataError, match=r"no column '4' in the header; it has 'id', 'french', 'english'. .*--target-field"
    ):
        list(csv_rows(iter(text.splitlines(keepends=True)), "t.csv", "1", "4"))


def test_a_third_column_is_passed_over_only_where_it_says_who_wrote_the_pair() -> None:
    assert sides(tab("Go.\tVa !\tCC-BY 2.0 (France) Attribution: x\n")) == [("Go.", "Va !")]
    with pytest.raises(DataError, match=r"t.tsv:1: expected a source, a tab and a target, got 3 columns. Name the two"):
        tab("Go.\tVa !\t3\n")


def test_a_csv_may_have_semicolons_and_a_tsv_has_no_quotes() -> None:
    [row] = csv_rows(iter(["source;target\n", "a, b;c\n"]), "t.csv", "", "")
    assert (row.source, row.target) == ("a, b", "c")
    assert tab('a\tb\n"c\n')[1].wrong == (
        "expected 2 columns as in the first line, got 1; a .tsv has no quotes, so put them into a .csv"
    )


def test_rows_of_another_width_are_wrong_and_the_rest_goes_on() -> None:
    rows = tab("a\tb\nc\nd\te\tf\ng\th\n")
    assert sides(rows) == [("a", "b"), ("g", "h")]
    assert [(row.line, row.wrong) for row in rows if row.wrong] == [
        (2, "expected 2 columns as in the first line, got 1"),
        (3, "expected 2 columns as in the first line, got 3"),
    ]


@pytest.mark.parametrize(
    ("text", "source", "target", "told"),
    [
        ("alone\n", "", "", "t.tsv:1: expected a source, a tab and a target, got 1 column, and no column 2"),
        ("a\tb\n", "1", "3", r"no column 3 \(--target-field\)"),
        ("a\tb\n", "0", "2", r"no column 0 \(--source-field\)"),
        ("fr\ten\nva\tgo\n", "fra", "en", "no column 'fra' in the header; it has 'fr', 'en'. .*Did you mean 'fr'"),
    ],
)
def test_columns_that_are_not_there_are_told(text: str, source: str, target: str, told: str) -> None:
    with pytest.raises(DataError, match=told):
        tab(text, source, target)


def test_csv_needs_a_header_and_follows_its_quotes() -> None:
    text = 'source,target\n"a, b","c ""d"""\n\nonly\n'
    rows = list(csv_rows(iter(text.splitlines(keepends=True)), "t.csv", "", ""))
    assert (rows[0].line, rows[0].source, rows[0].target) == (2, "a, b", 'c "d"')
    assert rows[1].wrong == "expected 2 columns as in the header, got 1"
    with pytest.raises(DataError, match=r"t.csv:1: no column 'target' in the header; it has 'source', 'targets'"):
        list(csv_rows(iter(["source,targets\n"]), "t.csv", "", ""))
    [broken] = csv_rows(iter(["source,target\n", '"a\n']), "t.csv", "", "")
    assert "not a row of a table" in str(broken.wrong)


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("{", "expected a JSON object, got '{'"),
        ("3", "expected a JSON object, got '3'"),
        ('{"source": "a", "targets": "b"}', "no field 'target'; it has 'source', 'targets' (name it: --target-field)"),
        ('{"source": 1, "target": "b"}', "field 'source': expected text, got '1'"),
        ('{"source": "a", "target": []}', "field 'target': expected text, or a list of texts, got '[]'"),
        ('{"source": "a", "target": ["b", 2]}', "or a list of texts"),
        ('{"source": "a", "target": "b", "split": "?"}', "split: expected train, valid or test"),
    ],
)
def test_json_that_is_no_pair_is_wrong(line: str, wrong: str) -> None:
    [row] = json_rows(iter([line]), "source", "target")
    assert wrong in str(row.wrong)


def test_json_may_give_several_references_and_a_part() -> None:
    rows = list(json_rows(iter(["\n", '{"q": "a", "r": ["b", "c"], "split": "test"}']), "q", "r"))
    assert [tuple(row[:4]) for row in rows] == [(2, "a", "b", "test"), (2, "a", "c", "test")]
