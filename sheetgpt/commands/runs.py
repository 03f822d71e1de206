"""What the lenses' commands share: a prompt with its model, run as `sheetgpt run` does, and the token looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sheetgpt.commands import show
from sheetgpt.commands.run import parse_ids

if TYPE_CHECKING:
    from sheetgpt.model import Model
    from sheetgpt.run.trace import Trace

Command = TypeVar("Command", bound=Callable[..., Any])
ids_option = click.option(
    "--token-ids", metavar="IDS", callback=parse_ids, help='Token ids instead of a prompt, such as "3,1,2".'
)
dtype_option = click.option("--dtype", type=click.Choice(["float64", "float32"]), default="float64", show_default=True)
token_option = click.option("--token", metavar="TOKEN", help="The token to look at. Default: the predicted one.")


def prompt_options(command: Command) -> Command:
    """PROMPT, `--weights`, `--token-ids`, `--special`."""
    options = (click.argument("prompt", required=False), show.weights_option, ids_option, show.special_option)
    for option in reversed(options):
        command = option(command)
    return command


def run_of(
    prompt: str | None, weights: str | None, token_ids: Sequence[int] | None, *, special: bool, dtype: str
) -> Trace:
    """The run of a prompt or of token ids, by the model in a folder."""
    from sheetgpt.model import load_model

    return run_with(load_model(weights, dtype), prompt, token_ids, special=special)


def run_with(model: Model, prompt: str | None, token_ids: Sequence[int] | None, *, special: bool) -> Trace:
    show.notice(None if special else model.special_notice(prompt))
    trace = model.run(prompt, token_ids=token_ids, special=special)
    show.notice(model.length_notice(len(trace.token_ids)))
    return trace
