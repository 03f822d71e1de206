"""What commands share that take many prompts instead of one: the options, each prompt in turn, the report over all.

Reading prompts belongs in `batch.prompts`, means and spread in `lens.gathered`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import click

from sheetgpt.commands import show
from sheetgpt.commands.progress import progress
from sheetgpt.files.text import STDIN

if TYPE_CHECKING:
    from sheetgpt.batch.prompts import Prompt
    from sheetgpt.lens.gathered import LeftOut
    from sheetgpt.lens.tables import Report
    from sheetgpt.model import Model
    from sheetgpt.run.trace import Trace

Command = TypeVar("Command", bound=Callable[..., Any])
Found = TypeVar("Found")
TEXTS = {"prompt": "a prompt", "text": "a text"}


def source_options(of_format: str, of_column: str) -> tuple[show.Option, show.Option]:
    """`--format` and `--column` of a file of prompts, with their help."""
    formats = click.Choice(["text", "jsonl", "csv", "parquet"])
    return (
        click.option("--format", "kind", type=formats, help=of_format),
        click.option("--column", metavar="NAME", help=of_column),
    )


OPTIONS = (
    click.option(
        "--prompts",
        metavar="FILE",
        help="Many prompts instead of one, for mean and spread over them: text (one a line), JSON lines, CSV or "
        "Parquet, as `sheetgpt batch` reads them; - is standard input.",
    ),
    *source_options(
        "What --prompts holds. Default: by the file's ending; otherwise text.",
        "With --prompts: the column of a CSV or Parquet file.",
    ),
)


@dataclass(frozen=True)
class Prompts:
    """Where many prompts stand, as the options say."""

    source: str
    kind: str | None
    column: str | None

    @property
    def name(self) -> str:
        """What files over these prompts are called, unless a name was given."""
        return "prompts" if self.source == STDIN else Path(self.source).stem

    def each(self, of: Callable[[Prompt], Found]) -> Iterator[Result[Found] | LeftOut]:
        """What is computed of each prompt, or why it was left out; with a bar on the terminal."""
        from sheetgpt.batch.prompts import read_prompts
        from sheetgpt.lens.gathered import LeftOut

        prompts = read_prompts(self.source, self.kind, self.column)
        with progress("prompts") as advance:
            for number, one in enumerate(prompts):
                reason, found = attempt(one, of)
                text = text_of(one)
                yield LeftOut(number, text, reason) if found is None else Result(number, text, found)
                advance(number + 1, len(prompts))

    def report(
        self,
        model: Model,
        look: Callable[[Trace], Any],
        *,
        special: bool,
        assignments: Sequence[str],
        top: int | None = None,
    ) -> Report:
        """A lens over the run of each prompt."""
        from sheetgpt.lens.gathered import LeftOut, gather

        def run(one: Prompt) -> Trace:
            trace = model.run(one.text, token_ids=one.token_ids, special=special and one.text is not None)
            return model.run_edited(trace, assignments) if assignments else trace

        return gather(one if isinstance(one, LeftOut) else look(one.found) for one in self.each(run)).report(top)


@dataclass(frozen=True)
class Result(Generic[Found]):
    """What was computed of a prompt. number: its place among the prompts, from 0."""

    number: int
    prompt: str
    found: Found


def attempt(one: Prompt, of: Callable[[Prompt], Found]) -> tuple[str, Found | None]:
    """(why not, what is computed of a prompt)."""
    from sheetgpt.errors import PromptError, StageError, TokenizerError

    if one.error is not None:
        return one.error, None
    try:
        return "", of(one)
    except (PromptError, StageError, TokenizerError) as error:
        return str(error), None


def text_of(one: Prompt) -> str:
    """A prompt as it was given: its text, or its ids with commas between them."""
    return one.text if one.text is not None else ",".join(map(str, one.token_ids or ()))


# ------------------------------------------------------------------------------------------------ the options


def prompts_options(*one_alone: str) -> Callable[[Command], Command]:
    """`--prompts`, `--format`, `--column`; they reach the command as `over`: Prompts, or None without --prompts.

    one_alone: the command's parameters that go with one prompt only.
    """

    def decorated(command: Command) -> Command:
        @wraps(command)
        def with_prompts(*, prompts: str | None, kind: str | None, column: str | None, **others: Any) -> Any:
            require_fitting(prompts, {"--format": kind, "--column": column}, {name: others[name] for name in one_alone})
            return command(over=None if prompts is None else Prompts(prompts, kind, column), **others)

        found: Any = with_prompts
        for option in reversed(OPTIONS):
            found = option(found)
        return cast("Command", found)

    return decorated


def require_fitting(prompts: str | None, of_many: Mapping[str, object], of_one: Mapping[str, object]) -> None:
    """Raises PromptError where --prompts stands beside what goes with one prompt, or an option of many without it."""
    from sheetgpt.errors import PromptError

    given = [name for name, value in of_one.items() if value is not None and value is not False]
    if prompts is not None and given:
        name = TEXTS.get(given[0], f"--{given[0].replace('_', '-')}")
        raise PromptError(f"--prompts and {name} don't go together", remedy="leave one of them out")
    alone = [name for name, value in of_many.items() if value is not None]
    if prompts is None and alone:
        raise PromptError(f"{alone[0]} goes with --prompts", remedy="add --prompts FILE")
