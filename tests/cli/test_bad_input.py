"""Bad input: a clear sentence, the right exit code, nothing written over, no traceback; by the command line itself."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cli.material import SMALL, TEXT, Done, Riverrun

from riverrun import files


def content(folder: Path) -> dict[str, str]:
    """Every file below a folder and the hash of what is in it."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def refused(done: Done, code: int, *words: str) -> None:
    """A sentence on standard error, no traceback anywhere, and the exit code."""
    assert done.code == code, done
    assert done.err.startswith("riverrun: "), done.err
    assert "Traceback" not in done.err + done.out
    for word in words:
        assert word in done.err, (word, done.err)
    assert done.err.rstrip()[-1] in ".?`", done.err


USAGE = [
    (["trian"], ["trian: no such verb", "Did you mean 'train'?"]),
    (["--hepl"], ["--hepl: no such option"]),
    (["train", "--hiden", "8"], ["--hiden: no such option", "Did you mean '--hidden'?"]),
    (["train", "--hiden=8"], ["--hiden: no such option", "Did you mean '--hidden'?"]),
    (["train", "--hidden", "many"], ["--hidden: expected a whole number, got 'many'"]),
    (["train", "--hidden"], ["--hidden", "expected one argument"]),
    (["train", "--hidden", "0"], ["hidden: expected a whole number of at least 1"]),
    (["train", "--dropout", "2"], ["dropout: expected"]),
    (["train", "--dropout", "nan"], ["--dropout: expected a finite number"]),
    (["train", "--cell", "lstn"], ["--cell: expected one of", "Did you mean 'lstm'?"]),
    (["train", "--tokens", "chrs"], ["--tokens: expected one of", "Did you mean 'chars'?"]),
    (["train", "--optimiser", "adamm"], ["--optimiser: expected one of", "Did you mean 'adam"]),
    (["train", "--preset", "tiney"], ["--preset: expected one of", "Did you mean 'tiny'?"]),
    (["train", "--task", "ml"], ["--task: expected one of classify, lm"]),
    (["train", "--device", "gpu"], ["--device: expected auto, cpu, cuda"]),
    (["train", "--steps", "-1"], ["steps", "expected"]),
    (["train", "--steps", "0"], ["no budget"]),
    (["train", "--hid", "8"], ["--hid: no such option"]),
    (["resume"], ["the following arguments are required: RUN"]),
    (["sample", "run", "-t", "-1"], ["--temperature: expected a number of at least 0"]),
    (["sample", "run", "--top-p", "1.5"], ["--top-p: expected a number from 0 to 1"]),
    (["sample", "run", "--top-p", "0"], ["--top-p: expected more than 0"]),
    (["train", "--threads", "100000"], ["--threads: expected at most"]),
    (["sample", "run", "-n", "ten"], ["--length: expected a whole number"]),
    (["sample", "run", "--tempreature", "1"], ["--tempreature: no such option", "Did you mean '--temperature'?"]),
    (["data", "pek"], ["expected `data peek`", "Did you mean 'peek'?"]),
    (["presets", "tinny"], ["Did you mean 'tiny'?"]),
]


@pytest.mark.parametrize(("arguments", "words"), USAGE, ids=[" ".join(arguments) for arguments, _ in USAGE])
def test_a_wrong_option_names_the_nearest_and_exits_with_2(
    riverrun: Riverrun, tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    refused(riverrun(*arguments), 2, *words)
    assert content(tmp_path) == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--chrono", "2"], "--chrono: expected the longest memory in steps, from 3"),
        (["--skip", "dense", "--layers", "1"], "--skip: 'dense' finds nothing to connect in one layer"),
        (["--hidden", "0"], "--hidden: expected a whole number of at least 1"),
        (["--lr", "-1"], "--lr: expected a number above 0"),
        (["--test-share", "0"], "--test-share: expected a share"),
        (["--precision", "float16"], "--precision: CPUs have no float16"),
        (["-c", "my.toml"], "my.toml:2: tied: one-hot input has no embedding to share."),
    ],
)
def test_what_is_wrong_with_a_value_names_the_flag_or_the_line(
    riverrun: Riverrun, tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "my.toml").write_text("[model]\ntied = true\none_hot = true\n")
    (tmp_path / "text.txt").write_text("to be or not to be. " * 90)
    done = riverrun("train", "text.txt", "--steps", "1", "--device", "cpu", *arguments)
    assert done.code == 2
    assert done.err.startswith(f"riverrun: {message}"), done.err


