"""Every task keeps the contract, and is found by lying in the folder."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError, fields, is_dataclass

import pytest

from riverrun import tasks
from riverrun.configuration import resolve, settings
from riverrun.errors import DataError, UsageError
from riverrun.tasks.task import Task


@pytest.mark.parametrize("name", tasks.names())
def test_a_task_declares_everything(name):
    task = tasks.find(name)
    for field in fields(Task):
        assert getattr(task, field.name) or field.name == "fallback", f"{name}: {field.name} is empty"
    assert set(task.sections) >= {"data", "model", "training"}
    for section, options in task.sections.items():
        assert is_dataclass(options), section
        options()  # every default is accepted
        assert all(field.metadata.get("help") for field in fields(options)), section
        with pytest.raises(FrozenInstanceError):
            setattr(options(), fields(options)[0].name, None)
    assert all(metric.better in ("lower", "higher") for metric in task.metrics)
    assert {preset.task for preset in task.presets} == {name}
    assert task.presets[0].name == "default"
    for preset in task.presets:
        resolve(task.sections, preset.values)
    assert is_dataclass(task.prediction)
    assert all(field.metadata.get("help") for field in fields(task.prediction))


def test_sections_share_one_name_space_as_flags_do():
    for name in tasks.names():
        seen = [field.name for options in tasks.find(name).sections.values() for field in fields(options)]
        assert len(seen) == len(set(seen))


def test_one_task_takes_what_no_other_does():
    assert [task.name for task in tasks.all_tasks() if task.fallback] == ["lm"]


def test_a_flag_that_tasks_share_is_of_one_kind():
    kinds: dict[str, set[bool]] = {}
    for schema in tasks.schemas().values():
        for setting in settings(schema):
            kinds.setdefault(setting.name, set()).add(setting.kind is bool)
    assert [name for name, found in kinds.items() if len(found) > 1] == []


def test_an_unknown_task_is_answered_with_the_nearest():
    with pytest.raises(UsageError, match=r"task: expected one of .*lm.*, got 'lmm'. Did you mean 'lm'"):
        tasks.find("lmm")


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        ([], "no data given"),
        (["-"], "standard input"),
        (["plays.txt.gz"], "plain text"),
        (["a.jsonl"], "table (.jsonl)"),
        (["a.csv.gz"], "table (.csv)"),
        (["."], "folder"),
    ],
)
def test_the_task_is_inferred_with_a_reason(paths, words):
    task, reason = tasks.infer(paths)
    assert task.name == "lm"
    assert words in reason


def a_file(folder, name, text, encoding="utf-8"):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return str(path)


TABLE = "comment_body,verdict\nfine,good\nbad,poor\n"


@pytest.mark.parametrize(
    ("given", "task"),
    [
        ({"text": "comment_body", "label": "verdict"}, "classify"),
        ({"source_field": "comment_body"}, "seq2seq"),
        ({"field": "comment_body"}, "lm"),
    ],
)
def test_an_option_that_one_task_has_says_the_task(tmp_path, given, task):
    assert tasks.infer([a_file(tmp_path, "odd.csv", TABLE)], given)[0].name == task


def test_an_option_of_several_tasks_does_not_make_text_of_other_data(tmp_path):
    tagged = a_file(tmp_path, "a.conllu", "")
    assert tasks.infer([tagged], {"vocabulary": "9"})[0].name == "tag"
    assert tasks.infer([tagged], {"lanes": "9"})[0].name == "tag", "which then refuses --lanes"
    assert tasks.infer([a_file(tmp_path, "a.txt", "some text\n")], {"batch": "9"})[0].name == "lm", "the same"


def test_a_table_that_no_task_knows_is_told_with_its_columns(tmp_path):
    with pytest.raises(UsageError, match=r"its columns are 'comment_body', 'verdict', by .*--text and --label"):
        tasks.infer([a_file(tmp_path, "odd.csv", TABLE)])
    assert tasks.infer([a_file(tmp_path, "texts.csv", "text,year\nfine,1999\n")])[0].name == "lm"


def test_the_encoding_of_the_files_is_heeded(tmp_path):
    table = a_file(tmp_path, "a.csv", "text,label\nfine,good\n", "utf-16")
    pairs = a_file(tmp_path, "b.tsv", "".join(f"w{i}\tv{i}\n" for i in range(9)), "utf-16")
    assert tasks.infer([table], {"encoding": "utf-16"})[0].name == "classify"
    assert tasks.infer([pairs], {"encoding": "utf-16"})[0].name == "seq2seq"
    assert tasks.infer([a_file(tmp_path, "c.txt", "text")], {"encoding": "utf-99"})[0].name == "lm"


@pytest.mark.parametrize(
    ("files", "task"),
    [
        ({"train.jsonl": '{"text": "a", "label": "b"}\n', "test.jsonl": '{"text": "a", "label": "b"}\n'}, "classify"),
        ({"train.tsv": "a\tx\nb\ty\nc\tz\n", "test.tsv": "a\tx\nb\ty\nc\tz\n", "README": "."}, "seq2seq"),
        ({"x.de": "eins\n", "x.en": "one\n"}, "seq2seq"),
        ({"a.conllu": "", "LICENSE.txt": "."}, "tag"),
        ({"a.txt": "Once upon\n", "b.txt": "a time there was somebody who wrote very long lines indeed\n"}, "lm"),
    ],
)
def test_a_folder_is_what_its_files_are(tmp_path, files, task):
    for name, text in files.items():
        a_file(tmp_path, f"data/{name}", text)
    assert tasks.infer([str(tmp_path / "data")])[0].name == task


@pytest.mark.parametrize(("first", "second"), [("train.fr", "short.en"), ("source.txt", "target.txt")])
def test_two_files_called_by_their_sides_are_pairs(tmp_path, first, second):
    paths = [a_file(tmp_path, first, "un\ndeux\n"), a_file(tmp_path, second, "one\n")]
    task, _ = tasks.infer(paths)
    assert task.name == "seq2seq"
    with pytest.raises(DataError, match="2 lines"):
        task.read(paths, task.sections["data"]()).load()


def test_a_line_that_is_no_pair_makes_no_text_of_a_table_of_pairs(tmp_path):
    rows = "".join(f"w{i}\tv{i}\n" for i in range(30))
    path = a_file(tmp_path, "ragged.tsv", rows + "a\tb\tc\td\n")
    task, _ = tasks.infer([path])
    assert task.name == "seq2seq"
    with pytest.raises(DataError, match=r"ragged.tsv:31: expected .*got 4"):
        task.read([path], task.sections["data"]()).load()


def test_reading_the_declarations_needs_no_torch():
    code = "import riverrun.tasks as t, sys; t.all_tasks(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
