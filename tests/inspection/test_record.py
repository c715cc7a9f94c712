"""A run folder is read as far as it is there; what is missing or broken is named, and is never an exception."""

from __future__ import annotations

import json

import pytest
from inspection import folder

from riverrun.errors import DataError
from riverrun.inspection.record import number, pairs, read_run


def test_a_complete_folder_misses_nothing(tmp_path):
    run = read_run(folder.write(tmp_path / "plays", folder.files()))
    assert run.missing == []
    assert (run.name, run.unit, run.last_step, run.seconds) == ("plays", "character", 200, 100.0)
    assert len(run.steps) == 200
    assert [sample.step for sample in run.samples] == [49, 99, 149, 199, None]


@pytest.mark.parametrize("name", sorted(folder.files()))
def test_a_missing_file_is_named_with_what_it_would_show(tmp_path, name):
    contents = folder.files()
    del contents[name]
    if name.startswith("samples"):
        contents["log.jsonl"] = ""
        name = "samples/"
    run = read_run(folder.write(tmp_path, contents))
    assert [entry.file for entry in run.missing] == [name]
    assert all(entry.shows and entry.remedy for entry in run.missing)


@pytest.mark.parametrize("content", ["{", "[1, 2]", "\x00", '"text"', ""])
@pytest.mark.parametrize("name", [n for n in folder.files() if n.endswith(".json")])
def test_a_broken_file_is_named_as_missing(tmp_path, name, content):
    run = read_run(folder.write(tmp_path, folder.files() | {name: content}))
    assert [entry.file for entry in run.missing] == [name]


def test_broken_toml_is_named_and_its_text_kept(tmp_path):
    run = read_run(folder.write(tmp_path, folder.files() | {"run.toml": "[model\n"}))
    assert [entry.file for entry in run.missing] == ["run.toml"]
    assert (run.configuration, run.configuration_text) == ({}, "[model\n")


def test_the_line_that_a_killed_process_was_writing_is_passed_over(tmp_path):
    contents = folder.files()
    contents["log.jsonl"] += '{"event": "step", "ste'
    assert read_run(folder.write(tmp_path, contents)).missing == []
    contents["log.jsonl"] = "nonsense\n" + contents["log.jsonl"]
    assert [entry.file for entry in read_run(folder.write(tmp_path, contents)).missing] == ["log.jsonl"]


def test_steps_that_a_resumed_run_took_again_count_once_with_their_last_values(tmp_path):
    events = [{"event": "step", "step": step, "nats": nats} for step, nats in [(1, 3.0), (2, 2.0), (3, 9.0)]]
    events += [{"event": "step", "step": step, "nats": nats} for step, nats in [(4, 1.0), (3, 1.5)]]
    run = read_run(folder.write(tmp_path, {"log.jsonl": "\n".join(map(json.dumps, events))}))
    assert pairs(run.steps, "step", "nats") == [(1, 3.0), (2, 2.0), (3, 1.5), (4, 1.0)]


def test_samples_of_the_log_and_of_the_folder_are_one_list_without_repeats(tmp_path):
    events = [{"event": "sample", "step": 20, "text": "later"}, {"event": "sample", "step": 10, "text": "soon"}]
    texts = {"samples/000020.txt": "later\n", "samples/30.txt": "last", "samples/mine.txt": "extra"}
    run = read_run(folder.write(tmp_path, {"log.jsonl": "\n".join(map(json.dumps, events)), **texts}))
    assert [(s.step, s.text) for s in run.samples] == [(10, "soon"), (20, "later"), (30, "last"), (None, "extra")]


def test_numbers_that_are_none_are_none():
    for value in (None, "1", True, float("nan"), float("inf"), [1]):
        assert number(value) is None
    assert pairs([{"x": 1, "y": float("nan")}, {"x": 2}, {"x": 3, "y": 4}], "x", "y") == [(3.0, 4.0)]


def test_a_path_that_is_no_folder_is_an_error(tmp_path):
    with pytest.raises(DataError, match="not a folder"):
        read_run(tmp_path / "nothing")
