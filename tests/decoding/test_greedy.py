"""Greedy decoding against a loop over the table, one source at a time."""

from __future__ import annotations

import pytest
import torch
from decoding.table import Table, sources

from riverrun.data.pair_batch import BEGIN, END, UNKNOWN
from riverrun.decoding.constraints import Constraints
from riverrun.decoding.greedy import greedy
from riverrun.decoding.inputs import in_batches, inputs
from riverrun.errors import ModelError


def by_hand(model: Table, source: list[int], limit: int) -> tuple[int, ...]:
    tokens: list[int] = []
    while True:
        row = model.log_p[model.kind(source), len(tokens), tokens[-1] if tokens else BEGIN]
        best = END if len(tokens) == limit else int(row.argmax())
        if best == END:
            return tuple(tokens)
        tokens.append(best)


@pytest.mark.parametrize("seed", range(4))
def test_greedy_takes_the_likeliest_token_at_every_step(seed):
    model, given = Table(seed=seed), sources(30, seed)
    for source, [found] in zip(given, greedy(model, inputs(given), constraints=Constraints(max_length=9)), strict=True):
        assert found.tokens == by_hand(model, source, 9)
        assert found.log_p == found.score == pytest.approx(model.score(source, found.tokens), abs=1e-9)


def test_sources_that_have_ended_leave_the_batch():
    model, given = Table(seed=1), sources(60, 1)
    found = greedy(model, inputs(given), constraints=Constraints(max_length=9))
    longest = max(len(one.tokens) for [one] in found)
    assert model.calls[0] == 60
    assert len(model.calls) == longest + 1
    assert model.calls == sorted(model.calls, reverse=True)
    for step, rows in enumerate(model.calls):  # at most a tenth of the rows is there in vain
        needed = sum(len(one.tokens) >= step for [one] in found)
        assert needed <= rows
        assert needed >= 0.9 * rows


def test_a_batch_means_the_same_as_one_source_at_a_time():
    model, given = Table(seed=2), sources(25, 3)
    alone = [greedy(model, inputs([one]))[0] for one in given]
    assert greedy(model, inputs(given)) == alone
    assert in_batches(lambda batch: greedy(model, batch), given, rows=4) == alone
    assert in_batches(lambda batch: greedy(model, batch), given, tokens=7) == alone


def test_attention_has_a_row_for_each_token_and_a_column_for_each_source_token():
    model, given = Table(seed=3), sources(12, 4)
    for source, [found] in zip(given, greedy(model, inputs(given), attention=True), strict=True):
        assert found.attention.shape == (len(found.tokens), len(source))
        assert found.attention == pytest.approx(model.looks(source, len(found.tokens)), abs=1e-6)
    assert greedy(model, inputs(given))[0][0].attention is None
    model.attends = False
    assert greedy(model, inputs(given), attention=True)[0][0].attention is None


def test_the_marks_and_what_is_never_written_are_not_written():
    model = Table(seed=0)
    model.log_p = torch.zeros_like(model.log_p)  # BEGIN is as likely as any token
    [[found]] = greedy(model, inputs([[3]]), constraints=Constraints(min_length=5, max_length=5, never=(UNKNOWN, 3)))
    assert set(found.tokens) <= {4, 5}
    assert len(found.tokens) == 5


def test_nothing_in_nothing_out():
    assert greedy(Table(), inputs([])) == []
    assert in_batches(lambda batch: greedy(Table(), batch), []) == []


def test_broken_weights_are_a_sentence():
    model = Table()
    model.log_p = model.log_p * torch.nan
    with pytest.raises(ModelError, match="NaN"):
        greedy(model, inputs([[3], [4, 5]]))


def test_the_models_mode_comes_back():
    class Module(torch.nn.Module, Table):
        def __init__(self) -> None:
            torch.nn.Module.__init__(self)
            Table.__init__(self)
            self.seen: set[tuple[bool, bool]] = set()

        def step(self, memory, state, token):
            self.seen.add((self.training, torch.is_grad_enabled()))
            return Table.step(self, memory, state, token)

    model = Module().train()
    greedy(model, inputs(sources(3)))
    assert model.seen == {(False, False)}
    assert model.training
