"""Learning a merge table of 2,000 tokens from 1 MB of text: ours against the trainer of the `tokenizers` library.

    python benchmarks/train_bpe.py [rounds]

The peer gets the text line by line, so that it counts words on all cores, and GPT-2's own words. Needs tokenizers.
"""

from __future__ import annotations

import sys

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

import harness
import texts
from sheetgpt.bpe import learn

VOCAB_SIZE = 2000


def peer(text: str) -> None:
    words = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=words.alphabet(),
        show_progress=False,
    )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = words
    tokenizer.train_from_iterator(text.splitlines(keepends=True), trainer)


def main(rounds: int) -> None:
    harness.print_machine("tokenizers", "regex")
    for name, (text, _) in texts.pairs().items():
        results = harness.in_turn(
            rounds,
            ours=harness.clocked(lambda text=text: learn(text, VOCAB_SIZE)),
            tokenizers=harness.clocked(lambda text=text: peer(text)),
        )
        harness.report(f"train-bpe, {name} to {VOCAB_SIZE:,} tokens", results, {"tokenizers": 5})


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
