import pytest
import torch
from engine.steps import program_of

from riverrun.engine import native
from riverrun.engine.choose import Choice, choose
from riverrun.errors import UsageError

NOT_BUILT = "the native engine is not built"


@pytest.fixture
def there(monkeypatch):
    """The native engine serves the CPU, in single and double precision."""

    def refusal(device, dtype):
        if device != "cpu":
            return f"the native engine runs on the CPU, and the tensors are on {device}"
        return "" if dtype in (torch.float32, torch.float64) else f"the native engine does not compute in {dtype}"

    monkeypatch.setattr(native, "refusal", refusal)


@pytest.fixture
def absent(monkeypatch):
    """There is no native engine."""
    monkeypatch.setattr(native, "refusal", lambda device, dtype: NOT_BUILT)


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"dtype": torch.float64},
        {"learning": False},
        {"record": ("h",)},
        {"masked": True},
        {"steps": 100, "cuts": 100},
    ],
)
@pytest.mark.parametrize("name", ["lstm", "elman", "gru", "gru_after", "minimal", "everything"])
@pytest.mark.usefixtures("there")
def test_the_native_engine_serves_every_program_on_the_cpu(name, request_):
    choice = choose(program_of(name), **request_)
    assert choice == Choice("native", "The native engine, which serves every program on the CPU.")


@pytest.mark.parametrize(
    ("name", "request_", "path", "because"),
    [
        ("lstm", {"device": "cuda"}, "torch", "(The native engine runs on the CPU, and the tensors are on cuda.)"),
        ("lstm", {"dtype": torch.bfloat16}, "torch", "(The native engine does not compute in torch.bfloat16.)"),
        ("gru", {"dtype": torch.bfloat16}, "fused", "no kernel that equals"),
        ("minimal", {"device": "cuda"}, "parallel", "linear in the old ones. (The native engine runs on the CPU"),
        ("lstm", {"transformed": "vmap is active"}, "eager", "since vmap is active"),
        ("minimal", {"transformed": "vmap is active"}, "eager", "since vmap is active"),
        ("gru", {"learned_masks": True}, "eager", "a gradient of a mask"),
    ],
)
@pytest.mark.usefixtures("there")
def test_where_the_native_engine_cannot_serve_the_sentence_says_why(name, request_, path, because):
    choice = choose(program_of(name), **request_)
    assert choice.path == path
    assert because in choice.reason


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
@pytest.mark.usefixtures("absent")
def test_without_the_native_engine_the_path_is_chosen_and_the_sentence_says_why(name, request_, path, because):
    choice = choose(program_of(name), **request_)
    assert choice.path == path
    assert because in choice.reason
    assert choice.reason.endswith((".", ".)"))
    assert path == "eager" or f"({NOT_BUILT[0].upper()}{NOT_BUILT[1:]}.)" in choice.reason


@pytest.mark.usefixtures("absent")
def test_a_path_that_cannot_serve_is_refused_with_the_reason():
    with pytest.raises(UsageError, match="'native' cannot serve here: the native engine is not built"):
        choose(program_of("gru"), path="native")
    with pytest.raises(UsageError, match="no kernel that equals this program"):
        choose(program_of("gru"), path="torch")
    with pytest.raises(UsageError, match="vmap is active"):
        choose(program_of("gru"), path="fused", transformed="vmap is active")


@pytest.mark.usefixtures("there")
def test_a_path_that_was_asked_for_and_can_serve_is_taken_even_where_it_is_slower():
    assert choose(program_of("gru_after"), path="torch").path == "torch"
    assert choose(program_of("gru_after"), path="native").path == "native"
    assert choose(program_of("lstm"), path="eager").reason == "The eager path, which was asked for."
    with pytest.raises(UsageError, match="the tensors are on cuda"):
        choose(program_of("gru"), path="native", device="cuda")
