"""Classification by the command line: learnt, measured beside baselines, put to work, and never stopped by a label."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from cli.material import Done, Killed, Riverrun

from riverrun.cli.main import main

WORDS = {"good": "fine lovely great warm", "bad": "dull weak poor cold", "odd": "strange weird queer rum"}
SMALL = ("--hidden", "12", "--epochs", "12", "--lr", "0.02", "--dropout", "0.1", "--precision", "float32",
         "--threads", "1", "--variational", "0", "--batch", "8")  # fmt: skip


def rows(count: int, seed: int) -> list[tuple[str, str]]:
    random = np.random.default_rng(seed)
    found = []
    for number in range(count):
        label = str(random.choice(list(WORDS), p=[0.5, 0.3, 0.2]))
        found.append((f"film {number} was {' and '.join(random.choice(WORDS[label].split(), 2))} .", label))
    return found


def table(path: Path, found: list[tuple[str, str]]) -> Path:
    path.write_text("sentence\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in found))
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classify")
    path = table(folder / "films.tsv", rows(160, 0))
    assert main(["train", str(path), "-o", str(folder / "run"), *SMALL]) == 0
    return folder / "run"


def test_a_table_from_standard_input_is_kept_and_can_be_measured_again(
    riverrun: Riverrun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = "text,label\n" + "".join(f"{text},{label}\n" for text, label in rows(60, 0))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data.encode())))
    assert riverrun("train", "-", "--task", "classify", *SMALL, "-o", "piped").code == 0
    assert [path.name for path in (tmp_path / "piped" / "input").iterdir()] == ["000001.csv"]
    assert riverrun("eval", "piped", "--no-baselines").code == 0


def written(run: Path, name: str) -> dict:
    return json.loads((run / "eval" / name).read_text())


def test_the_task_is_inferred_and_the_run_is_told_of_with_its_figures(run):
    log = (run / "train.log").read_text()
    assert "columns 'sentence' and 'label'" in log
    assert "labels     3: good" in log
    metrics = written(run, "metrics.json")
    first = metrics["figures"][0]
    assert (first["name"], first["unit"], first["better"]) == ("accuracy", "share", "higher")
    assert first["low"] <= first["value"] <= first["high"]
    assert first["value"] > 0.8  # two words of each label's own, among five
    assert metrics["baselines"][0]["name"] == "majority"
    assert first["value"] > metrics["baselines"][0]["figures"][0]["value"]
    assert all(
        {figure["name"] for figure in row["figures"]} == {"accuracy", "macro_f1"} for row in metrics["baselines"]
    )
    assert metrics["loss"] > 0


def test_what_the_report_shows_lies_in_eval(run):
    count = written(run, "metrics.json")["count"]
    table = written(run, "confusion.json")
    assert table["labels"] == ["bad", "good", "odd"]
    assert np.sum(table["counts"]) == count == sum(row["count"] for row in written(run, "calibration.json")["bins"])
    wrong = count - np.trace(table["counts"])
    items = written(run, "mistakes.json")["items"]
    assert len(items) == wrong
    assert all(item["expected"] != item["predicted"] for item in items)
    mattered = written(run, "importance.json")
    assert mattered["method"] == ["attention", "gradient"]
    assert -1 <= mattered["correlation"] <= 1
    lines = (run / "eval" / "predictions.tsv").read_text().splitlines()
    assert len(lines) == count + 1
    right = sum(row.split("\t")[1] == row.split("\t")[2] for row in lines[1:])
    assert right == count - wrong
    page = (run / "report.html").read_text()
    assert "logistic regression" in page
    record = json.loads((run / "data.json").read_text())
    assert sum(part["examples"] for part in record["parts"].values()) == 160
    assert "SHA-256" in record["split_rule"]


def test_a_text_gets_its_likeliest_labels_with_probabilities(run, riverrun: Riverrun):
    done = riverrun("predict", run, "a film that was lovely and warm .", "-k", "2")
    head, row = done.out.splitlines()
    assert head.split("\t") == ["label1", "probability1", "label2", "probability2", "text"]
    cells = row.split("\t")
    assert cells[0] == "good"
    assert 1 >= float(cells[1]) >= float(cells[3]) >= 0
    shown = json.loads(riverrun("predict", run, "a film that was lovely and warm .", "--json").out)
    assert sum(one["probability"] for one in shown[0]["labels"]) == pytest.approx(1, abs=1e-5)


def test_a_file_is_predicted_line_by_line_or_row_by_row(run, riverrun: Riverrun, tmp_path):
    texts = ["it was dull and poor .", "weird and rum .", "Ωmega, never seen"]
    (tmp_path / "t.txt").write_text("\n\n".join(texts))
    (tmp_path / "t.jsonl").write_text("\n".join(json.dumps({"sentence": text}) for text in texts))
    (tmp_path / "t.csv").write_text("id,sentence\n" + "".join(f'{n},"{text}"\n' for n, text in enumerate(texts)))
    (tmp_path / "m.txt").write_text("".join(f"__label__x {text}\n" for text in texts))
    found = [riverrun("predict", run, tmp_path / name) for name in ("t.txt", "t.jsonl", "t.csv", "m.txt")]
    assert all(done.code == 0 for done in found)
    assert {done.out for done in found} == {found[0].out}
    assert [line.split("\t")[0] for line in found[0].out.splitlines()[1:3]] == ["bad", "odd"]
    assert "unknown to the model" in found[0].err


def test_a_packed_table_is_read_as_a_table(run, riverrun: Riverrun, tmp_path):
    rows = "".join(json.dumps({"sentence": text}) + "\n" for text in ("it was dull", "lovely"))
    (tmp_path / "t.jsonl.gz").write_bytes(gzip.compress(rows.encode()))
    found = riverrun("predict", run, tmp_path / "t.jsonl.gz").out.splitlines()
    assert [row.split("\t")[-1] for row in found] == ["text", "it was dull", "lovely"]


def test_lines_are_cut_where_training_cuts_them(run, riverrun: Riverrun, tmp_path):
    (tmp_path / "t.txt").write_text("dull\x0band\x0cweak\u2028\x85poor\nlovely\n")
    (tmp_path / "t.jsonl").write_text('{"sentence": "dull \u2028 weak"}\n{"sentence": "lovely"}\n')
    for name in ("t.txt", "t.jsonl"):
        assert len(riverrun("predict", run, tmp_path / name).out.splitlines()) == 3


def test_the_column_of_the_texts_is_the_one_that_was_learnt_from(riverrun: Riverrun, tmp_path):
    path = tmp_path / "raw.csv"
    path.write_text("raw,label\n" + "".join(f"{text},{label}\n" for text, label in rows(60, 0)))
    assert riverrun("train", path, "--task", "classify", "-o", tmp_path / "run", *SMALL, "--epochs", "1").code == 0
    done = riverrun("predict", tmp_path / "run", path)
    assert (done.code, len(done.out.splitlines())) == (0, 61)
    (tmp_path / "more.csv").write_text("id,raw,text\n1,it was dull,x\n")
    assert riverrun("predict", tmp_path / "run" / "model", tmp_path / "more.csv").out.endswith("\tit was dull\n")


PREDICTED = {
    "a comma too many": ("t.csv", "sentence\nI loved it, every minute\n", r"t.csv:2: expected 1 columns .*, got 2"),
    "no column for texts": ("t.csv", "a,b,c\n1,2,3\n", r"t.csv:1: no column is known.*'a', 'b', 'c'.*'sentence'"),
    "nothing": ("t.csv", "", r"t.csv:1: no column is known.*none, the file is empty"),
    "no text": ("t.jsonl", '{"sentence": 3}\n', r"t.jsonl:1: expected text in 'sentence', got '3'"),
    "no field": ("t.jsonl", '{"sentence": "a"}\n{"b": "c"}\n', r"t.jsonl:2: expected text.*no such field"),
    "too deep": ("t.jsonl", "[" * 100_000, r"t.jsonl:1: expected a JSON object"),
}


@pytest.mark.parametrize("kind", PREDICTED)
def test_a_table_that_cannot_be_predicted_is_told_with_its_line(kind, run, riverrun: Riverrun, tmp_path):
    name, content, message = PREDICTED[kind]
    (tmp_path / name).write_text(content)
    refused(riverrun("predict", run, tmp_path / name), "")
    assert re.search(message, riverrun("predict", run, tmp_path / name).err)
    if "no column" not in message:
        done = riverrun("predict", run, tmp_path / name, "--skip-bad-rows")
        assert (done.code, "1 bad row was dropped, the first because" in done.err) == (0, True)


def test_a_long_field_is_predicted_as_it_was_learnt(run, riverrun: Riverrun, tmp_path):
    csv.field_size_limit(131_072)
    (tmp_path / "t.csv").write_text("sentence\n" + "dull " * 30_000 + "\n")
    assert riverrun("predict", run, tmp_path / "t.csv").code == 0


def test_a_label_unseen_in_training_counts_as_a_mistake_and_stops_nothing(run, riverrun: Riverrun, tmp_path):
    path = table(tmp_path / "other.tsv", [*rows(10, 5), ("film 3 was lovely .", "new"), ("film 4 was dull .", "newer")])
    done = riverrun("eval", run, path, "--json")
    assert done.code == 0
    metrics = json.loads(done.out)["metrics"]
    assert metrics["count"] == 12
    assert "2 of 12 examples have a label that the training part lacks (new, newer)" in metrics["remarks"][0]
    assert metrics["f1_by_label"]["new"] == 0
    assert metrics["figures"][0]["value"] <= 10 / 12


def test_the_model_folder_alone_predicts_the_same(run, riverrun: Riverrun, tmp_path):
    (tmp_path / "t.txt").write_text("a lovely film\nas dull as this\n")
    assert (
        riverrun("predict", run / "model", tmp_path / "t.txt").out == riverrun("predict", run, tmp_path / "t.txt").out
    )
    assert {"labels.json", "tokenizer.json"} <= set(os.listdir(run / "model"))


def test_peek_shows_labels_and_first_texts_without_training(riverrun: Riverrun, tmp_path):
    path = table(tmp_path / "films.tsv", rows(60, 0))
    done = riverrun("data", "peek", path, "--json")
    assert done.code == 0
    assert "good" in done.out
    assert "film" in riverrun("data", "peek", path).out + riverrun("data", "peek", path).err


def test_a_run_of_a_killed_process_ends_in_the_same_weights(killed: Killed, riverrun: Riverrun, tmp_path):
    path = table(tmp_path / "films.tsv", rows(60, 0))
    given = ["train", str(path), *SMALL[:2], "--steps", "12", "--checkpoint-every", "2", "--token-dropout", "0.3",
             "--threads", "1", "--no-baselines"]  # fmt: skip
    assert riverrun(*given, "-o", "whole").code == 0
    killed(7, *given, "-o", "broken")
    assert riverrun("resume", "broken").code == 0
    one, two = ((tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("whole", "broken"))
    assert one == two


def refused(done: Done, *words: str) -> None:
    assert done.code == 3, done
    assert done.err.startswith("riverrun: "), done.err
    assert "Traceback" not in done.err
    for word in words:
        assert word in done.err, (word, done.err)


def test_bad_rows_stop_with_file_and_line_or_are_dropped_and_recorded(riverrun: Riverrun, tmp_path):
    path = table(tmp_path / "films.tsv", [*rows(60, 0), ("", "good"), ("film", "")])
    few = (*SMALL, "--epochs", "1", "--task", "classify", "--no-baselines")
    refused(riverrun("train", path, *few), "films.tsv:62: the text is empty", "--skip-bad-rows")
    said = riverrun("train", path, "-o", "kept", *few, "--skip-bad-rows")
    assert said.code == 0
    told = r"2 rows were dropped, the first because .*films.tsv:62: the text is empty"
    assert re.search(told, said.out + said.err)
    said = riverrun("eval", "kept", path)
    assert said.code == 0
    assert re.search(told, said.out + said.err)
    (tmp_path / "p.tsv").write_bytes(b"sentence\tn\nlovely\t1\ndull\nb\xff\t2\n")
    done = riverrun("predict", "kept", "p.tsv")
    assert (done.code, len(done.out.splitlines())) == (0, 2)
    assert "2 bad rows were dropped, the first because p.tsv:3: expected 2 columns" in done.err
    record = json.loads((tmp_path / "kept" / "data.json").read_text())
    assert record["rows_dropped"] == 2
    assert len(record["files"][0]["reasons"]) == 2


def test_texts_with_two_labels_and_texts_that_are_too_long_are_told(riverrun: Riverrun, tmp_path):
    path = table(tmp_path / "films.tsv", [*rows(60, 0), ("twice", "good"), ("twice", "bad")])
    shown = riverrun("data", "peek", path, "--task", "classify")
    assert re.search(
        r"1 text has different labels in different rows, such as .*tsv:62 and .*tsv:63", shown.out + shown.err
    )
    table(path, [*rows(60, 0), ("dull " * 20_001, "good")])
    refused(
        riverrun("data", "peek", path, "--task", "classify"), "films.tsv:62: this text has 20,001 words", "--longest"
    )
    assert riverrun("data", "peek", path, "--task", "classify", "--longest", "9").code == 0


def test_a_held_out_label_that_training_lacks_stops_with_its_line_or_is_dropped(riverrun: Riverrun, tmp_path):
    path = table(tmp_path / "films.tsv", rows(60, 0))
    test = table(tmp_path / "test.tsv", [*rows(5, 1), ("film", "new")])
    few = (*SMALL, "--epochs", "1", "--no-baselines", "--test", str(test))
    refused(riverrun("train", path, *few), "test.tsv:7: the training part has no example of label 'new'", "--skip-bad")
    assert riverrun("train", path, "-o", "kept", *few, "--skip-bad-rows").code == 0
    record = json.loads((tmp_path / "kept" / "data.json").read_text())
    assert [(file["rows"], file["dropped"]) for file in record["files"]] == [(60, 0), (5, 1)]
    assert record["parts"]["test"]["examples"] == 5


@pytest.mark.parametrize(
    ("content", "more", "words"),
    [
        ("a,b,c\n1,2,3\n", [], ["films.csv:1: no column is known to hold the text", "--text"]),
        ("text,b,c\n1,2,3\n", [], ["films.csv:1: no column is known to hold the label", "--label"]),
        (
            "text,label\na,x\nb,x\nc,x\nd,x\n",
            ["--valid-share", "0.3", "--test-share", "0.3"],
            ["the only label is 'x'"],
        ),
        ("text,label\na,x\n", [], ["too few examples to split"]),
        ("text,stars\na,good\n", ["--labels", "ordered"], ["films.csv:2: expected a number as label"]),
    ],
)
def test_data_that_cannot_be_learnt_from_are_told_in_a_sentence(content, more, words, riverrun: Riverrun, tmp_path):
    (tmp_path / "films.csv").write_text(content)
    refused(riverrun("train", "films.csv", "--task", "classify", *SMALL, *more), *words)


@pytest.mark.parametrize("labels", ["several", "ordered"])
def test_several_labels_and_scales_go_all_the_way(labels, riverrun: Riverrun, tmp_path):
    random = np.random.default_rng(0)
    lines = []
    for number in range(80):
        chosen = [name for name in WORDS if random.random() < 0.5]
        stars = 1 + len(chosen)
        words = " ".join(str(random.choice(WORDS[name].split())) for name in chosen)
        lines.append({"text": f"{number} {words}", "label": chosen if labels == "several" else stars})
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, lines)))
    done = riverrun("train", "t.jsonl", "-o", "run", "--labels", labels, *SMALL, "--class-weights", "0.5")
    assert done.code == 0, done.err
    names = [figure["name"] for figure in written(tmp_path / "run", "metrics.json")["figures"]]
    assert (
        names
        == {"several": ["micro_f1", "macro_f1", "exact"], "ordered": ["accuracy", "macro_f1", "mean_distance"]}[labels]
    )
    table = written(tmp_path / "run", "confusion.json")
    assert np.array(table["yes_no" if labels == "several" else "counts"]).sum() > 0
    shown = json.loads(riverrun("predict", "run", "3 lovely weird", "--json").out)[0]["labels"]
    total = sum(one["probability"] for one in shown)
    assert total == pytest.approx(1, abs=1e-4) if labels == "ordered" and len(shown) == 4 else 0 < total <= 3
    assert riverrun("eval", "run").code == 0
