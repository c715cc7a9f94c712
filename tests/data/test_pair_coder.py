"""Both sides become ids and come back; the vocabularies are the training part's; a saved coder is the same one."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riverrun.data.pair_batch import BEGIN, END, FIRST, UNKNOWN
from riverrun.data.pair_coder import PairCoder, kind_of, learn
from riverrun.data.pair_options import PairOptions
from riverrun.errors import ModelError, OptionError

SOURCES = ["the cat sat", "a dog ran off", "the dog sat", "a cat's dog"]
TARGETS = ["die Katze saß", "ein Hund lief weg", "der Hund saß", "der Hund einer Katze"]


def coder(source: str = "words", target: str = "words", **options: object) -> PairCoder:
    chosen = PairOptions(source_tokens=source, target_tokens=target, **options)  # type: ignore[arg-type]
    return learn(SOURCES, TARGETS, "tsv", chosen)


@pytest.mark.parametrize("kind", ["chars", "words", "spaces", "bpe"])
def test_texts_come_back_from_their_ids(kind: str) -> None:
    target = coder(kind, kind).target
    ids, lengths = target.encode(TARGETS, end=True)
    assert ids.min() >= END
    assert lengths.sum() == len(ids)
    pieces = np.split(ids, np.cumsum(lengths)[:-1])
    assert [piece[-1] for piece in pieces] == [END] * len(TARGETS)
    assert [target.decode(piece) for piece in pieces] == TARGETS
    assert [target.decode([*piece[:-1], END, FIRST]) for piece in pieces] == TARGETS


@settings(max_examples=100, deadline=None)
@given(st.text(st.sampled_from(" ab'.,-ß日"), min_size=1, max_size=30))
def test_every_text_that_was_learnt_comes_back(text: str) -> None:
    for kind in ("chars", "words", "spaces"):
        made = learn([text, "x"], ["y", "z"], "tsv", PairOptions(source_tokens=kind, target_tokens="chars"))
        assert made.source.decode(made.source.encode([text]).ids) == text


def test_a_first_word_is_the_token_that_it_is_elsewhere() -> None:
    side = coder("spaces", "spaces").source
    ids = side.encode(["dog the dog"]).ids
    assert ids[0] == ids[2]
    assert side.tokens(ids) == ["dog", "the", "dog"]


@pytest.mark.parametrize("kind", ["chars", "words", "spaces"])
def test_what_was_never_seen_is_unknown_and_shown_as_such(kind: str) -> None:
    side = coder(kind, kind).source
    text = "the q cat"
    ids = side.encode([text]).ids
    assert (ids == UNKNOWN).sum() == 1
    assert side.unknown(text) == ["q"]
    assert side.unknown("the cat") == []
    assert side.decode(ids) == "the <unk> cat"


def test_sub_words_can_write_everything() -> None:
    side = coder("bpe", "bpe").source
    assert side.decode(side.encode(["日本 q!"]).ids) == "日本 q!"
    assert side.unknown("日本 q!") == []
    assert side.size == side.tokenizer.size + FIRST


def test_the_first_ids_are_shown_by_name() -> None:
    side = coder().target
    assert side.tokens([BEGIN, END, UNKNOWN]) == ["<begin>", "<end>", "<unk>"]
    chars = coder("chars", "chars").source
    assert chars.tokens(chars.encode(["a d"]).ids) == ["a", "␣", "d"]


@pytest.mark.parametrize(
    ("format", "reverse", "kinds"),
    [("cmudict", False, ("chars", "spaces")), ("cmudict", True, ("spaces", "chars")), ("scan", False, ("spaces",) * 2)],
)
def test_a_format_has_its_tokens(format: str, reverse: bool, kinds: tuple[str, str]) -> None:
    made = learn(["ab c"], ["de f"], format, PairOptions(reverse=reverse))
    assert (made.source.tokenizer.kind, made.target.tokenizer.kind) == kinds


def test_other_texts_show_which_tokens_suit_them() -> None:
    assert kind_of(["tomato", "cat"] * 50 + ["two words"]) == "chars"
    assert kind_of(["K AE T", "T AH M"] * 100) == "spaces"
    assert kind_of(["K AE T", "T AH M"]) == "bpe"  # seen too seldom to be symbols
    assert kind_of(SOURCES * 100) == "spaces"
    assert kind_of([f"word{i} and word{i + 1}" for i in range(1000)]) == "bpe"


def test_vocabularies_may_be_limited_and_shared() -> None:
    assert coder(source_vocabulary=5).source.size == 5 + FIRST - 1
    assert coder(target_vocabulary=4).target.size == 4 + FIRST - 1
    assert coder(min_count=2).source.unknown("the cat ran off") == ["cat", "off", "ran"]
    shared = coder(shared_vocabulary=True)
    assert shared.shared
    assert not coder().shared
    assert shared.source.encode(["Hund dog"]).ids.tolist() == shared.target.encode(["Hund dog"]).ids.tolist()
    with pytest.raises(
        OptionError, match="shared_vocabulary: both sides need the same tokens, and these are chars and"
    ):
        learn(["ab", "c"], TARGETS, "tsv", PairOptions(shared_vocabulary=True))


def test_copies_lead_to_the_same_token_on_the_other_side() -> None:
    made = learn(["the cat Hund"], ["Hund the"], "tsv", PairOptions(source_tokens="spaces", target_tokens="spaces"))
    source, target = made.source.encode(["the cat Hund q"]).ids, made.target.encode(["the Hund"]).ids
    assert made.copies[source].tolist() == [target[0], -1, target[1], -1]
    assert made.copies[[BEGIN, END]].tolist() == [-1, -1]


@pytest.mark.parametrize("kind", ["spaces", "words"])
def test_what_the_target_s_vocabulary_lacks_is_lent_by_its_source(kind: str) -> None:
    options = PairOptions(source_tokens=kind, target_tokens=kind, min_count=2)
    made = learn(["call Ann now", "call Bob now"], ["hello Ann", "hello Ann", "hello Bob"], "tsv", options)
    text = "now Zoë Ann Zoë call"
    ids, lent = made.copied(text, made.source.encode([text]).ids)
    V, ann = made.target.size, int(made.target.encode(["Ann"]).ids[0])
    assert ids.tolist() == [V, V + 1, ann, V + 1, V + 2]  # the source never saw Ann twice, the target did
    assert lent == [" now", " Zoë", " call"]
    [target] = made.target.encode(["hello Zoë Max Ann"], end=True).apart()
    found = made.borrowed("hello Zoë Max Ann", target, lent)
    assert found.tolist() == [target[0], V + 1, UNKNOWN, ann, END]
    assert made.target.decode(found, lent) == "hello Zoë <unk> Ann"
    assert made.target.tokens(found[:2], lent) == ["hello", "Zoë"]


def test_a_token_of_another_kind_is_not_lent() -> None:
    made = learn(["ab cd", "ab"], ["a b", "b a"], "tsv", PairOptions(source_tokens="words", target_tokens="chars"))
    assert made.copied("zz", made.source.encode(["zz"]).ids)[1] == []


def test_the_longest_source_is_known() -> None:
    assert coder("chars", "chars").longest == max(map(len, SOURCES))
    assert coder().longest == 4


def test_a_saved_coder_is_read_back() -> None:
    made = coder("words", "bpe")
    files = made.save()
    again = PairCoder.load(files)
    assert set(files) == {"source.json", "target.json", "pairs.json"}
    assert again.facts == made.facts
    for ours, its in ((made.source, again.source), (made.target, again.target)):
        assert ours.encode(SOURCES).ids.tolist() == its.encode(SOURCES).ids.tolist()


def test_a_broken_coder_is_told() -> None:
    files = coder().save()
    with pytest.raises(ModelError, match=r"target.json: missing"):
        PairCoder.load({name: data for name, data in files.items() if name != "target.json"})
    with pytest.raises(ModelError, match=r"pairs.json: not what riverrun wrote"):
        PairCoder.load({**files, "pairs.json": b"{}"})
    with pytest.raises(ModelError, match=r"pairs.json: not what riverrun wrote"):
        PairCoder.load({**files, "pairs.json": json.dumps({"format": 3, "shared": True, "longest": 2}).encode()})
