"""The plain call of a drop-in with one layer in one direction, on torch's flat tensors where they lie: no views.

With 128 units and one row a step takes the library 2 to 5 microseconds; checks, views, the sum of the two biases gate
by gate and copies of the final states took eight to twenty times that. So what the shapes decide is made once for each
shape, and a call looks only whether its tensors are alike, adds the biases in one piece and fills in addresses. It
remembers nothing of the weights: each call takes those that are there, wherever they lie now.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._C import _are_functorch_transforms_active as transforms_active
from torch._C import _get_tracing_state as tracing_state
from torch._C import _len_torch_dispatch_stack as dispatch_modes
from torch.autograd import forward_ad
from torch.compiler import is_compiling

from riverrun.engine import eager, guarded, native
from riverrun.engine.frame import ARRIVING, ARRIVING_LAST, STATE, THREADS, Form, Frame, backward_frame, forward_frame
from riverrun.engine.program import Program
from riverrun.nn.dropin import GATES, DropIn, flat_names, split

MOST = 64  # shapes that are remembered
PLAIN = frozenset((Tensor, torch.nn.Parameter))  # a subclass of them may be anything
Place = tuple[int, int, int]  # a word, the number of the tensor whose address it is, and how many bytes into it

_requires_grad = attrgetter("requires_grad")


class Forms(dict[tuple[torch.Size, torch.dtype, bool], "_Plan"]):
    """What a module remembers of its calls; a copy of the module, or a file with it, begins without."""

    def __reduce__(self) -> tuple[type[Forms], tuple[()]]:
        return Forms, ()


class _Plan(NamedTuple):
    """Calls with an input of one shape. Tensors go by number: the input, the states, the flat ones, their biases' sum.

    shapes: of all of them, with the states as torch has them, [1, B, n].
    """

    form: Form
    inference: _Way
    learning: _Way
    flats: Callable[[Any], tuple[Tensor, ...]]  # out of module._parameters
    shapes: tuple[tuple[int, ...], ...]
    biases: int  # the number of the first flat bias, or 0
    zeros: Tensor  # the initial state where none is given; only read
    batch_first: bool
    module: tuple[str, bool]  # its mode, and whether it has biases
    dtype: torch.dtype
    entry: Callable[[int, int, bool], int]
    where: tuple[tuple[int, int], ...]  # for the input, the states and each weight: in which tensor, at which byte
    backs: dict[tuple[bool, ...], _Back]  # by whether the gradients of the input and of the states are wanted

    @property
    def states(self) -> int:
        return len(self.form.program.states)

    @property
    def program(self) -> Program:
        return self.form.program


class _Way(NamedTuple):
    """A call's frame, and where addresses go in its words."""

    frame: Frame
    places: tuple[Place, ...]


class _Back(NamedTuple):
    """The way back. made: gradients by the number of their tensor, and their shapes; those of the biases' sum lie in
    the first bias's. results: where the library puts them. both: rows of the biases of which only the sum counts, if
    not all."""

    way: _Way
    made: tuple[tuple[int, tuple[int, ...]], ...]
    results: tuple[Place, ...]
    both: int


def run(module: DropIn, input: Any, hx: Any) -> Any:
    """(output, hidden) as torch has them; None where this is no call for here."""
    if is_compiling() or type(input) not in PLAIN:
        return None
    forms = module.__dict__.get("forms")
    if forms is None:
        forms = module.__dict__["forms"] = Forms()
    key = (input.shape, input.dtype, module.batch_first)
    plan = forms.get(key)
    if plan is None:
        plan = _plan(module, input)
        if plan is None:
            return None
        if len(forms) >= MOST:
            forms.clear()
        forms[key] = plan
    states = () if hx is None else hx if type(hx) is tuple else (hx,)
    try:
        flats = plan.flats(module._parameters)
    except KeyError:  # a parametrisation
        return None
    given = (input, *states, *flats)
    if hx is not None and (len(states) != plan.states or (type(hx) is tuple) is (plan.module[0] != "LSTM")):
        return None
    shapes, dtype = plan.shapes, plan.dtype
    if hx is None:
        shapes = (shapes[0], *shapes[1 + plan.states :])
    for tensor, shape in zip(given, shapes):  # noqa: B905  their number is right
        if (
            type(tensor) not in PLAIN
            or tensor.shape != shape
            or tensor.dtype is not dtype
            or not tensor.is_cpu
            or not tensor.is_contiguous()
        ):
            return None
    if (
        transforms_active()
        or forward_ad._current_level >= 0
        or dispatch_modes()
        or tracing_state() is not None
        or torch.is_autocast_enabled("cpu")
    ):
        return None
    if torch.is_grad_enabled() and any(map(_requires_grad, given)):
        output, *final = _Flat.apply(plan, len(states), *given)  # type: ignore[no-untyped-call]
    else:
        output, *final = _forward(plan, plan.inference, given, len(states))[0]
    if plan.batch_first:
        output = output.transpose(0, 1)
    return output, (tuple(final) if plan.states > 1 else final[0])


