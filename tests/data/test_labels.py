"""Labels, their numbers, and the coder that is saved with a model."""

from __future__ import annotations

import json

import numpy as np
import pytest

from riverrun.data.label_coder import LabelCoder
from riverrun.data.labelled import Example
from riverrun.data.labelled_batch import LabelledBatches, batch_of, by_length
from riverrun.data.labelled_options import LabelledOptions
from riverrun.data.labels import UNSEEN, Labels
from riverrun.errors import DataError, ModelError, OptionError

TEXTS = ["the cat sat", "a dog ran far away", "The Cat", "cat"]
ONE = [Example(text, (label,)) for text, label in zip(TEXTS, ["x", "y", "x", "y"], strict=True)]


def test_labels_are_numbered_by_name_and_scales_by_number():
    assert Labels.of([Example("", ("10",)), Example("", ("9",))], "one").names == ("10", "9")
    assert Labels.of([Example("", ("10",)), Example("", ("9",))], "ordered").names == ("9", "10")
    labels = Labels("one", ("x", "y"), (1, 1), 2)
    assert labels.targets([Example("", ("y",)), Example("", ("new",))]).tolist() == [1, UNSEEN]
    several = Labels("several", ("x", "y"), (1, 1), 2)
    targets = several.targets([Example("", ("y", "x")), Example("", ()), Example("", ("new", "y"))])
    assert targets.tolist() == [[1, 1], [0, 0], [0, 1]]
    assert several.unseen(Example("", ("new", "y"))) == ["new"]


def test_labels_that_were_numbers_are_in_their_order_and_stay_numbers():
    examples = [Example("a", (name,)) for name in ("10", "9", "2")]
    labels = Labels.from_json(Labels.of(examples, "one", "int").to_json())
    assert (labels.names, labels.as_given()) == (("2", "9", "10"), [2, 9, 10])
    older = labels.to_json().replace(b'"int"', b'"str"')
    assert Labels.from_json(older).as_given() == ["2", "9", "10"]
    with pytest.raises(ModelError, match="not labels that riverrun wrote"):
        Labels.from_json(labels.to_json().replace(b'"int"', b'"date"'))


def test_one_label_alone_is_nothing_to_learn():
    with pytest.raises(DataError, match="the only label is 'x'"):
        Labels.of([Example("a", ("x",))] * 3, "one")
    with pytest.raises(DataError, match="there is no label"):
        Labels.of([Example("a", ())], "several")


@pytest.mark.parametrize("tokens", ["auto", "chars", "bytes", "words", "bpe"])
@pytest.mark.parametrize("lower", [False, True])
def test_a_coder_survives_its_files(tokens, lower):
    coder = LabelCoder.of(ONE, LabelledOptions(tokens=tokens, lower=lower, longest=4))
    again = LabelCoder.of_files(coder.files())
    for text in [*TEXTS, "unseen Ω words", ""]:
        assert again.ids(text).tolist() == coder.ids(text).tolist()
        assert len(coder.ids(text)) <= 4
    assert again.labels == coder.labels


def test_auto_reads_names_by_letters_and_sentences_by_words():
    assert LabelCoder.of(ONE, LabelledOptions()).tokenizer.kind == "words"
    names = [Example(name, (label,)) for name, label in (("Anna", "x"), ("Jo Ann", "y"), ("Hans", "y"))]
    assert LabelCoder.of(names, LabelledOptions()).tokenizer.kind == "chars"


def test_capitals_are_read_as_small_letters_where_that_is_asked_for():
    for lower in (False, True):
        coder = LabelCoder.of(ONE, LabelledOptions(tokens="words", lower=lower))
        assert (coder.ids("cat").tolist() == coder.ids("CAT").tolist()) == lower


def test_the_first_word_is_a_word_like_any_other():
    coder = LabelCoder.of(ONE, LabelledOptions(tokens="words"))
    assert coder.ids("cat sat")[0] == coder.ids("the cat sat")[1] != coder.tokenizer.unknown


