"""Patching at GPT-2 small's size: 12 layers x 10 positions x 3 kinds of stages, against so many plain runs.

    python benchmarks/patching.py [rounds] [float64|float32]

Random weights; the prompts differ in their first token, so that no piece is shared and none is left out. The ratio is
of one patch to one run of the same prompt: what follows from a stage is half a run in the mean, and patches of a stage
share the reading of the weights.
"""

from __future__ import annotations

import sys

import harness
import models
from sheetgpt import lens, load_model
from sheetgpt.lens.metrics import DIFFERENCE, Metric

IDS = list(range(1000, 1010))
OTHERS = [7, *IDS[1:]]
PATCHES = 12 * 10 * 3
METRIC = Metric(DIFFERENCE, (11, 262), "of two tokens")
RUNS = 20  # of which a round takes the mean


def main(rounds: int, dtype: str) -> None:
    harness.print_machine()
    model = load_model(models.csv_folder(), dtype)
    clean, corrupt = (model.run(token_ids=ids) for ids in (IDS, OTHERS))

    def patches() -> None:
        found = lens.patch(clean, corrupt, metric=METRIC)
        if len(found.patches) != PATCHES or not found.patches["recovered"].abs().max():
            raise SystemExit("these are not the patches that were asked for")

    def runs() -> None:
        for _ in range(RUNS):
            model.run(token_ids=OTHERS)

    contenders = {"ours": harness.clocked(patches), "runs": lambda: harness.clocked(runs)() / RUNS * PATCHES}
    results = harness.in_turn(rounds, warm_up=1, **contenders)
    harness.report(f"{PATCHES} patches, {dtype}", results, {"runs": 1.0})


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5, sys.argv[2] if len(sys.argv) > 2 else "float64")
