"""How the cost grows: a traced run and the decoder over tokens 8, 64, 256, 1,024 and over 1 to 12 layers, float32.

    python benchmarks/growth.py [rounds]

Random weights of GPT-2 small's width. Each figure is the quickest of several, as there is no peer whose turn would be
slowed as well when other programs run; ratios are to the first line of each table.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import harness
import models
from sheetgpt.generate.decode import Decoder

TOKENS = (8, 64, 256, 1024)
LAYERS = (1, 3, 6, 12)


def milliseconds(function, rounds: int) -> float:
    function()
    return 1e3 * min(harness.clocked(function)() for _ in range(rounds))


def decode_after(model, count: int):
    """One more token after `count` - 1 others, again and again."""
    decoder = Decoder(model.steps, model.weights, "float32")
    decoder.feed([7] * (count - 1))

    def one_more():
        decoder.rewind(count - 1)
        decoder.feed([7])

    return one_more


def measured(model, count: int, rounds: int) -> tuple[float, float]:
    """Milliseconds of (a traced run, one more token) at that many tokens."""
    ids = [7] * count
    return milliseconds(lambda: model.run(token_ids=ids), rounds), milliseconds(decode_after(model, count), 4 * rounds)


def table(what: str, rows: dict[int, tuple[float, float]]) -> None:
    print(f"| {what} | traced run | ratio | one more token | ratio |\n|---:|---:|---:|---:|---:|")
    run, token = next(iter(rows.values()))
    for key, (each_run, each_token) in rows.items():
        ratios = each_run / run, each_token / token
        print(f"| {key:,} | {each_run:.1f} ms | {ratios[0]:.2f} | {each_token:.2f} ms | {ratios[1]:.2f} |", flush=True)
    print()


def main(rounds: int) -> None:
    harness.print_machine()
    model = models.random_model()
    table("tokens (12 layers)", {count: measured(model, count, rounds) for count in TOKENS})
    by_layers = {}
    for layers in LAYERS:
        by_layers[layers] = measured(models.random_model(config=replace(models.GPT2_SMALL, n_layer=layers)), 64, rounds)
    table("layers (64 tokens)", by_layers)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
