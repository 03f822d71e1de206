"""How the commands print: tables a person can read, JSON for machines, and options that several commands share."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sheetgpt.commands import terminal
from sheetgpt.commands.terminal import is_unicode, printable
from sheetgpt.errors import DumpError, PromptError, TextError
from sheetgpt.files.text import whole_numbers

if TYPE_CHECKING:
    from sheetgpt.run.trace import Prediction, Trace

echo = terminal.echo
Option = Callable[[Any], Any]  # what click makes of an option: it takes a command and gives it back
NO_NAMES = "/\\\0"  # what leads to another folder, or is no name at all
LONGEST_NAME = 200  # bytes; endings and temporary names are longer

weights_option = click.option(
    "--weights",
    type=click.Path(),
    metavar="DIR",
    help="The model's CSV folder, or the name of one that ships inside (stages --models). Default: embedded.",
)
special_option = click.option(
    "--special", is_flag=True, help="Read each special token in the text, such as <|endoftext|>, as one token."
)


def one_name(_context: click.Context, _option: click.Parameter, name: str | None) -> str | None:
    """A dump's name, as it is typed. Raises DumpError where it is a path, or no file can be called so."""
    is_path = name is not None and (name in ("", ".", "..") or any(mark in name for mark in NO_NAMES))
    if name is not None and (is_path or len(name.encode(errors="replace")) > LONGEST_NAME):
        raise DumpError(f"--name {name[:LONGEST_NAME]!r} is not one name", remedy="a folder is given by --exports")
    return name


exports_option = click.option(
    "--exports",
    type=click.Path(path_type=Path),
    default="exports",
    show_default=True,
    metavar="DIR",
    help="The folder that dumps are written to.",
)


def name_option(made_from: str) -> Option:
    """`--name` of a dump, which is otherwise made from something."""
    return click.option(
        "--name", metavar="NAME", callback=one_name, help=f"The dump's name. Default: made from {made_from}."
    )


def parse_ids(_context: click.Context, _option: click.Parameter, text: str | None) -> list[int] | None:
    return None if text is None else ids_in(text, "--token-ids takes")


def ids_in(text: str, taken: str) -> list[int]:
    """`"3,1,2"` as a list. Raises PromptError, which begins with what takes them."""
    try:
        return whole_numbers(text)
    except ValueError:
        raise PromptError(f'{taken} whole numbers such as "3,1,2", not {text!r}') from None


def ids_option(instead_of: str = "a prompt") -> Option:
    """`--token-ids`, as a list."""
    return click.option(
        "--token-ids", metavar="IDS", callback=parse_ids, help=f'Token ids instead of {instead_of}, such as "3,1,2".'
    )


def dtype_option(default: str = "float64") -> Option:
    """`--dtype`."""
    return click.option(
        "--dtype",
        type=click.Choice(["float64", "float32"]),
        default=default,
        show_default=True,
        help="Compute in numbers of 64 or of 32 bits.",
    )


def beta_options(command: Any) -> Any:
    """`--beta1` and `--beta2` of adamw."""
    share = click.FloatRange(0, 1, max_open=True)
    of = "adamw: how much of the gradients' running mean a step keeps."
    squares = "adamw: the same for their squares."
    second = click.option("--beta2", type=share, default=0.99, show_default=True, help=squares)
    return click.option("--beta1", type=share, default=0.9, show_default=True, help=of)(second(command))


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


def table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Rows under headers; numbers to the right, also where cells are blank, text to the left; controls as escapes.

    >>> print(table(["id", "token"], [[7, '"a"'], [12, '"bc"']]))
    id  token
     7  "a"
    12  "bc"
    """
    texts = [[printable(str(cell)) for cell in row] for row in [headers, *rows]]
    columns = list(zip(*texts, strict=True))
    widths = [max(map(len, column)) for column in columns]
    right = [are_numbers(column[1:]) for column in columns]
    lines = [
        "  ".join(
            f"{cell:{'>' if is_right else '<'}{width}}"
            for cell, width, is_right in zip(row, widths, right, strict=True)
        )
        for row in texts
    ]
    return "\n".join(line.rstrip() for line in lines)


def are_numbers(cells: Sequence[str]) -> bool:
    """Is there no text among the cells that aren't blank?"""
    filled = [cell for cell in cells if cell]
    return all(map(is_number, filled)) if filled else not cells


def is_number(cell: object) -> bool:
    try:
        float(str(cell).removesuffix("%").replace(",", ""))
    except ValueError:
        return False
    return True


def token(text: str) -> str:
    """A token in quotes, so that its spaces can be seen."""
    return f'"{printable(text)}"'


def require_no_other(file: Path, content: bytes, *, force: bool) -> None:
    """Raises TextError where a file holds another text than is to be written, unless `force`."""
    if not force and file.exists() and (not file.is_file() or file.read_bytes() != content):
        raise TextError("exists, and is another text", where=file, remedy="name another file, or give --force")


def replaced_notice(path: Path, name: str | None) -> str | None:
    """That a file is there whose name nobody chose: what it shows may be something else."""
    if name is not None or not path.exists():
        return None
    return f"{path} was there already and is replaced; --name keeps the next one beside it."


def notice(text: str | None) -> None:
    """Something that a person should know besides the result, on stderr."""
    if text:
        echo(text, err=True)


def print_json(data: object) -> None:
    """The texts in it as they are, where they can be printed so."""
    click.echo(json.dumps(data, ensure_ascii=not is_unicode(sys.stdout), indent=1))


@dataclass(frozen=True)
class Changes:
    """A run before and after cells were set."""

    before: Trace
    after: Trace
    edits: tuple[str, ...] = ()

    def as_data(self, top: int) -> dict[str, Any]:
        from sheetgpt.run.edit import travel

        return {
            "set": list(self.edits),
            "before": [asdict(prediction) for prediction in self.before.predictions(top)],
            "travel": [asdict(part) for part in travel(self.before, self.after)],
        }

    def as_text(self, top: int) -> str:
        """The best predictions side by side, and how far the change travelled."""
        from sheetgpt.run.edit import travel

        both = zip(self.before.predictions(top), self.after.predictions(top), strict=True)
        rows = [[old.rank, *cells(old), *cells(new)] for old, new in both]
        parts = [[part.part, f"{part.largest_change:.3g}", part.stage] for part in travel(self.before, self.after)]
        return "\n".join(
            [
                table(["rank", "before", "logit", "probability", "after", "logit", "probability"], rows),
                "",
                "How far the change travelled:",
                table(["part", "largest change", "in stage"], parts),
            ]
        )


def cells(prediction: Prediction) -> list[str]:
    return [token(prediction.token), f"{prediction.logit:.4f}", f"{prediction.probability:.2%}"]
