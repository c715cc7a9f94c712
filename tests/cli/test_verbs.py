"""The verbs on a small text: what they print, what they write, and what --json gives."""

from __future__ import annotations

import ast
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli.material import SMALL, TEXT, Riverrun

from riverrun import configuration
from riverrun.engine.library import find, library
from riverrun.pipeline.plan import restore, schema

COMPLETE = [
    *("run.toml", "data.json", "env.json", "log.jsonl", "train.log", "report.html"),
    *("eval/metrics.json", "eval/surprise.json", "eval/novelty.json", "samples/final.txt", "checkpoints/last"),
    *("model/config.json", "model/model.safetensors", "model/tokenizer.json", "model/README.md"),
]


def test_train_leaves_a_complete_run_folder(run: Path) -> None:
    for name in COMPLETE:
        assert (run / name).is_file(), name
    assert not list(run.rglob("*.pt")) + list(run.rglob("*.pkl"))
    log = (run / "train.log").read_text()
    for word in ("task       lm", "split      the last", "kernel     ", "precision  float32", "step 6", "copied from"):
        assert word in log, word
    env = json.loads((run / "env.json").read_text())
    assert env["kernels"]
    assert env["versions"]["torch"]
    assert "".join((run / "model").joinpath("README.md").read_text().split()).startswith("#Alanguagemodel")


def test_run_toml_repeats_the_run_to_the_same_weights(riverrun: Riverrun, run: Path, tmp_path: Path) -> None:
    done = riverrun("train", "-c", "run/run.toml", "-o", "again", "--no-baselines")
    assert done.code == 0, done.err
    assert restore(tmp_path / "again" / "run.toml") == restore(run / "run.toml")
    assert (tmp_path / "again/model/model.safetensors").read_bytes() == (run / "model/model.safetensors").read_bytes()


def test_a_flag_overrides_the_configuration_file(riverrun: Riverrun, run: Path, tmp_path: Path) -> None:
    arguments = [
        "train",
        "-c",
        "run/run.toml",
        "-o",
        "other",
        "--no-baselines",
        "--hidden",
        "6",
        "--tied",
        "--steps",
        "1",
    ]
    assert riverrun(*arguments).code == 0
    model = restore(tmp_path / "other" / "run.toml").sections["model"]
    assert (model.hidden, model.tied, model.layers) == (6, True, 1)


def test_train_with_json_gives_one_document_and_narrates_beside_it(riverrun: Riverrun, text: Path) -> None:
    done = riverrun("train", "text.txt", "--steps", "1", *SMALL, "-o", "run", "--no-baselines", "--json")
    assert done.code == 0, done.err
    facts = json.loads(done.out)
    assert facts["steps"] == 1
    assert facts["metrics"]["carried"]["nats"] > 0
    assert "evaluating" in done.err


def test_train_sets_the_baselines_beside_the_model(riverrun: Riverrun, text: Path, tmp_path: Path) -> None:
    from riverrun.tasks.measures import baselines

    patch = pytest.MonkeyPatch()
    patch.setattr(baselines, "fixed_window", lambda *given: baselines.unigram(*given[:3]))
    try:
        done = riverrun("train", "text.txt", "--steps", "1", *SMALL, "-o", "run")
    finally:
        patch.undo()
    assert done.code == 0, done.err
    names = [row["name"] for row in json.loads((tmp_path / "run/eval/metrics.json").read_text())["baselines"]]
    for name in names:
        assert name in done.out
    assert any(name.startswith("Kneser-Ney") for name in names)
    assert "xz" in names


