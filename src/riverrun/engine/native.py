"""The slot of the native engine: the only file that will know the C++ extension.

It is to take a Program as an array of small integers and interpret it on tiles that are still in L1. Until it is built,
`refusal` says so, and `choose.py` goes on to the next path.
"""

from __future__ import annotations


def refusal() -> str:
    """Why the native engine cannot serve: the reason as a plain clause."""
    return "the native engine is not built yet"
