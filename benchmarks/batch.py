"""Many prompts: prompts a second, memory, bytes a prompt.

    python benchmarks/batch.py [rounds] [small|embedded]

`small`: 200 prompts of 10 tokens at GPT-2 small's size (random weights, float32) in this process, on 1 and 2 workers,
against a loop over `Model.run` and against transformers' batch of all prompts with hidden states and attentions (25
matrices a prompt; ours keeps as many, on disk). `embedded`: 100, 1,000 and 10,000 prompts of the embedded model.
Starting workers counts. Needs torch, transformers and the extra `batch`.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import harness
import models
from sheetgpt import load_model
from sheetgpt.batch.batching import Batch
from sheetgpt.batch.prompts import Prompt
from sheetgpt.corpus import documents

COUNT, LENGTH = 200, 10
LOOPED = 20  # of them, from which the loop's time is reckoned
KEPT = "position_embeddings,block_*_step_16,block_*_step_7"  # hidden states and attentions
ATTENTIONS = "block_*_step_7,logits"


def ids(count: int = COUNT) -> list[list[int]]:
    return [[(1000 + 37 * prompt + position) % 50257 for position in range(LENGTH)] for prompt in range(count)]


def written(model, prompts: list[Prompt], stages: str, processes: int | None) -> Batch:
    folder = Path(tempfile.mkdtemp(prefix="sheetgpt_batch_"))
    try:
        batch = Batch(model, prompts, folder / "runs", stages)
        batch.write(processes=processes)
    finally:
        shutil.rmtree(folder)
    return batch


def ours(processes: int | None = None):
    model = load_model(models.csv_folder(), "float32")
    prompts = [Prompt(token_ids=tuple(one)) for one in ids()]
    return lambda: written(model, prompts, KEPT, processes)


def loop():
    """A plain loop over some of the prompts; each run is let go."""
    model = load_model(models.csv_folder(), "float32")

    def run():
        for one in ids(LOOPED):
            model.run(token_ids=one)

    return run


def transformers():
    """One padded batch after another, as large as it is quick: of equal prompts nothing is padded."""
    import torch

    model = models.transformers_model(models.random_weights(), attn_implementation="eager")

    def run():
        for begin in range(0, COUNT, 50):
            some = torch.tensor(ids()[begin : begin + 50])
            with torch.no_grad():
                out = model(some, output_hidden_states=True, output_attentions=True, use_cache=False)
            if len(out.hidden_states) != 13 or out.attentions[0].shape[0] != len(some):
                raise SystemExit("transformers did not keep what it was asked for")

    return run


MAKERS = {
    "ours": ours,
    "1 worker": lambda: ours(1),
    "2 workers": lambda: ours(2),
    "loop over run": loop,
    "transformers": transformers,
}


HERE = Path(__file__).parent
PEAKS = {
    "the batch": "print(ours()().plan.sentence())",
    "a single run": 'load_model(models.csv_folder(), "float32").run(token_ids=ids()[0])',
}


def small(rounds: int) -> None:
    models.csv_folder()
    results = harness.in_turn(rounds, warm_up=1, **{name: harness.Worker(__file__, name) for name in MAKERS})
    title = f"{COUNT} prompts of {LENGTH} tokens, GPT-2 small, float32"
    harness.report(title, results, {"loop over run": 1 / 3, "transformers": 1.0})
    for name, seconds in results.items():
        print(f"{name}: {COUNT / sorted(seconds)[len(seconds) // 2]:.1f} prompts a second", flush=True)
    for name, code in PEAKS.items():
        found = harness.peak_memory(f"import sys; sys.path.insert(0, sys.argv[1])\nfrom batch import *\n{code}", HERE)
        print(f"peak memory of {name}: {found / 1e6:.0f} MB", flush=True)


def embedded(rounds: int) -> None:
    """The command as it is typed, whole processes, on the corpus's sentences."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        text = documents()
        for count in (100, 1_000, 10_000):
            lines = (text * (1 + count // len(text)))[:count]
            (place / "prompts.txt").write_text("\n".join(lines), encoding="utf-8")
            for workers in ([], ["--workers", "1"], ["--workers", "2"]):
                command = [sys.executable, "-m", "sheetgpt", "batch", place / "prompts.txt", "-o", place / "runs"]
                run = harness.process(*command, "--stages", ATTENTIONS, *workers)
                seconds = []
                for _ in range(rounds):
                    shutil.rmtree(place / "runs", ignore_errors=True)
                    seconds.append(run())
                median = sorted(seconds)[rounds // 2]
                where = " ".join(workers) or "in this process"
                print(f"{count:,} prompts, {where}: {median:.2f} s, {count / median:,.0f} a second", flush=True)


def main(rounds: int, which: str) -> None:
    harness.print_machine("torch", "transformers", "distributed", "pyarrow")
    if which in ("all", "small"):
        small(rounds)
    if which in ("all", "embedded"):
        embedded(rounds)


if __name__ == "__main__":
    if harness.asked_contender():
        name = harness.asked_contender()
        seconds = harness.clocked(MAKERS[name]())
        harness.serve((lambda: seconds() * COUNT / LOOPED) if name == "loop over run" else seconds)
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 3, sys.argv[2] if len(sys.argv) > 2 else "all")
