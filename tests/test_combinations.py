"""An option that would do nothing beside the others is refused as it was typed; what presets set gives way."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

import riverrun as rr
from riverrun import cells, combinations, configuration, presets, tasks
from riverrun.cells import Cell, tanh
from riverrun.combinations import FLAGS, KEYS, Layer
from riverrun.configuration import settings
from riverrun.errors import OptionError, UsageError
from riverrun.models.language_model import LanguageModel
from riverrun.models.options import LanguageModelOptions
from riverrun.pipeline.plan import plan, schema
from riverrun.tasks.task import Preset
from riverrun.training.options import OPTIMISERS, SCHEDULES, StreamTraining

SCHEMA = schema()
WINDOW = {"model": "window"}
IDLE = [  # what is set, beside what, and the words that say why it would do nothing
    ({"cell": "gru"}, WINDOW, "--model window. Leave it out, or use --model recurrent."),
    ({"layers": 3}, WINDOW, "--model window"),
    ({"projection": 8}, WINDOW, "--model window"),
    ({"bias": False}, WINDOW, "--model window"),
    ({"norm": True}, WINDOW, "--model window"),
    ({"skip": "dense"}, WINDOW, "--model window"),
    ({"learned_initial": True}, WINDOW, "--model window"),
    ({"variational": 0.1}, WINDOW, "--model window"),
    ({"recurrent_dropout": 0.1}, WINDOW, "--model window"),
    ({"weight_dropout": 0.1}, WINDOW, "--model window"),
    ({"zoneout": 0.1}, WINDOW, "--model window"),
    ({"input_depth": 2}, WINDOW, "--model window"),
    ({"hidden_depth": 2}, WINDOW, "--model window"),
    ({"output_depth": 2}, WINDOW, "--model window"),
    ({"recurrent_init": "identity"}, WINDOW, "--model window"),
    ({"forget_bias": 2.0}, WINDOW, "--model window"),
    ({"chrono": 9}, WINDOW, "--model window"),
    ({"context": 3}, {}, "--model recurrent. Leave it out, or use --model window."),
    ({"forget_bias": 2.0}, {"cell": "gru"}, "--cell gru. Leave it out, or use --cell fgr, lstm, minlstm"),
    ({"forget_bias": 2.0}, {"bias": False}, "--no-bias. Leave one of the two out."),
    ({"forget_bias": 2.0}, {"chrono": 9}, "--chrono 9. Leave one of the two out."),
    ({"chrono": 9}, {"cell": "elman"}, "--cell elman"),
    ({"chrono": 9}, {"bias": False}, "--no-bias"),
    ({"recurrent_init": "identity"}, {"cell": "mingru"}, "--cell mingru, --hidden-depth 1, --projection 0"),
    ({"weight_dropout": 0.1}, {"cell": "minlstm"}, "--cell minlstm, --hidden-depth 1. Leave it out, or change one"),
    ({"recurrent_dropout": 0.1}, {"cell": "jordan"}, "--cell jordan"),
    ({"embedding": 8}, {"one_hot": True}, "--one-hot. Leave one of the two out."),
    ({"tied": True}, {"one_hot": True}, "--one-hot"),
    ({"embedding_dropout": 0.1}, {"one_hot": True}, "--one-hot"),
    ({"momentum": 0.5}, {}, "--optimiser adamw. Leave it out, or use --optimiser momentum."),
    ({"beta2": 0.9}, {"optimiser": "sgd"}, "--optimiser sgd. Leave it out, or use --optimiser adamw, adam or rmsprop."),
    (
        {"final_lr": 0.1},
        {"schedule": "plateau"},
        "--schedule plateau. Leave it out, or use --schedule cosine or linear.",
    ),
    ({"temporal_activity": 1.0}, {"window": 1}, "--window 1. Leave one of the two out."),
    ({"vocabulary": 300}, {"tokens": "bytes"}, "--tokens bytes"),
    ({"min_count": 2}, {"tokens": "bytes"}, "--tokens bytes"),
    ({"valid_share": 0.2}, {}, "--patience 0, --evaluate-every 0, --schedule cosine, --optimiser adamw"),
    ({"valid_share": 0.2}, {"patience": 3, "valid": "v.txt"}, "--valid v.txt"),
    ({"test_share": 0.2}, {"test": "t.txt"}, "--test t.txt"),
]
names = [f"{next(iter(given))} beside {', '.join(map(str, beside.items())) or 'defaults'}" for given, beside, _ in IDLE]


def layer(given: dict[str, object]) -> configuration.Values:
    return configuration.from_names(SCHEMA, given)


@pytest.mark.parametrize(("given", "beside", "words"), IDLE, ids=names)
def test_a_value_that_would_do_nothing_is_refused_as_it_was_typed(given, beside, words, tmp_path: Path) -> None:
    key = next(iter(given))
    with pytest.raises(UsageError) as caught:
        plan([], layer({**given, **beside}), notation=FLAGS)
    flag = "--no-bias" if given == {"bias": False} else "--" + key.replace("_", "-")
    assert str(caught.value).startswith(f"{flag}: does nothing with ")
    assert words in str(caught.value)
    with pytest.raises(UsageError, match=f"^{key}: does nothing with "):
        rr.LanguageModel(**given, **beside)
    lines = []
    for section, keys in layer({**given, **beside}).items():
        lines += [f"[{section}]", *(KEYS.pair(name, value) for name, value in keys.items())]
    (tmp_path / "my.toml").write_text("\n".join(lines))
    line = 1 + lines.index(KEYS.pair(key, given[key]))
    with pytest.raises(
        UsageError, match=rf"my\.toml:{line}: {key}: (does nothing with|one-hot input has no|bytes are) "
    ):
        plan([], {}, file=tmp_path / "my.toml", notation=FLAGS)


def test_every_condition_is_about_options_that_there_are_and_each_has_its_case() -> None:
    known = {setting.name for setting in settings(SCHEMA)}
    conditions = {(s.name, about) for s in settings(SCHEMA) for about in s.acts}
    for _, about in conditions:
        assert set([about] if isinstance(about, str) else about) <= known
    assert {name for name, _ in conditions} == {next(iter(given)) for given, _, _ in IDLE}


@pytest.mark.parametrize(("given", "beside", "_"), IDLE, ids=names)
def test_the_default_may_be_set_anywhere_and_what_a_preset_sets_gives_way(given, beside, _) -> None:
    key = next(iter(given))
    default = next(setting for setting in settings(SCHEMA) if setting.name == key).default
    plan([], layer({key: default, **beside}), notation=FLAGS)
    values = combinations.settled(
        SCHEMA, [Layer(layer({**given, **acting(key)})), Layer(layer({**stilling(key), **beside}))]
    )
    assert all(key not in keys for keys in values.values())
    assert combinations.idle(SCHEMA, values) == []


def acting(key: str) -> dict[str, object]:
    """What makes the option of that name act."""
    return {
        "context": {"model": "window"},
        "momentum": {"optimiser": "momentum"},
        "valid_share": {"patience": 2},
    }.get(key, {})


def stilling(key: str) -> dict[str, object]:
    """The same taken back."""
    return {
        "context": {"model": "recurrent"},
        "momentum": {"optimiser": "adamw"},
        "valid_share": {"patience": 0},
    }.get(key, {})


def test_what_a_file_sets_acts_through_what_the_command_line_sets(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text("[training]\nsteps = 1\nmomentum = 0.5\n")
    planned, _ = plan([], layer({"optimiser": "momentum"}), file=tmp_path / "my.toml")
    assert planned.sections["training"].momentum == 0.5


def test_a_run_toml_repeats_its_run_and_can_be_started_from_with_another_model(tmp_path: Path) -> None:
    first, _ = plan([], layer({"cell": "gru", "layers": 3, "steps": 1}))
    (tmp_path / "run.toml").write_text(first.toml())
    assert plan([], {}, file=tmp_path / "run.toml")[0] == first
    other, _ = plan([], layer({"model": "window"}), file=tmp_path / "run.toml")
    assert (other.sections["model"].cell, other.sections["model"].layers) == ("lstm", 2)
    (tmp_path / "run.toml").write_text(other.toml())
    assert plan([], {}, file=tmp_path / "run.toml")[0] == other


@pytest.mark.parametrize("preset", tasks.find("lm").presets, ids=lambda preset: preset.name)
def test_presets_set_nothing_idle_and_go_with_every_model_optimiser_and_tokens(preset: Preset) -> None:
    for given in (
        {"model": "window"},
        {"one_hot": True},
        {"tokens": "bytes"},
        {"cell": "minlstm"},
        {"bias": False},
        *({"optimiser": name} for name in OPTIMISERS),
        *({"schedule": name} for name in SCHEDULES),
    ):
        planned, _ = plan([], layer({"projection": 0, "embedding": 0, **given}), task="lm", preset=preset.name)
        values = {name: vars(options) for name, options in planned.sections.items()}
        assert combinations.idle(SCHEMA, values) == []


@pytest.mark.parametrize("preset", presets.all_presets(), ids=lambda preset: f"{preset.task}-{preset.name}")
def test_presets_set_nothing_idle(preset: Preset) -> None:
    schema = tasks.find(preset.task).sections
    assert combinations.idle(schema, configuration.merge(schema, preset.values)) == []


@pytest.mark.parametrize("cell", cells.names())
def test_what_is_idle_in_a_recurrent_network_is_what_its_layers_refuse(cell: str) -> None:
    tried = {
        "forget_bias": 2.0,
        "recurrent_init": "normal",
        "recurrent_dropout": 0.1,
        "weight_dropout": 0.1,
        "chrono": 9,
    }
    for (name, value), bias, depth, projection in product(tried.items(), (True, False), (1, 2), (0, 3)):
        given = {name: value, "cell": cell, "bias": bias, "hidden_depth": depth, "projection": projection}
        idle = {setting.name for setting, _ in combinations.idle(SCHEMA, layer(given))}
        options = LanguageModelOptions(**given, hidden=4, layers=1)
        if name in idle:
            with pytest.raises(OptionError) as caught:
                LanguageModel(options, 3)
            assert caught.value.name == name
            assert idle == {name}
        else:
            LanguageModel(options, 3)


def test_a_validation_part_is_wanted_where_training_selects() -> None:
    for patience, every, schedule, optimiser in product((0, 2), (0, 5), SCHEDULES, OPTIMISERS):
        training = {"patience": patience, "evaluate_every": every, "schedule": schedule, "optimiser": optimiser}
        idle = combinations.idle(SCHEMA, layer({"valid_share": 0.2, **training}))
        assert bool(idle) != StreamTraining(**training).selects


class Leaky(Cell):
    """A cell of one's own, without gates."""

    states = ("h",)

    def step(x, U, h):  # type: ignore[no-untyped-def]
        return 0.5 * h + 0.5 * tanh(x.n + U.n @ h)


