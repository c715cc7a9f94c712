"""The drop-in edge: RNN, LSTM and GRU with torch.nn's signatures, and `Recurrent`.

The three *are* torch.nn's: each is a subclass, so isinstance, parameter names and order, initial weights, state_dict,
pickling and error messages are torch's own. A plain call on the CPU goes through riverrun's native engine, on torch's
flat tensors where they lie; elsewhere, and where the engine does not serve (autocast, other dtypes), it runs torch's
own kernel. What torch refuses goes through riverrun's engine on views of the same tensors: T = 0, lengths of 0, jvp,
vmap, the gradient of a gradient on a GPU (not with torch's dropout between layers, which is drawn inside cuDNN), and
the keyword-only extras.

Extras of the constructor, each as in `Recurrent`: dropouts (but `between`, which is torch's `dropout`), norm,
learned_initial, initialisation (torch's own where not given). Parameters that torch does not have are under `extras.`.
Depths and skips change the shapes of torch's tensors, and are `Recurrent`'s alone. Extras of the call:

    lengths  [B], for padded input: padding is never read, outputs there are zero, the state stops at the end
    resets   bool, [T, B] or with batch_first [B, T]: True where a sequence starts anew from the initial state
    record   names of values ("i", "f", ... or "layers.0.forward.i"): the call then returns a third value, a dictionary
             of [T, B, n] (with batch_first [B, T, n]), detached
    path     ask for one way of running ("native", "torch", "fused", "eager"); an error where it cannot serve

>>> import torch
>>> lstm = LSTM(3, 5, batch_first=True)
>>> output, (h, c), gates = lstm(torch.zeros(2, 7, 3), record=["f"])
>>> gates["layers.0.forward.f"].shape
torch.Size([2, 7, 5])
"""

from riverrun.layers import Depth, Dropouts, Initialisation, Recurrent
from riverrun.nn.modules import GRU, LSTM, RNN

__all__ = ["GRU", "LSTM", "RNN", "Depth", "Dropouts", "Initialisation", "Recurrent"]
