"""What reaches a terminal, or what stands in its place: printing never fails, and control characters are shown as such.

Names and tokens come from anybody's files: as escapes they move no cursor and set no title. What is printed belongs in
the commands, how it looks in `show`.
"""

from __future__ import annotations

import os
import re
import sys
import warnings
from contextlib import suppress
from typing import TextIO

import click

# of C0 and C1, what changes a line's direction or ends it, halves of characters; as a whole text may hold line ends
CONTROLS = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
IN_TEXT = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    r"""One line, its control characters as escapes.

    >>> print(printable("a\x1b[31m\n"))
    a\x1b[31m\n
    """
    return CONTROLS.sub(_escaped, text)


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print a text of any number of lines, other control characters as escapes."""
    click.echo(IN_TEXT.sub(_escaped, text), err=err, nl=nl)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def is_unicode(stream: TextIO | None) -> bool:
    """Can every character be printed there as it is?"""
    return (getattr(stream, "encoding", None) or "").lower().replace("-", "").replace("_", "").startswith("utf")


def prepare() -> None:
    """Standard streams that are closed lead nowhere; what their encoding has not is printed as an escape."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            with suppress(OSError):
                os.fstat(number)
                continue
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: files opened later don't get it
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - as long as we run
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # numpy's, of numbers that a file holds: what matters is said in an error


def silence(stream: TextIO | None) -> None:
    """Let nothing more be written there, not even when the process ends."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())  # type: ignore[union-attr]
        os.close(nowhere)
