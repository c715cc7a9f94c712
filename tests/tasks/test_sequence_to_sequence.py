"""The task from the command line: pairs in, a run folder out; what is wrong is a sentence with its exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tasks.pairs.material import SOURCES, TARGETS

from riverrun import tasks
from riverrun.cli.main import main
from riverrun.configuration import resolve, settings
from riverrun.tasks.sequence_to_sequence import TASK, infer

SMALL = ["--hidden", "8", "--steps", "4", "--threads", "1", "--precision", "float32"]
PLAIN = ["--source-tokens", "chars", "--target-tokens", "spaces"]
ROWS = "".join(f"{source}\t{target}\n" for source, target in zip(SOURCES, TARGETS, strict=True))


def run(capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """The exit code, standard output and standard error."""
    capfd.readouterr()
    code = main([str(argument) for argument in arguments])
    return code, *capfd.readouterr()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spelling")
    (folder / "pairs.tsv").write_text(ROWS)
    assert main(["train", str(folder / "pairs.tsv"), "-o", str(folder / "run"), *PLAIN, *SMALL]) == 0
    return folder / "run"


def test_a_run_folder_has_everything(trained: Path) -> None:
    data = json.loads((trained / "data.json").read_text())
    assert data["task"] == "seq2seq"
    assert data["format"] == "tsv"
    metrics = json.loads((trained / "eval" / "metrics.json").read_text())
    assert metrics["figures"][0]["name"] == "output error"
    assert [row["name"] for row in metrics["baselines"]] == ["copy", "commonest", "nearest neighbour"]
    for name in ("source.json", "target.json", "pairs.json", "model.safetensors"):
        assert (trained / "model" / name).is_file()
    for name in ("lengths.json", "alignments.json", "mistakes.json", "predictions.tsv"):
        assert (trained / "eval" / name).is_file()
    assert "report.html" in {path.name for path in trained.iterdir()}
    assert "[decoding]" in (trained / "run.toml").read_text()


def test_a_model_predicts_from_its_folder_alone(
    trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in.txt").write_text("ab\n\ncd\n")
    monkeypatch.chdir(tmp_path)
    code, out, _ = run(capfd, "predict", trained / "model", "in.txt", "--max-length", "3")
    assert (code, len(out.splitlines())) == (0, 3)
    code, out, err = run(capfd, "predict", trained / "model", "ab", "--text", "--attention", "ab.svg", "--json")
    assert code == 0
    assert json.loads(out)["alignments"][0]["source"] == ["a", "b"]
    assert (tmp_path / "ab.svg").read_text().startswith("<svg")
    assert "attention  ab.svg" in err
    code, _, _ = run(capfd, "predict", trained / "model", "in.txt", "--attention", "two.html")
    assert code == 0
    assert (tmp_path / "two.html").read_text().count("<svg") == 2


def test_the_own_test_part_is_measured_again_and_written_otherwise_where_asked(
    trained: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = json.loads((trained / "eval" / "metrics.json").read_text())
    code, out, _ = run(capfd, "eval", trained, "--no-baselines", "--json")
    assert code == 0
    again = json.loads(out)["metrics"]
    assert again["figures"] == before["figures"]
    assert again["loss"] == pytest.approx(before["loss"])
    code, out, _ = run(capfd, "eval", trained, "--no-baselines", "--beam", "1", "--scored", "5", "--json")
    again = json.loads(out)["metrics"]
    assert (code, again["count"], again["decoding"]["beam"]) == (0, 5, 1)


def test_other_pairs_are_measured_too(trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "other.tsv").write_text("ab\tA B\nab\tB A\nzz\tZ Z\n")
    code, out, _ = run(capfd, "eval", trained, tmp_path / "other.tsv", "--json")
    metrics = json.loads(out)["metrics"]
    assert (code, metrics["part"], metrics["count"], metrics["pairs"]) == (0, "given", 2, 3)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ab\tA B\n\tC\n", "bad.tsv:2: expected text on both sides, got an empty source"),
        ("ab\tA B\nc\n", "bad.tsv:2: expected 2 columns as in the first line, got 1"),
        ("ab\tA B\nc\tC\tD\n", "bad.tsv:2: expected 2 columns as in the first line, got 3"),
        ("ab\n", "bad.tsv:1: expected a source, a tab and a target"),
        ("ab\tA B\nc\td\n", "too few pairs to split"),
    ],
)
def test_bad_pairs_are_told_with_file_and_line_and_leave_nothing_behind(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], text: str, told: str
) -> None:
    (tmp_path / "bad.tsv").write_text(text)
    code, _, err = run(
        capfd, "train", tmp_path / "bad.tsv", "--task", "seq2seq", "-o", tmp_path / "run", *PLAIN, *SMALL
    )
    assert code == 3
    assert told in err
    assert not (tmp_path / "run").exists()


def test_bad_rows_are_dropped_counted_and_recorded_where_asked(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.tsv").write_text(ROWS + "x\n\tY\n")
    arguments = ["train", tmp_path / "bad.tsv", "-o", tmp_path / "run", "--skip-bad-rows", "--no-baselines"]
    code, _, _ = run(capfd, *arguments, *PLAIN, *SMALL)
    data = json.loads((tmp_path / "run" / "data.json").read_text())
    assert (code, data["rows_dropped"]) == (0, 2)
    assert [reason.split(":")[1] for reason in data["files"][0]["reasons"]] == ["341", "342"]


def test_paired_files_of_different_counts_are_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "train.de").write_text("Hallo\nWelt\n")
    (tmp_path / "train.en").write_text("hello\n")
    code, _, err = run(capfd, "train", tmp_path / "train.de", tmp_path / "train.en", "--dry-run")
    assert code == 3
    assert "train.de has 2 lines" in err
    assert "train.en 1" in err


def test_options_that_do_nothing_are_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pairs.tsv").write_text(ROWS)
    code, _, err = run(capfd, "train", tmp_path / "pairs.tsv", "--beam", "1", "--length-penalty", "0.2", "--dry-run")
    assert code == 2
    assert "--length-penalty: does nothing with --beam 1" in err


def test_a_dry_run_says_what_would_be_learnt(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.dict").write_text("".join(f"w{i}  K AE{i % 3} T\nw{i}(2)  K AA1 T\n" for i in range(60)))
    code, out, err = run(capfd, "train", tmp_path / "a.dict", "--preset", "g2p", "--hidden", "8", "--dry-run")
    assert code == 0
    assert "words and phonemes of ARPAbet" in out + err
    assert "tokens     chars" in out + err
    assert "by the SHA-256 of the word" in out + err
    assert not list(tmp_path.glob("runs"))


def test_every_preset_resolves_and_names_a_budget() -> None:
    known = {setting.name for setting in settings(TASK.sections)}
    for preset in TASK.presets:
        sections = resolve(TASK.sections, preset.values)
        assert sections["training"].budget()
        assert {name for values in preset.values.values() for name in values} <= known


def test_the_task_is_inferred_from_pairs_and_from_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "pairs.tsv").write_text(ROWS)
    (tmp_path / "text.txt").write_text("to be or not to be\n")
    assert infer([str(tmp_path / "pairs.tsv")]) is not None
    assert infer([str(tmp_path / "text.txt")]) is None
    assert tasks.infer([str(tmp_path / "pairs.tsv")])[0] is TASK


def test_the_report_names_parts_that_there_are() -> None:
    from riverrun.inspection import parts

    found: list[Any] = [parts.find(name) for name in TASK.report]
    assert all(found)
