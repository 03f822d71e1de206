"""Tokenizing 1 MB of text with GPT-2's table: ours against tiktoken with the same table.

    python benchmarks/tokenizing.py [rounds] [folder with vocab_bpe.csv and bpe_token_ids.csv]

Without a folder, GPT-2's own files are taken from ../shared/data/gpt2_bpe or SHEETGPT_SHARED. Needs tiktoken.
Three figures for each text, since ours remembers the words that it has met:
cold: a tokenizer that has encoded nothing yet; warm: one that has encoded another MB of the same kind before;
again: one that has encoded the same text before. Reading the tables counts for nobody; its time is printed.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import harness
import texts
from sheetgpt.bpe import Tokenizer, write_tables
from sheetgpt.bpe.words import PATTERN, unspell

SHARED = Path(os.environ.get("SHEETGPT_SHARED", Path(__file__).resolve().parents[2] / "shared"))


def gpt2_folder() -> Path:
    """GPT-2's tables as CSV, made from OpenAI's own files."""
    source = SHARED / "data" / "gpt2_bpe"
    if not source.is_dir():
        sys.exit(f"{source} is missing: name a folder with GPT-2's vocab_bpe.csv and bpe_token_ids.csv")
    ids = json.loads((source / "encoder.json").read_text(encoding="utf-8"))
    lines = (source / "vocab.bpe").read_text(encoding="utf-8").split("\n")[1:-1]
    folder = Path(tempfile.mkdtemp())
    merges = [tuple(side.replace("Ġ", " ") for side in line.split(" ")) for line in lines]
    write_tables(folder, merges, [token.replace("Ġ", " ") for token in sorted(ids, key=ids.get)])
    return folder


def tiktoken_encode(tokenizer: Tokenizer):
    import tiktoken

    ranks = {unspell(token): i for i, token in enumerate(tokenizer.tokens) if i != tokenizer.end_of_text}
    encoding = tiktoken.Encoding("ours", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={})
    return encoding.encode_ordinary


def seconds(tokenizer: Tokenizer, before: list[str], text: str) -> float:
    """Time to encode the text, by a tokenizer that knows no other texts than those before."""
    fresh = Tokenizer(tokenizer.merges, tokenizer.tokens)
    for other in before:
        fresh.encode(other)
    start = time.perf_counter()
    fresh.encode(text)
    return time.perf_counter() - start


def main(rounds: int, folder: Path) -> None:
    harness.print_machine("tiktoken", "regex")
    start = time.perf_counter()
    tokenizer = Tokenizer.read(folder)
    print(f"reading the tables of {tokenizer.n_vocab:,} tokens: {time.perf_counter() - start:.2f} s\n")
    peer = tiktoken_encode(tokenizer)
    for name, (other, text) in texts.pairs().items():
        ids = tokenizer.encode(text)
        if ids != peer(text):
            sys.exit(f"{name}: the ids differ")
        print(f"{name}: {len(text.encode()):,} bytes, {len(ids):,} tokens")
        for state, before in (("cold", []), ("warm", [other]), ("again", [text])):
            results = harness.in_turn(
                rounds,
                ours=lambda before=before, text=text: seconds(tokenizer, before, text),
                tiktoken=harness.clocked(lambda text=text: peer(text)),
            )
            harness.report(f"tokenizing {name}, {state}", results, {"tiktoken": 1.5}, unit="ms")


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 9,
        Path(sys.argv[2]) if len(sys.argv) > 2 else gpt2_folder(),
    )
