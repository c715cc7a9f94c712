"""The plain call of a drop-in on torch's flat tensors where they lie: no views, and all layers as one node of autograd.

With 128 units and one row a step takes the library 2 to 5 microseconds; checks, views, the sum of the two biases gate
by gate and copies of the final states took eight to twenty times that for each layer. So what the shapes decide is made
once for each shape (plan.py), and a call looks only whether its tensors are alike, adds the biases in one piece and
fills in addresses. It remembers nothing of the weights: each call takes those that are there, wherever they lie now.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor
from torch._C import _are_functorch_transforms_active as transforms_active
from torch._C import _get_tracing_state as tracing_state
from torch._C import _len_torch_dispatch_stack as dispatch_modes
from torch.autograd import forward_ad
from torch.compiler import is_compiling

from riverrun.engine import eager, native
from riverrun.nn.dropin import DropIn, split
from riverrun.nn.plan import Plan, Scans, back, plan

MOST = 64  # shapes that are remembered
PLAIN = frozenset((Tensor, torch.nn.Parameter))  # a subclass of them may be anything

_requires_grad, _shape, _dtype, _is_cpu = map(attrgetter, ("requires_grad", "shape", "dtype", "is_cpu"))


class Forms(dict[tuple[torch.Size, torch.dtype, bool], Plan]):
    """What a module remembers of its calls; a copy of the module, or a file with it, begins without."""

    def __reduce__(self) -> tuple[type[Forms], tuple[()]]:
        return Forms, ()


def run(module: DropIn, input: Any, hx: Any) -> Any:
    """(output, hidden) as torch has them; None where this is no call for here."""
    if (
        is_compiling()
        or type(input) not in PLAIN
        or transforms_active()
        or forward_ad._current_level >= 0
        or dispatch_modes()
        or tracing_state() is not None
        or torch.is_autocast_enabled("cpu")
    ):
        return None
    forms = module.__dict__.get("forms")
    if forms is None:
        forms = module.__dict__["forms"] = Forms()
    key = (input.shape, input.dtype, module.batch_first)
    known = forms.get(key)
    if known is None:
        known = plan(module, input)
        if known is None:
            return None
        if len(forms) >= MOST:
            forms.clear()
        forms[key] = known
    if known.drops and module.training:
        return None
    try:
        flats = known.flats(module._parameters)
    except KeyError:  # a parametrisation
        return None
    states = () if hx is None else hx if type(hx) is tuple else (hx,)
    shapes = known.shapes
    if hx is None:
        shapes = shapes[:1] + shapes[1 + known.states :]
    elif len(states) != known.states or (type(hx) is tuple) is (known.module[0] != "LSTM"):
        return None
    given = (input, *states, *flats)
    if not (
        PLAIN.issuperset(map(type, given))
        and tuple(map(_shape, given)) == shapes
        and all(map(_is_cpu, given))
        and all(map(Tensor.is_contiguous, given))
        and set(map(_dtype, given)) == {known.dtype}
    ):
        return None
    if torch.is_grad_enabled() and any(map(_requires_grad, given)):
        output, *final = _Flat.apply(known, len(states), *given)  # type: ignore[no-untyped-call]
    else:
        (output, *final), _ = _forward(known, known.inference, given, len(states))
    if known.batch_first:
        output = output.transpose(0, 1)
    return output, (tuple(final) if known.states > 1 else final[0])


def _pointers(plan: Plan, given: Sequence[Tensor], states: int) -> tuple[list[int], Any]:
    """Addresses by number, of what is given and of the biases' sums; and what has to live until the call is over."""
    pointers = list(map(Tensor.data_ptr, given))
    if not states:
        pointers[1:1] = [plan.zeros.data_ptr()] * plan.states
    if not plan.biases:
        pointers += [0] * len(plan.ones)
        return pointers, None
    less = plan.states - states
    totals = [given[at - less] + given[at + 1 - less] for at in plan.biases]
    pointers += map(Tensor.data_ptr, totals)
    return pointers, totals


def _filled(scans: Scans, pointers: Sequence[int], states: int) -> array[int]:
    """The words with all addresses."""
    words = scans.words[:]
    for word, number, offset in scans.places if states else scans.bare:
        words[word] = pointers[number] + offset
    threads = torch.get_num_threads()
    for word, most in scans.threads:
        words[word] = threads if threads < most else most
    return words


def _forward(plan: Plan, scans: Scans, given: Sequence[Tensor], states: int) -> tuple[list[Tensor], Tensor]:
    """The outputs and the final states as torch has them, and the allocation in which everything else lies."""
    pointers, held = _pointers(plan, given, states)
    like = given[0]
    results = [like.new_empty(plan.output)]
    results += [like.new_empty(shape) for shape in plan.shapes[1 : 1 + plan.states]]
    block = like.new_empty(scans.scratch) if scans.scratch else like  # which nothing points to then
    pointers += map(Tensor.data_ptr, (*results, block))
    words = _filled(scans, pointers, states)
    base, _ = words.buffer_info()
    for begin, count in scans.calls:
        if status := plan.entry(base + begin, count, False):
            raise native.failure(status)
    del held
    return results, block