def test_what_was_never_seen_is_unknown_and_never_an_error():
    for tokens in ("chars", "words"):
        coder = LabelCoder.of(ONE, LabelledOptions(tokens=tokens))
        assert coder.tokenizer.unknown in coder.ids("Ωmega")
    assert coder.tokens("the cat") == [" the", " cat"]


@pytest.mark.parametrize(
    ("tokens", "longest", "shown"),
    [
        ("words", 0, [" the", " zebra", " sat", "!"]),
        ("words", 2, [" the", " zebra"]),
        ("chars", 5, list("the z")),
        ("bytes", 3, list("the")),
    ],
)
def test_the_tokens_of_a_text_are_shown_as_it_has_them(tokens, longest, shown):
    examples = [Example("the cat sat", ("x",)), Example("a dog", ("y",))]
    coder = LabelCoder.of(examples, LabelledOptions(tokens=tokens, longest=longest, lower=True))
    assert coder.tokens("The zebra sat!") == shown
    assert len(coder.ids("The zebra sat!")) == len(shown)


def test_files_that_are_no_coder_are_told():
    files = LabelCoder.of(ONE, LabelledOptions()).files()
    with pytest.raises(ModelError, match=r"labels.json: missing"):
        LabelCoder.of_files({name: data for name, data in files.items() if name != "labels.json"})
    for content in (b"{}", b"[", b'{"kind": "odd", "names": ["a"], "counts": [1], "examples": 1}'):
        with pytest.raises(ModelError, match=r"labels.json: not labels"):
            LabelCoder.of_files({**files, "labels.json": content})
    assert json.loads(files["labels.json"])["names"] == ["x", "y"]


def test_a_batch_is_its_texts_padded_with_their_targets():
    part = LabelCoder.of(ONE, LabelledOptions(tokens="chars")).part(ONE)
    batch = batch_of(part, [2, 1])
    assert batch.tokens == 2
    assert batch.targets.tolist() == part.targets[[2, 1]].tolist()
    for column, index in enumerate((2, 1)):
        length = int(batch.texts.lengths[column])
        assert batch.texts.data[:length, column].tolist() == part.ids[index].tolist()
        assert (batch.texts.data[length:, column] == 0).all()


def test_batches_go_through_every_example_once_an_epoch_and_go_on_where_they_stopped():
    from riverrun.data.buckets import Buckets

    part = LabelCoder.of(ONE, LabelledOptions(tokens="words")).part(ONE * 5)
    first, again = (LabelledBatches(part, Buckets(part.lengths, rows=3, seed=2)) for _ in range(2))
    seen = 0
    while first.epoch < 1:
        seen += first.next().tokens
    assert seen == 20
    again.load_state_dict(first.state_dict())
    assert again.next().texts.data.tolist() == first.next().texts.data.tolist()


def test_groups_by_length_cover_everything_within_the_limits():
    lengths = np.random.default_rng(0).integers(0, 50, 300)
    groups = list(by_length(lengths, rows=16, tokens=200))
    assert sorted(np.concatenate(groups).tolist()) == list(range(300))
    for group in groups:
        assert len(group) <= 16
        assert len(group) == 1 or len(group) * lengths[group].max() <= 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("labels", "many"), ("tokens", "letters"), ("split", "random"), ("separator", ""), ("longest", -1),
        ("vocabulary", 1), ("min_count", 0), ("valid_share", 0.0), ("test_share", 1.0), ("encoding", "utf-9"),
    ],
)  # fmt: skip
def test_options_out_of_range_are_refused_by_name(name, value):
    with pytest.raises(OptionError) as raised:
        LabelledOptions(**{name: value})
    assert raised.value.name == name


def test_options_that_contradict_each_other_are_refused():
    for values, name in (
        ({"text": "a", "label": "a"}, "label"),
        ({"tokens": "bytes", "min_count": 2}, "min_count"),
        ({"tokens": "bytes", "vocabulary": 9}, "vocabulary"),
        ({"tokens": "bpe", "vocabulary": 100}, "vocabulary"),
        ({"valid_share": 0.5, "test_share": 0.5}, "test_share"),
    ):
        with pytest.raises(OptionError) as raised:
            LabelledOptions(**values)
        assert raised.value.name == name
