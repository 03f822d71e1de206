"""What is typed where a path may stand: a prompt of any length and content is no path, and no error either."""

from __future__ import annotations

from pathlib import Path


def existing(text: str) -> Path | None:
    r"""The path that a text names; None where nothing stands there, or no path can be called so.

    >>> existing("a" * 300), existing("a\0b"), existing(".") == Path()
    (None, None, True)
    """
    try:
        return Path(text) if Path(text).exists() else None
    except (OSError, ValueError):  # too long for a name; a NUL in it
        return None
