"""Model folders come back as they were, and what is wrong with one is said."""

from __future__ import annotations

import json

import pytest
import torch

from riverrun.cells import Cell, tanh
from riverrun.data.tokenizer import Tokenizer
from riverrun.errors import ModelError
from riverrun.files import read_folder, write_folder
from riverrun.models.files import FORMAT, module, read, save
from riverrun.models.language_model import LanguageModel
from riverrun.models.options import LanguageModelOptions

TOKENIZER = Tokenizer.train(["hello, world"], "chars")


CODER = {"tokenizer.json": TOKENIZER.to_json()}


def build(options, cell=None):
    return LanguageModel(options, TOKENIZER.size, cell=cell)


def load(folder, cell=None):
    return module(folder, read(folder), LanguageModelOptions, lambda options: build(options, cell))[0]


def written(folder, **given):
    options = LanguageModelOptions(**{"hidden": 8, "layers": 1, "dropout": 0.2, **given})
    model = build(options)
    save(folder, model, "lm", options, CODER, "# A card\n", {"trained": {"steps": 3}})
    return model, options


@pytest.mark.parametrize("given", [{}, {"tied": True}, {"cell": "gru", "one_hot": True}])
def test_a_model_comes_back_bit_for_bit(tmp_path, given):
    model, options = written(tmp_path / "model", **given)
    stored = read(tmp_path / "model")
    assert (stored.kind, stored.config, stored.card) == ("lm", {"trained": {"steps": 3}}, "# A card\n")
    assert stored.coder == CODER
    saved, found = module(tmp_path / "model", stored, LanguageModelOptions, build)
    assert found == options
    assert not saved.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, saved.state_dict()[name]), name
    ids = torch.arange(5)[:, None]
    assert torch.equal(model.eval()(ids)[0], saved(ids)[0])


def test_a_float64_model_stays_one(tmp_path):
    options = LanguageModelOptions(hidden=8, layers=1)
    model = build(options).double()
    save(tmp_path / "model", model, "lm", options, CODER, "")
    assert next(load(tmp_path / "model").parameters()).dtype == torch.float64


def test_the_folder_holds_no_pickle(tmp_path):
    written(tmp_path / "model")
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert names == {"config.json", "model.safetensors", "tokenizer.json", "README.md", "manifest.json"}


def test_a_flipped_bit_is_noticed(tmp_path):
    written(tmp_path / "model")
    path = tmp_path / "model" / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r"model\.safetensors: corrupted"):
        load(tmp_path / "model")


def changed(folder, **values):
    """The folder with other values in its config.json, sealed again."""
    files = read_folder(folder)
    files["config.json"] = json.dumps({**json.loads(files["config.json"]), **values}).encode()
    write_folder(folder, files)
    return folder


def test_a_folder_from_a_newer_version_says_so(tmp_path):
    written(tmp_path / "model")
    with pytest.raises(ModelError, match=rf"written in format {FORMAT + 1} by a newer riverrun.*Upgrade"):
        load(changed(tmp_path / "model", format=FORMAT + 1))


def test_a_folder_of_a_newer_format_may_have_anything_else_in_it(tmp_path):
    write_folder(tmp_path / "model", {"config.json": json.dumps({"format": FORMAT + 1, "kind": "x"}).encode()})
    with pytest.raises(ModelError, match="newer riverrun"):
        load(tmp_path / "model")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"options": {"hiden": 3}}, "unknown option 'hiden'"),
        ({"options": {"hidden": -3}}, "hidden: expected a whole number of at least 1"),
        ({"options": {"cell": "lstn"}}, "Did you mean 'lstm'"),
        ({"options": {"hidden": 9, "layers": 1}}, "does not fit config.json"),
        ({"coder": 3}, "not the configuration of a model"),
        ({"kind": None}, "not the configuration of a model"),
        ({"format": "new"}, "not the configuration of a model"),
        ({"format": 0}, "not the configuration of a model"),
        ({"options": 3}, "not the configuration of a model"),
    ],
)
def test_a_configuration_that_does_not_fit_is_named(tmp_path, values, words):
    written(tmp_path / "model")
    with pytest.raises(ModelError) as raised:
        load(changed(tmp_path / "model", **values))
    assert words in str(raised.value)
    assert "model" in str(raised.value).split(":")[0]


def test_what_is_no_model_folder_is_named(tmp_path):
    with pytest.raises(ModelError, match="not found"):
        load(tmp_path / "absent")
    write_folder(tmp_path / "model", {"config.json": b"[1, 2]"})
    with pytest.raises(ModelError, match="not the configuration of a model"):
        load(tmp_path / "model")


def test_a_cell_of_one_s_own_is_given_again_when_loading(tmp_path):
    class Mine(Cell):
        states = ("h",)

        def step(x, U, h):
            return tanh(x.n + U.n @ h)

    options = LanguageModelOptions(hidden=8, layers=1, cell="Mine")
    model = build(options, Mine)
    save(tmp_path / "model", model, "lm", options, CODER, "")
    assert torch.equal(load(tmp_path / "model", cell=Mine).output.weight, model.output.weight)
    with pytest.raises(ModelError, match=r"load\(folder, cell=\.\.\.\)"):
        load(tmp_path / "model")


def test_saving_again_replaces_the_whole_folder(tmp_path):
    written(tmp_path / "model")
    model, _ = written(tmp_path / "model", hidden=16)
    assert torch.equal(load(tmp_path / "model").output.weight, model.output.weight)
