"""`sheetgpt train-bpe`: a merge table learned from a text."""

from __future__ import annotations

from pathlib import Path

import click

from sheetgpt.commands import show
from sheetgpt.commands.progress import progress


@click.command()
@click.argument("corpus", type=click.Path(path_type=Path))
@click.argument("dest", type=click.Path(path_type=Path))
@click.option("--vocab-size", type=int, required=True, metavar="N", help="Tokens in all: 256 bytes, merges, 1 special.")
@click.option("--force", is_flag=True, help="Replace the table that DEST holds.")
@show.json_option
def command(corpus, dest, vocab_size, force, as_json):
    """Learn a merge table from CORPUS (UTF-8) and write vocab_bpe.csv and bpe_token_ids.csv to DEST.

    \b
    Example:
      sheetgpt train-bpe corpus.txt my_table --vocab-size 2000
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
    with progress("Merging") as advance:
        merges, tokens = learn(text, vocab_size, progress=advance)
    write_tables(dest, merges, tokens)
    summary = {
        "bytes": len(text.encode()),
        "merges": len(merges),
        "tokens": len(tokens),
        "tokens_wanted": vocab_size,
        "corpus_tokens": len(Tokenizer(merges, tokens).encode(text, special=True)),
        "folder": str(dest),
    }
    if as_json:
        show.print_json(summary)
    else:
        show.echo(as_text(summary))


def as_text(summary: dict) -> str:
    ratio = summary["bytes"] / summary["corpus_tokens"]
    lines = [
        f"{summary['merges']:,} merges, {summary['tokens']:,} tokens in {summary['folder']}",
        f"the corpus: {summary['bytes']:,} bytes, {summary['corpus_tokens']:,} tokens, {ratio:.2f} bytes a token",
    ]
    if summary["tokens"] < summary["tokens_wanted"]:
        lines.append(f"{summary['tokens_wanted']:,} tokens were asked for: the corpus has no more pairs to merge")
    return "\n".join(lines)
