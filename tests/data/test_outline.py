"""An outline measures a corpus as its tokens would, before there are any, and the training part is cut out exactly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from riverrun.data import DataOptions, Tokenizer, encoding, read, tokenise, tokens
from riverrun.data.outline import UNITS, outline, parted
from riverrun.data.splits import places, split

TEXT = "".join(f"Zeile {n}: naïve cats, don't sit ({n % 7}) on the {n % 5} mats.\n" for n in range(200))
SHAPES = ("text", "lines", "column", "files")


@pytest.fixture(params=SHAPES)
def shape(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[list[Path], bool]:
    """The files of a corpus, and whether each line is an item."""
    lines = TEXT.splitlines()
    if request.param == "column":
        path = tmp_path / "rows.jsonl"
        rows = [{"text": line, "split": "valid" if n % 9 == 4 else ""} for n, line in enumerate(lines)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return [path], False
    if request.param == "files":
        paths = [tmp_path / f"{n}.txt" for n in range(4)]
        for n, path in enumerate(paths):
            path.write_text("\n".join(lines[50 * n : 50 * n + 50]))
        return paths, False
    (tmp_path / "text.txt").write_text(TEXT)
    return [tmp_path / "text.txt"], request.param == "lines"


@pytest.mark.parametrize("block", [50, 1 << 20])
@pytest.mark.parametrize("select", [False, True])
@pytest.mark.parametrize("kind", ["chars", "words", "bpe"])
def test_the_parts_are_those_of_the_tokens(
    kind: str, select: bool, block: int, shape: tuple[list[Path], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "BLOCK", block)
    monkeypatch.setattr(tokens, "_TOGETHER", block * 3)
    options = DataOptions(tokens=kind, lines=shape[1], test_share=0.13, vocabulary=400 if kind == "bpe" else 0)
    corpus, unit = read(shape[0], options), UNITS[kind]
    tokenizer = Tokenizer.train((piece.text for piece in corpus.pieces()), kind, 400)
    whole = tokenise(corpus, tokenizer)
    found = outline(corpus, unit)
    if kind != "bpe":
        assert (found.size, found.parts) == (len(whole.ids), whole.parts)
        assert found.starts.tolist() == whole.starts.tolist()
    end = places(found, options, select).train
    splits = split(whole, options, select, lengths=tokenizer.lengths if kind == "bpe" else None)
    trained = "".join(text for train, text in parted(corpus, unit, found, end) if train)
    assert trained.startswith(tokenizer.decode(splits.train.ids))
    if kind != "bpe":
        assert trained == tokenizer.decode(splits.train.ids)
    else:  # the cut may lie within a word, whose token then is not trained on
        assert len(trained) == end
        assert len(trained) - int(tokenizer.lengths[splits.train.ids].sum()) < 12
    everything = "".join(text for _, text in parted(corpus, unit, found, end))
    assert sorted(everything) == sorted("".join(str(piece.text) for piece in corpus.pieces()))


def test_without_an_outline_all_rows_are_trained_on_that_do_not_say_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a b"}\n{"text": "c d", "split": "test"}\n{"text": "e", "split": "train"}\n')
    corpus = read([path], DataOptions(tokens="words"))
    assert list(parted(corpus, UNITS["words"], None, 0)) == [(True, "a b"), (False, "c d"), (True, "e")]
