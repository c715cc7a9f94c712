"""The report of every task: its parts in order, whole without any of them, and safe whatever they hold."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import pytest
from inspection import folder, made_up
from inspection.structure import parsed

from riverrun import tasks
from riverrun.inspection import parts, theme
from riverrun.inspection.record import RESULTS, read_run
from riverrun.inspection.report import build, render

SECTIONS = {
    "classify": ["result", "learning", "baselines", "confusion", "calibration", "mistakes", "importance", "facts"],
    "tag": ["result", "learning", "baselines", "confusion", "mistakes", "facts"],
    "seq2seq": ["result", "learning", "baselines", "lengths", "alignments", "mistakes", "writing", "facts"],
}
HOSTILE = '</title></pre><script>alert("x")</script><b onmouseover="y">&lt;\x00\x1b\ud800'


def page_of(tmp_path, task, contents=None) -> str:
    path = folder.write(tmp_path / "run", made_up.files(task) if contents is None else contents)
    return render(read_run(path, made_up.PARTS[task]))


@pytest.mark.parametrize("task", SECTIONS)
def test_a_complete_run_has_every_section_and_misses_nothing(tmp_path, task):
    page = page_of(tmp_path, task)
    assert re.findall(r'<section id="(\w+)"', page) == SECTIONS[task]
    structure = parsed(page)
    assert len(structure.identifiers) == len(set(structure.identifiers))
    assert {link[1:] for link in structure.links} <= set(structure.identifiers)
    assert not {"script", "link", "img", "iframe", "object"} & set(structure.names)
    levels = [int(name[1]) for name in structure.names if re.fullmatch("h[1-6]", name)]
    assert all(b - a <= 1 for a, b in pairwise(levels))
    for svg in re.findall(r"<svg[^>]*>", page):
        assert 'role="img" aria-label=' in svg or 'aria-hidden="true"' in svg


@pytest.mark.parametrize("task", SECTIONS)
def test_every_class_that_a_page_uses_is_in_the_style_sheet(tmp_path, task):
    sheet = theme.style_sheet()
    body = page_of(tmp_path, task).split("</style>")[1]
    used = {name for names in re.findall(r'class=["\']?([\w -]+)["\']?', body) for name in names.split()}
    assert {name for name in used if f".{name}" not in sheet} <= {"plain"}


@pytest.mark.parametrize(
    ("task", "shown"),
    [
        ("classify", ["84.0 <small>%</small>", "95 % interval 83.0 to 85.0", "Accuracy on what it has never seen",
                      "on 18,063 names", "The model beats the best baseline, logistic regression",
                      "A baseline is ahead in macro-F1", "held-out data 0.520", "Names a second"]),
        ("tag", ["94.1 <small>%</small>", "Unknown-word accuracy", "on 18,063 sentences"]),
        ("seq2seq", ["31.0 <small>%</small>", "less is better", "31.2 <small></small>", "sample number 49",
                     "69 % fewer mistakes"]),
    ],
)  # fmt: skip
def test_it_shows_what_the_folder_says(tmp_path, task, shown):
    page = page_of(tmp_path, task)
    assert [text for text in shown if text not in page] == []


EACH = [(task, name) for task in SECTIONS for name in made_up.results(task)]


@pytest.mark.parametrize(("task", "name"), EACH)
@pytest.mark.parametrize("content", [None, "", "{", "[]", "7"])
def test_a_part_whose_file_is_missing_or_broken_is_left_out_and_told(tmp_path, task, name, content):
    contents = made_up.files(task)
    del contents[f"eval/{name}.json"]
    if content is not None:
        contents[f"eval/{name}.json"] = content
    page = page_of(tmp_path, task, contents)
    parsed(page)
    assert f"<code>eval/{name}.json</code>" in page
    assert RESULTS[name] in page
    left_out = {"baselines"} if name == "metrics" else {name}
    expected = [section for section in SECTIONS[task] if section not in left_out]
    assert re.findall(r'<section id="(\w+)"', page) == [*expected, "missing"]


@pytest.mark.parametrize(("task", "name"), EACH)
def test_a_file_with_something_else_in_it_is_told_too(tmp_path, task, name):
    page = page_of(tmp_path, task, made_up.files(task) | {f"eval/{name}.json": '{"something": ["else"]}'})
    assert re.search(rf"<code>eval/{name}.json</code>.*?it does not hold what this version", page)


@pytest.mark.parametrize(("task", "name"), EACH)
def test_a_reason_why_there_is_nothing_to_show_is_passed_on(tmp_path, task, name):
    contents = made_up.files(task) | {f"eval/{name}.json": '{"absent": "This model has no <attention>."}'}
    page = page_of(tmp_path, task, contents)
    assert re.search(rf"<code>eval/{name}.json</code>.*?This model has no &lt;attention&gt;", page)


@pytest.mark.parametrize("task", SECTIONS)
def test_a_young_run_has_a_report(tmp_path, task):
    contents = {name: text for name, text in made_up.files(task).items() if not name.startswith("eval/")}
    page = page_of(tmp_path, task, contents)
    parsed(page)
    assert "It has not been evaluated yet." in page
    assert "no results yet" in page_of(tmp_path / "empty", task, {"run.toml": f'task = "{task}"\n'})


def poisoned(content):
    """Every text of a JSON value, but the names of its fields, replaced by a hostile one."""
    if isinstance(content, dict):
        return {key: value if key in ("unit", "better") else poisoned(value) for key, value in content.items()}
    if isinstance(content, list):
        return [poisoned(entry) for entry in content]
    return HOSTILE if isinstance(content, str) else content


@pytest.mark.parametrize("task", SECTIONS)
def test_what_data_and_models_say_stays_text(tmp_path, task):
    contents = made_up.files(task)
    for name, content in made_up.results(task).items():
        contents[f"eval/{name}.json"] = json.dumps(poisoned(content))
    if "eval/lengths.json" in contents:
        rows = [{"low": k, "high": k, "count": 1, "figures": {HOSTILE: 1.0, HOSTILE + "2": 2.0}} for k in (1, 2)]
        contents["eval/lengths.json"] = json.dumps({"unit": HOSTILE, "rows": rows})
    contents["data.json"] = json.dumps({"unit": HOSTILE, "parts": {"train": {HOSTILE: 3}}})
    path = folder.write(tmp_path / "run", contents)
    page = render(read_run(path, made_up.PARTS[task])).encode("utf-8", "replace").decode()
    structure = parsed(page)
    assert "script" not in structure.names
    assert "onmouseover" not in {name for names in structure.attributes for name in names}
    assert not any(ord(c) < 32 and c not in "\n\t" for c in page)
    assert "alert(" in "".join(structure.text)


ODD = [None, 3, "x", [], {}, [None], [[]], {"items": 3}, float("nan"), [3, {"a": []}], -1, True]


@pytest.mark.parametrize(("task", "name"), EACH)
def test_odd_values_never_stop_the_report(tmp_path, task, name):
    whole = made_up.results(task)[name]
    changed = [{**whole, key: odd} for key in whole for odd in ODD]
    key = next(key for key in whole if key in ("items", "bins", "rows", "counts", "figures"))
    first = whole[key][0]
    for field in first if isinstance(first, dict) else ():
        changed += [{**whole, key: [{**first, field: odd}]} for odd in ODD]
    run = read_run(folder.write(tmp_path, {}), made_up.PARTS[task])
    for content in changed:
        parsed(render(replace(run, results={name: content})))


def test_a_task_that_this_version_does_not_know_shows_what_its_folder_has(tmp_path):
    contents = made_up.files("classify")
    contents["run.toml"] = contents["run.toml"].replace("classify", "prophesy")
    page = build(folder.write(tmp_path / "run", contents)).read_text()
    assert "riverrun report · prophesy" in page
    assert {"result", "baselines", "confusion", "calibration"} <= set(re.findall(r'<section id="(\w+)"', page))


def test_a_part_that_this_version_does_not_know_is_named(tmp_path):
    path = folder.write(tmp_path / "run", made_up.files("tag"))
    page = render(read_run(path, ["scores", "horoscope"]))
    assert re.search("<code>horoscope</code>.*does not know it", page)


def test_every_part_that_a_task_names_is_there():
    for task in tasks.all_tasks():
        assert [name for name in task.report if parts.find(name) is None] == []


@pytest.mark.parametrize("task", tasks.all_tasks(), ids=lambda task: task.name)
def test_a_declared_task_gets_the_parts_it_names(tmp_path, task):
    if task.name not in SECTIONS:
        pytest.skip("the language model's report has tests of its own")
    assert [part for part in task.report if part in made_up.PARTS[task.name]] == list(made_up.PARTS[task.name])
    page = build(folder.write(tmp_path / "run", made_up.files(task.name))).read_text()
    assert set(SECTIONS[task.name]) <= set(re.findall(r'<section id="(\w+)"', page))
    kind = re.search("riverrun report · ([^<]*)", page)[1]
    assert kind != task.name


@pytest.mark.parametrize("task", SECTIONS)
def test_a_report_needs_no_torch(tmp_path, task):
    path = folder.write(tmp_path / "run", made_up.files(task))
    program = (
        "import sys\nfrom pathlib import Path\nfrom riverrun.inspection.report import build\n"
        f"build(Path({str(path)!r}))\nassert not {{'torch', 'sklearn', 'numpy'}} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
