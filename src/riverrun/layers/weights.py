"""Weights: parameters under dotted names (`W.i`, `p.ln_x.i`), which become their state_dict keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

from torch import Tensor, nn

from riverrun.errors import UsageError


class _Places:
    """Where the tensors lie. No tuple: torch.export would replace the tensors in it, and put fake ones back."""

    __slots__ = ("owners", "prefix")

    def __init__(self, prefix: str, owners: tuple[tuple[str, Mapping[str, Tensor], str], ...]) -> None:
        self.prefix, self.owners = prefix, owners


class Weights(nn.Module):
    """A tree of parameters that stores and nothing else.

    `Weights({"W.i": w, "U.i": u})` has the state_dict keys `W.i` and `U.i`; `flat()` gives them back under those names,
    whatever tensors stand there now (`torch.func.functional_call` swaps them by name).

    >>> import torch
    >>> Weights({"W.i": torch.zeros(2, 3), "p.ln_x.i": torch.ones(2)}).flat().keys()
    dict_keys(['W.i', 'p.ln_x.i'])
    """

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        super().__init__()
        for name, tensor in tensors.items():
            self._add(name.split("."), nn.Parameter(tensor))

    def _add(self, path: list[str], parameter: nn.Parameter) -> None:
        head, *rest = path
        if hasattr(self, head) and head not in self._modules:
            raise UsageError(f"a gate or weight cannot be called {head!r}: torch's modules use that name; pick another")
        if not rest:
            self.register_parameter(head, parameter)
            return
        if head not in self._modules:
            self.add_module(head, Weights({}))
        branch = self._modules[head]
        assert isinstance(branch, Weights)
        branch._add(rest, parameter)

    @property
    def forward(self) -> nn.Module:  # type: ignore[override]
        """The branch called "forward", the direction; these modules are never called, and so need no other."""
        if "forward" not in self._modules:
            raise AttributeError("no branch 'forward' here")
        branch = self._modules["forward"]
        assert branch is not None
        return branch

    def flat(self, prefix: str = "") -> dict[str, Tensor]:
        """Every tensor under its dotted name, in the order in which the names were given, branch by branch.

        A layer asks at every call, so where each tensor lies is looked up once.
        """
        places = self.__dict__.get("_places")
        if places is None or places.prefix != prefix:
            self._places = places = _Places(prefix, tuple(self._owners(prefix)))
        found: dict[str, Tensor] = {}
        for name, parameters, key in places.owners:
            found[name] = parameters[key]
        return found

    def _owners(self, prefix: str) -> Iterator[tuple[str, Mapping[str, Tensor], str]]:
        """The full name of each tensor, and the dictionary and key under which it stands, whatever tensor that is."""
        for name, parameter in self._parameters.items():
            if parameter is not None:
                yield prefix + name, cast("Mapping[str, Tensor]", self._parameters), name
        for name, branch in self._modules.items():
            assert isinstance(branch, Weights)
            yield from branch._owners(f"{prefix}{name}.")
