"""`sheetgpt train-bpe`: a merge table learned from a text."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sheetgpt.commands import show
from sheetgpt.commands.progress import progress

if TYPE_CHECKING:
    from sheetgpt.bpe.learning import LearningPass


@click.command()
@click.argument("corpus", type=click.Path(path_type=Path))
@click.argument("dest", type=click.Path(path_type=Path))
@click.option("--vocab-size", type=int, required=True, metavar="N", help="Tokens in all: 256 bytes, merges, 1 special.")
@click.option("--force", is_flag=True, help="Replace the table that DEST holds.")
@click.option("--trace", is_flag=True, help="Show every pass: the most frequent pair, its count, the new token.")
@click.option("--dump-xlsx", is_flag=True, help="Write EXPORTS/NAME.xlsx: every pass.")
@show.exports_option
@show.name_option("CORPUS")
@show.json_option
def command(corpus, dest, vocab_size, force, trace, dump_xlsx, exports, name, as_json):
    """Learn a merge table from CORPUS (UTF-8) and write vocab_bpe.csv and bpe_token_ids.csv to DEST.

    \b
    Example:
      sheetgpt train-bpe corpus.txt my_table --vocab-size 2000
      sheetgpt train-bpe words.txt my_table --vocab-size 264 --trace
      sheetgpt tokenize "Mike is quick." --weights my_table
    """
    from sheetgpt.bpe import Tokenizer, learn, write_tables
    from sheetgpt.bpe.learning import check_vocab_size
    from sheetgpt.bpe.tables import refuse_to_replace
    from sheetgpt.files.text import read_corpus

    check_vocab_size(vocab_size)
    if not force:
        refuse_to_replace(dest)
    text = read_corpus(corpus)
    passes: list[LearningPass] = []
    with progress("Merging") as advance:
        watch = passes.append if trace or dump_xlsx else None
        merges, tokens = learn(text, vocab_size, progress=advance, watch=watch)
    write_tables(dest, merges, tokens)
    summary = {
        "bytes": len(text.encode()),
        "merges": len(merges),
        "tokens": len(tokens),
        "tokens_wanted": vocab_size,
        "corpus_tokens": len(Tokenizer(merges, tokens).encode(text, special=True)),
        "folder": str(dest),
    }
    if dump_xlsx:
        from sheetgpt.dump import slug
        from sheetgpt.sheets.learning import write_workbook

        path = exports / f"{name or slug(f'{corpus.stem} merges')}.xlsx"
        summary["files"] = [str(write_workbook(passes, path))]
    if as_json:
        show.print_json(summary | ({"passes": [asdict(one) for one in passes]} if trace else {}))
        return
    if trace:
        show.echo(f"{trace_as_text(passes)}\n")
    show.echo("\n".join([as_text(summary), *(f"Wrote {file}" for file in summary.get("files", ()))]))


def trace_as_text(passes):
    """One line a pass; with the words as they stand then, where they are few."""
    headers = ["pass", "pair", "count", "new token", "id", *(["words"] if passes and passes[0].words else [])]
    rows = [
        [one.number, f"{show.token(one.left)} {show.token(one.right)}", one.count, show.token(one.token), one.id]
        + ([one.as_they_stand] if one.words else [])
        for one in passes
    ]
    return show.table(headers, rows)


def as_text(summary: dict) -> str:
    ratio = summary["bytes"] / summary["corpus_tokens"]
    lines = [
        f"{summary['merges']:,} merges, {summary['tokens']:,} tokens in {summary['folder']}",
        f"the corpus: {summary['bytes']:,} bytes, {summary['corpus_tokens']:,} tokens, {ratio:.2f} bytes a token",
    ]
    if summary["tokens"] < summary["tokens_wanted"]:
        lines.append(f"{summary['tokens_wanted']:,} tokens were asked for: the corpus has no more pairs to merge")
    return "\n".join(lines)
