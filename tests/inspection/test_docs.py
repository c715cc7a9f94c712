"""The page on reports keeps what it promises."""

from __future__ import annotations

import re
import xml.etree.ElementTree as xml
from pathlib import Path

from riverrun.inspection import parts
from riverrun.inspection.record import RESULTS

PAGE = (Path(__file__).parents[2] / "docs" / "report.md").read_text(encoding="utf-8")


def test_the_example_of_an_alignment_runs():
    _, example = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    names: dict[str, str] = {}
    exec(example, names)
    assert xml.fromstring(names["svg"]).tag.endswith("svg")
    assert names["html"].startswith("<!doctype html>")


def test_every_file_that_a_report_reads_and_every_section_is_on_the_page():
    assert [name for name in RESULTS if f"{name}.json`" not in PAGE] == []
    headings = re.findall(r"^## (.*)", PAGE, flags=re.MULTILINE)
    sections = {parts.find(name).heading for name in parts.names()}
    assert [heading for heading in sections if not any(found.startswith(heading) for found in headings)] == []
