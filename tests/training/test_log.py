"""log.jsonl keeps what was told through kills, full disks and resumes."""

from __future__ import annotations

import io
import json
import sys

import pytest

from riverrun.errors import UsageError
from riverrun.training.log import Log, TensorBoard, fan_out, read


def test_events_are_appended_one_line_each(tmp_path):
    path = tmp_path / "log.jsonl"
    Log(path)({"event": "start", "step": 0, "text": "ä\n"})
    Log(path)({"event": "end", "step": 3})
    assert [json.loads(line)["step"] for line in path.read_text(encoding="utf-8").splitlines()] == [0, 3]
    assert read(path)[0]["text"] == "ä\n"


def test_a_line_torn_by_a_kill_is_passed_over_and_the_next_one_whole(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"event": "step", "step": 1}\n{"event": "st')
    Log(path)({"event": "step", "step": 2})
    assert [event["step"] for event in read(path)] == [1, 2]


def test_what_a_killed_run_did_beyond_its_checkpoint_is_dropped_when_it_was_done_again(tmp_path):
    log = Log(tmp_path / "log.jsonl")
    for step in (1, 2, 3):
        log({"event": "step", "step": step})
    log({"event": "start", "step": 2, "resumed": True})
    log({"event": "step", "step": 3})
    assert [(event["event"], event["step"]) for event in read(log.path)] == [
        ("step", 1),
        ("step", 2),
        ("start", 2),
        ("step", 3),
    ]


def test_a_log_that_cannot_be_written_is_said_once_and_stops_nothing(tmp_path):
    complaints = io.StringIO()
    log = Log(tmp_path / "absent" / "log.jsonl", complaints)
    for step in range(3):
        log({"event": "step", "step": step})
    assert log.lost == 3
    assert complaints.getvalue().count("\n") == 1
    assert "the run goes on" in complaints.getvalue()
    (tmp_path / "absent").mkdir()
    log({"event": "step", "step": 3})
    assert [event["step"] for event in read(log.path)] == [3]


def test_a_number_that_json_does_not_know_is_refused(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        Log(tmp_path / "log.jsonl")({"event": "step", "nats": float("nan")})


def test_several_are_told_in_order():
    told = []
    fan_out(lambda e: told.append(("a", e["step"])), lambda e: told.append(("b", e["step"])))({"step": 1})
    assert told == [("a", 1), ("b", 1)]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_gets_the_curves_and_the_samples(tmp_path):
    pytest.importorskip("tensorboard")
    board = TensorBoard(tmp_path)
    board({"event": "step", "step": 3, "nats": 1.5, "lr": 0.1, "gradient_norm": None, "tokens_per_second": 9.0})
    board({"event": "evaluation", "step": 3, "valid_nats": 1.25})
    board({"event": "sample", "step": 3, "text": "hello"})
    board({"event": "end", "step": 3})
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert {tag: events.Scalars(tag)[0].value for tag in events.Tags()["scalars"]} == pytest.approx(
        {"nats/train": 1.5, "lr": 0.1, "tokens_per_second": 9.0, "nats/valid": 1.25}
    )
    assert len(events.Tags()["tensors"]) == 1


def test_tensorboard_that_is_not_installed_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UsageError, match=r"riverrun\[tensorboard\]"):
        TensorBoard(tmp_path)
