"""One rank of two for test_together.py: FOLDER WHAT..., started with torchrun's environment variables."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch

from riverrun.data import tokens
from riverrun.data.options import DataOptions
from riverrun.data.readers import read
from riverrun.data.tokenizer import Tokenizer
from riverrun.errors import DataError, RiverrunError
from riverrun.pipeline.together import prepare_together
from riverrun.tasks import find
from riverrun.tasks.text.prepare import prepare
from riverrun.training import distributed

SLOW = 4.0  # seconds that the first rank takes; the others' patience with anything else is shorter


def main(folder: Path, what: str, rank: int) -> None:
    tokens.IN_MEMORY = 1 << 20 if what in ("small", "follower") else 100
    done: list[str] = []
    learn, gather, check = Tokenizer.train, tokens._gather, tokens.sha256_file

    def learning(*arguments: object) -> Tokenizer:
        done.append("vocabulary")
        if what == "large" and rank == 0:
            time.sleep(SLOW)
        if what == "killed" and rank == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return learn(*arguments)  # type: ignore[arg-type]

    def gathering(*arguments: object) -> tokens.Tokens | None:
        done.append("tokens")
        if what == "refused" and rank == 0:
            raise DataError("no room for it")
        if what == "follower" and rank == 1:
            raise MemoryError
        return gather(*arguments)  # type: ignore[arg-type]

    def checking(path: Path) -> str:
        done.append("check")
        return check(path)

    Tokenizer.train, tokens._gather, tokens.sha256_file = learning, gathering, checking  # type: ignore[assignment]
    said: dict[str, object] = {}
    try:
        options = DataOptions(tokens="words")
        corpus = read([folder / "text.txt"], options)
        cache = folder / f"arrays-{what}"
        prepared = prepare_together(
            find("lm"),
            lambda coder, checked: prepare(corpus, options, select=True, tokenizer=coder, cache=cache, checked=checked),
        )
        ids = prepared.splits.train.ids
        said = {
            "mapped": str(ids.filename) if isinstance(ids, np.memmap) else "",
            "record": prepared.record(),
            "vocabulary": prepared.tokenizer.to_json().decode(),
            "ids": [part.ids.tolist() for part in prepared.splits[:3]],  # type: ignore[union-attr]
        }
    except (RiverrunError, MemoryError) as error:
        said = {"error": type(error).__name__, "message": str(error)}
    finally:
        Tokenizer.train, tokens._gather, tokens.sha256_file = learn, gather, check  # type: ignore[assignment]
    (folder / f"{what}-{rank}.json").write_text(json.dumps({**said, "done": done}))
    if what in ("large", "small"):
        assert distributed.totals([1.0], torch.device("cpu")) == [2.0], "the ranks meet as before"


if __name__ == "__main__":
    torch.set_num_threads(1)
    distributed.TIMEOUT = timedelta(seconds=SLOW / 2)
    joined = distributed.connect()
    for each in sys.argv[2:]:
        main(Path(sys.argv[1]), each, joined.rank)
    distributed.disconnect()