def _plan(module: DropIn, input: Tensor) -> _Plan | None:
    """The plan for this shape of input; None where there is none."""
    stack, dtype = module.stack, input.dtype
    serves = (
        module.plain
        and stack.is_one_scan
        and input.dim() == 3
        and 0 not in input.shape
        and input.shape[2] == module.input_size
    )
    if not serves or native.refusal(input.device.type, dtype) or guarded.only_once(input.device.type):
        return None
    names = flat_names(module, stack.parts[0])
    flats = [module._parameters.get(name) for name in names]
    if any(flat is None or flat.dtype is not dtype or not flat.is_cpu or not flat.is_contiguous() for flat in flats):
        return None
    data = input.detach().contiguous()
    data = data.transpose(0, 1) if module.batch_first else data
    program, batch = stack.training, data.shape[1]
    with torch.no_grad():
        initial = [data.new_zeros(batch, n) for n in stack.state_sizes]
        own = split(module.mode, module.bias, [flat.detach() for flat in flats if flat is not None])
    form = native.form_of(program, own, [data, *initial, *own.values()], stack.direction == "reverse", (), ())
    first = 1 + len(initial)  # the number of the first flat tensor
    biases = first + 2 if module.bias else 0
    inference, learning = forward_frame(form, False, ()), forward_frame(form, True, ())
    if inference.copies or learning.copies:
        return None
    where = _where(module, form, first, first + len(flats))
    return _Plan(
        form,
        _Way(inference, _places(inference, where)),
        _Way(learning, _places(learning, where)),
        itemgetter(*names),
        (tuple(input.shape), *((1, *s.shape) for s in initial), *(tuple(f.shape) for f in flats if f is not None)),
        biases,
        max(initial, key=Tensor.numel),
        module.batch_first,
        (module.mode, module.bias),
        dtype,
        native._entry(dtype),
        tuple(where),
        {},
    )


def _where(module: DropIn, form: Form, first: int, total: int) -> list[tuple[int, int]]:
    """For the input, the states and each weight: the number of the tensor it lies in, and how many bytes into it."""
    found = [(number, 0) for number in range(first)]
    gates = GATES[module.mode]
    for name, shape in zip(form.names, form.shapes[first:], strict=True):
        kind, _, key = name.partition(".")
        if key == "projection":
            found.append((total - 1, 0))
            continue
        place = gates.index("n" if key == "hn" else key)
        inside = (module.mode, key) in (("GRU", "n"), ("GRU", "hn"))
        flat = {"W": first, "U": first + 1, "b": first + 2 + (key == "hn") if inside else total}[kind]
        size = form.dtype.itemsize
        for n in shape:
            size *= n
        found.append((flat, place * size))
    return found


def _places(frame: Frame, where: Sequence[tuple[int, int]]) -> tuple[Place, ...]:
    return tuple((word, *where[number]) for word, number in frame.addresses)


def _fill(
    plan: _Plan, way: _Way, given: Sequence[Tensor], states: int, outputs: Tensor | None = None
) -> tuple[array[int], Tensor | None]:
    """The words with all addresses of what is given; and what has to live until the call is over."""
    words = way.frame.words[:]
    pointers = list(map(Tensor.data_ptr, given))
    if not states:
        pointers[1:1] = [plan.zeros.data_ptr()] * plan.states
    total = None
    if plan.biases:
        at = plan.biases - plan.states + states
        total = given[at] + given[at + 1]
        pointers.append(total.data_ptr())
    if outputs is not None:
        pointers.append(outputs.data_ptr())
    for word, number, offset in way.places:
        words[word] = pointers[number] + offset
    most = way.frame.threads
    words[THREADS] = 1 if most == 1 else min(most, torch.get_num_threads())
    return words, total


def _forward(plan: _Plan, way: _Way, given: Sequence[Tensor], states: int) -> tuple[list[Tensor], Tensor]:
    """The outputs and the final states [1, B, n], and the allocation in which everything else lies."""
    words, held = _fill(plan, way, given, states)
    frame, like = way.frame, given[0]
    (word, shape, _, _), *finals = frame.results
    made = like.new_empty(shape)
    words[word] = made.data_ptr()
    results = [made]
    for (word, _, _, _), shape in zip(finals, plan.shapes[1:]):  # noqa: B905  the flat shapes come after
        made = like.new_empty(shape)
        words[word] = made.data_ptr()
        results.append(made)
    for word, number in frame.also:
        words[word] = results[number].data_ptr()
    block = like  # where there is nothing else
    if frame.scratch:
        block = like.new_empty(frame.scratch)
        base = block.data_ptr()
        for word, offset in frame.places:
            words[word] = base + offset
    if status := plan.entry(*words.buffer_info(), False):
        raise native.failure(status)
    del held
    return results, block


class _Flat(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, plan: _Plan, states: int, *given: Tensor) -> tuple[Tensor, ...]:
        results, block = _forward(plan, plan.learning, given, states)
        ctx.plan, ctx.states = plan, states
        ctx.save_for_backward(*given, results[0], block)
        ctx.set_materialize_grads(False)
        return tuple(results)

    @staticmethod
    def backward(ctx: Any, *arriving: Tensor | None) -> tuple[Tensor | None, ...]:
        plan: _Plan = ctx.plan
        *given, outputs, block = ctx.saved_tensors
        needed: tuple[bool, ...] = ctx.needs_input_grad[2:]
        if torch.is_grad_enabled():
            with torch.autocast("cpu", enabled=False):
                return (None, None, *_again(plan, given, ctx.states, needed, arriving))
        return (None, None, *_backward(plan, given, outputs, block, ctx.states, needed, arriving))


