"""`sheetgpt tokenize`: a text's tokens and ids, and the merges that made them."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sheetgpt.commands import show
from sheetgpt.errors import PromptError, WeightsError

if TYPE_CHECKING:
    from sheetgpt.bpe import MergeTrace, Tokenizer
    from sheetgpt.diff.token_lines import CheckedLines

MOST_SHOWN = 2_000_000  # symbols: a word of 2,000 letters, some 30 MB of JSON
Merge = dict[str, Any]  # one merge, as `--json` prints it


@click.command()
@click.argument("text", required=False)
@show.weights_option
@click.option("--trace", "with_trace", is_flag=True, help="Show every merge, pass by pass.")
@show.special_option
@click.option(
    "--lines",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Each line of FILE is a text: a list of ids a line.",
)
@click.option(
    "--expect",
    type=click.Path(path_type=Path),
    metavar="IDS.jsonl",
    help='With --lines: compare with these, a line each, [464, 995] or {"ids": [464, 995]}. Exit code 1: different.',
)
@show.json_option
def command(
    text: str | None,
    weights: str | None,
    with_trace: bool,
    special: bool,
    lines: Path | None,
    expect: Path | None,
    as_json: bool,
) -> None:
    """Show the tokens of TEXT (- reads standard input) and their ids; or check a tokenizer over a file of texts.

    \b
    Example:
      sheetgpt tokenize "Mike is quick. He moves" --trace
      sheetgpt tokenize --lines texts.txt --expect port.jsonl
    """
    require_one(text, lines, expect, with_trace=with_trace)
    tokenizer = read_tokenizer(weights)
    if lines:
        raise SystemExit(show_lines(tokenizer, lines, expect, special=special, as_json=as_json))
    content = standard_input() if text == "-" else text or ""
    trace = tokenizer.trace(content, special=special) if with_trace else None
    if trace and trace.n_shown > MOST_SHOWN:
        what = f"the merges of this text show {trace.n_shown:,} symbols, and --trace at most {MOST_SHOWN:,}"
        raise PromptError(what, remedy="give shorter words")
    ids = trace.ids if trace else tokenizer.encode(content, special=special)
    merges = merges_in_order(tokenizer, trace) if trace else None
    if as_json:
        show.print_json(as_data(tokenizer, ids, trace, merges))
    else:
        show.echo(as_text(tokenizer, ids, trace, merges))


def require_one(text: str | None, lines: Path | None, expect: Path | None, *, with_trace: bool) -> None:
    """Raises PromptError where options don't go together."""
    if (text is None) == (lines is None):
        raise PromptError("give either TEXT or --lines FILE" + (", not both" if lines else ""))
    if expect and not lines:
        raise PromptError("--expect goes with --lines", remedy="give the file of texts")
    if with_trace and lines:
        raise PromptError("--trace shows one text", remedy="leave --lines out, and give TEXT")


def read_tokenizer(weights: str | None) -> Tokenizer:
    from sheetgpt.bpe import Tokenizer
    from sheetgpt.bpe.tables import MERGES_FILE
    from sheetgpt.files.paths import existing
    from sheetgpt.weights.embedded import or_a_name
    from sheetgpt.weights.folder import EMBEDDED, named_folder

    folder = named_folder(weights or EMBEDDED)
    if existing(str(folder)) is None:
        remedy = f"name the folder that holds {MERGES_FILE}, {or_a_name()}"
        raise WeightsError("is no folder", where=folder, remedy=remedy)
    return Tokenizer.read(folder)


def standard_input() -> str:
    """All of standard input, byte for byte."""
    from sheetgpt.files.text import decoded

    return decoded(sys.stdin.buffer.read(), "standard input")


# ------------------------------------------------------------------------------------------------ many texts


def show_lines(tokenizer: Tokenizer, file: Path, expect: Path | None, *, special: bool, as_json: bool) -> int:
    """Print the ids of every line of a file or, where some are expected, which lines differ; the exit code."""
    from sheetgpt.diff.token_lines import check_lines, ids_of_lines, read_ids, read_lines

    texts = read_lines(file)
    if expect is None:
        for ids in ids_of_lines(tokenizer, texts, file, special=special):
            sys.stdout.write(f"{json.dumps(ids)}\n")  # click.echo would flush each line
        return 0
    found = check_lines(tokenizer, texts, file, read_ids(expect, texts, file), special=special)
    if as_json:
        show.print_json(asdict(found) | {"equal": found.equal})
    else:
        show.echo(lines_as_text(found))
    return 0 if found.equal else 1


def lines_as_text(found: CheckedLines) -> str:
    """How many lines are equal; of the first that are not the text, both cuts, and where they part."""
    from sheetgpt.diff.tokens import shown

    parts = [f"{found.n_equal:,} of {found.n_lines:,} lines are equal."]
    for line in found.different:
        cuts = f"  here      {line.here}\n  expected  {line.expected}\n  {line.why}"
        parts.append(f"Line {line.number}: {shown(line.text.encode())}\n{cuts}")
    rest = found.n_lines - found.n_equal - len(found.different)
    return "\n\n".join([*parts, *([f"... and {rest:,} lines more"] if rest else [])])


# ------------------------------------------------------------------------------------------------ one text


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
