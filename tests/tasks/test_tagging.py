"""The tagging task, end to end on small files, through nothing but its declaration and the command line."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace

import pytest
import torch

from riverrun.cli.main import main
from riverrun.data.tagged import given
from riverrun.data.vocabularies import TagCoder
from riverrun.errors import DataError, OptionError
from riverrun.run import RunFolder
from riverrun.tasks import find, infer
from riverrun.tasks.tagging import Prediction
from riverrun.tasks.tags.predicting import recognised
from riverrun.tasks.tags.results import confusion, mistakes
from riverrun.tasks.tags.work import Tagged
from riverrun.tasks.task import Given
from riverrun.training.loop import fit

TASK = find("tag")
NAMES = ["Ann", "Bob", "Eve"]
PLACES = ["Oslo", "Rome", "Bonn", "Kiel"]


def conllu(count: int, start: int = 0) -> str:
    blocks = []
    for n in range(start, start + count):
        words = [("the", "DET"), (f"cat{n}", "NOUN"), ("to", "ADP"), ("sleeps", "VERB"), (".", "PUNCT")]
        rows = [f"{i}\t{word}\t_\t{tag}\t_\t_\t0\troot\t_\t_" for i, (word, tag) in enumerate(words, 1)]
        rows.insert(1, "2-3\tcatto\t_\t_\t_\t_\t_\t_\t_\t_")
        blocks.append(f"# sent_id = {n}\n# n{n}\n" + "\n".join(rows) + "\n")
    return "\n".join(blocks) + "\n"


def conll(count: int) -> str:
    rows = []
    for n in range(count):
        rows += [
            f"{NAMES[n % 3]} NNP B-PER",
            f"Smith{n} NNP I-PER",
            "likes VB O",
            f"{PLACES[n % 4]} NNP B-LOC",
            ". . O",
            "",
        ]
    return "\n".join(rows) + "\n"


SMALL = {"hidden": 8, "word_width": 8, "letter_width": 4, "letter_hidden": 4, "dropout": 0.0, "input_dropout": 0.0}


def sections(**model):
    return {
        "data": TASK.sections["data"](),
        "model": TASK.sections["model"](**{**SMALL, **model}),
        "training": TASK.sections["training"](steps=40, batch=8, lr=0.03, precision="float32"),
    }


def trained(text: str, name: str, folder, **model):
    path = folder / name
    path.write_text(text)
    options = sections(**model)
    prepared = TASK.prepare(TASK.read([str(path)], options["data"]), options)
    torch.manual_seed(0)
    tagger = TASK.model(options["model"], prepared.coder)
    before = TASK.validate(tagger, prepared)
    result = fit(
        tagger,
        TASK.batches(prepared, options["training"]),
        options["training"],
        evaluate=lambda: TASK.validate(tagger, prepared),
    )
    tagger.load_state_dict(result.weights)
    tagger.eval()
    assert TASK.validate(tagger, prepared) < 0.5 * before
    return tagger, prepared, options


@pytest.fixture(scope="module")
def treebank(tmp_path_factory):
    return trained(conllu(60), "bank.conllu", tmp_path_factory.mktemp("treebank"))


@pytest.fixture(scope="module")
def entities(tmp_path_factory):
    return trained(conll(60), "names.conll", tmp_path_factory.mktemp("entities"), crf=True)


def said(tagger, prepared, options, baselines=False):
    lines: list[str] = []
    found = TASK.measure(tagger, prepared, training=options["training"], say=lines.append, baselines=baselines)
    return found, "\n".join(lines)


def test_a_treebank_is_measured_beside_baselines(treebank):
    metrics, text = said(*treebank, baselines=True)
    names = [figure["name"] for figure in metrics["figures"]]
    assert names == ["accuracy", "unknown-word accuracy"]
    assert metrics["figures"][0]["value"] > 0.95
    assert metrics["task"] == "tag"
    assert metrics["count"] == sum(len(one.words) for one in treebank[1].splits.test)
    assert [one["name"] for one in metrics["baselines"]] == ["most frequent tag", "logistic regression"]
    assert "baselines, trained on the same part" in text
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


def test_entities_are_measured_as_spans(entities):
    metrics, text = said(*entities)
    assert [figure["name"] for figure in metrics["figures"]][:3] == ["F1", "precision", "recall"]
    assert metrics["scheme"] == "BIO"
    assert {row["type"] for row in metrics["spans"]} == {"LOC", "PER"}
    assert metrics["figures"][0]["value"] > 0.9
    assert "precision" in text


def test_the_record_says_what_was_read_and_how_it_was_split(treebank):
    _, prepared, _ = treebank
    record = prepared.record()
    assert sum(part["sentences"] for part in record["parts"].values()) == 60
    assert record["files"][0]["rows"] == 60
    assert record["format"] == "CoNLL-U, column upos"
    assert "SHA-256" in record["split_rule"]
    assert json.loads(json.dumps(record))["parts"] == record["parts"]
    facts, lines = prepared.peek()
    assert facts["tags"][0][1] >= facts["tags"][-1][1]
    assert all(line.partition(" ")[0].islower() for line in prepared.lines())
    assert any("the/DET" in line for line in lines)


def test_the_rest_of_eval_is_written_for_the_report(treebank, entities, tmp_path):
    for number, (tagger, prepared, options) in enumerate((treebank, entities)):
        with torch.no_grad():
            tagger.output.bias[0] += 1e-6
        run = RunFolder(tmp_path / str(number))
        run.path.mkdir()
        metrics, _ = said(tagger, prepared, options)
        facts = TASK.conclude(run, tagger, prepared, metrics, say=lambda line: None, seed=0)
        confusion = run.read_json("eval/confusion.json")
        counts = confusion["counts"]
        assert sum(map(sum, counts)) == metrics["count"]
        right = sum(counts[i][i] for i in range(len(counts)))
        accuracy = next(figure["value"] for figure in metrics["figures"] if figure["name"] == "accuracy")
        assert right / metrics["count"] == pytest.approx(accuracy)
        mistakes = run.read_json("eval/mistakes.json")["items"]
        assert len(mistakes) == min(metrics["count"] - right, 60)
        for item in mistakes:
            begin, end = item["at"]
            assert item["text"][begin:end] in item["text"].split()
            assert item["expected"] != item["predicted"]
        predictions = (run.path / "eval").glob("predictions.*")
        (path,) = predictions
        assert str(path) == facts["predictions"]
        again = TASK.read([str(path)], options["data"]).sentences
        assert [one.words for one in again] == [one.words for one in prepared.splits.test]


def test_a_file_comes_back_with_its_column_filled_in(treebank):
    tagger, prepared, options = treebank
    text = conllu(3, 100).replace("DET", "X").replace("VERB", "_")
    found = TASK.predict(tagger, prepared.coder, options, Given("new.conllu", text.encode()), Prediction())
    assert found.text == conllu(3, 100)
    assert found.result[0]["tags"] == ["DET", "NOUN", "ADP", "VERB", "PUNCT"]
    assert all(0 < p <= 1.000001 for p in found.result[0]["probabilities"])
    nameless = TASK.predict(tagger, prepared.coder, options, Given("standard input", text.encode()), Prediction())
    assert nameless.text == found.text


def test_columns_come_back_with_the_tags_replaced_or_appended(entities):
    tagger, prepared, options = entities
    text = conll(3)
    blank = text.replace("B-PER", "?").replace("B-LOC", "?").replace("I-PER", "?")
    found = TASK.predict(tagger, prepared.coder, options, Given("x.conll", blank.encode()), Prediction())
    assert found.text == text
    without = "".join(line.rpartition(" ")[0] + "\n" if line.strip() else line + "\n" for line in text.splitlines())
    found = TASK.predict(tagger, prepared.coder, options, Given("x.txt", without.encode()), Prediction())
    assert found.text == text


def test_plain_text_comes_back_as_words_and_tags(treebank, entities):
    tagger, prepared, options = treebank
    found = TASK.predict(
        tagger, prepared.coder, options, Given("text", b"the cat1 to sleeps .\nthe unheard"), Prediction()
    )
    blocks = [[line.split("\t") for line in block.splitlines()] for block in found.text.strip().split("\n\n")]
    assert [[row[0] for row in block] for block in blocks] == [["the", "cat1", "to", "sleeps", "."], ["the", "unheard"]]
    assert [row[1] for row in blocks[0]] == ["DET", "NOUN", "ADP", "VERB", "PUNCT"]
    assert all(0 < float(row[2]) <= 1 for block in blocks for row in block)
    assert TASK.predict(tagger, prepared.coder, options, Given("text", b""), Prediction()).text == ""


def test_sentences_of_two_words_are_no_columns_where_those_had_tabs():
    options, coder = sections(), TagCoder.of([["Ann", "runs"]], [["N", "V"]])
    assert (coder.form.width, coder.form.separator) == (2, "\t")
    tagger = TASK.model(options["model"], coder)
    for text, form in (("Ann sleeps\nBob runs\n", None), ("Ann\nsleeps\n\nBob\n", 1), ("Ann\t?\nruns\tX\n", 2)):
        found = recognised("f.txt", text.splitlines(keepends=True), coder)
        assert (found and found.width) == form, text
    spaced = TASK.predict(tagger, coder, options, Given("f.txt", b"Ann sleeps\nBob runs\n"), Prediction())
    assert [line.split("\t")[0] for line in spaced.text.split("\n") if line] == ["Ann", "sleeps", "Bob", "runs"]
    appended = TASK.predict(tagger, coder, options, Given("f.txt", b"Ann\nsleeps\n\nBob\n"), Prediction())
    assert [line.split("\t")[0] for line in appended.text.split("\n")] == ["Ann", "sleeps", "", "Bob", ""]


def test_several_lists_of_tags_are_told_apart_by_comments(entities):
    tagger, prepared, options = entities
    found = TASK.predict(tagger, prepared.coder, options, Given("text", b"Ann Smith1 sleeps"), Prediction(top=3))
    blocks = found.text.strip().split("\n\n")
    assert [block.splitlines()[0].partition(",")[0] for block in blocks] == [f"# tagging {n} of 3" for n in (1, 2, 3)]
    best = found.result[0]["best"]
    chances = [one["probability"] for one in best]
    assert chances == sorted(chances, reverse=True)
    assert sum(chances) <= 1 + 1e-6
    assert len({tuple(one["tags"]) for one in best}) == 3
    given = Given("x.conll", b"Ann NNP O\nSmith1 NNP O\n\n")
    written = TASK.predict(tagger, prepared.coder, options, given, Prediction(top=2)).text
    assert written.count("Ann NNP") == 2
    again = TASK.predict(tagger, prepared.coder, options, Given("x.conll", written.encode()), Prediction()).text
    assert again.splitlines()[0] == written.splitlines()[0], "comments stay where they are"
    assert again.count("Ann NNP") == 2
    with pytest.raises(OptionError, match="top"):
        Prediction(top=0)


def test_a_broken_line_is_named_or_left_as_it_is(treebank):
    tagger, prepared, options = treebank
    text = conllu(1) + "1\tbroken\n\n" + conllu(1)
    given = Given("new.conllu", text.encode())
    with pytest.raises(DataError, match=r"new\.conllu:10: expected 10 tab-separated columns, got 2"):
        TASK.predict(tagger, prepared.coder, options, given, Prediction())
    lenient = {**options, "data": replace(options["data"], skip_bad_rows=True)}
    found = TASK.predict(tagger, prepared.coder, lenient, given, Prediction())
    assert found.text == text
    assert found.notes == ["new.conllu:10: expected 10 tab-separated columns, got 2: left as it is."]


def test_one_broken_line_makes_no_plain_text_of_columns(entities):
    tagger, prepared, options = entities
    for separator, count in ((" ", 8), ("\t", 8)):
        text = conll(count).replace(" ", separator).splitlines(keepends=True)
        text[1] = "Smith0\n"
        given = Given("new.txt", "".join(text).encode())
        with pytest.raises(DataError, match=r"new.txt:2: expected 3 .*columns, got 1.*--skip-bad-rows"):
            TASK.predict(tagger, prepared.coder, options, given, Prediction())
        found = TASK.predict(tagger, prepared.coder, options, given, Prediction(skip_bad_rows=True))
        assert found.text.splitlines(keepends=True)[:6] == text[:6]
        assert len(found.notes) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [("new.csv", "text\nAnn likes Oslo\n"), ("new.jsonl", "{}\n"), ("new.tsv", "1\tAnn likes Oslo\n2\tBob sleeps\n")],
)
def test_a_table_of_texts_is_not_tagged_as_words(entities, name, text):
    tagger, prepared, options = entities
    with pytest.raises(DataError, match=f"{name}: a table, where words were expected"):
        TASK.predict(tagger, prepared.coder, options, Given(name, text.encode()), Prediction())


def test_tags_of_columns_without_names_have_no_place_in_conllu(entities):
    tagger, prepared, options = entities
    with pytest.raises(DataError, match=r"new.conllu.gz: CoNLL-U, but the model learnt from columns without names"):
        TASK.predict(tagger, prepared.coder, options, Given("new.conllu.gz", conllu(1).encode()), Prediction())


def test_columns_between_spaces_are_no_text_for_a_model_of_conllu(treebank):
    tagger, prepared, options = treebank
    columns = "Ann B-PER\nlikes O\n\nOslo B-LOC\nis O\n"
    with pytest.raises(DataError, match=r"new.conll: 2 columns, but the model learnt from CoNLL-U"):
        TASK.predict(tagger, prepared.coder, options, Given("new.conll", columns.encode()), Prediction())


def test_a_file_without_the_column_of_the_tags_is_named(treebank):
    tagger, prepared, options = treebank
    given = Given("new.conllup", b"# global.columns = ID FORM XPOS\n1\tthe\t_\n")
    with pytest.raises(DataError, match=r"new.conllup: the model's tags are of column upos: expected one of xpos"):
        TASK.predict(tagger, prepared.coder, options, given, Prediction())


def test_one_word_a_line_is_a_sentence_up_to_the_blank_line(treebank, entities):
    for tagger, prepared, options in (treebank, entities):
        given = Given("new.txt", b"Ann\nsleeps\n\nBob\n")
        found = TASK.predict(tagger, prepared.coder, options, given, Prediction())
        assert [one["words"] for one in found.result] == [["Ann", "sleeps"], ["Bob"]]
        assert found.notes == ["new.txt: read as one word a line, with a blank line after each sentence."]


def test_several_lists_of_the_last_sentence_are_apart_where_the_file_ends_without_a_blank_line(entities):
    tagger, prepared, options = entities
    given = Given("x.conll", b"Ann NNP O")
    written = TASK.predict(tagger, prepared.coder, options, given, Prediction(top=2)).text
    assert written.count("\n\n") == 2


def one_sentence(tags):
    words = [f"w{n}" for n in range(len(tags))]
    return given([words], [tags], TASK.sections["data"]()).sentences


def test_tags_that_are_too_many_for_the_table_are_together_in_its_last_row():
    tags = [f"T{n}" for n in range(50)]
    coder = TagCoder.of([[f"w{n}" for n in range(50)]], [tags])
    predicted = Tagged([list(coder.tags)], [0.0], [])
    found = confusion(coder, one_sentence(list(coder.tags)), [predicted])
    assert (len(found["labels"]), found["labels"][-1]) == (41, "(others)")
    few = TagCoder.of([["a", "b"]], [["A", "B"]])
    assert confusion(few, one_sentence(["A", "B"]), [Tagged([["A", "B"]], [0.0], [])])["labels"] == list(few.tags)
    unseen = confusion(few, one_sentence(["A", "new"]), [Tagged([["A", "B"]], [0.0], [])])
    assert (unseen["labels"][-1], unseen["counts"][-1]) == ("(others)", [0, 1, 0])


def test_the_mistakes_of_the_greatest_confidence_come_first():
    found = mistakes(one_sentence(["A", "A", "A", "B"]), [Tagged([["B", "B", "A", "A"]], [0.0], [0.4, 0.9, 1.0, 0.6])])
    assert [item["probability"] for item in found["items"]] == [0.9, 0.6, 0.4]
    many = mistakes(one_sentence(["A"] * 99), [Tagged([["B"] * 99], [0.0], [0.5] * 99)])
    assert (many["count"], len(many["items"])) == (99, 60)


def test_a_tag_that_training_lacks_counts_as_wrong_and_is_told(treebank, tmp_path):
    tagger, prepared, options = treebank
    path = tmp_path / "other.conllu"
    path.write_text(conllu(4).replace("\tNOUN\t", "\tNEW\t"))
    corpus = TASK.read([str(path)], options["data"])
    metrics = TASK.measure_other(tagger, prepared.coder, options, corpus, say=lambda line: None)
    assert metrics["figures"][0]["value"] == pytest.approx(0.8, abs=0.01)
    assert metrics["remarks"] == ["4 words have a tag that training lacks (NEW): counted as wrong."]
    assert metrics["loss"] > 0
    beside = TASK.measure_other(tagger, prepared.coder, options, corpus, say=lambda line: None, beside=prepared)
    assert len(beside["baselines"]) == 2


def test_another_process_makes_the_same_of_the_coder_s_files(treebank):
    tagger, prepared, options = treebank
    coder = TASK.load_coder(TASK.save_coder(prepared.coder))
    again = TASK.prepare(TASK.read([prepared.files[0].path], options["data"]), options, coder=coder)
    other = TASK.model(options["model"], coder)
    other.load_state_dict(tagger.state_dict())
    assert TASK.validate(other, again) == TASK.validate(tagger, prepared)
    assert TASK.sample(other, coder, 0) == TASK.sample(tagger, prepared.coder, 0) != ""


def test_pretrained_vectors_are_read_once_and_travel_with_the_model(tmp_path):
    (tmp_path / "v.txt").write_text("the 1 2 3\nunheard 3 2 1\n")
    (tmp_path / "bank.conllu").write_text(conllu(40))
    options = sections()
    options["data"] = replace(options["data"], vectors=str(tmp_path / "v.txt"))
    prepared = TASK.prepare(TASK.read([str(tmp_path / "bank.conllu")], options["data"]), options)
    assert [record.path for record in prepared.files][-1].endswith("v.txt")
    assert any(line.startswith("vectors    2 of 3 numbers; they have 1 of") for line in prepared.lines())
    model = TASK.model(options["model"], prepared.coder)
    assert model.known[2].tolist() == [3, 2, 1]
    coder = TASK.load_coder(TASK.save_coder(prepared.coder))
    other = TASK.model(options["model"], coder)
    assert not other.known.any()
    other.load_state_dict(model.state_dict())
    assert other.known[2].tolist() == [3, 2, 1]


def test_an_option_that_these_tags_make_idle_is_refused(tmp_path):
    path = tmp_path / "bank.conllu"
    path.write_text(conllu(30))
    options = sections(legal=False)
    with pytest.raises(OptionError, match="legal: these tags mark no spans"):
        TASK.prepare(TASK.read([str(path)], options["data"]), options)


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("a.conllu", "", "CoNLL-U by its name"),
        ("a.conllu.gz", "", "CoNLL-U by its name"),
        ("a.conll", "", "CoNLL by its name"),
        ("train.txt", conll(5), "3 columns in every line"),
        ("train.txt.gz", conll(5), "3 columns in every line"),
        ("tags.tsv", conll(5).replace(" NNP ", "\t").replace(" VB ", "\t").replace(" . ", "\t"), "2 columns"),
        ("train", conll(5), "3 columns in every line"),
    ],
)
def test_tagged_files_are_recognised_by_name_or_content(tmp_path, name, text, reason):
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    task, why = infer([str(path)])
    assert task.name == "tag"
    assert reason in why


@pytest.mark.parametrize(
    "text",
    [
        "It was the best of times,\nit was the worst of times.\n\n" * 20,
        "two words\n\n" * 30,
        "ROMEO:\nBut soft\n\nJULIET:\nAy me\n\n" * 20,
        "hello\thallo\nworld\tWelt\n" * 20,
        "",
        "a b\nc d\ne f\n\n",
    ],
)
def test_other_text_is_not_taken_for_columns(tmp_path, text):
    path = tmp_path / "text.txt"
    path.write_text(text)
    assert TASK.infer([str(path)]) is None


def test_a_folder_of_conll_files_is_recognised(tmp_path):
    for name in ("one.conllu", "two.conllu.gz"):
        (tmp_path / name).write_bytes(b"")
    assert "folder of CoNLL files" in TASK.infer([str(tmp_path)])
    (tmp_path / "LICENSE.txt").write_bytes(b"")
    assert "folder of CoNLL files" in TASK.infer([str(tmp_path)])
    (tmp_path / "plays.txt").write_bytes(b"")
    assert TASK.infer([str(tmp_path)]) is None


def test_a_line_that_is_broken_makes_no_text_of_columns(tmp_path):
    path = tmp_path / "train.txt"
    path.write_text("Ann\n" + conll(20))
    assert "3 columns" in TASK.infer([str(path)])
    path.write_bytes(conll(20).encode("utf-16"))
    assert TASK.infer([str(path)]) is None
    assert "3 columns" in TASK.infer([str(path)], "utf-16")


def test_tags_of_letters_that_are_phonemes_too_make_no_dictionary(tmp_path):
    path = tmp_path / "letters.conll"
    path.write_text("the D\ncat N\nsleeps V\n\n" * 20)
    assert infer([str(path)])[0] is TASK


def test_a_treebank_s_folder_keeps_its_parts(tmp_path):
    for name, start in (("x-train", 0), ("x-dev", 50), ("x-test", 80)):
        (tmp_path / f"{name}.conllu").write_text(conllu(10, start))
    (tmp_path / "README.md").write_text("A treebank.\n")
    options = sections()
    prepared = TASK.prepare(TASK.read([str(tmp_path)], options["data"]), options)
    assert {name: len(part) for name, part in prepared.parts.items()} == {"train": 10, "valid": 10, "test": 10}
    assert prepared.splits.rule == "valid as the files' names say (10); test as the files' names say (10)"
    assert {one.name.rpartition("/")[2] for one in prepared.splits.test} == {"x-test.conllu"}
    (tmp_path / "x-dev.conllu").unlink()
    prepared = TASK.prepare(TASK.read([str(tmp_path)], options["data"]), options)
    assert len(prepared.splits.test) == 10
    assert {one.name.rpartition("/")[2] for one in prepared.splits.valid} == {"x-train.conllu"}


def test_the_command_line_trains_evaluates_and_predicts(tmp_path, capsys):
    (tmp_path / "bank.conllu").write_text(conllu(40))
    (tmp_path / "new.conllu").write_text(conllu(2, 90).replace("NOUN", "_"))
    run = str(tmp_path / "run")
    small = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()]
    train = ["train", str(tmp_path / "bank.conllu"), "-o", run, "--steps", "30", "--lr", "0.03", "--batch", "8", *small]
    assert main(train) == 0
    assert "CoNLL-U by its name" in capsys.readouterr().out
    assert (tmp_path / "run" / "report.html").is_file()
    assert main(["predict", run, str(tmp_path / "new.conllu")]) == 0
    assert capsys.readouterr().out == conllu(2, 90)
    assert main(["eval", run, str(tmp_path / "bank.conllu"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["count"] == 200
    broken = tmp_path / "broken.conllu"
    broken.write_text(conllu(3) + "1\tx\n")
    assert main(["eval", run, str(broken)]) == 3
    assert "broken.conllu:28: expected 10 tab-separated columns, got 2" in capsys.readouterr().err
    assert main([*train[:-1], "--column", "upso"]) == 3
    assert "Did you mean 'upos'" in capsys.readouterr().err
