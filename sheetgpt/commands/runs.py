"""What the lenses' commands share: a prompt with its model, run as `sheetgpt run` does, and the token looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sheetgpt.commands import show

if TYPE_CHECKING:
    from sheetgpt.model import Model
    from sheetgpt.run.trace import Trace

Command = TypeVar("Command", bound=Callable[..., Any])
token_option = click.option("--token", metavar="TOKEN", help="The token to look at. Default: the predicted one.")


set_option = click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="CELL=VALUE",
    help="Look at the run that follows from a changed cell, as in `sheetgpt run`. Repeatable.",
)


def prompt_options(command: Command) -> Command:
    """PROMPT, `--weights`, `--token-ids`, `--special`, `--set`."""
    prompt = click.argument("prompt", required=False)
    options = (prompt, show.weights_option, show.ids_option(), show.special_option, set_option)
    for option in reversed(options):
        command = option(command)
    return command


def run_with(
    model: Model,
    prompt: str | None,
    token_ids: Sequence[int] | None,
    *,
    special: bool,
    assignments: Sequence[str] = (),
) -> Trace:
    """The run, or the one that follows from assignments as `--set` takes them."""
    show.notice(None if special else model.special_notice(prompt))
    trace = model.run(prompt, token_ids=token_ids, special=special)
    show.notice(model.length_notice(len(trace.token_ids)))
    return model.run_edited(trace, assignments) if assignments else trace
