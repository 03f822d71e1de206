"""Prompts from a file or standard input: text (one a line), JSON lines, a CSV or Parquet with a column of them.

What can't be a prompt stands in the list with an error, so that numbers are those of the file's lines or rows. Tokens
belong in `planning`.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sheetgpt.batch.extra import needed
from sheetgpt.errors import PromptError, TextError
from sheetgpt.files.text import BYTE_ORDER_MARK, STDIN, decoded, separator_of, split_lines, whole_numbers

__all__ = ["Prompt", "read_prompts"]

PROMPT, IDS = "prompt", "token_ids"
ENDINGS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "csv", ".parquet": "parquet"}
EMPTY = "the prompt is empty: give at least one token"


@dataclass(frozen=True)
class Prompt:
    """A text or token ids, or what is wrong."""

    text: str | None = None  #: the prompt as text
    token_ids: tuple[int, ...] | None = None  #: or as token ids
    error: str | None = None  #: what is wrong with it; None where nothing is


def read_prompts(source: str, kind: str | None = None, column: str | None = None) -> list[Prompt]:
    """The prompts of a file (`-`: of standard input), in order.

    kind: text, jsonl, csv or parquet; default: by the file's ending, text where that says nothing.
    column: of a CSV or Parquet; default: `prompt` or `token_ids`, or the only one.
    Raises TextError where the source can't be read, PromptError where it holds no prompt or no such column.
    """
    name = "standard input" if source == STDIN else source
    found = kind or ENDINGS.get(Path(source).suffix.lower(), "text")
    if column is not None and found not in ("csv", "parquet"):
        raise PromptError("--column is of a CSV or Parquet file", remedy="leave it out, or give --format")
    data = read_bytes(source)
    if found == "parquet":
        prompts = of_parquet(data, name, column)
    else:
        text = decoded(data, name).removeprefix(BYTE_ORDER_MARK)
        prompts = of_csv(text, name, column) if found == "csv" else [LINES[found](line) for line in lines_of(text)]
    if not prompts:
        raise PromptError("holds no prompt", where=name, remedy="write one a line")
    return prompts


def read_bytes(source: str) -> bytes:
    if source == STDIN:
        return sys.stdin.buffer.read()
    try:
        return Path(source).read_bytes()
    except (OSError, ValueError) as error:
        what = f"can't be read ({getattr(error, 'strerror', None) or error})"
        raise TextError(what, where=source, remedy="give a file of prompts, one a line") from None


def lines_of(text: str) -> list[str]:
    r"""The lines, without what ends them.

    >>> lines_of("a\r\n\nb\n")
    ['a', '', 'b']
    """
    lines = split_lines(text)
    return lines[:-1] if not lines[-1] else lines


def of_text(text: str) -> Prompt:
    return Prompt(text) if text else Prompt(text, error=EMPTY)


def of_json(line: str) -> Prompt:
    if not line.strip():
        return Prompt(error="the line is empty")
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        return Prompt(error=f"no JSON: {error}")
    if isinstance(found, str):
        return of_text(found)
    if not isinstance(found, dict) or (PROMPT in found) == (IDS in found):
        return Prompt(error=f'give {{"{PROMPT}": "..."}} or {{"{IDS}": [3, 1, 2]}}')
    return of_text(found[PROMPT]) if isinstance(found.get(PROMPT), str) else of_ids(found.get(IDS))


def of_ids(found: Any) -> Prompt:
    """Token ids as a list, or as text such as `3,1,2` or `[3, 1, 2]`."""
    if isinstance(found, str):
        try:
            found = whole_numbers(found.strip().strip("[]"))
        except ValueError:
            found = None
    if not isinstance(found, list) or not all(type(one) is int for one in found):
        return Prompt(error=f"a prompt is a text, {IDS} whole numbers")
    return Prompt(token_ids=tuple(found)) if found else Prompt(error=EMPTY)


LINES = {"text": of_text, "jsonl": of_json}


# ------------------------------------------------------------------------------------------------ tables


def of_csv(text: str, name: str, column: str | None) -> list[Prompt]:
    """A prompt a row; a line with nothing on it is no row."""
    separator = separator_of(split_lines(text)[0])
    try:
        with_header = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        header, *rows = [row for row in with_header if row] or [[]]
    except csv.Error as error:
        raise PromptError(f"is no CSV ({error})", where=name, remedy="save it again, or give --format text") from None
    chosen = column_of(header, name, column)
    place = header.index(chosen)
    cells = (row[place] if place < len(row) else "" for row in rows)
    return [of_cell(chosen, cell) for cell in cells]


def of_parquet(data: bytes, name: str, column: str | None) -> list[Prompt]:
    pa, parquet = needed("pyarrow"), needed("pyarrow.parquet")
    try:
        table = parquet.ParquetFile(pa.BufferReader(data))
        chosen = column_of(table.schema_arrow.names, name, column)
        cells: Iterable[Any] = table.read([chosen]).column(chosen).to_pylist()
    except pa.ArrowException as error:
        what = f"is no Parquet ({str(error).splitlines()[0]})"
        raise PromptError(what, where=name, remedy="save it again, or give --format") from None
    return [of_cell(chosen, cell) for cell in cells]


def of_cell(column: str, cell: Any) -> Prompt:
    if column == IDS or isinstance(cell, list):
        return of_ids(cell)
    return of_text("" if cell is None else cell) if isinstance(cell, str | None) else of_ids(cell)


def column_of(names: list[str], where: str, column: str | None) -> str:
    """The column of prompts. Raises PromptError where there is none."""
    if column is None:
        column = next((name for name in (PROMPT, IDS) if name in names), names[0] if len(names) == 1 else PROMPT)
    if column not in names:
        what = f"has no column {column!r}, but {', '.join(map(repr, names)) or 'none'}"
        raise PromptError(what, where=where, remedy="name it by --column")
    return column
