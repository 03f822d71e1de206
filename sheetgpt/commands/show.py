"""How the commands print: tables a person can read, JSON for machines, and options that several commands share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from sheetgpt.run.trace import Prediction, Trace

weights_option = click.option(
    "--weights", type=click.Path(), metavar="DIR", help="The model's CSV folder. Default: the model that ships inside."
)
special_option = click.option(
    "--special", is_flag=True, help="Read each special token in the text, such as <|endoftext|>, as one token."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


def table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Rows under headers; numbers to the right, text to the left.

    >>> print(table(["id", "token"], [[7, '"a"'], [12, '"bc"']]))
    id  token
     7  "a"
    12  "bc"
    """
    columns = list(zip(*[headers, *rows], strict=True))
    widths = [max(len(str(cell)) for cell in column) for column in columns]
    right = [all(is_number(cell) for cell in column[1:]) for column in columns]
    lines = [
        "  ".join(
            f"{cell!s:{'>' if is_right else '<'}{width}}"
            for cell, width, is_right in zip(row, widths, right, strict=True)
        )
        for row in [headers, *rows]
    ]
    return "\n".join(line.rstrip() for line in lines)


def is_number(cell: object) -> bool:
    try:
        float(str(cell).removesuffix("%").replace(",", ""))
    except ValueError:
        return False
    return True


def token(text: str) -> str:
    """A token in quotes, so that its spaces can be seen."""
    return f'"{text}"'


def notice(text: str | None) -> None:
    """Something that a person should know besides the result, on stderr."""
    if text:
        click.echo(text, err=True)


def print_json(data: object) -> None:
    click.echo(json.dumps(data, ensure_ascii=False, indent=1))


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
