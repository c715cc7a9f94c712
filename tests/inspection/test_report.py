"""The report: whole in itself, the same for the same folder, readable, and made of whatever is there."""

from __future__ import annotations

import json
import math
import re
from itertools import combinations, pairwise

import pytest
from inspection import folder
from inspection.structure import parsed

from riverrun.errors import DataError
from riverrun.inspection import theme
from riverrun.inspection.record import read_run
from riverrun.inspection.report import build, render


@pytest.fixture
def page(tmp_path):
    return render(read_run(folder.write(tmp_path / "plays", folder.files())))


def test_build_writes_the_report_into_the_run_and_nothing_else(tmp_path):
    run = folder.write(tmp_path / "plays", folder.files())
    before = {path for path in run.rglob("*") if path.is_file()}
    path = build(run)
    assert path == run / "report.html"
    assert {p for p in run.rglob("*") if p.is_file()} == before | {path}
    first = path.read_bytes()
    assert build(run).read_bytes() == first


def test_it_loads_nothing_and_runs_nothing(page):
    structure = parsed(page)
    assert not {"script", "link", "img", "iframe", "object"} & set(structure.names)
    assert all(link.startswith("#") for link in structure.links)
    assert "url(http" not in page
    assert "default-src 'none'" in page


def test_identifiers_are_unique_and_every_link_has_its_target(page):
    structure = parsed(page)
    assert len(structure.identifiers) == len(set(structure.identifiers))
    assert {link[1:] for link in structure.links} <= set(structure.identifiers)


