"""Layers: recurrent stacks built from any cell."""

from riverrun.layers.options import Depth, Dropouts, Initialisation
from riverrun.layers.recurrent import Recurrent
from riverrun.layers.stack import Recurrence, Stack, State
from riverrun.layers.streamer import Streamer

__all__ = ["Depth", "Dropouts", "Initialisation", "Recurrence", "Recurrent", "Stack", "State", "Streamer"]
