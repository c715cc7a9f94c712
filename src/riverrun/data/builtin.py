"""The text that every Python carries: its language reference, from `pydoc_data.topics`.

About 465,000 characters (they differ between Python versions, so their SHA-256 is recorded with every run), topics in
alphabetical order, joined by newlines into one stream.
"""

from __future__ import annotations


def text() -> str:
    """The built-in text."""
    from pydoc_data.topics import topics  # half a megabyte: only when asked for

    return "\n".join(topics[name] for name in sorted(topics))


def name() -> str:
    """What data.json calls it."""
    import platform

    return f"the Python {platform.python_version()} language reference (pydoc_data.topics)"
