"""A run of 64 tokens with every stage kept, float32, random GPT-2 small, against transformers keeping what it can.

    python benchmarks/traced_run.py [rounds]

transformers runs eagerly with `output_hidden_states` and `output_attentions`: 13 hidden states and 12 attentions
stay, where ours keeps all 224 stages. Needs torch and transformers.
"""

from __future__ import annotations

import sys

import harness
import models

IDS = list(range(1000, 1064))


def ours():
    model = models.random_model()
    return lambda: model.run(token_ids=IDS)


def transformers():
    import torch

    model = models.transformers_model(models.random_weights(), attn_implementation="eager")
    ids = torch.tensor([IDS])

    def run():
        with torch.no_grad():
            out = model(ids, output_hidden_states=True, output_attentions=True, use_cache=False)
        if len(out.hidden_states) != 13 or out.attentions[0].shape != (1, 12, 64, 64):
            raise SystemExit("transformers did not keep what it was asked for")
        return out

    return run


MAKERS = {"ours": ours, "transformers": transformers}


def main(rounds: int) -> None:
    harness.print_machine("torch", "transformers")
    results = harness.in_turn(rounds, warm_up=2, **{name: harness.Worker(__file__, name) for name in MAKERS})
    harness.report("traced run of 64 tokens", results, {"transformers": 0.7}, unit="ms")


if __name__ == "__main__":
    if harness.asked_contender():
        harness.serve(harness.clocked(MAKERS[harness.asked_contender()]()))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
