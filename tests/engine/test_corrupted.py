"""Numbers that do not fit together are an answer of the native engine's, and never the end of the process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from riverrun.engine.library import library

pytestmark = pytest.mark.skipif(library().handle is None, reason=library().reason)


def test_calls_with_wrong_numbers_are_refused_or_harmless():
    # A sanitizer's allocator has to answer like any other one where a size is mad.
    sanitizer = os.environ.get("ASAN_OPTIONS", "") + ":allocator_may_return_null=1:max_malloc_fill_size=65536"
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "corrupt.py"), "0", "600"],
        env={**os.environ, "ASAN_OPTIONS": sanitizer.removeprefix(":")},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-3000:]
    answers = eval(done.stdout.splitlines()[-1])
    assert set(answers) <= {0, 1, 2}
    assert answers[1] > 3 * answers[0] > 0
