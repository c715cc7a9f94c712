"""The documentation is what the code says, and its examples run."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from riverrun.cli.main import VERBS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_page_of_options_is_what_make_options_writes() -> None:
    spec = importlib.util.spec_from_file_location("make_options", ROOT / "docs" / "make_options.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "docs" / "options.md").read_text(encoding="utf-8") == module.page(), "run: docs/make_options.py"


def test_the_readme_shows_every_verb() -> None:
    assert {verb for verb in VERBS if f"riverrun {verb}" not in README} == set()


def test_every_page_that_the_readme_names_is_there() -> None:
    named = re.findall(r"`((?:docs|benchmarks)/[\w./-]+|[A-Z]+\.md)`|\]\((docs/[\w./-]+)\)", README)
    assert len(named) >= 5
    assert [name for pair in named for name in pair if name and not (ROOT / name).exists()] == []


def test_the_readme_s_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(f"{n % 9} ships lay at pier {n % 4}, and ROMEO: looked on.\n" for n in range(80))
    (tmp_path / "shakespeare.txt").write_text(text + "But soft, what light through yonder window breaks?\n" * 9)
    (tmp_path / "notes.txt").write_text(text)
    rows = [f"{text},{label}" for n in range(20) for text, label in ((f"good {n} fun", 5), (f"bad {n} dull", 1))]
    (tmp_path / "reviews.csv").write_text("\n".join(["review,stars", *rows]) + "\n")
    word = "{}\t{}\t_\t{}\t_\t_\t_\t_\t_\t_\n".format
    sentences = [word(1, "The", "DET") + word(2, f"cat{n}", "NOUN") + word(3, ".", "PUNCT") for n in range(40)]
    for name in ("train", "dev"):
        (tmp_path / f"{name}.conllu").write_text("\n".join(sentences) + "\n")
    (tmp_path / "train.tsv").write_text("".join(f"ein Hund {n}\ta dog {n}\n" for n in range(60)))
    monkeypatch.chdir(tmp_path)
    small = "layers=1, lanes=2, window=8, verbose=False, steps=2, "
    for number, block in enumerate(blocks("python")):
        # The README's sizes and budgets are a user's; here they are a test's.
        code = re.sub(r"hidden=\d+, minutes=\d+", f"{small}hidden=8", block)
        assert code != block or "LanguageModel(" not in block
        code = re.sub(r"((?:Classifier|Tagger|Seq2Seq)\(.*)minutes=\d+", r"\1hidden=8, steps=2, verbose=False", code)
        assert "minutes=" not in code
        path = tmp_path / f"block_{number}.py"  # a file, since a cell's step is found by its source
        path.write_text("import torch\nimport riverrun as rr\n" + code)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, path.stem, module)
        spec.loader.exec_module(module)
    assert len(blocks("python")) >= 3
