"""The page on tagging: its commands and its Python run, on a small treebank with the files that it names."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from riverrun.cli.main import main

PAGE = (Path(__file__).parents[2] / "docs" / "tagging.md").read_text(encoding="utf-8")
WORDS = [("the", "DET"), ("old", "ADJ"), ("man", "NOUN"), ("sat", "VERB"), (".", "PUNCT")]
SMALL = ["--hidden", "8", "--letters", "none", "--batch", "8"]


@pytest.fixture
def treebank(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, begin, end in (("train", 0, 40), ("dev", 40, 50), ("test", 50, 60), ("other", 60, 64), ("raw", 64, 66)):
        blocks = []
        for n in range(begin, end):
            words = [*WORDS[:2], (f"cat{n}", "NOUN"), *WORDS[2:]]
            blocks.append("".join(f"{i}\t{w}\t_\t{t}\t_\t_\t0\troot\t_\t_\n" for i, (w, t) in enumerate(words, 1)))
        Path(f"{name}.conllu").write_text("\n".join(blocks) + "\n")


def test_the_commands_run(treebank, capsys):
    (block,) = (b for b in re.findall(r"```\n(.*?)```", PAGE, flags=re.DOTALL) if "riverrun train" in b)
    for line in block.splitlines():
        command, _, target = line.partition(" > ")
        words = shlex.split(command)[1:]
        more = [*SMALL, "--epochs", "6", "--lr", "0.03", "--no-baselines"] if words[0] == "train" else []
        capsys.readouterr()
        assert main([*words, *more]) == 0, line
        if target:
            Path(target).write_text(capsys.readouterr().out)
    assert Path("tagged.conllu").read_text() == Path("raw.conllu").read_text(), "by heart"
    assert Path("runs/upos/eval/predictions.conllu").is_file()


def test_the_python_runs(treebank, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    small = 'hidden=8, letters="none", verbose=False, epochs=3'
    exec(compile(code.replace("epochs=3", small), "docs/tagging.md", "exec"), {})
    assert capsys.readouterr().out.count("[") >= 3


def test_every_option_that_the_page_names_is_one():
    from riverrun.configuration import settings
    from riverrun.tasks import find

    known = {setting.flag for setting in settings(find("tag").sections)} | {"--top", "--json"}
    named = {flag.replace("--no-", "--") for flag in re.findall(r"--[a-z][a-z-]+", PAGE)}
    assert named - known == set()
