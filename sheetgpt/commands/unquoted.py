"""A text of several words that was typed without quotes: what to type instead, in every command that takes one text.

What such a command takes behind its text, such as a cell, is the last of what was typed.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import click

from sheetgpt.errors import PromptError

END = "--"  # of the options
STRANGE = '"$`\\!'  # what a shell reads in double quotes
MARK = "\0"  # begins what stands in an argument's place; no argument can hold it


def refuse(
    name: str | None, command: click.Command | None, parent: click.Context, args: Sequence[str], texts: Sequence[str]
) -> None:
    """Raises PromptError where more words are given than the one text that the command takes.

    texts: the names of arguments that are texts.
    """
    arguments = [one for one in (command.params if command else []) if isinstance(one, click.Argument)]
    if command is None or [one.name in texts for one in arguments] != [True, *[False] * (len(arguments) - 1)]:
        return
    words = places(command, parent, args, arguments)
    behind = words[len(words) - len(arguments) + 1 :]
    if len(words) > len(arguments):
        text = " ".join(args[place] for place in words if place not in behind)
        others = [shlex.quote(one) for place, one in enumerate(args) if place not in words and one != END]
        last = [quoted(args[place]) for place in behind]
        parts = [*others, END, quoted(text), *last] if text.startswith("-") else [quoted(text), *last, *others]
        typed = [parent.command_path, str(name), *parts]
        raise PromptError("a text of several words stands in quotes", remedy=" ".join(typed))


def quoted(text: str) -> str:
    """As it is typed in sh, PowerShell and cmd; where a shell would change it so, as it is typed in sh.

    >>> quoted("Mike is quick."), quoted("5 $ more")
    ('"Mike is quick."', "'5 $ more'")
    """
    return shlex.quote(text) if any(mark in text for mark in STRANGE) else f'"{text}"'


def places(
    command: click.Command, parent: click.Context, args: Sequence[str], arguments: Sequence[click.Argument]
) -> list[int]:
    """Where the words stand that belong to no option."""
    context = click.Context(command, parent=parent)
    end = args.index(END) if END in args else len(args)
    option = [i == end or (i < end and one.startswith("-") and one != "-") for i, one in enumerate(args)]
    marked = [one if is_option else f"{MARK}{i}" for i, (one, is_option) in enumerate(zip(args, option, strict=True))]
    try:
        options, more, _ = command.make_parser(context).parse_args(marked)
    except click.UsageError:
        return []  # the command itself will say what is wrong
    if any(one in context.help_option_names for one in args[:end]):
        return []
    words = map(str, [*(options.get(one.name or "") for one in arguments), *more])
    return [int(word.removeprefix(MARK)) for word in words if word.startswith(MARK)]