def test_what_is_unknown_in_held_out_text_is_told_wherever_its_figures_are(riverrun: Riverrun, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(TEXT + "hitherto unheard and unseen\n" * 20)
    train = ["train", "text.txt", "--steps", "1", *SMALL, "--no-baselines"]
    done = riverrun(*train, "--tokens", "words", "-o", "words")
    assert done.code == 0, done.err
    metrics = json.loads((tmp_path / "words/eval/metrics.json").read_text())
    assert 0.2 < metrics["unknown_share"] < 0.9
    for sentence in ("of the predicted words are unknown to the vocabulary", "--min-count 2 makes those words unknown"):
        assert sentence in metrics["unknown"]
        assert sentence in done.out
        assert sentence in (tmp_path / "words/report.html").read_text()
    data = json.loads((tmp_path / "words/data.json").read_text())
    assert "training part alone" in data["vocabulary_rule"]
    done = riverrun("resume", "words", "--no-baselines")
    assert done.code == 0, done.err
    (tmp_path / "text.txt").write_text(TEXT + "☃" * 20)
    done = riverrun(*train, "-o", "chars")
    assert done.code == 0, done.err
    assert "which of the other characters of Unicode it is" in done.out
    known, unknown = (
        json.loads(riverrun("predict", "chars", text, "--json").out)["nats"][-1] for text in ("the c", "the ☃")
    )
    assert unknown > known + 10


def test_train_reads_standard_input_and_keeps_it(shell: Riverrun, tmp_path: Path) -> None:
    done = shell("train", "-", "--steps", "1", *SMALL, "-o", "run", "--no-baselines", stdin=TEXT.encode())
    assert done.code == 0, done.err
    kept = list((tmp_path / "run" / "input").iterdir())
    assert [path.read_text() for path in kept] == [TEXT]
    again = shell("eval", "run", "--no-baselines")
    assert again.code == 0, again.err


def test_dry_run_tells_schema_size_and_time_and_writes_nothing(riverrun: Riverrun, text: Path, tmp_path: Path) -> None:
    done = riverrun("train", "text.txt", "--epochs", "3", *SMALL, "--dry-run")
    assert done.code == 0, done.err
    for word in ("split", "parameters", "MiB of weights", "s a step", "nothing was written"):
        assert word in done.out
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]
    facts = json.loads(riverrun("train", "text.txt", "--epochs", "3", *SMALL, "--dry-run", "--json").out)
    assert facts["epochs"] == pytest.approx(3)
    assert facts["parameters"] > 100
    assert facts["seconds_per_step"] > 0


def test_train_without_data_takes_the_text_that_python_carries(riverrun: Riverrun) -> None:
    done = riverrun("train", "--dry-run", "--json", "--steps", "1", *SMALL)
    assert done.code == 0, done.err
    assert "pydoc_data" in json.loads(done.out)["data"]["files"][0]["path"]


def test_sample_begins_with_the_prompt_and_is_the_same_for_a_seed(riverrun: Riverrun, run: Path) -> None:
    first = riverrun("sample", "run", "--prompt", "the 3 cats", "-n", "40", "--seed", "5")
    assert first.code == 0, first.err
    assert first.out.startswith("the 3 cats")
    assert len(first.out) == len("the 3 cats") + 40 + 1
    assert "copied from the training text" in first.err
    assert riverrun("sample", "run", "--prompt", "the 3 cats", "-n", "40", "--seed", "5").out == first.out
    assert riverrun("sample", "run", "--prompt", "the 3 cats", "-n", "40", "--seed", "6").out != first.out


def test_the_prompt_matters(riverrun: Riverrun, run: Path) -> None:
    def continued(prompt: str) -> str:
        greedy = ("-t", "0", "-n", "60", "--no-novelty")  # of six steps of training, only the likeliest tell
        return riverrun("sample", "run", "--prompt", prompt, *greedy).out[len(prompt) :]

    assert len({continued(prompt) for prompt in ("the 1 cats", "looked on.\n", "2 mats, and", "sat")}) > 1


def test_sample_with_json_gives_as_many_texts_as_asked_for(riverrun: Riverrun, run: Path) -> None:
    facts = json.loads(riverrun("sample", "run", "-n", "20", "--count", "3", "--json").out)
    assert len(set(facts["texts"])) == 3
    assert facts["novelty"]["sample"]["longest"]["length"] >= 1
    greedy = json.loads(riverrun("sample", "run", "-n", "20", "-t", "0", "--count", "2", "--json").out)
    assert greedy["texts"][0] == greedy["texts"][1]


