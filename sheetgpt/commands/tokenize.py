"""`sheetgpt tokenize`: a text's tokens and ids, and the merges that made them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sheetgpt.commands import show

if TYPE_CHECKING:
    from sheetgpt.bpe import MergeTrace, Tokenizer

Merge = dict[str, Any]  # one merge, as `--json` prints it


@click.command()
@click.argument("text")
@show.weights_option
@click.option("--trace", "with_trace", is_flag=True, help="Show every merge, pass by pass.")
@click.option("--special", is_flag=True, help="Read <|endoftext|> in TEXT as the one special token.")
@show.json_option
def command(text: str, weights: str | None, with_trace: bool, special: bool, as_json: bool) -> None:
    """Show the tokens of TEXT (- reads standard input) and their ids.

    \b
    Example:
      sheetgpt tokenize "Mike is quick. He moves" --trace
    """
    tokenizer = read_tokenizer(weights)
    content = standard_input() if text == "-" else text
    trace = tokenizer.trace(content, special=special) if with_trace else None
    ids = trace.ids if trace else tokenizer.encode(content, special=special)
    merges = merges_in_order(tokenizer, trace) if trace else None
    if as_json:
        show.print_json(as_data(tokenizer, ids, trace, merges))
    else:
        click.echo(as_text(tokenizer, ids, trace, merges))


def read_tokenizer(weights: str | None) -> Tokenizer:
    from sheetgpt.bpe import Tokenizer
    from sheetgpt.weights.folder import embedded_folder

    return Tokenizer.read(Path(weights) if weights else embedded_folder())


def standard_input() -> str:
    """All of standard input, byte for byte."""
    from sheetgpt.files.text import decoded

    return decoded(sys.stdin.buffer.read(), "standard input")


def merges_in_order(tokenizer: Tokenizer, trace: MergeTrace) -> list[Merge]:
    """Each merge as it happens: in each pass one for every word that still has a pair to merge."""
    merges = []
    for number in range(len(trace.words)):
        for pass_number, (symbols, place) in enumerate(trace.passes(number)):
            if place is None:
                break
            left, right = symbols[place : place + 2]
            merges.append(
                {
                    "pass": pass_number,
                    "word": number,
                    "left": left,
                    "right": right,
                    "score": tokenizer.scores[left, right],
                    "merged": [*symbols[:place], left + right, *symbols[place + 2 :]],
                }
            )
    return sorted(merges, key=lambda merge: (merge["pass"], merge["word"]))


def as_data(
    tokenizer: Tokenizer, ids: list[int], trace: MergeTrace | None, merges: list[Merge] | None
) -> dict[str, Any]:
    tokens = [{"position": n, "id": i, "token": tokenizer.token(i)} for n, i in enumerate(ids)]
    return {"tokens": tokens} | ({"words": trace.words, "merges": merges} if trace else {})


def as_text(tokenizer: Tokenizer, ids: list[int], trace: MergeTrace | None, merges: list[Merge] | None) -> str:
    """A table of tokens, with their text where it is spelled otherwise; with a trace, the table of merges above it."""
    tokens = [tokenizer.token(i) for i in ids]
    texts = [tokenizer.decode([i]) for i in ids]
    headers = ["position", "id", "token"]
    rows = [[n, i, show.token(token)] for n, (i, token) in enumerate(zip(ids, tokens, strict=True))]
    if tokens != texts:
        headers.append("text")
        rows = [[*row, show.token(printable(text))] for row, text in zip(rows, texts, strict=True)]
    parts = [show.table(headers, rows)]
    if trace and merges is not None:
        parts.insert(0, show.table(["pass", "word", "score", "merged"], [merge_row(trace, merge) for merge in merges]))
    return "\n\n".join(parts)


def merge_row(trace: MergeTrace, merge: Merge) -> list[Any]:
    pieces = " ".join(map(show.token, merge["merged"]))
    return [merge["pass"], show.token(trace.words[merge["word"]]), merge["score"], pieces]


def printable(text: str) -> str:
    """Line breaks and other invisible characters as escapes."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
