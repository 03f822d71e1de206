"""How well a model learned the corpus: `python tests/embedded_figures.py [FOLDER]` prints the README's figures."""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path

import numpy as np

from sheetgpt import corpus, load_model
from sheetgpt.model import Model
from sheetgpt.models.step import Role
from sheetgpt.run.forward import forward


def share_right(model: Model, asked: list[tuple[str, str]]) -> float:
    """The share of (prompt, next word) in which the most probable next token is that word."""
    batches: dict[int, list[tuple[list[int], int]]] = {}
    for prompt, word in asked:
        ids, (answer, *rest) = model.tokenizer.encode(prompt), model.tokenizer.encode(word)
        assert not rest, f"{word!r} is more than one token"
        batches.setdefault(len(ids), []).append((ids, answer))
    right = 0
    for batch in batches.values():
        ids, answers = np.array([ids for ids, _ in batch]), np.array([answer for _, answer in batch])
        values = forward(model.steps, model.weights, model.steps.inputs(ids))
        best = values[model.steps.name(Role.PREDICTION)][:, 1, 0]
        right += int((best == answers).sum())
    return right / len(asked)


def held_out_prompts() -> list[tuple[str, str]]:
    """Every held-out (name, adjective) pair with every verb: what comes next?"""
    return [
        (f"{person.name} is {person.adjective}. {person.pronoun} {verb}", f" {person.adverb}")
        for person, verb in product(corpus.held_out(), corpus.VERBS)
    ]


def figures(folder: Path | None = None) -> dict[str, float]:
    """The figures by name."""
    model = load_model(folder)
    best = model.run("Mike is quick. He moves").predictions(1)[0]
    return {
        f"probability of {best.token!r} after 'Mike is quick. He moves'": best.probability,
        "held-out (name, adjective) pairs, every verb: right": share_right(model, held_out_prompts()),
        "size of the CSVs in MB": sum(file.stat().st_size for file in model.weights.folder.glob("*.csv")) / 1e6,
    }


if __name__ == "__main__":
    for name, value in figures(*map(Path, sys.argv[1:])).items():
        print(f"{name}: {value:.4f}")