FILES = {
    "empty.txt": (b"", "empty"),
    "short.txt": (b"ab", "too short to split"),
    "same.txt": (b"a" * 5000, "one character repeated"),
    "binary.txt": (bytes(range(256)) * 40, "--tokens bytes"),
    "latin.txt": ("caf\u00e9 au lait, ".encode("latin-1") * 300, "byte 3"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_cannot_be_trained_on_is_refused_before_anything_is_written(
    riverrun: Riverrun, tmp_path: Path, name: str
) -> None:
    data, word = FILES[name]
    (tmp_path / name).write_bytes(data)
    before = content(tmp_path)
    refused(riverrun("train", name, "--steps", "2", *SMALL, "-o", "run"), 3, name, word)
    assert content(tmp_path) == before


def test_a_missing_file_is_named_with_its_nearest(riverrun: Riverrun, tmp_path: Path, text: Path) -> None:
    refused(riverrun("train", "txet.txt", "--steps", "2", *SMALL), 3, "txet.txt: no such file", "text.txt")
    assert content(tmp_path) == {"text.txt": hashlib.sha256(TEXT.encode()).hexdigest()}


def test_a_binary_file_can_be_trained_on_as_bytes(riverrun: Riverrun, tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(bytes((7 * n * n) % 251 for n in range(4000)))
    done = riverrun("train", "data.bin", "--tokens", "bytes", "--steps", "1", *SMALL, "-o", "run", "--no-baselines")
    assert done.code == 0, done.err
    assert (tmp_path / "run" / "model" / "config.json").is_file()


def test_a_run_folder_that_exists_is_left_alone_and_the_next_name_is_taken(
    riverrun: Riverrun, tmp_path: Path, text: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "precious").write_text("mine")
    done = riverrun("train", "text.txt", "--steps", "1", *SMALL, "-o", "run", "--no-baselines")
    assert done.code == 0, done.err
    assert content(tmp_path / "run") == {"precious": hashlib.sha256(b"mine").hexdigest()}
    assert (tmp_path / "run-2" / "report.html").is_file()


def test_a_run_folder_below_a_file_is_refused(riverrun: Riverrun, tmp_path: Path, text: Path) -> None:
    refused(riverrun("train", "text.txt", "--steps", "1", *SMALL, "-o", "text.txt/run"), 3, "text.txt/run")
    assert text.read_text() == TEXT


@pytest.mark.parametrize("verb", [["resume"], ["eval"], ["sample"], ["predict"]])
def test_a_run_that_is_not_there_is_said_to_be_missing(riverrun: Riverrun, verb: list[str]) -> None:
    more = ["hello"] if verb == ["predict"] else []
    refused(riverrun(*verb, "nowhere", *more), 3, "nowhere: not found")


@pytest.mark.parametrize("verb", [["resume"], ["eval"], ["sample"]])
def test_a_folder_that_is_no_run_is_refused(riverrun: Riverrun, tmp_path: Path, verb: list[str]) -> None:
    (tmp_path / "photos").mkdir()
    refused(riverrun(*verb, "photos"), 3, "photos", "run")


def flip(path: Path, place: int = -20) -> None:
    """Change one bit of a file."""
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("verb", [["sample"], ["eval"], ["predict"]])
@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_bit_flipped_in_a_model_file_is_found(riverrun: Riverrun, run: Path, verb: list[str], name: str) -> None:
    flip(run / "model" / name)
    before = content(run)
    more = ["hello"] if verb == ["predict"] else []
    refused(riverrun(*verb, "run", *more), 3, name, "corrupted")
    assert content(run) == before


def test_a_model_folder_of_a_newer_version_is_refused(riverrun: Riverrun, run: Path) -> None:
    model = files.read_folder(run / "model")
    config = json.loads(model["config.json"])
    shutil.rmtree(run / "model")
    files.write_folder(run / "model", {**model, "config.json": json.dumps({**config, "format": 99}).encode()})
    refused(riverrun("sample", "run"), 3, "config.json", "format 99", "newer", "Upgrade")


def test_a_model_folder_that_lacks_a_file_is_refused(riverrun: Riverrun, run: Path) -> None:
    (run / "model" / "model.safetensors").unlink()
    refused(riverrun("sample", "run/model"), 3, "model.safetensors", "cannot be read")


def test_resume_with_every_checkpoint_damaged_is_refused_and_leaves_them_alone(riverrun: Riverrun, run: Path) -> None:
    for weights in (run / "checkpoints").glob("*/model.safetensors"):
        flip(weights)
    before = content(run)
    refused(riverrun("resume", "run"), 3, "none of 2 checkpoints can be read")
    assert content(run) == before


def test_resume_passes_over_a_damaged_checkpoint_with_a_warning(riverrun: Riverrun, run: Path) -> None:
    flip(run / "checkpoints" / "6" / "model.safetensors")
    done = riverrun("resume", "run", "--no-baselines")
    assert done.code == 0, done.err
    assert "corrupted" in done.out
    assert "from step 0" in done.out


def test_resume_over_data_that_have_changed_is_refused(riverrun: Riverrun, tmp_path: Path, text: Path) -> None:
    assert riverrun("train", "text.txt", "--steps", "1", *SMALL, "-o", "mine", "--no-baselines").code == 0
    text.write_text(TEXT.replace("7", "8").replace("dogs", "gods"))
    before = content(tmp_path / "mine")
    refused(riverrun("resume", "mine"), 3, "text.txt", "SHA-256 has changed")
    assert content(tmp_path / "mine") == before


@pytest.mark.parametrize("verb", [["sample", "run", "--prompt"], ["predict", "run"]])
def test_a_prompt_with_characters_never_seen_names_them(riverrun: Riverrun, run: Path, verb: list[str]) -> None:
    done = riverrun(*verb, "the \u03a9 cats")
    refused(done, 2, "'\u03a9' (U+03A9)")
    assert done.out == ""  # not even the prompt


def test_an_empty_text_cannot_be_scored(riverrun: Riverrun, run: Path) -> None:
    refused(riverrun("predict", "run", ""), 3, "empty")


def test_predict_of_a_binary_file_names_the_byte(riverrun: Riverrun, run: Path, tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"ab\xff\xfe")
    refused(riverrun("predict", "run", "x.bin"), 3, "x.bin", "byte 2")


def test_sample_writes_over_no_file(riverrun: Riverrun, run: Path, tmp_path: Path) -> None:
    (tmp_path / "poem.txt").write_text("mine")
    refused(riverrun("sample", "run", "-n", "5", "-o", "poem.txt"), 2, "poem.txt", "not written over")
    assert (tmp_path / "poem.txt").read_text() == "mine"


def test_a_wrong_configuration_file_names_file_and_line(riverrun: Riverrun, tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text("[model]\nhidden = 8\nlayrs = 1\n")
    refused(riverrun("train", "-c", "my.toml"), 2, "my.toml:3: layrs: no such key", "Did you mean 'layers'?")
    refused(riverrun("train", "-c", "none.toml"), 3, "none.toml: cannot be read")


def test_standard_input_that_is_empty_is_refused(shell: Riverrun, tmp_path: Path) -> None:
    refused(shell("train", "-", "--steps", "1", *SMALL), 3, "empty")
    assert content(tmp_path) == {}


def test_a_shell_sees_no_traceback_either(shell: Riverrun, tmp_path: Path) -> None:
    refused(shell("train", "nothere.txt", "--steps", "1"), 3, "nothere.txt: no such file")
    refused(shell("train", "--hiden", "8"), 2, "Did you mean '--hidden'?")


def test_a_file_where_the_run_folder_was_to_be_is_named(riverrun: Riverrun, text: Path, tmp_path: Path) -> None:
    before = content(tmp_path)
    refused(riverrun("train", "text.txt", "--preset", "tiny", "-o", "text.txt"), 3, "text.txt: is a file")
    assert content(tmp_path) == before


def test_tensorboard_is_missed_before_a_run_folder_is_made(
    riverrun: Riverrun, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    done = riverrun("train", "text.txt", "--preset", "tiny", "--tensorboard", "-o", "run")
    refused(done, 2, "--tensorboard: the package tensorboard is not installed")
    assert not (tmp_path / "run").exists()


def test_a_terminal_without_unicode_gets_the_letters_numbers(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("\u00e9t\u00e9 " * 100, encoding="utf-8")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "riverrun", "data", "peek", "text.txt"]
    done = subprocess.run(command, capture_output=True, env=environment, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert b"  | \\xe9t\\xe9 " in done.stdout


def test_what_looks_like_a_file_and_is_none_is_told_when_it_is_read_as_text(riverrun: Riverrun, run: Path) -> None:
    done = riverrun("predict", "run", "the.mats")
    assert "the.mats: no such file" in done.err
    assert "no such file" not in riverrun("predict", "run", "the mats").err