def test_headings_are_in_order_and_pictures_have_a_name(page):
    levels = [int(name[1]) for name in parsed(page).names if re.fullmatch("h[1-6]", name)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    for svg in re.findall(r"<svg[^>]*>", page):
        assert 'role="img" aria-label=' in svg or 'aria-hidden="true"' in svg


@pytest.mark.parametrize(
    "shown",
    [
        "1.250 nats", "1.803 bits", "3.49", "0.250", "Kneser-Ney", "1.240 – 1.260", "a note on unigram", "order 5",
        "1.23 million parameters", "45,000 characters", "The model beats the best baseline", "sample number 49",
        "step 199", "<mark>The moon</mark>", "8 characters", "25 %", "80 %", "plays.txt",
        "0123456789abcdef" * 4, "riverrun train plays.txt", "torch: the cell equals torch&#x27;s LSTM", "lr = 0.003",
        "validation 1.", "Learning rate", "Characters a second",
    ],
)  # fmt: skip
def test_it_shows_what_the_folder_says(page, shown):
    assert shown in page


def test_a_complete_run_misses_nothing(page):
    assert "What is missing" not in page


@pytest.mark.parametrize("kept", [*([name] for name in sorted(folder.files())), [], *combinations(folder.files(), 7)])
def test_any_part_of_a_folder_gives_a_report_that_names_the_rest(tmp_path, kept):
    contents = {name: text for name, text in folder.files().items() if name in kept}
    page = render(read_run(folder.write(tmp_path, contents)))
    parsed(page)
    for name in folder.files():
        if not name.startswith("samples/"):
            assert (f"<code>{name}</code>" in page) == (name not in kept)


HOSTILE = '</pre><script>alert("x")</script>&lt;\x00\x1b\ud800'


def test_what_a_model_or_a_file_says_stays_text(tmp_path):
    contents = folder.files()
    for name in contents:
        if name.endswith(".json"):
            contents[name] = contents[name].replace("Kneser-Ney", json.dumps(HOSTILE)[1:-1])
    contents["eval/novelty.json"] = ""
    contents["eval/surprise.json"] = json.dumps(
        {"tokens": [HOSTILE] * 3, "nats": [1.0] * 3, "top": [[[HOSTILE, 0.5]]] * 3}
    )
    contents["samples/final.txt"] = HOSTILE
    contents["data.json"] = json.dumps(
        {HOSTILE: HOSTILE, "unit": HOSTILE, "files": [{"path": HOSTILE, "sha256": HOSTILE}]}
    )
    contents["log.jsonl"] += json.dumps({"event": "sample", "step": 300, "text": HOSTILE + "!"}) + "\n"
    contents["run.toml"] = '[model]\ncell = "<script>"\n'
    page = build(folder.write(tmp_path, contents)).read_text(encoding="utf-8")
    assert "script" not in parsed(page).names
    assert not any(ord(c) < 32 and c not in "\n\t" for c in page)


@pytest.mark.parametrize(
    "odd",
    [
        {"eval/metrics.json": "{}"},
        {"eval/metrics.json": '{"carried": 3, "baselines": [1, {}], "unit": 7}'},
        {"eval/metrics.json": '{"carried": {"nats": NaN, "bits_per_character": Infinity}, "baselines": null}'},
        {"eval/surprise.json": '{"tokens": [1, 2], "nats": "x"}'},
        {"eval/surprise.json": '{"tokens": ["a", "b"], "nats": [0.1, 0.2], "top": [3, [4, ["a"]]]}'},
        {"eval/novelty.json": '{"text": "abc", "sample": {"longest": 3, "new": [1]}}'},
        {"eval/novelty.json": '{"text": "abc", "sample": {"longest": {"length": 99, "in_sample": -5}}}'},
        {"log.jsonl": '{"event": "step", "step": 1, "nats": NaN}\n'},
        {"log.jsonl": '{"event": "step", "step": 1, "nats": 2.0}\n'},
        {"log.jsonl": '{"event": "step", "step": 1, "nats": 2.0}\n3\n"x"\n[]\n{"event": "sample"}\n'},
        {"data.json": '{"parts": 3, "files": "x"}'},
        {"data.json": '{"parts": {"train": 4}, "files": [3, {"bytes": "x", "dropped": "many"}]}'},
        {"env.json": '{"versions": "none", "command": 7}'},
        {"run.toml": "model = 3\n[training]\nx = [1, {a = 2}]\n"},
    ],
)
def test_odd_contents_never_stop_the_report(tmp_path, odd):
    parsed(render(read_run(folder.write(tmp_path, folder.files() | odd))))


def test_a_word_models_curve_is_compared_per_word(tmp_path):
    metrics = folder.metrics()
    part = {"nats": 5.0, "bits_per_character": 1.25 / math.log(2), "perplexity": math.exp(5), "low": 4.9, "high": 5.1}
    metrics.update(unit="word", carried=part)
    page = render(read_run(folder.write(tmp_path, folder.files() | {"eval/metrics.json": json.dumps(metrics)})))
    assert "held-out text 5.000" in page
    assert "Kneser-Ney 6.000" in page  # 1.5 nats a character, four characters a word
    assert "1.250 nats" in page


def test_what_a_baseline_may_learn_from_at_most_is_said(tmp_path):
    files = folder.files()
    assert "Of the training text, at most" not in render(read_run(folder.write(tmp_path / "plain", files)))
    metrics = json.loads(files["eval/metrics.json"])
    for entry, limit in zip(metrics["baselines"], ("", "20,000 tokens", "<5> tokens"), strict=True):
        entry["limit"] = limit
    page = render(read_run(folder.write(tmp_path / "limited", files | {"eval/metrics.json": json.dumps(metrics)})))
    assert "Of the training text, at most: order 5: 20,000 tokens; Kneser-Ney: &lt;5&gt; tokens; the others" in page


def test_text_keeps_its_contrast_on_every_ground_in_both_modes():
    for mode in (theme._LIGHT, theme._DARK):
        colours = dict(re.findall(r"--([\w-]+): ([^;]+);", mode))
        ink, card = rgb(colours["ink"]), rgb(colours["card"])
        heat = [int(part) for part in colours["heat"].split(",")]
        for share in theme.HEAT:
            ground = [share * h + (1 - share) * c for h, c in zip(heat, card, strict=True)]
            assert contrast(ink, ground) >= 4.5
        for ground in ("page", "card"):
            for text in ("ink", "soft", "model", "valid", "good", "warn"):
                assert contrast(rgb(colours[text]), rgb(colours[ground])) >= 4.5, (text, ground)
            assert contrast(rgb(colours["other"]), rgb(colours[ground])) >= 3
        assert contrast(ink, rgb(colours["mark"])) >= 4.5


def rgb(colour: str) -> list[int]:
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]


def contrast(a, b) -> float:
    """The contrast ratio of WCAG 2.2."""

    def luminance(colour):
        linear = [c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_every_class_that_the_page_uses_is_in_the_style_sheet(page):
    sheet = theme.style_sheet()
    used = {name for names in re.findall(r'class="?([\w -]+)"?', page.split("</style>")[1]) for name in names.split()}
    assert {name for name in used if f".{name}" not in sheet} <= {"plain"}


def test_a_path_that_is_no_folder_is_an_error(tmp_path):
    with pytest.raises(DataError, match="not a folder"):
        build(tmp_path / "nothing")
