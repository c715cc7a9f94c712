"""recurrent_stack: the recurrent layers that a model's options describe."""

from __future__ import annotations

from riverrun.cells.cell import Cell
from riverrun.errors import OptionError
from riverrun.layers.options import Depth, Dropouts, Initialisation
from riverrun.layers.recurrent import Recurrent
from riverrun.models.recurrent_options import RecurrentOptions

# What a layer calls by another name than the [model] section does; an error is passed on in the section's.
OPTIONS = {
    "hidden_size": "hidden",
    "num_layers": "layers",
    "dropouts.between": "dropout",
    "dropouts.variational": "variational",
    "dropouts.recurrent": "recurrent_dropout",
    "dropouts.weight": "weight_dropout",
    "dropouts.zoneout": "zoneout",
    "depth.input": "input_depth",
    "depth.hidden": "hidden_depth",
    "depth.output": "output_depth",
    "initialisation.recurrent": "recurrent_init",
    "initialisation.forget_bias": "forget_bias",
    "initialisation.chrono": "chrono",
}


def recurrent_stack(
    options: RecurrentOptions, width: int, *, cell: type[Cell] | None = None, direction: str = "forward"
) -> Recurrent:
    """The stack over vectors of that width. cell: a class of one's own, in place of the one that `options` names.

    direction: "forward", "reverse" or "both". Dropout between layers is `options.dropout`; that on the last layer's
    output is the model's own affair. Raises OptionError in the names of the [model] section.
    """
    try:
        return Recurrent(
            cell or options.cell,
            width,
            options.hidden,
            num_layers=options.layers,
            bias=options.bias,
            direction=direction,
            projection=options.projection,
            skip=options.skip,
            learned_initial=options.learned_initial,
            norm=options.norm,
            dropouts=Dropouts(
                between=options.dropout if options.layers > 1 else 0.0,
                variational=options.variational,
                recurrent=options.recurrent_dropout,
                weight=options.weight_dropout,
                zoneout=options.zoneout,
            ),
            depth=Depth(input=options.input_depth, hidden=options.hidden_depth, output=options.output_depth),
            initialisation=Initialisation(
                recurrent=options.recurrent_init, forget_bias=options.forget_bias, chrono=options.chrono
            ),
        )
    except OptionError as error:
        raise OptionError(OPTIONS.get(error.name, error.name), error.problem) from None
