"""Targets are written by search or drawn, one of each source in its order, as every option says."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from tasks.pairs.material import SOURCES, TARGETS, Taught, ids_of, log_p, taught

from riverrun.data.pair_batch import UNKNOWN
from riverrun.data.pair_coder import learn
from riverrun.data.pair_options import PairOptions
from riverrun.decoding.hypothesis import Hypothesis
from riverrun.decoding.sampling import Sampling
from riverrun.errors import OptionError
from riverrun.tasks.pairs.options import Decoding
from riverrun.tasks.pairs.writing import Target, _target, write

ASKED = ["abcd", "a", "dc", "bbbb", "cab"]


def best(made: Taught, sources: list[str], **options: object) -> list[Target]:
    decoding = replace(made.sections["decoding"], **options)  # type: ignore[arg-type]
    return [first for first, *_ in write(made.model, made.prepared.coder, sources, decoding)]


def test_a_taught_model_spells_in_the_order_that_was_asked(spelling: Taught) -> None:
    assert [target.text for target in best(spelling, ASKED)] == [" ".join(word.upper()) for word in ASKED]
    right = [target.text for target in best(spelling, SOURCES[:84], beam=1)]
    assert sum(map(str.__eq__, right, TARGETS)) > 75


@pytest.mark.parametrize("beam", [1, 3])
def test_results_do_not_depend_on_the_other_sources(spelling: Taught, beam: int) -> None:
    together = best(spelling, ASKED, beam=beam)
    for source, target in zip(ASKED, together, strict=True):
        [alone] = best(spelling, [source], beam=beam)
        assert alone.text == target.text
        assert alone.log_p == pytest.approx(target.log_p, abs=1e-4)


def test_the_log_probability_is_that_of_the_target_step_by_step(spelling: Taught) -> None:
    for source, target in zip(ASKED, best(spelling, ASKED), strict=True):
        assert target.log_p == pytest.approx(log_p(spelling, source, ids_of(spelling, target.text)), abs=1e-3)


def test_several_targets_come_best_first_and_differ(spelling: Taught) -> None:
    found = write(spelling.model, spelling.prepared.coder, ASKED, spelling.sections["decoding"], best=3)
    for targets in found:
        scores = [target.score for target in targets]
        assert scores == sorted(scores, reverse=True)
        assert len({target.text for target in targets}) == len(targets) == 3


@pytest.mark.parametrize("beam", [1, 3])
def test_the_unknown_token_is_never_written(beam: int) -> None:
    made = taught(steps=1)
    with torch.no_grad():
        made.model.output.bias[UNKNOWN] = 99.0
    assert all("<unk>" not in token for target in best(made, ASKED, beam=beam) for token in target.tokens)


def test_options_of_length_and_repeats_act(spelling: Taught) -> None:
    assert [len(target.tokens) for target in best(spelling, ASKED, max_length=2)] == [2, 1, 2, 2, 2]
    assert min(len(target.tokens) for target in best(spelling, ASKED, min_length=3)) == 3
    assert best(spelling, ["bbbb"], no_repeat=1)[0].tokens.count("B") == 1


def test_penalties_act_on_what_wins(spelling: Taught) -> None:
    plain, free = best(spelling, ASKED), best(spelling, ASKED, length_penalty=0.0)
    assert [target.score for target in free] == pytest.approx([target.log_p for target in free])
    mean = best(spelling, ASKED, normalise="mean", length_penalty=1.0)
    for target in mean:
        assert target.score == pytest.approx(target.log_p / (len(target.tokens) + 1))
    covered = best(spelling, ASKED, coverage_penalty=1.0)
    assert all(one.score <= other.score for one, other in zip(covered, plain, strict=True))
    assert covered[0].score < plain[0].score


def test_a_prefix_is_what_targets_begin_with(spelling: Taught) -> None:
    found = write(spelling.model, spelling.prepared.coder, ASKED, spelling.sections["decoding"], prefix="D D")
    assert all(first.text.startswith("D D") for first, *_ in found)


def test_how_often_targets_begin_so_is_held_against_a_target() -> None:
    made = taught(generic_penalty=0.5, generic_tokens=2, length_penalty=0.0, steps=30, hidden=8)
    targets = made.prepared.splits.train.targets
    found = best(made, ASKED)
    for target in found:
        head = [*target.text.split(), "END"][:2]
        count = sum([*other.split(), "END"][:2] == head for other in targets)
        generic = math.log(max(count, 1) / len(targets))
        assert target.score == pytest.approx(target.log_p - 0.5 * generic, abs=1e-6)
    without = best(made, ASKED, generic_penalty=0.0)
    assert [target.score for target in without] == pytest.approx([target.log_p for target in without])


def test_no_longer_beginning_is_asked_for_than_was_kept() -> None:
    made = taught(generic_penalty=0.5, generic_tokens=6, steps=1)
    best(made, ["ab"], generic_tokens=6)
    with pytest.raises(OptionError, match=r"generic_tokens: this model kept 6 tokens of .* at most so many, got 7"):
        best(made, ["ab"], generic_tokens=7)


@pytest.mark.parametrize("beam", [1, 3])
def test_a_word_that_was_never_seen_is_copied(beam: int) -> None:
    names = [f"w{n}" for n in range(400)]
    made = taught(
        pairs=([f"call {name} now" for name in names], [f"hello {name}" for name in names]),
        source_tokens="spaces",
        target_tokens="spaces",
        min_count=2,
        copy=True,
        generic_penalty=0.1,
    )
    found = best(made, ["call Zoë now", "call w7 now"], beam=beam)
    assert [target.text for target in found] == ["hello Zoë", "hello w7"]
    assert found[0].tokens == ["hello", "Zoë"]
    alone = best(made, ["call Zoë now"], beam=beam)[0]
    assert alone.log_p == pytest.approx(found[0].log_p, abs=1e-4)
    facts, _ = made.prepared.peek()
    assert "<unk>" in dict(facts["target"])
    hot = Sampling(temperature=50.0)
    write(made.model, made.prepared.coder, ["call a b c d", "call w7"], Decoding(), best=20, sampling=hot)


def test_sub_words_that_break_a_line_do_not() -> None:
    coder = learn(SOURCES, TARGETS, "tsv", PairOptions(target_tokens="bpe"))
    tokens = tuple(int(id) for id in coder.target.encode(["A\n\tB\u2028"]).ids)
    assert coder.target.decode(tokens) == "A\n\tB\u2028"
    assert _target(coder, Hypothesis(tokens=tokens, score=0.0, log_p=0.0)).text == "A B"


def test_a_penalty_that_the_model_cannot_serve_is_refused(spelling: Taught, thought: Taught) -> None:
    with pytest.raises(OptionError, match="coverage_penalty: this model has no attention"):
        best(thought, ASKED, coverage_penalty=0.5, beam=2)
    with pytest.raises(OptionError, match="generic_penalty: this model did not keep how its targets begin"):
        best(spelling, ASKED, generic_penalty=0.5)


def test_attention_is_kept_where_it_is_asked_for(spelling: Taught, thought: Taught) -> None:
    decoding = spelling.sections["decoding"]
    for source, (first, *_) in zip(
        ASKED, write(spelling.model, spelling.prepared.coder, ASKED, decoding, attention=True), strict=True
    ):
        assert first.attention is not None
        assert first.attention.shape == (len(first.tokens), len(source))
        assert first.attention.sum(1) == pytest.approx(1.0, abs=1e-4)
    assert best(spelling, ASKED)[0].attention is None
    [[nothing]] = write(thought.model, thought.prepared.coder, ["a"], Decoding(beam=1), attention=True)
    assert nothing.attention is None


def test_drawn_targets_depend_on_the_seed_and_come_as_many_as_asked(thought: Taught) -> None:
    def drawn(seed: int, temperature: float = 1.0) -> list[list[str]]:
        sampling = Sampling(temperature=temperature, seed=seed)
        found = write(
            thought.model, thought.prepared.coder, ASKED, thought.sections["decoding"], best=4, sampling=sampling
        )
        return [[target.text for target in targets] for targets in found]

    assert drawn(1) == drawn(1) != drawn(2)
    assert [len(targets) for targets in drawn(1)] == [4] * len(ASKED)
    assert drawn(1, 3.0) != drawn(1, 0.5)


def test_no_source_has_no_target(spelling: Taught) -> None:
    assert write(spelling.model, spelling.prepared.coder, [], spelling.sections["decoding"]) == []
