"""A training step against PyTorch's: 4 layers, n_embd 128, context 64, batch 12 (nanoGPT's own setting for CPUs).

PyTorch's side is the same model: GPT-2 with biases and tied embeddings, `scaled_dot_product_attention`, AdamW with the
same groups, clipping, the same batches; both with two threads. A round is `STEPS` steps of each.

    python benchmarks/train_step.py [rounds]
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from torch import nn

import harness
from sheetgpt.models.config import Config
from sheetgpt.training.documents import Corpus
from sheetgpt.training.optimizers import Settings
from sheetgpt.training.trainer import Trainer

CONFIG, BATCH, STEPS, ROUNDS, THREADS = Config(4, 4, 128, 64, 65), 12, 30, 15, 2
TARGET = 1.3


class Block(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        d, self.n_head = config.n_embd, config.n_head
        self.ln_1, self.ln_2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.c_attn, self.c_proj = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.mlp = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(approximate="tanh"), nn.Linear(4 * d, d))

    def forward(self, x):
        batch, count, d = x.shape
        parts = self.c_attn(self.ln_1(x)).split(d, 2)
        q, k, v = (part.view(batch, count, self.n_head, -1).transpose(1, 2) for part in parts)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.c_proj(mixed.transpose(1, 2).reshape(batch, count, d))
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(config.n_vocab, config.n_embd), nn.Embedding(config.n_ctx, config.n_embd)
        self.blocks = nn.Sequential(*(Block(config) for _ in range(config.n_layer)))
        self.ln_f = nn.LayerNorm(config.n_embd)

    def forward(self, ids, targets):
        x = self.blocks(self.wte(ids) + self.wpe(torch.arange(ids.shape[1])))
        logits = self.ln_f(x) @ self.wte.weight.T
        return nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


SETTINGS = Settings(steps=10**6, batch=BATCH, learning_rate=1e-3)


def corpus() -> Corpus:
    rng = np.random.default_rng(0)
    return Corpus([rng.integers(0, 64, 1000).tolist() for _ in range(100)], 64, CONFIG.n_ctx)


def theirs():
    """A function that does `STEPS` steps."""
    torch.set_num_threads(THREADS)
    drawn, model, rng = corpus(), GPT(CONFIG), np.random.default_rng(1)
    matrices = [weight for weight in model.parameters() if weight.dim() > 1]
    others = [weight for weight in model.parameters() if weight.dim() == 1]
    groups = [{"params": matrices, "weight_decay": SETTINGS.weight_decay}, {"params": others, "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(groups, lr=SETTINGS.learning_rate, betas=(SETTINGS.beta1, SETTINGS.beta2))

    def run() -> None:
        for _ in range(STEPS):
            ids, targets = (torch.from_numpy(part.copy()) for part in drawn.windows(BATCH, rng))
            adamw.zero_grad(set_to_none=True)
            loss = model(ids, targets)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), SETTINGS.clip)
            adamw.step()
            loss.item()

    return run


def ours():
    training = Trainer(CONFIG, corpus(), SETTINGS).run()

    def run() -> None:
        for _ in range(STEPS):
            next(training)

    return run


MAKERS = {"ours": ours, "torch": theirs}


def main(rounds: int) -> None:
    harness.print_machine("torch")
    results = harness.in_turn(rounds, **{name: harness.Worker(__file__, name) for name in MAKERS})
    one_step = {name: [seconds / STEPS for seconds in found] for name, found in results.items()}
    harness.report("training step", one_step, {"torch": TARGET}, unit="ms")


if __name__ == "__main__":
    if harness.asked_contender():
        harness.serve(harness.clocked(MAKERS[harness.asked_contender()]()))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