def test_a_cell_of_one_s_own_is_judged_as_it_is() -> None:
    with pytest.raises(
        UsageError, match=r"^forget_bias: does nothing with cell=Leaky\. Leave it out, or use cell='fgr'"
    ):
        rr.LanguageModel(cell=Leaky, forget_bias=2.0)
    with pytest.raises(UsageError, match=r"^cell: does nothing with model='window'\. .* use model='recurrent'\."):
        rr.LanguageModel(cell=Leaky, model="window")
    assert rr.LanguageModel(cell=Leaky, recurrent_init="identity").get_params()["cell"] is Leaky


def test_estimators_are_copied_and_loaded_with_what_a_preset_set_idle(tmp_path: Path) -> None:
    made = rr.LanguageModel(preset="tiny", model="window", steps=1, lanes=2, window=8, verbose=False)
    assert rr.LanguageModel(**made.get_params()).get_params() == made.get_params()
    made.fit("abcdefgh " * 60)
    assert made._opened is not None
    sections = made._opened.sections
    other = {**sections, "model": replace(sections["model"], cell="gru", layers=1)}
    made._opened = made._opened._replace(sections=other)
    made.save(tmp_path / "model")  # as a version that did not judge would have
    assert rr.load(tmp_path / "model").get_params()["cell"] == "lstm"


def test_files_for_checkpoints_and_tensorboard_need_a_run_folder() -> None:
    with pytest.raises(UsageError, match="checkpoint_every: checkpoints lie in the run folder"):
        rr.LanguageModel(preset="tiny", checkpoint_every=3, verbose=False).fit("abcdefgh " * 60)


def test_a_contradiction_of_two_layers_is_told_where_the_option_stands(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text("[training]\nsteps = 1\naverage = 0.9\n")
    with pytest.raises(UsageError, match=r"my\.toml:3: average: optimiser asgd averages the weights, too"):
        plan([], layer({"optimiser": "asgd"}), file=tmp_path / "my.toml", notation=FLAGS)