def test_sample_from_a_model_folder_alone_says_why_it_compares_with_nothing(riverrun: Riverrun, run: Path) -> None:
    moved = run.parent / "elsewhere"
    (run / "model").rename(moved)
    done = riverrun("sample", "elsewhere", "-n", "5")
    assert done.code == 0
    assert "not compared with the training text" in done.err


def test_sample_writes_to_a_file(riverrun: Riverrun, run: Path, tmp_path: Path) -> None:
    assert riverrun("sample", "run", "-n", "10", "--prompt", "the", "-o", "poem.txt").code == 0
    assert (tmp_path / "poem.txt").read_text().startswith("the")


def test_predict_scores_text_file_and_standard_input_alike(riverrun: Riverrun, run: Path, shell: Riverrun) -> None:
    (run.parent / "line.txt").write_text("the 3 cats sat")
    facts = json.loads(riverrun("predict", "run", "the 3 cats sat", "--json").out)
    assert json.loads(riverrun("predict", "run", "line.txt", "--json").out) == facts
    piped = json.loads(shell("predict", "run", "-", "--json", stdin=b"the 3 cats sat").out)
    assert piped["tokens"] == facts["tokens"]
    assert "".join(facts["tokens"]) == "the 3 cats sat"
    assert facts["nats"][0] is None
    assert facts["predicted"] == len(facts["nats"]) - 1 == 13
    assert facts["mean_nats"] == pytest.approx(sum(facts["nats"][1:]) / 13, abs=1e-5)
    assert len(facts["next"]) == 5
    (run.parent / "the").write_text("3 cats")
    forced = json.loads(riverrun("predict", "run", "--text", "the", "--json").out)
    assert "".join(forced["tokens"]) == "the"


def test_predict_writes_a_row_a_token_and_the_summary_beside_it(riverrun: Riverrun, run: Path) -> None:
    text = "the cats\n" * 300
    done = riverrun("predict", "run", text, "-k", "3")
    assert done.code == 0, done.err
    head, *rows = [line.split("\t") for line in done.out.splitlines()]
    assert head == ["nats", "token", "likelier"]
    assert "".join(ast.literal_eval(token) for _, token, _ in rows) == text
    assert rows[0][0] == ""
    assert all(float(nats) >= 0 for nats, _, _ in rows[1:])
    assert "perplexity" in done.err
    assert done.err.splitlines()[-1].startswith("next: ")
    assert done.err.splitlines()[-1].count(",") == 2


def test_predict_of_a_run_that_has_not_ended_says_so_beside_the_rows(riverrun: Riverrun, run: Path) -> None:
    shutil.rmtree(run / "model")
    done = riverrun("predict", "run", "the cats")
    assert "training has not ended" in done.err
    assert all(line.count("\t") == 2 for line in done.out.splitlines())