def _again(
    plan: _Plan, given: Sequence[Tensor], states: int, needed: Sequence[bool], arriving: Sequence[Tensor | None]
) -> list[Tensor | None]:
    """The gradient as a function that can be differentiated: through the autograd loop."""
    input = given[0].transpose(0, 1) if plan.batch_first else given[0]
    if states:
        initial = [state.squeeze(0) for state in given[1 : 1 + states]]
    else:
        initial = [input.new_zeros(shape[1:]) for shape in plan.shapes[1 : 1 + plan.states]]
    mode, bias = plan.module
    own = split(mode, bias, given[1 + states :])
    found = eager.loop(plan.program, own, input, initial, reverse=plan.form.reverse)
    results = (found.outputs, *(state.unsqueeze(0) for state in found.states))
    pairs = [(o, g) for o, g in zip(results, arriving, strict=True) if g is not None]
    wanted = [t for t, want in zip(given, needed, strict=True) if want]
    outputs, gradients = [o for o, _ in pairs], [g for _, g in pairs]
    computed = iter(torch.autograd.grad(outputs, wanted, gradients, create_graph=True, allow_unused=True))
    return [next(computed) if want else None for want in needed]


def _backward(
    plan: _Plan,
    given: Sequence[Tensor],
    outputs: Tensor,
    block: Tensor,
    states: int,
    needed: Sequence[bool],
    arriving: Sequence[Tensor | None],
) -> list[Tensor | None]:
    """The gradients of all that was given. The library writes them where torch has them: gate after gate in one."""
    wanted = (needed[0], *(needed[1 : 1 + states] if states else (False,) * plan.states))
    back = plan.backs.get(wanted)
    if back is None:
        back = plan.backs[wanted] = _back(plan, wanted)
    frame, like = back.way.frame, outputs
    given = [tensor.contiguous() for tensor in given]  # hooks of saved tensors may have changed that
    words, held = _fill(plan, back.way, given, states, outputs)
    scratch = like.new_empty(frame.scratch)
    base = scratch.data_ptr()
    for word, offset in frame.places:
        words[word] = base + offset
    base = block.data_ptr()
    for word, offset in frame.kept:
        words[word] = base + offset
    made = {number: like.new_empty(shape) for number, shape in back.made}
    for word, number, offset in back.results:
        words[word] = made[number].data_ptr() + offset
    others = []
    if arriving[0] is not None:
        outside = arriving[0] if arriving[0].stride(-1) == 1 else arriving[0].contiguous()
        others.append(outside)
        words[ARRIVING] = outside.data_ptr()
        words[ARRIVING + 1], words[ARRIVING + 2], _ = outside.stride()
    for index, gradient in enumerate(arriving[1:]):
        if gradient is not None:
            others.append(gradient.contiguous())
            words[frame.states + STATE * index + ARRIVING_LAST] = others[-1].data_ptr()
    if status := plan.entry(*words.buffer_info(), True):
        raise native.failure(status)
    del held
    if back.both:  # the gates whose two biases only their sum counts of
        made[plan.biases + 1][: back.both] = made[plan.biases][: back.both]
    elif plan.biases:
        made[plan.biases + 1] = made[plan.biases]
    if plan.batch_first and 0 in made:
        made[0] = made[0].transpose(0, 1)
    numbers = range(len(plan.shapes)) if states else (0, *range(1 + plan.states, len(plan.shapes)))
    return [made.get(number) if want else None for number, want in zip(numbers, needed, strict=True)]


def _back(plan: _Plan, wanted: tuple[bool, ...]) -> _Back:
    """The way back where these gradients of input and states are wanted."""
    form, biases = plan.form, plan.biases
    frame = backward_frame(form, (), (*wanted, *[True] * (len(form.shapes) - len(wanted))))
    total = len(plan.shapes)  # the number of the biases' sum; the outputs come after
    where = [*plan.where, (total + bool(biases), 0)]
    results: list[Place] = []
    made: dict[int, tuple[int, ...]] = {n: plan.shapes[n] for n in range(1 + plan.states, total)}
    more = total + 2
    for result in frame.results:
        if result.tensors[0] < 0:  # of biases that are not there
            number, offset = more, 0
            made[number] = tuple(result.shape)
            more += 1
        else:
            number, offset = where[result.tensors[0]]
            number = biases if number == total else number
            made.setdefault(number, form.shapes[0] if number == 0 else plan.shapes[number])
        results.append((result.word, number, offset))
    both = plan.shapes[biases][0] // 3 * 2 if biases and plan.module[0] == "GRU" else 0
    if biases and not both:
        del made[biases + 1]
    return _Back(_Way(frame, _places(frame, where)), tuple(made.items()), tuple(results), both)
