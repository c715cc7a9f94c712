import pytest
import torch
from engine.steps import program_of

from riverrun.engine.choose import choose
from riverrun.errors import UsageError


@pytest.mark.parametrize(
    ("name", "request_", "path", "because"),
    [
        ("lstm", {}, "torch", "torch's LSTM kernel"),
        ("elman", {}, "fused", "slower where a gradient is wanted"),
        ("elman", {"learning": False}, "torch", "torch's tanh RNN kernel"),
        ("elman", {"device": "cuda"}, "torch", "torch's tanh RNN kernel"),
        ("lstm", {"record": ("h",)}, "torch", "torch's LSTM kernel"),
        ("lstm", {"record": ("h", "i")}, "fused", "does not show i"),
        ("lstm", {"masked": True}, "fused", "knows no masks"),
        ("lstm", {"steps": 100, "cuts": 12}, "torch", "torch's LSTM kernel"),
        ("lstm", {"steps": 100, "cuts": 13}, "fused", "cut at 13 of 100 steps"),
        ("lstm", {"dtype": torch.float64}, "fused", "single precision"),
        ("lstm", {"device": "cuda", "dtype": torch.float64}, "torch", "torch's LSTM kernel"),
        ("gru_after", {"device": "cuda"}, "torch", "torch's GRU kernel"),
        ("gru_after", {}, "fused", "slower where a gradient is wanted"),
        ("gru_after", {"learning": False}, "torch", "torch's GRU kernel"),
        ("gru", {}, "fused", "no kernel that equals"),
        ("minimal", {}, "parallel", "linear in the old ones"),
        ("lstm", {"transformed": "vmap is active"}, "eager", "since vmap is active"),
        ("minimal", {"transformed": "vmap is active"}, "eager", "since vmap is active"),
        ("gru", {"learned_masks": True}, "eager", "a gradient of a mask"),
    ],
)
def test_the_path_is_chosen_and_the_sentence_says_why(name, request_, path, because):
    choice = choose(program_of(name), **request_)
    assert choice.path == path
    assert because in choice.reason
    assert choice.reason.endswith(".")


def test_a_path_that_cannot_serve_is_refused_with_the_reason():
    with pytest.raises(UsageError, match="no kernel that equals this program"):
        choose(program_of("gru"), path="torch")
    with pytest.raises(UsageError, match="vmap is active"):
        choose(program_of("gru"), path="fused", transformed="vmap is active")


def test_a_path_that_was_asked_for_and_can_serve_is_taken_even_where_it_is_slower():
    assert choose(program_of("gru_after"), path="torch").path == "torch"
    assert choose(program_of("lstm"), path="eager").reason == "The eager path, which was asked for."
