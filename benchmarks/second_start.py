"""Second start: the whole process `sheetgpt run` of 10 tokens, no dump, against a script with transformers.

    python benchmarks/second_start.py [rounds]

Random GPT-2 small with a made-up token table, the same on both sides; the CSV folder has been loaded before. The script
loads model and tokenizer, runs one forward pass and prints the predicted token. Needs torch and transformers.
"""

from __future__ import annotations

import sys

import harness
import models

PROMPT = "Mike is quick. He mov"  # 10 tokens of the made-up table are about 20 letters
PEER = """
import sys
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
with torch.no_grad():
    logits = model(**tokenizer(sys.argv[2], return_tensors="pt")).logits
best = int(logits[0, -1].argmax())
print(best, repr(tokenizer.decode([best])))
"""


def main(rounds: int) -> None:
    harness.print_machine("torch", "transformers")
    run = [sys.executable, "-m", "sheetgpt", "run", PROMPT, "--weights", models.csv_folder()]
    peer = harness.process(sys.executable, "-c", PEER, models.transformers_folder(), PROMPT)
    for dtype in ("float64", "float32"):
        results = harness.in_turn(rounds, ours=harness.process(*run, "--dtype", dtype), transformers=peer)
        harness.report(f"second start, {dtype}", results, {"transformers": 0.5})
    embedded = [sys.executable, "-m", "sheetgpt"]
    harness.report(
        "sheetgpt --help, sheetgpt run (embedded model)",
        harness.in_turn(
            rounds,
            ours=harness.process(*embedded, "--help"),
            run=harness.process(*embedded, "run", "Mike is quick. He moves"),
        ),
        {},
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
