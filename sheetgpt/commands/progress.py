"""A bar on the terminal for long work, on stderr so that what a command prints stays clean."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

import click


class Advance(Protocol):
    """How work says how far it is, and where that helps at what it looks."""

    def __call__(self, done: int, total: int, at: str = ...) -> None: ...


@contextmanager
def progress(label: str) -> Iterator[Advance]:
    """Yields `advance(done, total, at)`. Nothing is shown until it is called, nor where stderr is no terminal."""
    with ExitStack() as stack:
        bar: Any = None

        def advance(done: int, total: int, at: str = "") -> None:
            nonlocal bar
            if bar is None and sys.stderr.isatty():
                shown = click.progressbar(length=total, label=label, file=sys.stderr, item_show_func=lambda item: item)
                bar = stack.enter_context(shown)
            if bar is not None:
                bar.update(done - bar.pos, at)

        yield advance
