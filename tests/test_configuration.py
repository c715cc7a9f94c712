"""Configuration: one dataclass a section speaks for TOML, flags and defaults; a mistake is told where it stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from riverrun import configuration, presets
from riverrun.configuration import Configuration
from riverrun.errors import DataError, OptionError, UsageError


def option(default: object, help: str, choices: tuple[str, ...] = ()) -> object:
    return field(default=default, metadata={"help": help, "choices": choices} if choices else {"help": help})


@dataclass(frozen=True, kw_only=True)
class Model:
    hidden: int = option(512, "width")  # type: ignore[assignment]
    dropout: float = option(0.3, "share")  # type: ignore[assignment]
    tied: bool = option(False, "tie")  # type: ignore[assignment]
    skip: str = option("none", "skips", ("none", "dense"))  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if not 0 <= self.dropout < 1:
            raise OptionError("dropout", f"expected a share below 1, got {self.dropout}.")


@dataclass(frozen=True, kw_only=True)
class Training:
    minutes: float = option(0.0, "time")  # type: ignore[assignment]
    steps: int = option(0, "updates")  # type: ignore[assignment]
    note: str = option("", "free text")  # type: ignore[assignment]


SCHEMA = {"model": Model, "training": Training}


def test_the_last_layer_to_name_a_key_wins() -> None:
    options = configuration.resolve(SCHEMA, {"model": {"hidden": 8, "dropout": 0.1}}, {"model": {"hidden": 16}})
    assert options["model"] == Model(hidden=16, dropout=0.1)
    assert options["training"] == Training()


def test_naming_a_budget_replaces_the_preset_s_budget() -> None:
    options = configuration.resolve(SCHEMA, {"training": {"minutes": 15.0, "note": "a"}}, {"training": {"steps": 20}})
    assert options["training"] == Training(steps=20, note="a")


@pytest.mark.parametrize("files", [(), ("a.txt", 'odd "name"\\.txt', "tab\tand ünï.txt")])
def test_toml_written_and_read_again_is_the_same_configuration(files: tuple[str, ...]) -> None:
    sections = {
        "model": Model(hidden=7, dropout=0.125, tied=True, skip="dense"),
        "training": Training(minutes=1e-7, note='quotes " and \\ and\nlines # not a comment'),
    }
    text = Configuration("lm", files, sections).toml()
    read = configuration.parse(text, SCHEMA)
    assert (read.task, read.files) == ("lm", files)
    assert configuration.resolve(SCHEMA, read.values) == sections


def test_toml_is_commented_with_help_choices_and_the_default_where_it_differs() -> None:
    text = Configuration("lm", (), {"model": Model(hidden=7), "training": Training()}).toml()
    assert "hidden = 7  # width; default 512\n" in text
    assert 'skip = "none"  # skips; one of none dense\n' in text
    assert "dropout = 0.3  # share\n" in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[model]\n\nhiden = 3", "run.toml:3: hiden: no such key in [model]. Did you mean 'hidden'?"),
        ("[model]\nsteps = 3", "run.toml:2: steps: no such key in [model]. It belongs under [training]."),
        ("# x\n[modle]\nhidden = 3", "run.toml:2: modle: no such section. Did you mean 'model'?"),
        ("hidden = 3", "run.toml:1: hidden: no such key. It belongs under [model]."),
        ("model = 3", "run.toml:1: model: expected a section [model], got 3."),
        ('[model]\nhidden = "many"', "run.toml:2: hidden: expected a whole number, got 'many'."),
        ("[model]\nhidden = 1.5", "run.toml:2: hidden: expected a whole number, got 1.5."),
        ("[model]\nhidden = true", "run.toml:2: hidden: expected a whole number, got True."),
        ("[model]\nhidden = []", "run.toml:2: hidden: expected a whole number, got []."),
        ("[model]\ntied = 1", "run.toml:2: tied: expected true or false, got 1."),
        ("[model]\ndropout = nan", "run.toml:2: dropout: expected a finite number, got nan."),
        ('[model]\nskip = "dens"', "expected one of none, dense, got 'dens'. Did you mean 'dense'?"),
        ("[model]\nhidden = 3\ndropout = 1.5", "run.toml:3: dropout: expected a share below 1, got 1.5."),
        ("[model]\nhidden = ", "run.toml:2: not TOML: Invalid value."),
        ("format = 99", "run.toml:1: format 99 is newer"),
        ("task = 1", "run.toml:1: task: expected text in quotes, got 1."),
        ('files = "a.txt"', "run.toml:1: files: expected a list"),
    ],
)
def test_a_mistake_in_toml_names_file_line_and_the_nearest_key(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        configuration.parse(text, SCHEMA)
    assert message in str(caught.value)


def test_a_configuration_file_that_cannot_be_read_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        configuration.read(tmp_path / "none.toml", SCHEMA)
    (tmp_path / "binary.toml").write_bytes(b"a = \xff")
    with pytest.raises(DataError, match="byte 4 is not UTF-8"):
        configuration.read(tmp_path / "binary.toml", SCHEMA)


def test_flags_are_converted_and_only_those_given_count() -> None:
    given = {"hidden": "64", "dropout": None, "tied": True, "minutes": "2", "verb": "train"}
    assert configuration.from_flags(SCHEMA, given) == {
        "model": {"hidden": 64, "tied": True},
        "training": {"minutes": 2.0},
    }
    with pytest.raises(UsageError, match="--hidden: expected a whole number, got 'x'"):
        configuration.from_flags(SCHEMA, {"hidden": "x"})


def test_names_of_a_python_call_are_checked_like_keys() -> None:
    assert configuration.from_names(SCHEMA, {"hidden": 3}) == {"model": {"hidden": 3}}
    with pytest.raises(UsageError, match="hiden: no such option\\. Did you mean 'hidden'"):
        configuration.from_names(SCHEMA, {"hiden": 3})


def test_two_sections_may_not_share_a_key() -> None:
    with pytest.raises(UsageError, match="also a key of"):
        configuration.settings({"model": Model, "other": Model})


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'default'"):
        presets.find("defualt", "lm")
