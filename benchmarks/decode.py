"""Decoding with a random GPT-2 small in float32: ours, transformers on CPU PyTorch with its own cache, and CTranslate2.

    python benchmarks/decode.py [rounds]

64 tokens after an 8-token prompt, greedy, the same weights on every side; the prompt's own pass counts for everyone.
Needs torch, transformers and ctranslate2. The last line sets the time a token takes beside the time that the memory
needs to hand over every weight once, which no decoder of one text at a time can beat.
"""

from __future__ import annotations

import sys
from statistics import median

import harness
import models

PROMPT = [318, 257, 1332, 286, 262, 2746, 290, 340]
NEW = 64


def ours():
    model = models.random_model()
    return lambda: [token.id for token in model.generate(n=NEW, token_ids=PROMPT)]


def transformers():
    import torch

    model = models.transformers_model(models.random_weights())
    prompt = torch.tensor([PROMPT])
    options = {"do_sample": False, "use_cache": True, "min_new_tokens": NEW, "max_new_tokens": NEW, "pad_token_id": 0}

    def generate() -> list[int]:
        with torch.no_grad():
            made = model.generate(prompt, attention_mask=torch.ones_like(prompt), **options)
        return made[0, len(PROMPT) :].tolist()

    return generate


def ctranslate2():
    from ctranslate2 import Generator

    folder = models.made("gpt2_small_ctranslate2", convert)
    tokens = models.token_table()[1]
    generator = Generator(str(folder), device="cpu", compute_type="float32", intra_threads=harness.cores())

    def generate() -> list[int]:
        made = generator.generate_batch(
            [[tokens[i].replace(" ", "Ġ") for i in PROMPT]],
            max_length=NEW,
            min_length=NEW,
            sampling_topk=1,
            include_prompt_in_result=False,
        )
        return made[0].sequences_ids[0]

    return generate


MAKERS = {"ours": ours, "transformers": transformers, "CTranslate2": ctranslate2}


def convert(folder) -> None:
    from ctranslate2.converters import TransformersConverter

    TransformersConverter(str(models.transformers_folder())).convert(str(folder), force=True)


def contender(name: str):
    """Seconds a token; the ids are printed once, on stderr, so that it can be seen that all sides do the same."""
    generate = MAKERS[name]()
    print(f"{name}: {generate()}", file=sys.stderr)
    whole = harness.clocked(generate)
    return lambda: whole() / NEW


def main(rounds: int) -> None:
    harness.print_machine("torch", "transformers", "ctranslate2")
    results = harness.in_turn(rounds, **{name: harness.Worker(__file__, name) for name in MAKERS})
    harness.report("decode, per token", results, {"transformers": 0.55, "CTranslate2": 1.15}, unit="ms")
    read = sum(matrix.nbytes for name, matrix in models.random_weights().items() if name != "model_wpe")
    rate = harness.bandwidth()
    print(
        f"{read / 1e6:.0f} MB a token at {rate / 1e9:.1f} GB/s: {read / rate * 1e3:.1f} ms at least; "
        f"ours takes {median(results['ours']) / (read / rate):.2f} times that"
    )


if __name__ == "__main__":
    if harness.asked_contender():
        harness.serve(contender(harness.asked_contender()))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
