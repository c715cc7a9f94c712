"""CoNLL files: every layout is read, nothing but the tags is changed, and a broken line is named."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from riverrun.data.conll import Broken, Layout, Sentence, filled, layout, sentences
from riverrun.errors import OptionError

CONLLU = """# newdoc id = d1
# text = Sie gehen zum Haus, und er liest.

# sent_id = 1
1\tSie\tsie\tPRON\tPPER\tCase=Nom\t2\tnsubj\t_\t_
2\tgehen\tgehen\tVERB\tVVFIN\t_\t0\troot\t_\t_
3-4\tzum\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No
3\tzu\tzu\tADP\tAPPR\t_\t5\tcase\t_\t_
4\tdem\tder\tDET\tART\tCase=Dat\t5\tdet\t_\t_
5\tHaus\tHaus\tNOUN\tNN\tCase=Dat\t2\tobl\t_\t_
5.1\tgeht\tgehen\tVERB\t_\t_\t_\t_\t2:conj\t_
5.2\ter\ter\tPRON\t_\t_\t_\t_\t2:conj\t_

# sent_id = 2
1\tEr\ter\tPRON\tPPER\tCase=Nom\t2\tnsubj\t_\t_
2\tliest\tlesen\t_\tVVFIN\t_\t0\troot\t_\t_