def test_eval_repeats_the_figures_of_training(riverrun: Riverrun, run: Path) -> None:
    before = json.loads((run / "eval" / "metrics.json").read_text())
    (run / "report.html").unlink()
    done = riverrun("eval", "run", "--no-baselines", "--window", "8", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["metrics"]["carried"] == before["carried"]
    assert (run / "report.html").is_file()


def test_eval_in_another_way_than_the_run_s_writes_nothing(riverrun: Riverrun, run: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    done = riverrun("eval", "run", "--no-baselines", "--window", "4")
    assert done.code == 0, done.err
    assert "not by the run's own options: its eval/ and report.html are left as they are." in done.out
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_a_run_that_cannot_be_written_is_told_before_it_is_measured(riverrun: Riverrun, run: Path) -> None:
    shutil.rmtree(run / "eval")
    (run / "eval").write_text("")
    done = riverrun("eval", "run")
    assert done.code == 3
    assert "eval: cannot be written" in done.err
    assert "evaluating" not in done.out


def test_eval_of_another_text_writes_nothing(riverrun: Riverrun, run: Path, tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("the 1 dogs sat on the 2 cats.\n" * 20)
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    facts = json.loads(riverrun("eval", "run", "other.txt", "--json").out)
    assert facts["metrics"]["part"] == "given"
    assert facts["metrics"]["tokens"] == 599
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_data_peek_tells_files_tokens_and_split(riverrun: Riverrun, text: Path) -> None:
    done = riverrun("data", "peek", "text.txt")
    assert done.code == 0, done.err
    for word in ("text.txt", "SHA-256", "vocabulary", "the last", "  | the 0 cats sat"):
        assert word in done.out
    facts = json.loads(riverrun("data", "peek", "text.txt", "--json", "--test-share", "0.5").out)
    assert facts["parts"]["train"]["tokens"] == pytest.approx(len(TEXT) / 2, rel=0.02)
    facts = json.loads(riverrun("data", "peek", "text.txt", "--json", "--valid-share", "0.2").out)
    assert facts["parts"]["valid"]["tokens"] == pytest.approx(len(TEXT) / 5, rel=0.02)
    assert riverrun("data", "peek", "text.txt", "--test", "text.txt", "--test-share", "0.2").err.startswith(
        "riverrun: --test-share: does nothing with --test text.txt. Leave one of the two out."
    )


def test_presets_are_listed_and_shown_and_every_one_can_be_planned(riverrun: Riverrun) -> None:
    listed = json.loads(riverrun("presets", "--json").out)
    assert {"default", "demo", "tiny", "min-char-rnn"} <= {preset["name"] for preset in listed}
    for preset in listed:
        options = configuration.resolve(schema(preset["task"]), preset["values"])
        assert options["training"].budget(), preset["name"]
    assert "lanes = 1" in riverrun("presets", "min-char-rnn").out


def test_doctor_names_a_kernel_and_the_reason_for_every_cell(riverrun: Riverrun) -> None:
    from riverrun import cells

    done = riverrun("doctor", "--json")
    assert done.code == 0, done.out
    facts = json.loads(done.out)
    assert set(facts["kernels"]) == set(cells.names())
    assert facts["problems"] == []
    assert "All is well." in riverrun("doctor").out


@pytest.mark.parametrize(
    ("variables", "code", "said"),
    [
        ({"RIVERRUN_NATIVE": "0"}, 0, "engine     the native engine is turned off by RIVERRUN_NATIVE=0.\n"),
        ({"RIVERRUN_NATIVE": "no"}, 4, "PROBLEM    RIVERRUN_NATIVE is 'no'. Set it to 0 or 1.\n"),
        ({"RIVERRUN_NATIVE": "1", "RIVERRUN_LIBRARY": "none.so"}, 4, "engine     RIVERRUN_LIBRARY is 'none.so', which"),
    ],
)
def test_doctor_says_what_there_is_of_the_native_engine(
    riverrun: Riverrun, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], code: int, said: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("riverrun.engine.library.library", lambda: find(os.environ))
    done = riverrun("doctor")
    assert done.code == code, done.out
    assert said in done.out


def test_doctor_names_the_native_engines_instruction_set(riverrun: Riverrun) -> None:
    there = library()
    if there.handle is None:
        pytest.skip(there.reason)
    assert f"engine     native, {there.isa} ({there.path})\n" in riverrun("doctor").out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_finishes_the_step_saves_and_exits_with_130_and_resume_goes_on(
    tmp_path: Path, text: Path, riverrun: Riverrun, number: signal.Signals
) -> None:
    command = [sys.executable, "-m", "riverrun", "train", "text.txt", "--steps", "100000", *SMALL, "-o", "run"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("step "):
            break
    time.sleep(0.05)
    process.send_signal(number)
    rest, _ = process.communicate(timeout=60)
    said = "".join(lines) + rest
    assert process.returncode == 130, said
    assert "riverrun resume run" in said
    assert "Traceback" not in said
    steps = int((tmp_path / "run" / "checkpoints" / "last").read_text())
    assert steps > 0
    assert riverrun("sample", "run", "-n", "5").code == 0  # what there is can be used at once
    toml = tmp_path / "run" / "run.toml"
    toml.write_text(toml.read_text().replace("steps = 100000", f"steps = {steps + 3}"))
    done = riverrun("resume", "run", "--no-baselines")
    assert done.code == 0, done.err
    assert f"from step {steps:,}" in done.out
    assert (tmp_path / "run" / "checkpoints" / "last").read_text().strip() == str(steps + 3)
    assert (tmp_path / "run" / "report.html").is_file()