class _Flat(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, plan: Plan, states: int, *given: Tensor) -> tuple[Tensor, ...]:
        results, block = _forward(plan, plan.learning, given, states)
        ctx.plan, ctx.states = plan, states
        ctx.save_for_backward(*given, results[0], block)
        ctx.set_materialize_grads(False)
        return tuple(results)

    @staticmethod
    def backward(ctx: Any, *arriving: Tensor | None) -> tuple[Tensor | None, ...]:
        plan: Plan = ctx.plan
        *given, outputs, block = ctx.saved_tensors
        needed: tuple[bool, ...] = ctx.needs_input_grad[2:]
        if torch.is_grad_enabled():
            with torch.autocast("cpu", enabled=False):
                return (None, None, *_again(plan, given, ctx.states, needed, arriving))
        return (None, None, *_backward(plan, given, outputs, block, ctx.states, needed, arriving))


def _again(
    plan: Plan, given: Sequence[Tensor], states: int, needed: Sequence[bool], arriving: Sequence[Tensor | None]
) -> list[Tensor | None]:
    """The gradient as a function that can be differentiated: through the autograd loop."""
    below = given[0].unsqueeze(1) if plan.single else given[0].transpose(0, 1) if plan.batch_first else given[0]
    less, batch = plan.states - states, below.shape[1]
    sides: list[Tensor] = []  # the outputs of one layer
    finals: list[tuple[Tensor, ...]] = []
    for index, one in enumerate(plan.ones):
        if one.side == 0 and sides:
            below, sides = torch.cat(sides, -1), []
        own = split(*plan.module, [given[number - less] for number in range(*one.flats)])
        widths = [shape[-1] for shape in one.form.shapes[1 : 1 + plan.states]]
        initial = [state[index].view(batch, n) for state, n in zip(given[1 : 1 + states], widths, strict=False)]
        initial = initial or [below.new_zeros(batch, n) for n in widths]
        found = eager.loop(one.form.program, own, below, initial, reverse=one.form.reverse)
        sides.append(found.outputs)
        finals.append(found.states)
    results = [torch.cat(sides, -1), *map(torch.stack, zip(*finals, strict=True))]
    if plan.single:
        results = [result.squeeze(1) for result in results]
    pairs = [(o, g) for o, g in zip(results, arriving, strict=True) if g is not None]
    wanted = [t for t, want in zip(given, needed, strict=True) if want]
    outputs, gradients = [o for o, _ in pairs], [g for _, g in pairs]
    computed = iter(torch.autograd.grad(outputs, wanted, gradients, create_graph=True, allow_unused=True))
    return [next(computed) if want else None for want in needed]


def _backward(
    plan: Plan,
    given: Sequence[Tensor],
    outputs: Tensor,
    block: Tensor,
    states: int,
    needed: Sequence[bool],
    arriving: Sequence[Tensor | None],
) -> list[Tensor | None]:
    """The gradients of all that was given. The library writes them where torch has them: gate after gate in one."""
    wanted = (needed[0], *(needed[1 : 1 + states] if states else (False,) * plan.states))
    less, lowest = plan.states - states, 0
    if True not in wanted:  # but a weight's gradient is, or this would not be asked
        lowest = next(one.layer for one in plan.ones if any(needed[n - less] for n in range(*one.flats)))
    way = plan.backs.get((*wanted, lowest))
    if way is None:
        way = plan.backs[*wanted, lowest] = back(plan, wanted, lowest)
    given = [tensor.contiguous() for tensor in given]  # hooks of saved tensors may have changed that
    pointers, held = _pointers(plan, given, states)
    scratch = outputs.new_empty(way.scans.scratch)
    made = {number: outputs.new_empty(shape) for number, shape in way.made}
    pointers += (outputs.data_ptr(), block.data_ptr(), scratch.data_ptr())
    words = _filled(way.scans, pointers, states)
    for word, number, offset in way.results:
        words[word] = made[number].data_ptr() + offset
    others = []
    if arriving[0] is not None:
        outside = arriving[0] if arriving[0].stride(-1) == 1 else arriving[0].contiguous()
        others.append(outside)
        strides = outside.stride()
        for word, offset in way.arriving:
            words[word : word + 3] = array("q", (outside.data_ptr() + offset, strides[0], strides[-2]))
    for places, gradient in zip(way.final, arriving[1:], strict=True):
        if gradient is not None:
            others.append(gradient.contiguous())
            base = others[-1].data_ptr()
            for word, offset in places:
                words[word] = base + offset
    base, _ = words.buffer_info()
    for first, add in zip(range(0, len(way.scans.calls), plan.sides), way.adds, strict=True):
        for begin, count in way.scans.calls[first : first + plan.sides]:
            if status := plan.entry(base + begin, count, True):
                raise native.failure(status)
        if add is not None:
            made[add[0]] += made[add[1]]
    del held
    for number, rows in way.both:
        if number + 1 in made:  # of these gates alone only the sum of the two biases counts
            made[number + 1][:rows] = made[number][:rows]
        else:
            made[number + 1] = made[number]
    if plan.batch_first and 0 in made:
        made[0] = made[0].transpose(0, 1)
    numbers = (0, *range(1 + less, len(plan.shapes)))
    return [made.get(number) if want else None for number, want in zip(numbers, needed, strict=True)]