# the end
"""
CONLL2000 = "Boeing NNP B-NP\n's POS B-NP\n747 CD I-NP\n. . O\n\nRockwell NNP B-NP\nsaid VBD B-VP\n"
CONLL2003 = "-DOCSTART- -X- O O\n\nEU NNP I-NP I-ORG\n# NN I-NP O\n\n"
PLUS = "# global.columns = ID FORM UPOS NER\n1\tParis\tPROPN\tB-LOC\n2\tsleeps\tVERB\tO\n"


def rows(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def read(text: str, column: str = "", *, plus: bool = False, tagged: bool = True) -> tuple[Layout, list]:
    form, table = layout(iter(rows(text)), column, plus=plus)
    return form, list(sentences(table, form, "f", tagged=tagged))


def test_conllu_has_words_without_ranges_and_empty_nodes():
    form, found = read(CONLLU)
    assert form.described == "CoNLL-U, column upos"
    assert [one.words for one in found] == [("Sie", "gehen", "zu", "dem", "Haus"), ("Er", "liest"), ()]
    assert found[0].tags == ("PRON", "VERB", "ADP", "DET", "NOUN")
    assert found[1].tags == ("PRON", ""), "an underscore in upos is no tag"
    assert found[0].line == 1
    assert [found[0].place(3), found[1].place(0)] == ["f:9", "f:15"]


@pytest.mark.parametrize(
    ("column", "tags"),
    [
        ("xpos", ("PPER", "VVFIN", "APPR", "ART", "NN")),
        ("lemma", ("sie", "gehen", "zu", "der", "Haus")),
        ("deprel", ("nsubj", "root", "case", "det", "obl")),
        ("feats", ("Case=Nom", "_", "_", "Case=Dat", "Case=Dat")),
        ("misc", ("_",) * 5),
        ("UPOS", ("PRON", "VERB", "ADP", "DET", "NOUN")),
        ("5", ("PPER", "VVFIN", "APPR", "ART", "NN")),
        ("last", ("_",) * 5),
    ],
)
def test_any_column_of_conllu_can_be_the_tags(column, tags):
    assert read(CONLLU, column)[1][0].tags == tags


def test_a_word_that_is_an_underscore_may_have_one_as_its_lemma():
    line = "1\t_\t_\tPUNCT\t_\t_\t0\troot\t_\t_\n"
    assert read(line, "lemma")[1][0].tags == ("_",)
    assert read(line, "xpos")[1][0].tags == ("_",)


def test_plain_columns_have_the_tag_last_or_where_it_is_said():
    form, found = read(CONLL2000)
    assert (form.width, form.described) == (3, "3 columns, the tag in column 3")
    assert [one.words for one in found] == [("Boeing", "'s", "747", "."), ("Rockwell", "said")]
    assert found[0].tags == ("B-NP", "B-NP", "I-NP", "O")
    assert read(CONLL2000, "2")[1][1].tags == ("NNP", "VBD")


def test_docstart_is_kept_and_not_tagged_and_a_hash_may_be_a_word():
    _, found = read(CONLL2003)
    assert [(one.words, one.tags) for one in found] == [(("EU", "#"), ("I-ORG", "O"))]
    commented = "# a first comment\nEU NNP B-ORG\n\n# another one that is longer\nEU NNP B-ORG\n"
    assert [one.words for one in read(commented)[1]] == [("EU",), ("EU",)]


def test_conllu_plus_names_its_columns_in_its_first_line():
    form, found = read(PLUS, "ner")
    assert form.described == "CoNLL-U Plus, column ner"
    assert found[0].tags == ("B-LOC", "O")
    with pytest.raises(OptionError, match="expected one of upos, ner in CoNLL-U, got 'xpos'"):
        read(PLUS, "xpos")


def test_between_tabs_a_word_may_have_spaces_and_between_spaces_wide_ones():
    assert read("New York\tB\nis\tO\n")[1][0].words == ("New York", "is")
    assert read("a\u3000b X\n c  Y \n")[1][0].words == ("a\u3000b", "c")


@pytest.mark.parametrize("text", [CONLLU, CONLL2000, CONLL2003, PLUS, CONLLU.replace("\n", "\r\n"), CONLL2000 + "\n\n"])
def test_filling_in_the_file_s_own_tags_gives_the_file(text):
    found = read(text)[1]
    assert "".join("".join(one.lines) for one in found) == text
    tags = [[tag or "_" for tag in one.tags] for one in found]
    assert "".join(filled(one, tag) for one, tag in zip(found, tags, strict=True)) == text


def test_only_the_column_is_changed():
    found = read(CONLLU, "xpos")[1]
    text = "".join(filled(one, [f"T{n}" for n, _ in enumerate(one.words)]) for one in found)
    expected = CONLLU
    for old, new in (("PPER", "T0"), ("VVFIN", "T1"), ("APPR", "T2"), ("ART", "T3"), ("NN", "T4")):
        expected = expected.replace(f"\t{old}\t", f"\t{new}\t")
    assert text == expected
    one = read("a  b   X\n", "3")[1][0]
    assert filled(one, ["Y"]) == "a  b   Y\n", "spaces stay as they were"


def test_tags_that_are_missing_become_a_last_column():
    form = Layout((), 2, "", 0, 2)
    found = list(sentences(rows("EU NNP\nis VBZ\n"), form, tagged=False))
    assert found[0].tags == ("", "")
    assert filled(found[0], ["A", "B"]) == "EU NNP A\nis VBZ B\n"
    alone = list(sentences(rows("EU\n\nis\n"), Layout((), 1, "", 0, 1), tagged=False))
    assert "".join(filled(one, ["A"]) for one in alone) == "EU A\n\nis A\n"
    more = next(iter(sentences(rows("EU NNP X\n"), form, tagged=False)))
    assert isinstance(more, Broken), "its last column would be written over"


def test_the_first_line_may_be_the_broken_one():
    _, found = read("a\nb X\n\nc Y\n\nd X\n")
    assert (found[0].line, found[0].wrong) == (1, "expected 2 columns, got 1")
    assert [one.words for one in found[1:]] == [("c",), ("d",)]
    assert read(CONLLU.replace("1\tSie\t", "Sie\t", 1))[1][0].line == 5


def test_a_word_may_be_a_wide_space_or_one_that_does_not_break():
    _, found = read("\u3000\tX\n\u00a0\tY\n\nb\tX\n")
    assert found[0].words == ("\u3000", "\u00a0")
    _, found = read("\u3000\n\u00a0\n", tagged=False)
    assert found[0].words == ("\u3000", "\u00a0")


def test_conllu_plus_may_have_no_numbers():
    form, found = read("# global.columns = FORM UPOS\n# a\nParis\tPROPN\nsleeps\t_\n\n", plus=True)
    assert not form.numbered
    assert (found[0].words, found[0].tags) == (("Paris", "sleeps"), ("PROPN", ""))


@pytest.mark.parametrize(
    ("old", "new", "line", "wrong"),
    [
        ("2\tgehen\tgehen\t", "2\tgehen\t", 6, "expected 10 tab-separated columns, got 9"),
        ("2\tgehen\t", "3\tgehen\t", 6, "expected word 2, got 3"),
        ("2\tgehen\t", "x\tgehen\t", 6, "expected a word's number (1, 2-3 or 4.1), got 'x'"),
        ("3-4\t", "4-5\t", 7, "expected the words of a token from 3 on, got 4-5"),
        ("3-4\t", "3-3\t", 7, "expected the words of a token from 3 on, got 3-3"),
        ("5.2\t", "5.3\t", 12, "expected word 6 or the empty node 5.2, got 5.3"),
        ("5\tHaus\t", "5\t\t", 10, "expected a word in column 2, got nothing"),
        ("\tADP\t", "\t\t", 8, "expected a tag in column 4, got nothing"),
    ],
)
def test_a_broken_line_of_conllu_is_named_and_the_other_sentences_are_read(old, new, line, wrong):
    assert old in CONLLU
    found = read(CONLLU.replace(old, new, 1))[1]
    assert isinstance(found[0], Broken)
    assert (found[0].line, found[0].wrong) == (line, wrong)
    assert "".join(found[0].lines).startswith("# newdoc")
    assert found[1].words == ("Er", "liest")


@pytest.mark.parametrize(
    ("text", "line", "wrong"),
    [
        ("a X\nb\n\nc X\n", 2, "expected 2 columns, got 1"),
        ("a b X\nc d e X\n\nc d X\n", 2, "expected 3 columns, got 4"),
        ("a\tX\n\tX\n\nc\tX\n", 2, "expected a word in column 1, got nothing"),
        ("a\tX\nb\t\n\nc\tX\n", 2, "expected a tag in column 2, got nothing"),
    ],
)
def test_a_broken_line_of_columns_is_named(text, line, wrong):
    broken, whole = read(text)[1]
    assert (broken.line, broken.wrong) == (line, wrong)
    assert isinstance(whole, Sentence)


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        (CONLLU, "upso", "expected one of lemma, upos, .* got 'upso'. Did you mean 'upos'"),
        (CONLLU, "head", "got 'head', which holds no tags"),
        (CONLLU, "11", "got '11'"),
        (CONLL2000, "upos", "expected a number from 2 to 3 or last, as the columns have no names, got 'upos'"),
        (CONLL2000, "4", "expected a number from 2 to 3"),
        (CONLL2000, "1", "expected a number from 2 to 3"),
    ],
)
def test_a_column_that_holds_no_tags_is_refused(text, column, said):
    with pytest.raises(OptionError, match=said):
        read(text, column)


@pytest.mark.skipif("RIVERRUN_DATA" not in os.environ, reason="RIVERRUN_DATA is not set")
def test_english_ewt_comes_back_as_it_is():
    path = Path(os.environ["RIVERRUN_DATA"]) / "tag" / "ud-english-ewt" / "en_ewt-ud-test.conllu.gz"
    text = gzip.decompress(path.read_bytes()).decode()
    _, found = read(text)
    assert len(found) == 2077, "as its page says"
    assert "".join(filled(one, one.tags) for one in found) == text
